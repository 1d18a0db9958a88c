//! Public keys, and checking a signature against one.

use std::fmt;

use p256::{
    ecdsa::signature::hazmat::PrehashVerifier as _,
    pkcs8::{
        DecodePublicKey as _, ObjectIdentifier, SubjectPublicKeyInfoRef,
        der::{
            Decode as _, Encode as _, Reader as _, SliceReader,
            asn1::{AnyRef, BitStringRef, UintRef},
        },
        spki::AlgorithmIdentifierRef,
    },
};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};
use uc_model::{Digest, Problem, Result};

use super::{KeyAlgorithm, Scheme, pem};
use crate::{encoding, message::Message};

/// The shortest RSA modulus that is trusted, in bits.
pub const MIN_RSA_BITS: usize = 2048;
/// The longest RSA modulus that is verified, in bits: beyond, a signature costs milliseconds.
pub const MAX_RSA_BITS: usize = 8192;

pub(super) const EC_PUBLIC_KEY: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(super) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
pub(super) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
pub(super) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

const LABEL: &str = "PUBLIC KEY";

/// A public key that signatures are checked against.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Subject public key info, encoded anew, so that one key has one fingerprint.
    spki: Vec<u8>,
    fingerprint: Digest,
    verifier: Verifier,
}

#[derive(Clone, PartialEq, Eq)]
enum Verifier {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    /// An `RSAPublicKey` of PKCS#1.
    Rsa(Vec<u8>),
}

impl PublicKey {
    /// Reads a PEM file that holds one public key (SPKI), as `cosign.pub` does.
    ///
    /// # Errors
    /// What is no key, several keys, an algorithm that is not supported, and RSA that is too weak or too long.
    pub fn from_pem(bytes: &[u8]) -> Result<Self> {
        let blocks = pem::read(bytes)?;
        let mut keys = blocks.iter().filter(|block| block.label == LABEL);
        match (keys.next(), keys.next()) {
            (Some(block), None) => Self::from_spki(&block.contents),
            (Some(_), Some(_)) => Err(Problem::invalid("more than one public key in a file")
                .limit("one key a file")
                .remedy("split the file and name each key")),
            (None, _) => Err(no_public_key(&blocks)),
        }
    }

    /// Reads a subject public key info in DER (RFC 5280).
    ///
    /// # Errors
    /// As [`PublicKey::from_pem`].
    pub fn from_spki(der: &[u8]) -> Result<Self> {
        let bad = || Problem::invalid("not a key: the contents are no public key");
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| bad())?;
        let curve = || info.algorithm.parameters_oid().ok();
        match info.algorithm.oid {
            EC_PUBLIC_KEY if curve() == Some(P256) => {
                let key = p256::ecdsa::VerifyingKey::from_public_key_der(der).map_err(|_| bad())?;
                Ok(Self::from_p256(key))
            }
            EC_PUBLIC_KEY if curve() == Some(P384) => {
                let key = p384::ecdsa::VerifyingKey::from_public_key_der(der).map_err(|_| bad())?;
                Ok(Self::from_p384(key))
            }
            ED25519 if info.algorithm.parameters.is_none() => {
                let key = info
                    .subject_public_key
                    .as_bytes()
                    .and_then(|bytes| bytes.try_into().ok())
                    .and_then(|bytes| ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok())
                    .ok_or_else(bad)?;
                if key.is_weak() {
                    return Err(Problem::invalid(
                        "a weak Ed25519 key: anyone can sign for it",
                    ));
                }
                Ok(Self::from_ed25519(key))
            }
            RSA => Self::from_rsa(info.subject_public_key.as_bytes().ok_or_else(bad)?),
            other => Err(unsupported(other, info.algorithm.parameters_oid().ok())),
        }
    }

    pub(super) fn from_p256(key: p256::ecdsa::VerifyingKey) -> Self {
        let point = key.to_sec1_point(false);
        let spki = write_spki(EC_PUBLIC_KEY, Some(AnyRef::from(&P256)), point.as_bytes());
        Self::new(spki, Verifier::P256(key))
    }

    pub(super) fn from_p384(key: p384::ecdsa::VerifyingKey) -> Self {
        let point = key.to_sec1_point(false);
        let spki = write_spki(EC_PUBLIC_KEY, Some(AnyRef::from(&P384)), point.as_bytes());
        Self::new(spki, Verifier::P384(key))
    }

    pub(super) fn from_ed25519(key: ed25519_dalek::VerifyingKey) -> Self {
        let spki = write_spki(ED25519, None, key.as_bytes());
        Self::new(spki, Verifier::Ed25519(key))
    }

    /// From an `RSAPublicKey` of PKCS#1.
    fn from_rsa(pkcs1: &[u8]) -> Result<Self> {
        let bits = rsa_bits(pkcs1)
            .ok_or_else(|| Problem::invalid("not a key: the contents are no RSA public key"))?;
        if bits < MIN_RSA_BITS {
            return Err(Problem::refused("the RSA key is too weak to be trusted")
                .limit(format!("at least {MIN_RSA_BITS} bits"))
                .found(format!("{bits} bits"))
                .remedy("sign with a new key: `uc key generate`"));
        }
        if bits > MAX_RSA_BITS {
            return Err(Problem::refused("the RSA key is too long")
                .limit(format!("at most {MAX_RSA_BITS} bits"))
                .found(format!("{bits} bits")));
        }
        let spki = write_spki(RSA, Some(AnyRef::NULL), pkcs1);
        Ok(Self::new(spki, Verifier::Rsa(pkcs1.to_vec())))
    }

    fn new(spki: Vec<u8>, verifier: Verifier) -> Self {
        let fingerprint = Digest::from_sha256(&Sha256::digest(&spki).into());
        Self {
            spki,
            fingerprint,
            verifier,
        }
    }

    /// The kind of the key.
    pub fn algorithm(&self) -> KeyAlgorithm {
        match self.verifier {
            Verifier::P256(_) => KeyAlgorithm::EcdsaP256,
            Verifier::P384(_) => KeyAlgorithm::EcdsaP384,
            Verifier::Ed25519(_) => KeyAlgorithm::Ed25519,
            Verifier::Rsa(_) => KeyAlgorithm::Rsa,
        }
    }

    /// SHA-256 of the subject public key info: the name of a key.
    pub fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    /// The name that bundles use: base64 of the fingerprint's bytes.
    pub fn hint(&self) -> String {
        encoding::encode(&Sha256::digest(&self.spki))
    }

    /// The subject public key info in DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The PEM file that cosign calls `cosign.pub`.
    pub fn to_pem(&self) -> String {
        pem::write(LABEL, &self.spki).to_string()
    }

    /// The scheme by which `signature` is this key's over the message, or `None` where it is not. ECDSA signatures are
    /// in DER.
    pub fn verify(&self, message: &Message<'_>, signature: &[u8]) -> Option<Scheme> {
        Scheme::of_key(self.algorithm())
            .iter()
            .copied()
            .find(|scheme| self.verify_by(*scheme, message, signature))
    }

    /// Whether `signature` is this key's over the message by one scheme.
    pub fn verify_by(&self, scheme: Scheme, message: &Message<'_>, signature: &[u8]) -> bool {
        match (&self.verifier, scheme) {
            (Verifier::P256(key), Scheme::EcdsaP256Sha256) => {
                p256::ecdsa::Signature::from_der(signature)
                    .is_ok_and(|parsed| key.verify_prehash(message.sha256(), &parsed).is_ok())
            }
            (Verifier::P384(key), Scheme::EcdsaP384Sha256) => {
                p384::ecdsa::Signature::from_der(signature)
                    .is_ok_and(|parsed| key.verify_prehash(message.sha256(), &parsed).is_ok())
            }
            (Verifier::P384(key), Scheme::EcdsaP384Sha384) => {
                p384::ecdsa::Signature::from_der(signature)
                    .is_ok_and(|parsed| key.verify_prehash(message.sha384(), &parsed).is_ok())
            }
            (Verifier::Ed25519(key), Scheme::Ed25519) => {
                ed25519_dalek::Signature::from_slice(signature)
                    .is_ok_and(|parsed| key.verify_strict(message.bytes(), &parsed).is_ok())
            }
            (Verifier::Ed25519(key), Scheme::Ed25519Prehashed) => {
                ed25519_dalek::Signature::from_slice(signature).is_ok_and(|parsed| {
                    key.verify_prehashed_strict(message.sha512(), None, &parsed)
                        .is_ok()
                })
            }
            (Verifier::Rsa(key), Scheme::RsaPkcs1Sha256) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
                    .verify(message.bytes(), signature)
                    .is_ok()
            }
            (Verifier::Rsa(key), Scheme::RsaPssSha256) => {
                UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key)
                    .verify(message.bytes(), signature)
                    .is_ok()
            }
            _ => false,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.algorithm(), self.fingerprint)
    }
}

