//! Foresight: where the memory of a workload is going, whether it leaks, and when to act (mission M5).
//!
//! Everything here is a function of its arguments: samples come in with their times, randomness as seeds. Memory is in bytes,
//! time in seconds.

pub mod corpus;
pub mod evaluation;
pub mod eviction;
pub mod forecast;
mod observer;
mod pyramid;
mod recent;
pub mod recording;
pub mod replay;
mod robust;

pub mod sample;
mod tracker;
pub mod training;
pub mod trend;
pub mod verdict;

pub use observer::Observer;
pub use pyramid::{Pyramid, Window};
pub use recent::Recent;
pub use robust::quantile;
pub use sample::Sample;
pub use tracker::{Continuity, LastSample, Tracker};
pub use verdict::Verdict;
