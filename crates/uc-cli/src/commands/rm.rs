//! `uc rm`: remove workloads that have ended, and what a killed owner left.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use uc_engine::record;
use uc_model::{Problem, Result};

use super::{
    engine,
    named::{each, find_all},
    stop::end,
};
use crate::cli::Format;

/// How long a forced removal waits for the end.
const PATIENCE: Duration = Duration::from_secs(40);

/// Remove workloads that have ended: record, logs, and whatever a killed monitor left behind
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc rm web
  uc rm --force web   end it first
  uc rm --ended       all that do not run")]
pub(crate) struct RmArgs {
    /// Names or ids
    #[arg(required_unless_present = "ended")]
    workloads: Vec<String>,
    /// End what still runs, at once
    #[arg(long, short)]
    force: bool,
    /// All workloads that have ended or were lost
    #[arg(long, conflicts_with = "workloads")]
    ended: bool,
}

/// Runs the command.
pub(crate) fn rm(args: &RmArgs, format: Format) -> Result<ExitCode> {
    let engine = engine()?;
    let chosen = if args.ended {
        record::list(engine.home())?
            .into_iter()
            .filter(|status| !status.alive)
            .collect()
    } else {
        find_all(engine.home(), &args.workloads)?
    };
    each(&chosen, "removed", format, |status| {
        if status.alive && !args.force {
            return Err(Problem::refused("the workload still runs")
                .at(&status.record.id)
                .remedy(format!(
                    "uc stop {0}, or uc rm --force {0}",
                    status.record.id
                )));
        }
        end(engine.home(), status, true, PATIENCE)?;
        engine.erase(&status.record.id, &status.directory)
    })
}
