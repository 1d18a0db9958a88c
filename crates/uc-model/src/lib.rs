//! The shared nouns of Undercurrent.
//!
//! Layer 0: every other crate may use this one, and it uses none of them. It holds data and the rules that make the
//! data valid; it never reads a file, a clock, the network or the environment.

pub mod date;
pub mod digest;
pub mod figure;
pub mod host;
pub mod problem;
pub mod quantity;
pub mod runtime;
pub mod telling;
pub mod workload;

pub use date::Date;
pub use digest::Digest;
pub use figure::{Figure, Provenance};
pub use host::Facility;
pub use problem::{Problem, ProblemKind, Result};
pub use quantity::{Bytes, MilliCpu};
pub use runtime::{Isolation, PayloadFormat, RuntimeChoice, RuntimeKind};
pub use telling::Telling;
