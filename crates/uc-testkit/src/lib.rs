//! For tests only: the contract that every sandbox driver keeps, a scripted driver for the engine's tests, and a
//! registry that can misbehave.
//!
//! A driver's tests implement [`contract::Fixtures`] (its own programs for a few named tasks) and call
//! [`driver_contract!`], which makes one test of each case.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed expectation is how a test speaks"
)]

pub mod busybox;
pub mod contract;
pub mod fake;
pub mod registry;
