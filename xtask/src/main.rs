//! `cargo xtask CHORE`: runs one chore and exits with the code of its problem, if it has one.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program speaks through its standard streams"
)]

use std::{error::Error as _, path::Path, process::ExitCode};

use uc_model::{Problem, Result};
use xtask::{
    compare_gvisor, compare_plan, compare_sbom, compare_wasm, example_image, guest,
    record_programs, setup, tidy, workspace::Workspace,
};

const USAGE: &str = "tidy, setup [--check] [--for-tests], example-image DIR, guest, compare-sbom [DIR], compare-plan, \
     compare-gvisor [--format json] [--tuned | --held-out] [--native] [NAME...], compare-wasm, \
     record-programs [--minutes 60] [--step 5] [DIR]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            let mut cause = problem.source();
            while let Some(error) = cause {
                eprintln!("  caused by: {error}");
                cause = error.source();
            }
            if let Some(remedy) = problem.remedy_text() {
                eprintln!("  help: {remedy}");
            }
            ExitCode::from(problem.kind().exit_code())
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["tidy"] => check_rules(),
        ["setup", options @ ..] => setup::run(options),
        ["compare-sbom"] => compare_sbom::run(Path::new("target/compare-sbom")),
        ["compare-sbom", folder] => compare_sbom::run(Path::new(folder)),
        ["compare-gvisor", options @ ..] => compare_gvisor::run(options),
        ["compare-wasm"] => compare_wasm::run(),
        ["compare-plan"] => compare_plan::run(Path::new("target/compare-plan")),
        ["record-programs", options @ ..] => record_programs::run(options),
        ["guest"] => guest::run(),
        ["example-image", folder] => example_image::run(Path::new(folder)),
        _ => Err(Problem::invalid("unknown chore")
            .limit(USAGE)
            .found(arguments.join(" "))),
    }
}

fn check_rules() -> Result<()> {
    let workspace = Workspace::load()?;
    let violations = tidy::check(&workspace);
    for violation in &violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        println!(
            "tidy: {} crates, {} files, nothing to mend",
            workspace.crates.len(),
            workspace.sources.len()
        );
        return Ok(());
    }
    Err(Problem::invalid("the repository breaks its own rules")
        .found(format!("{} violations, listed above", violations.len()))
        .remedy("mend them, or change the rule in xtask/src/tidy with its reason"))
}
