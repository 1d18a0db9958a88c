//! `uc resume`: let paused workloads go on.

use std::process::ExitCode;

use clap::Args;
use uc_engine::owner;
use uc_model::Result;

use super::{
    engine,
    named::{each, find_all},
    pause::require_alive,
};
use crate::cli::Format;

/// Let paused workloads go on
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc resume web
  uc resume web db --format json")]
pub(crate) struct ResumeArgs {
    /// Names or ids
    #[arg(required = true)]
    workloads: Vec<String>,
}

/// Runs the command.
pub(crate) fn resume(args: &ResumeArgs, format: Format) -> Result<ExitCode> {
    let workloads = find_all(engine()?.home(), &args.workloads)?;
    each(&workloads, "resumed", format, |status| {
        require_alive(status)?;
        owner::resume(status)
    })
}
