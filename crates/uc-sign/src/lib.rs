//! Signatures, attestations and trust, in cosign's formats: bytes in, bytes and verdicts out.
//!
//! The crate is pure: it touches no file, network or clock. Whoever calls it fetches the layers that are attached to an
//! artifact and hands them over as [`Evidence`]; time and randomness are arguments.
//!
//! | question | answer |
//! |---|---|
//! | may this artifact be used? | [`judge()`] with a [`Requirement`], from keys or from a [`Policy`] |
//! | what does an attestation say? | [`verify_attestations`] |
//! | how is a signature written? | [`simple_signing::Payload::write`] for a `.sig` layer; [`statement`], [`dsse::Envelope::sign`] and [`bundle::Bundle::write`] for a referrer |
//! | how is an attestation written? | [`predicate::prepare`], [`statement::write_attestation`], then an envelope |
//! | what are they called in a registry? | [`oci`] |
//!
//! Two rules hold throughout. Any valid signature by a trusted key counts, whatever else is attached: broken, foreign or
//! misplaced evidence is listed with its reason and spoils nothing. And an attestation is not a signature: it says
//! something about an artifact, but does not vouch for it.
//!
//! No transparency log has a say, and every verdict says so. Certificates, log entries and time stamps that are attached
//! are named as not consulted.
//!
//! Everything foreign bytes can drive has a bound, which stands beside the code that checks it: sizes, counts, the cost of
//! a password, and the work of one decision ([`MAX_ATTEMPTS`], [`MAX_WORK_BYTES`]).

mod calendar;
mod encoding;
mod json;
mod judge;
mod message;
mod opened;
mod trust;

pub mod attestation;
pub mod bundle;
pub mod dsse;
pub mod evidence;
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
pub use judge::{MAX_EVIDENCE, judge};
pub use keys::{KeyAlgorithm, Password, PrivateKey, PublicKey};
pub use message::Message;
pub use policy::{Decision, Policy, PolicyFile};
pub use predicate::PredicateType;
pub use requirement::Requirement;
pub use trust::{MAX_ATTEMPTS, MAX_WORK_BYTES};
pub use verdict::{Outcome, Reason, Verdict};
