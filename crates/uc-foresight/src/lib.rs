//! Foresight: where the memory of a workload is going, whether it leaks, and when to act (mission M5).
//!
//! Everything here is a function of its arguments: samples come in with their times, randomness as seeds. Memory is in bytes,
//! time in seconds.

pub mod eviction;
pub mod sample;

pub use sample::Sample;
