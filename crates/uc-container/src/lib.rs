//! Rootless Linux containers without capabilities (mission M3.1, M3.5).
//!
//! A narrow launcher of our own rather than libcontainer: it makes only containers whose root is not the host's root
//! and that hold no capability, so it needs no runtime bundle, no second process and no C library, and starts in the
//! time of the system calls themselves.
//!
//! Invariants: the host user id of a container is never 0; all five capability sets of its program are empty;
//! `no_new_privs` and the allow-list are in force before its first instruction; it dies with its owner.
#![allow(
    unsafe_code,
    reason = "clone3, execve, mount_setattr and the like have no safe wrappers"
)]

mod child;
mod driver;
mod launch;
mod plan;
mod probe;
mod report;
mod sandbox;
mod seccomp;

pub use driver::ContainerDriver;
