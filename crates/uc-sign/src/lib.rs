//! Signatures, attestations and trust, in cosign's formats.

mod encoding;
mod json;
mod message;

pub mod dsse;
pub mod keys;
pub mod oci;
pub mod simple_signing;

pub use message::Message;
