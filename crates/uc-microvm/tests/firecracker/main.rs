//! Firecracker itself, driven by its API and by its configuration: the program that `UC_FIRECRACKER` names, the kernel that
//! `UC_FIRECRACKER_KERNEL` names (or the smallest thing that loads), the jailer that `UC_JAILER` names.
//!
//! `UC_FIRECRACKER_KVM` names another device than `/dev/kvm`, for users who cannot open that.
//!
//! None of it needs the guest to come far: hosts whose KVM runs only guests made for it take part.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says with them what it expected and found"
)]

mod bench;
mod confinement;
mod life;
mod refusals;
