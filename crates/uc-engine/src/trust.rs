//! Trust: which artifacts may be used, and how one vouches for them.
//!
//! [`uc_sign`] judges bytes; this module finds them. What is attached to an artifact is fetched side by side, and no more of
//! it than the answer needs. Nobody else is asked: no transparency log, no time stamp authority, no key server.

mod admission;
mod artifact;
mod attach;
mod gather;
mod policy;
mod shelf;
mod verdicts;
mod verify;

pub use admission::{Admission, judged};
pub use artifact::Artifact;
pub use attach::{Attached, Forms, Signer, attest, sign};
pub use policy::{Trust, read_policy};
pub use shelf::Shelf;
pub use verify::{find_attestations, verify};
