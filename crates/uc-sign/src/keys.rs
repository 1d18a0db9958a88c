//! Keys: reading, writing, generating, signing and verifying.
//!
//! The cryptography is the crates' (RustCrypto's curves and scrypt, ring's RSA); what stands here is cosign's formats and
//! the choice of schemes.

use std::fmt;

use serde::Serialize;

mod encrypted;
mod password;
mod pem;
mod private;
mod public;
mod scheme;
mod secretbox;

#[cfg(test)]
pub(crate) mod tests;

pub use encrypted::{MAX_SCRYPT_BLOCKS, MAX_SCRYPT_MEMORY_BYTES};
pub use password::Password;
pub use pem::MAX_KEY_FILE_BYTES;
pub use private::{PrivateKey, is_encrypted};
pub use public::{MAX_RSA_BITS, MIN_RSA_BITS, PublicKey};
pub use scheme::Scheme;

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum KeyAlgorithm {
    /// ECDSA on NIST P-256: cosign's default and ours.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA on NIST P-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// Ed25519.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// RSA, which verifies but does not sign.
    #[serde(rename = "rsa")]
    Rsa,
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::Ed25519 => "Ed25519",
            Self::Rsa => "RSA",
        })
    }
}
