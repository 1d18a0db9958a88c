//! `uc-function [--prefault] PROGRAM`: the function runner in a microVM's container.
//!
//! It loads a program that [`uc_wasm::precompile_for_guest`] made and says so; then it runs it once for each call that comes,
//! each time as a fresh instance, until its input ends. A program that handles HTTP requests it serves, with a fresh instance for
//! each. What it says and hears on its standard streams is
//! [`uc_guest_protocol::function`].
//!
//! With `--prefault` all pages that a call may need are in memory before it says so: a snapshot then holds them, and a clone
//! need not fetch them from its disk.
//!
//! A snapshot is taken between loading and the first call, and many clones begin there. So nothing random that a program can
//! see is drawn before a call. The keys of hash tables are, which clones may share: what a program names is never a key of one,
//! and names of HTTP headers, of which a request has a hundred at most, are hashed without a key while they collide little.

mod input;
mod output;
mod prefault;
mod runner;
mod signal;

use std::{ffi::OsString, os::fd::AsFd as _, path::PathBuf, process::ExitCode};

use uc_model::{Problem, Result};

use crate::{input::Input, output::Output};

fn main() -> ExitCode {
    let ended = streams().and_then(|(input, output)| {
        let ended = Options::read(std::env::args_os().skip(1))
            .and_then(|options| runner::run(&options, &input, &output));
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

/// The command line.
struct Options {
    program: PathBuf,
    prefault: bool,
}

impl Options {
    fn read(arguments: impl Iterator<Item = OsString>) -> Result<Self> {
        let mut arguments: Vec<OsString> = arguments.collect();
        let prefault = arguments.first().is_some_and(|first| first == "--prefault");
        if prefault {
            arguments.remove(0);
        }
        match arguments.as_slice() {
            [program] => Ok(Self {
                program: program.into(),
                prefault,
            }),
            _ => Err(Problem::invalid("the function runner takes one program")
                .limit("uc-function [--prefault] PROGRAM")
                .found(format!("{} arguments", arguments.len()))),
        }
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
