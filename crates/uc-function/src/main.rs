//! `uc-function PROGRAM`: the function runner in a microVM's container.
//!
//! It loads a program that [`uc_wasm::precompile_for_guest`] made and says so; then it runs it once for each call that comes,
//! each time as a fresh instance, until its input ends. What it says and hears on its standard streams is
//! [`uc_guest_protocol::function`].
//!
//! A snapshot is taken between loading and the first call, and many clones begin there. So nothing random that a program can
//! see is drawn before a call. The keys of hash tables are, which clones may share: what a program names is never a key of one.

mod input;
mod output;
mod runner;

use std::{os::fd::AsFd as _, path::PathBuf, process::ExitCode};

use uc_model::{Problem, Result};

use crate::{input::Input, output::Output};

fn main() -> ExitCode {
    let ended = streams().and_then(|(input, output)| {
        let ended = program().and_then(|program| runner::run(&program, &input, &output));
        if let Err(problem) = &ended {
            output.failed(problem);
        }
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => ExitCode::from(problem.kind().exit_code()),
    }
}

fn program() -> Result<PathBuf> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [program] => Ok(program.into()),
        _ => Err(Problem::invalid("the function runner takes one argument")
            .limit("uc-function PROGRAM")
            .found(format!("{} arguments", arguments.len()))),
    }
}

fn streams() -> Result<(Input, Output)> {
    let unusable = |error: std::io::Error| {
        Problem::host("the standard streams cannot be used").caused_by(error)
    };
    let input = std::io::stdin().as_fd().try_clone_to_owned();
    let output = std::io::stdout().as_fd().try_clone_to_owned();
    Ok((
        Input::new(input.map_err(unusable)?),
        Output::new(output.map_err(unusable)?),
    ))
}
