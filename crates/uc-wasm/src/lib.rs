//! The WebAssembly driver: WASI preview 1 modules and preview 2 components in an embedded wasmtime.
//!
//! Layer 3, and the only crate that knows wasmtime. A program runs on a thread of this process and reaches what it was
//! granted and nothing else: its arguments and environment, its three streams, the directories mounted for it, clocks
//! and randomness, and outgoing HTTP or the host's sockets where the workload has them. It has no root file system, no
//! host name, no users and no signals.
//!
//! A component that handles HTTP requests is served at a port, with a fresh instance for each request.
//!
//! How a program ends: its own code (low eight bits); 137 and [`Stopped`](uc_sandbox::ExitReason::Stopped) after a
//! stop, which comes at once because a program cannot be told; 137 and
//! [`OutOfMemory`](uc_sandbox::ExitReason::OutOfMemory) for a trap after growth was denied; else 134 and
//! [`Trapped`](uc_sandbox::ExitReason::Trapped).
//!
//! On a host it compiles and drives (the feature `compiler`). In a microVM's guest it has neither compiler nor driver: there a
//! [`Function`] is what [`precompile_for_guest`] made: a command, called any number of times, or a component that handles HTTP
//! requests, served at a port.
//!
//! Invariants: no instruction of a program runs before `start`; code is executed only from a cache directory that
//! nobody else can write; no environment variable of this process is read; no thread is left when a sandbox is gone.

mod answer;
#[cfg(feature = "compiler")]
mod cache;
mod code;
#[cfg(feature = "compiler")]
mod compile;
#[cfg(feature = "compiler")]
mod container;
#[cfg(feature = "compiler")]
mod driver;
mod ending;
mod engine;
mod function;
#[cfg(feature = "compiler")]
mod gate;
#[cfg(feature = "compiler")]
mod handler;
mod host;
#[cfg(feature = "compiler")]
mod inspect;
#[cfg(feature = "compiler")]
mod instantiation;
#[cfg(feature = "compiler")]
mod job;
#[cfg(feature = "compiler")]
mod loader;
mod meter;
mod mounts;
mod outgoing;
mod patience;
mod program;
mod randomness;
mod run;
#[cfg(feature = "compiler")]
mod sandbox;
mod serve;
mod stdio;
#[cfg_attr(
    not(feature = "compiler"),
    expect(dead_code, reason = "a guest limits by control groups")
)]
mod throttle;
mod ticker;

#[cfg(feature = "compiler")]
pub use compile::precompile_for_guest;
#[cfg(feature = "compiler")]
pub use driver::WasmDriver;
pub use function::{Call, Directory, Function};
#[cfg(feature = "compiler")]
pub use inspect::{PACKAGE_LIMIT_BYTES, WasmFacts, inspect};
#[cfg(feature = "compiler")]
pub use instantiation::instantiation_times;
pub use meter::MEMORY_LIMIT_BYTES;
pub use serve::Until;
pub use stdio::{Sink, Source, Stream, Streams};
