//! The WebAssembly driver: WASI preview 1 modules and preview 2 components in an embedded wasmtime.
//!
//! Layer 3, and the only crate that knows wasmtime. A program runs on a thread of this process and reaches what it was
//! granted and nothing else: its arguments and environment, its three streams, the directories mounted for it, clocks
//! and randomness, and outgoing HTTP or the host's sockets where the workload has them. It has no root file system, no
//! host name, no users and no signals.
//!
//! How a program ends: its own code (low eight bits); 137 and [`Stopped`](uc_sandbox::ExitReason::Stopped) after a
//! stop, which comes at once because a program cannot be told; 137 and
//! [`OutOfMemory`](uc_sandbox::ExitReason::OutOfMemory) for a trap after growth was denied; else 134 and
//! [`Trapped`](uc_sandbox::ExitReason::Trapped).
//!
//! Invariants: no instruction of a program runs before `start`; code is executed only from a cache directory that
//! nobody else can write; no environment variable of this process is read; no thread is left when a sandbox is gone.

mod cache;
mod container;
mod driver;
mod ending;
mod engine;
mod host;
mod inspect;
mod instantiation;
mod job;
mod loader;
mod meter;
mod mounts;
mod program;
mod sandbox;
mod stdio;
mod throttle;
mod ticker;

pub use driver::WasmDriver;
pub use inspect::{MEMORY_LIMIT_BYTES, PACKAGE_LIMIT_BYTES, WasmFacts, inspect};
pub use instantiation::instantiation_times;
