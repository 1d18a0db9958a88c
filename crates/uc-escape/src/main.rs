//! `uc-escape`: run inside a container, it tries to get out and prints one line of JSON for each attempt.
//!
//! No attempt destroys anything when it succeeds: dangerous calls are given arguments that the kernel refuses *after*
//! it has checked the caller's rights, so that only the errno tells. All the same nothing is attempted unless
//! `UC_ESCAPE_INSIDE=1` is set, which the escape suite sets inside the container.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program speaks through its standard streams"
)]

mod attempt;
mod attempts;
mod confined;
mod errno;
mod exhaustion;
mod identity;
mod syscall;

use std::process::ExitCode;

use uc_model::{Problem, Result};

use attempt::Attempt;

const USAGE: &str = "all, list, identity, fork-bomb, memory-hog BYTES, or the name of an attempt";
const GUARD: &str = "UC_ESCAPE_INSIDE";

fn main() -> ExitCode {
    // Looked at first, before this program opens anything itself.
    attempts::remember_inherited_descriptors();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("error: {problem}");
            if let Some(remedy) = problem.remedy_text() {
                eprintln!("  help: {remedy}");
            }
            ExitCode::from(problem.kind().exit_code())
        }
    }
}

/// The exit code is 1 when an attempt did not end as expected.
fn run(arguments: &[&str]) -> Result<ExitCode> {
    match arguments {
        ["list"] => {
            for attempt in attempts::all() {
                println!("{}", attempt.name);
            }
            Ok(ExitCode::SUCCESS)
        }
        ["identity"] => {
            println!("{}", identity::read());
            Ok(ExitCode::SUCCESS)
        }
        ["all"] => make(attempts::all()),
        ["fork-bomb"] => {
            refuse_outside()?;
            println!("{}", exhaustion::fork_bomb());
            Ok(ExitCode::SUCCESS)
        }
        ["memory-hog", bytes] => {
            refuse_outside()?;
            exhaustion::memory_hog(parse_bytes(bytes)?);
            Ok(ExitCode::SUCCESS)
        }
        [name] => {
            let one = attempts::all().find(|attempt| attempt.name == *name);
            let unknown = || Problem::invalid("unknown attempt").limit(USAGE).found(name);
            make([one.ok_or_else(unknown)?].into_iter())
        }
        _ => Err(Problem::invalid("wrong arguments")
            .limit(USAGE)
            .found(arguments.join(" "))),
    }
}

fn make(chosen: impl Iterator<Item = &'static Attempt>) -> Result<ExitCode> {
    refuse_outside()?;
    let mut code = ExitCode::SUCCESS;
    for attempt in chosen {
        let report = attempt.report(&confined::run(attempt.run));
        if report["as_expected"] != true {
            code = ExitCode::from(1);
        }
        println!("{report}");
    }
    Ok(code)
}

fn refuse_outside() -> Result<()> {
    if std::env::var_os(GUARD).is_some_and(|value| value == "1") {
        return Ok(());
    }
    Err(
        Problem::refused("nothing is attempted outside a container").remedy(format!(
            "run it inside a container, with {GUARD}=1 in its environment"
        )),
    )
}

fn parse_bytes(text: &str) -> Result<usize> {
    text.parse().map_err(|_| {
        Problem::invalid("not a number of bytes")
            .limit("a decimal number")
            .found(text)
    })
}
