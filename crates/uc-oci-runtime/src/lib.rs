//! Sandboxes made by OCI runtimes through their command line: gVisor's runsc, crun, runc, youki (mission M2.1).
//!
//! The runtime itself is confined. For each container a *supervisor* is started, user 0 of a user namespace whose ids are
//! nobody's on the host, process 1 of a process namespace, in the container's control groups and network; it builds the
//! root file system and runs the runtime's commands (`create`, `start`, `kill`, `exec`). So runtime, helper processes and
//! program have no privilege on the host, and all of them end with the supervisor, which ends with its owner. The containers
//! of a Pod share a gVisor kernel, and with it one supervisor.
//!
//! Invariants: the host user id of everything that a runtime starts is never 0; the program holds no capability; nothing
//! of a container lies on the host's disk but its writable layer.
#![allow(
    unsafe_code,
    reason = "clone3, execveat and signalfd have no safe wrappers"
)]

mod binary;
mod bundle;
mod container;
mod control;
mod driver;
mod flavour;
mod inside;
mod kernel;
mod launch;
mod limits;
mod order;
mod probe;
mod sandbox;
mod seccomp;
mod spawn;
mod streams;
mod supervised;
mod supervisor;
mod trial_program;

pub use driver::OciRuntimeDriver;
pub use flavour::{Flavour, Platform};
pub use supervisor::{NAME as SUPERVISOR, supervise};
