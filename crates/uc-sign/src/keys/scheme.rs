//! Signature schemes, and which of them goes where.

use serde::Serialize;

use super::KeyAlgorithm;

/// How a signature was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Scheme {
    /// ECDSA on P-256 over SHA-256.
    #[serde(rename = "ecdsa-p256-sha256")]
    EcdsaP256Sha256,
    /// ECDSA on P-384 over SHA-256, as in cosign's older forms.
    #[serde(rename = "ecdsa-p384-sha256")]
    EcdsaP384Sha256,
    /// ECDSA on P-384 over SHA-384, as in bundles.
    #[serde(rename = "ecdsa-p384-sha384")]
    EcdsaP384Sha384,
    /// Ed25519 over the message (RFC 8032), as in cosign's older forms.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// Ed25519 over SHA-512 of the message (RFC 8032), as in bundles.
    #[serde(rename = "ed25519ph")]
    Ed25519Prehashed,
    /// RSA with PKCS#1 v1.5 padding over SHA-256.
    #[serde(rename = "rsa-pkcs1-sha256")]
    RsaPkcs1Sha256,
    /// RSA with PSS padding over SHA-256.
    #[serde(rename = "rsa-pss-sha256")]
    RsaPssSha256,
}

impl Scheme {
    /// The schemes by which a key's signature may have been made.
    pub(crate) fn of_key(algorithm: KeyAlgorithm) -> &'static [Self] {
        match algorithm {
            KeyAlgorithm::EcdsaP256 => &[Self::EcdsaP256Sha256],
            KeyAlgorithm::EcdsaP384 => &[Self::EcdsaP384Sha384, Self::EcdsaP384Sha256],
            KeyAlgorithm::Ed25519 => &[Self::Ed25519, Self::Ed25519Prehashed],
            KeyAlgorithm::Rsa => &[Self::RsaPkcs1Sha256, Self::RsaPssSha256],
        }
    }
}

/// Where a signature will be stored. cosign expects another scheme of some keys in bundles than elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A simple signing layer (`.sig`) or a DSSE layer (`.att`): SHA-256, pure Ed25519.
    Layer,
    /// A sigstore bundle: SHA-384 for P-384, Ed25519ph.
    Bundle,
}

impl Target {
    /// The scheme by which a key signs for this place. RSA keys do not sign.
    pub(crate) fn scheme(self, algorithm: KeyAlgorithm) -> Scheme {
        match (algorithm, self) {
            (KeyAlgorithm::EcdsaP256, _) => Scheme::EcdsaP256Sha256,
            (KeyAlgorithm::EcdsaP384, Self::Layer) => Scheme::EcdsaP384Sha256,
            (KeyAlgorithm::EcdsaP384, Self::Bundle) => Scheme::EcdsaP384Sha384,
            (KeyAlgorithm::Ed25519, Self::Layer) => Scheme::Ed25519,
            (KeyAlgorithm::Ed25519, Self::Bundle) => Scheme::Ed25519Prehashed,
            (KeyAlgorithm::Rsa, _) => Scheme::RsaPkcs1Sha256,
        }
    }
}