/// The bits of the modulus of an `RSAPublicKey`, or `None` where it is none.
fn rsa_bits(pkcs1: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(pkcs1).ok()?;
    let (modulus, _exponent) = reader
        .sequence(|fields| {
            Ok::<_, p256::pkcs8::der::Error>((UintRef::decode(fields)?, UintRef::decode(fields)?))
        })
        .ok()?;
    reader.finish().ok()?;
    let bytes = modulus.as_bytes();
    let leading = bytes.first()?.leading_zeros() as usize;
    Some(bytes.len() * 8 - leading)
}

fn write_spki(algorithm: ObjectIdentifier, parameters: Option<AnyRef<'_>>, key: &[u8]) -> Vec<u8> {
    let info = SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef {
            oid: algorithm,
            parameters,
        },
        subject_public_key: match BitStringRef::from_bytes(key) {
            Ok(bits) => bits,
            // A key file is far shorter than a bit string may be.
            Err(_) => return Vec::new(),
        },
    };
    info.to_der().unwrap_or_default()
}

fn no_public_key(blocks: &[pem::Block]) -> Problem {
    let labels: Vec<&str> = blocks.iter().map(|block| block.label.as_str()).collect();
    let problem = Problem::invalid("not a public key")
        .limit("a PEM block PUBLIC KEY")
        .found(labels.join(", "));
    let has = |part: &str| labels.iter().any(|label| label.contains(part));
    if has("PRIVATE KEY") {
        problem.remedy("this is a private key: name the .pub file beside it")
    } else if has("CERTIFICATE") {
        problem.remedy("take the key out: openssl x509 -in FILE -pubkey -noout")
    } else if has("RSA PUBLIC KEY") {
        problem.remedy("rewrite it: openssl rsa -RSAPublicKey_in -in FILE -pubout")
    } else {
        problem
    }
}

/// The problem of a key whose algorithm is not one of ours.
pub(super) fn unsupported(
    algorithm: ObjectIdentifier,
    parameters: Option<ObjectIdentifier>,
) -> Problem {
    let found = match parameters {
        Some(parameters) => format!("algorithm {algorithm} with {parameters}"),
        None => format!("algorithm {algorithm}"),
    };
    Problem::refused("the key's algorithm is not supported")
        .limit(format!(
            "ECDSA P-256 or P-384, Ed25519, RSA of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits"
        ))
        .found(found)
}
