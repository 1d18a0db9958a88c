//! The command `uc`: arguments in, exit code out. Everything else is in `commands` and the crates below.

mod cli;
mod commands;
mod csv;
mod drivers;
mod figures;
mod guest_programs;
mod key_file;
mod name_service;
mod password;
mod printing;
mod progress;
mod table;
mod target;
mod words;

use std::{env, process::ExitCode};

use clap::Parser as _;

fn main() -> ExitCode {
    name_service::use_built_in();
    match env::args_os().next() {
        Some(name) if name == commands::monitor::NAME => return commands::monitor::monitor(),
        Some(name) if name == uc_oci_runtime::SUPERVISOR => return uc_oci_runtime::supervise(),
        _ => {}
    }
    let cli = cli::Cli::parse();
    match commands::run(&cli) {
        Ok(code) => code,
        Err(problem) => {
            printing::problem(&problem, cli.format.of_problems());
            ExitCode::from(problem.kind().exit_code())
        }
    }
}
