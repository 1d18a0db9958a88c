//! `uc resume`: let paused workloads go on.

use std::process::ExitCode;

use clap::Args;
use uc_engine::owner;
use uc_model::Result;

use super::pause::each;
use crate::{
    cli::Format,
    printing::{self, json},
};

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
    let ids = each(&args.workloads, owner::resume)?;
    match format {
        Format::Json => json(&serde_json::json!({ "resumed": ids }))?,
        Format::Text => printing::result(&format!("{}\n", ids.join("\n")))?,
    }
    Ok(ExitCode::SUCCESS)
}
