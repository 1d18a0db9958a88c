//! The agent in a microVM: process 1, which makes containers there (mission M1.1).
//!
//! It knows no sandbox of its own: containers come from `uc-container`, under the same rules as on a host. What it adds is
//! the machine around them (file systems, kernel modules, clock, randomness) and the link to the host.
//!
//! Invariants: it runs in a machine of its own, so that a failure it cannot handle ends the machine; nothing that a
//! container does can make it wait for one stream while others go on.
#![allow(
    unsafe_code,
    reason = "loading modules, setting the clock and feeding the random generator have no safe wrappers"
)]

mod agent;
mod archive;
mod boot;
mod channel;
mod clock;
mod disks;
mod function;
mod machine;
mod network;
mod pipes;
mod program;
mod volumes;

use std::process::ExitCode;

use uc_model::{Problem, Result};

fn main() -> ExitCode {
    if std::process::id() != 1 {
        say("uc-guest is process 1 of a microVM, and nothing else");
        return ExitCode::FAILURE;
    }
    if let Err(problem) = run() {
        say(&problem.to_string());
    }
    machine::end()
}

fn run() -> Result<()> {
    boot::set_up()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Problem::internal("cannot make the event loop").caused_by(error))?;
    runtime.block_on(agent::serve())
}

/// Says something on the machine's console, whose last lines the host shows when the machine fails.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "uc-guest: {text}");
}
