//! `uc stop`: end workloads.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use uc_engine::{Home, Status, owner, record};
use uc_model::{Problem, Result};

use super::{
    engine,
    named::{each, find_all},
};
use crate::cli::Format;

/// How often is looked whether a workload has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// End workloads: SIGTERM, the grace period of the manifest, then SIGKILL
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc stop web
  uc stop web --now     no grace
  uc stop web --wait 60 wait longer for the end")]
pub(crate) struct StopArgs {
    /// Names or ids
    #[arg(required = true)]
    workloads: Vec<String>,
    /// Kill at once
    #[arg(long)]
    now: bool,
    /// How long to wait for the end, in seconds
    #[arg(long, default_value_t = 40, value_name = "SECONDS")]
    wait: u64,
}

/// Runs the command.
pub(crate) fn stop(args: &StopArgs, format: Format) -> Result<ExitCode> {
    let engine = engine()?;
    let home = engine.home();
    let workloads = find_all(home, &args.workloads)?;
    each(&workloads, "stopped", format, |status| {
        end(home, status, args.now, Duration::from_secs(args.wait))
    })
}

/// Asks for a workload's end and waits until its owner is gone.
pub(crate) fn end(home: &Home, status: &Status, now: bool, patience: Duration) -> Result<()> {
    if !status.alive {
        return Ok(());
    }
    let asked = owner::stop(status, now);
    let deadline = Instant::now() + patience;
    while record::find(home, &status.record.id).is_ok_and(|status| status.alive) {
        // An owner that does not answer but lives is still starting or already ending.
        if Instant::now() > deadline {
            return asked.and(Err(Problem::unavailable("the workload has not ended yet")
                .at(&status.record.id)
                .limit(format!("{} s", patience.as_secs()))
                .remedy("uc stop --now kills it")));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}
