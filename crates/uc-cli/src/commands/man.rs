//! `uc man`: manual pages.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _};
use uc_model::{Problem, Result};

use crate::cli::Cli;

/// Write the manual pages, one for each command
#[derive(Debug, Args)]
#[command(after_help = "Example:
  uc man ~/.local/share/man/man1 && man uc-run")]
pub(crate) struct ManArgs {
    /// The directory to write to; it must exist
    directory: PathBuf,
}

/// Runs the command.
pub(crate) fn man(args: &ManArgs) -> Result<ExitCode> {
    clap_mangen::generate_to(Cli::command(), &args.directory).map_err(|error| {
        Problem::storage("cannot write the manual pages")
            .at(args.directory.display())
            .found(&error)
            .caused_by(error)
    })?;
    Ok(ExitCode::SUCCESS)
}
