//! `uc pause`: hold workloads where they are.

use std::process::ExitCode;

use clap::Args;
use uc_engine::{Status, owner, record};
use uc_model::{Problem, Result};

use super::engine;
use crate::{
    cli::Format,
    printing::{self, json},
};

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
    let ids = each(&args.workloads, owner::pause)?;
    match format {
        Format::Json => json(&serde_json::json!({ "paused": ids }))?,
        Format::Text => printing::result(&format!("{}\n", ids.join("\n")))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Does the same with each workload of these names; their ids.
pub(super) fn each(
    names: &[String],
    action: impl Fn(&Status) -> Result<()>,
) -> Result<Vec<String>> {
    let home = engine()?.home().clone();
    let mut ids = Vec::new();
    for name in names {
        let status = record::find(&home, name)?;
        if !status.alive {
            return Err(Problem::not_found("the workload does not run")
                .at(&status.record.id)
                .found(status.word())
                .remedy("uc ps lists what runs"));
        }
        action(&status)?;
        ids.push(status.record.id);
    }
    Ok(ids)
}
