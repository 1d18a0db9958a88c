//! `uc completions`: completion scripts for shells.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use uc_model::Result;

use crate::{cli::Cli, printing};

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc completions bash > ~/.local/share/bash-completion/completions/uc
  uc completions fish > ~/.config/fish/completions/uc.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "uc", &mut script);
    printing::result(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
