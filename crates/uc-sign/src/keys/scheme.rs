//! Signature schemes, and which of them a key uses.

use serde::Serialize;

use super::KeyAlgorithm;

/// How a signature was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Scheme {
    /// ECDSA on P-256 over SHA-256.
    #[serde(rename = "ecdsa-p256-sha256")]
    EcdsaP256Sha256,
    /// ECDSA on P-384 over SHA-256: what cosign verifies.
    #[serde(rename = "ecdsa-p384-sha256")]
    EcdsaP384Sha256,
    /// ECDSA on P-384 over SHA-384, as in the bundles that cosign 3 writes.
    #[serde(rename = "ecdsa-p384-sha384")]
    EcdsaP384Sha384,
    /// Ed25519 over the message (RFC 8032): what cosign verifies.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// Ed25519 over SHA-512 of the message (RFC 8032), as in the bundles that cosign 3 writes.
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
            KeyAlgorithm::EcdsaP384 => &[Self::EcdsaP384Sha256, Self::EcdsaP384Sha384],
            KeyAlgorithm::Ed25519 => &[Self::Ed25519, Self::Ed25519Prehashed],
            KeyAlgorithm::Rsa => &[Self::RsaPkcs1Sha256, Self::RsaPssSha256],
        }
    }

    /// The scheme by which a key signs: the one that every released cosign verifies, in layers and in bundles.
    ///
    /// cosign 3.1 itself signs bundles by Ed25519ph, and by SHA-384 with P-384, but then cannot verify them: it always
    /// checks pure Ed25519 and SHA-256. Its development branch has begun to check SHA-384 with P-384 (cosign#5019), so the
    /// choice for P-384 has to be looked at again when that is released.
    pub fn for_signing(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::EcdsaP256 => Self::EcdsaP256Sha256,
            KeyAlgorithm::EcdsaP384 => Self::EcdsaP384Sha256,
            KeyAlgorithm::Ed25519 => Self::Ed25519,
            KeyAlgorithm::Rsa => Self::RsaPkcs1Sha256,
        }
    }
}
