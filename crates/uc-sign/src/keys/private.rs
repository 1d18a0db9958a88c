//! Private keys: making, reading, writing, signing.

use std::fmt;

use ed25519_dalek::Signer as _;
use p256::{
    ecdsa::signature::hazmat::PrehashSigner as _,
    elliptic_curve::Generate as _,
    pkcs8::{
        EncodePrivateKey as _, PrivateKeyInfoRef,
        der::{Decode as _, asn1::OctetStringRef},
    },
};
use rand_core::CryptoRng;
use uc_model::{Problem, Result};
use zeroize::Zeroizing;

use super::{
    KeyAlgorithm, Password, PublicKey, Scheme,
    encrypted::{self, Encrypted},
    pem,
    public::{EC_PUBLIC_KEY, ED25519, P256, P384, RSA, unsupported},
};
use crate::message::Message;

/// What cosign writes now, and what it wrote before version 2.
const ENCRYPTED_LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
const OLD_ENCRYPTED_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";
const PKCS8_LABEL: &str = "PRIVATE KEY";
const SEC1_LABEL: &str = "EC PRIVATE KEY";

/// A key that signs. It is wiped when dropped and never printed.
pub struct PrivateKey(pub(super) Signer);

pub(super) enum Signer {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

/// Whether a key file asks for a password. Anything that is no key file does not.
pub fn is_encrypted(bytes: &[u8]) -> bool {
    pem::read(bytes).is_ok_and(|blocks| blocks.iter().any(is_encrypted_block))
}

fn is_encrypted_block(block: &pem::Block) -> bool {
    [ENCRYPTED_LABEL, OLD_ENCRYPTED_LABEL].contains(&block.label.as_str())
}

impl PrivateKey {
    /// Makes a key. The same random bytes make the same key.
    ///
    /// # Errors
    /// RSA keys are not made.
    pub fn generate(algorithm: KeyAlgorithm, random: &mut impl CryptoRng) -> Result<Self> {
        Ok(Self(match algorithm {
            KeyAlgorithm::EcdsaP256 => {
                Signer::P256(p256::ecdsa::SigningKey::generate_from_rng(random))
            }
            KeyAlgorithm::EcdsaP384 => {
                Signer::P384(p384::ecdsa::SigningKey::generate_from_rng(random))
            }
            KeyAlgorithm::Ed25519 => {
                let mut seed = Zeroizing::new([0; ed25519_dalek::SECRET_KEY_LENGTH]);
                random.fill_bytes(seed.as_mut_slice());
                Signer::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed))
            }
            KeyAlgorithm::Rsa => return Err(rsa_does_not_sign()),
        }))
    }

    /// Reads a PEM file: cosign's encrypted key, plain PKCS#8, or `EC PRIVATE KEY` (SEC 1).
    ///
    /// `password` is called only for an encrypted key whose form and cost are within bounds.
    ///
    /// # Errors
    /// What is no private key, an algorithm that does not sign here, a key that is too expensive to open, a wrong
    /// password, and whatever `password` fails with.
    pub fn from_pem(bytes: &[u8], password: impl FnOnce() -> Result<Password>) -> Result<Self> {
        let blocks = pem::read(bytes)?;
        let Some(block) = blocks
            .iter()
            .find(|block| block.label.ends_with("PRIVATE KEY"))
        else {
            return Err(no_private_key(&blocks));
        };
        if block.has_headers {
            return Err(unknown_encryption("OpenSSL's encryption of before PKCS#8"));
        }
        match block.label.as_str() {
            ENCRYPTED_LABEL | OLD_ENCRYPTED_LABEL => {
                let encrypted = Encrypted::parse(&block.contents)?;
                Self::from_pkcs8(&encrypted.open(&password()?)?)
            }
            PKCS8_LABEL => Self::from_pkcs8(&block.contents),
            SEC1_LABEL => Self::from_sec1(&block.contents),
            "ENCRYPTED PRIVATE KEY" => Err(unknown_encryption("PKCS#8 encryption")),
            "RSA PRIVATE KEY" => Err(rsa_does_not_sign()),
            _ => Err(no_private_key(&blocks)),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let bad = || Problem::invalid("not a key: the contents are no PKCS#8 private key");
        let info = PrivateKeyInfoRef::from_der(der).map_err(|_| bad())?;
        let curve = info.algorithm.parameters_oid().ok();
        Ok(Self(match (info.algorithm.oid, curve) {
            (EC_PUBLIC_KEY, Some(P256)) => {
                let key = p256::SecretKey::try_from(info).map_err(|_| bad())?;
                Signer::P256(key.into())
            }
            (EC_PUBLIC_KEY, Some(P384)) => {
                let key = p384::SecretKey::try_from(info).map_err(|_| bad())?;
                Signer::P384(key.into())
            }
            (ED25519, None) => {
                // The private key is an octet string within the octet string (RFC 8410).
                let seed = <&OctetStringRef>::from_der(info.private_key.as_bytes())
                    .ok()
                    .and_then(|seed| seed.as_bytes().try_into().ok())
                    .map(Zeroizing::new)
                    .ok_or_else(bad)?;
                Signer::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed))
            }
            (RSA, _) => return Err(rsa_does_not_sign()),
            (algorithm, parameters) => return Err(unsupported(algorithm, parameters)),
        }))
    }

    /// SEC 1 names the curve inside; both are tried since only one can fit.
    fn from_sec1(der: &[u8]) -> Result<Self> {
        if let Ok(key) = p256::SecretKey::from_sec1_der(der) {
            return Ok(Self(Signer::P256(key.into())));
        }
        p384::SecretKey::from_sec1_der(der)
            .map(|key| Self(Signer::P384(key.into())))
            .map_err(|_| {
                Problem::refused("the EC private key cannot be used")
                    .limit("a key on P-256 or P-384")
            })
    }

    /// The kind of the key.
    pub fn algorithm(&self) -> KeyAlgorithm {
        match self.0 {
            Signer::P256(_) => KeyAlgorithm::EcdsaP256,
            Signer::P384(_) => KeyAlgorithm::EcdsaP384,
            Signer::Ed25519(_) => KeyAlgorithm::Ed25519,
        }
    }

    /// The key that verifies what this one signs.
    pub fn public_key(&self) -> PublicKey {
        match &self.0 {
            Signer::P256(key) => PublicKey::from_p256(*key.verifying_key()),
            Signer::P384(key) => PublicKey::from_p384(*key.verifying_key()),
            Signer::Ed25519(key) => PublicKey::from_ed25519(key.verifying_key()),
        }
    }

    /// Signs by [`Scheme::for_signing`]; ECDSA signatures are in DER. The same key and message make the same signature
    /// (RFC 6979, RFC 8032).
    ///
    /// # Errors
    /// A defect of ours.
    pub fn sign(&self, message: &Message<'_>) -> Result<Vec<u8>> {
        self.sign_by(Scheme::for_signing(self.algorithm()), message)
    }

    /// Signs by a scheme of one's choice.
    ///
    /// # Errors
    /// A scheme that is none of this key's.
    pub fn sign_by(&self, scheme: Scheme, message: &Message<'_>) -> Result<Vec<u8>> {
        self.try_sign(scheme, message).ok_or_else(|| {
            Problem::internal("the key cannot sign by this scheme")
                .found(format!("{} and {scheme:?}", self.algorithm()))
        })
    }

    fn try_sign(&self, scheme: Scheme, message: &Message<'_>) -> Option<Vec<u8>> {
        match (&self.0, scheme) {
            (Signer::P256(key), Scheme::EcdsaP256Sha256) => {
                let signature: p256::ecdsa::Signature = key.sign_prehash(message.sha256()).ok()?;
                Some(signature.to_der().as_bytes().to_vec())
            }
            (Signer::P384(key), Scheme::EcdsaP384Sha256) => {
                let signature: p384::ecdsa::Signature = key.sign_prehash(message.sha256()).ok()?;
                Some(signature.to_der().as_bytes().to_vec())
            }
            (Signer::P384(key), Scheme::EcdsaP384Sha384) => {
                let signature: p384::ecdsa::Signature = key.sign_prehash(message.sha384()).ok()?;
                Some(signature.to_der().as_bytes().to_vec())
            }
            (Signer::Ed25519(key), Scheme::Ed25519) => {
                Some(key.sign(message.bytes()).to_bytes().to_vec())
            }
            (Signer::Ed25519(key), Scheme::Ed25519Prehashed) => {
                let signature = key.sign_prehashed(message.sha512(), None).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            _ => None,
        }
    }

    /// A plain PKCS#8 file. Whoever reads it can sign.
    ///
    /// # Errors
    /// A defect of ours.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>> {
        Ok(pem::write(PKCS8_LABEL, &self.to_pkcs8()?))
    }

    /// The file that cosign calls `cosign.key`. It takes as long to write as to open: about 0.2 s and 64 MiB.
    ///
    /// # Errors
    /// A defect of ours.
    pub fn to_encrypted_pem(
        &self,
        password: &Password,
        random: &mut impl CryptoRng,
    ) -> Result<String> {
        let sealed = encrypted::seal(&self.to_pkcs8()?, password, random)?;
        Ok(pem::write(ENCRYPTED_LABEL, &sealed).to_string())
    }

    fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>> {
        let document = match &self.0 {
            Signer::P256(key) => key.to_pkcs8_der(),
            Signer::P384(key) => key.to_pkcs8_der(),
            Signer::Ed25519(key) => {
                // Version 1, without the public key: what Go writes, and all that older readers take.
                let mut der = Zeroizing::new(ED25519_PKCS8_HEAD.to_vec());
                der.extend_from_slice(key.as_bytes());
                return Ok(der);
            }
        };
        document
            .map(|document| document.to_bytes())
            .map_err(|_| Problem::internal("the key could not be written"))
    }
}

