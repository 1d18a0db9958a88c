//! Signatures, attestations and trust, in cosign's formats.

mod calendar;
mod encoding;
mod json;
mod message;
mod opened;
mod trust;

pub mod attestation;
pub mod bundle;
pub mod dsse;
pub mod evidence;
pub mod judge;
pub mod keys;
pub mod oci;
pub mod policy;
pub mod predicate;
pub mod requirement;
pub mod simple_signing;
pub mod statement;
pub mod verdict;

pub use attestation::{AttestationVerdict, VerifiedAttestation, verify_attestations};
pub use evidence::{Evidence, Form, Subject};
pub use judge::judge;
pub use keys::{KeyAlgorithm, Password, PrivateKey, PublicKey};
pub use message::Message;
pub use policy::{Decision, Policy, PolicyFile};
pub use predicate::PredicateType;
pub use requirement::Requirement;
pub use trust::{MAX_ATTEMPTS, MAX_WORK_BYTES};
pub use verdict::{Outcome, Reason, Verdict};
