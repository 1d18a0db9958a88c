//! `uc pause`: hold workloads where they are.

use std::process::ExitCode;

use clap::Args;
use uc_engine::{Status, owner};
use uc_model::{Problem, Result};

use super::{
    engine,
    named::{each, find_all},
};
use crate::cli::Format;

/// Hold workloads where they are, with their memory, files and connections
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc pause web
  uc pause web db --format json
  uc resume web       let it go on

Probes are not tried meanwhile, and nothing is restarted. A paused workload is stopped and removed like any other.")]
pub(crate) struct PauseArgs {
    /// Names or ids
    #[arg(required = true)]
    workloads: Vec<String>,
}

/// Runs the command.
pub(crate) fn pause(args: &PauseArgs, format: Format) -> Result<ExitCode> {
    let workloads = find_all(engine()?.home(), &args.workloads)?;
    each(&workloads, "paused", format, |status| {
        require_alive(status)?;
        owner::pause(status)
    })
}

pub(super) fn require_alive(status: &Status) -> Result<()> {
    if status.alive {
        return Ok(());
    }
    Err(Problem::not_found("the workload does not run")
        .at(&status.record.id)
        .found(status.word())
        .remedy("uc ps lists what runs"))
}