/// The constant beginning of an Ed25519 key in PKCS#8 (RFC 8410, section 7), before its 32 bytes.
const ED25519_PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, …)", self.algorithm())
    }
}

fn no_private_key(blocks: &[pem::Block]) -> Problem {
    let labels: Vec<&str> = blocks.iter().map(|block| block.label.as_str()).collect();
    let problem = Problem::invalid("not a private key")
        .limit("a PEM block PRIVATE KEY, EC PRIVATE KEY or ENCRYPTED SIGSTORE PRIVATE KEY")
        .found(labels.join(", "));
    if labels.contains(&"PUBLIC KEY") {
        problem.remedy("this is a public key: name the private key beside it")
    } else {
        problem
    }
}

fn unknown_encryption(found: &str) -> Problem {
    Problem::refused("the key file's encryption is not supported")
        .limit("cosign's encrypted key files, or plain PKCS#8")
        .found(found)
        .remedy("decrypt it with `openssl pkcs8 -topk8 -nocrypt`, then `cosign import-key-pair`")
}

fn rsa_does_not_sign() -> Problem {
    Problem::refused("the key's algorithm is not supported: RSA keys verify, but do not sign here")
        .limit("ECDSA P-256 or P-384, or Ed25519")
        .found("RSA")
        .remedy("make a key with `uc key generate`; what the RSA key signed still verifies")
}
