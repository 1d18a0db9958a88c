//! MicroVMs: containers in a machine of their own, and functions in containers there (mission M1).
//!
//! A machine is a monitor's process (QEMU or Firecracker), a kernel, an archive with our agent, and disks that are made of
//! images. The agent makes containers by the same code as on the host; a sandbox of this crate hands it the requests and
//! carries the streams. Machines start from a snapshot where one fits.
//!
//! Invariants: a monitor has no capability, no id of the host's users and no file system that it can write, and it dies
//! with its owner; a machine never sees a file of the host, only copies; what a guest sends is bounded before it is held.
#![allow(
    unsafe_code,
    reason = "clone3, execve and close_range have no safe wrappers"
)]

mod bounds;
mod choice;
mod clock;
mod console;
mod driver;
#[allow(
    dead_code,
    reason = "the writer is whole: tests use what machines do not yet"
)]
mod erofs;
pub mod firecracker;
mod guest;
mod host;
mod host_file;
mod images;
mod initramfs;
mod jail;
pub mod kernel;
mod launch;
mod machine;
mod monitor;
mod place;
mod pool;
mod probe;
mod qemu;
mod reactor;
mod restore;
mod sandbox;
mod snapshot;
mod strangers;
mod volumes;

pub use driver::MicrovmDriver;
pub use host::{Precompile, Program, Programs, Settings};
pub use machine::Accelerator;
