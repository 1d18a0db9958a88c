//! One file for each command.

pub(crate) mod attest;
pub(crate) mod bench;
pub(crate) mod compat;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod energy;
pub(crate) mod explain;
pub(crate) mod foresight;
pub(crate) mod image;
pub(crate) mod image_prune;
pub(crate) mod key;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod monitor;
mod named;
pub(crate) mod offload;
pub(crate) mod pause;
pub(crate) mod plan;
pub(crate) mod ps;
pub(crate) mod resume;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod sbom;
pub(crate) mod sign;
pub(crate) mod stats;
pub(crate) mod stop;
pub(crate) mod trace;
pub(crate) mod verify;
pub(crate) mod watch;

use std::{path::Path, process::ExitCode};

use uc_engine::{Engine, Home};
use uc_model::{Problem, Result};

use crate::cli::{Cli, Command};

/// Runs the command.
pub(crate) fn run(cli: &Cli) -> Result<ExitCode> {
    let format = cli.format.format();
    match &cli.command {
        Command::Run(args) => run::run(args, format?),
        Command::Explain(args) => explain::explain(args, format?),
        Command::Doctor(args) => doctor::doctor(args, format?),
        Command::Compat(args) => compat::compat(args, format?),
        Command::Trace(args) => trace::trace(args, format?),
        Command::Ps(args) => ps::ps(args, format?),
        Command::Logs(args) => logs::logs(args, format?),
        Command::Stats(args) => stats::stats(args, format?),
        Command::Pause(args) => pause::pause(args, format?),
        Command::Resume(args) => resume::resume(args, format?),
        Command::Stop(args) => stop::stop(args, format?),
        Command::Rm(args) => rm::rm(args, format?),
        Command::Bench(args) => bench::bench(args, format?),
        Command::Image(args) => image::image(args, format?),
        Command::Key(args) => key::key(args, format?),
        Command::Sign(args) => sign::sign(args, format?),
        Command::Attest(args) => attest::attest(args, format?),
        Command::Verify(args) => verify::verify(args, format?),
        Command::Sbom(args) => sbom::sbom(args, format?),
        Command::Plan(args) => plan::plan(args, cli.format),
        Command::Energy(args) => energy::energy(args, cli.format),
        Command::Offload(args) => offload::offload(args, cli.format),
        Command::Watch(args) => watch::watch(args, format?),
        Command::Foresight(args) => foresight::foresight(args, format?),
        Command::Completions(args) => completions::completions(args),
        Command::Man(args) => man::man(args),
    }
}

/// The engine with every driver of this binary.
pub(crate) fn engine() -> Result<Engine> {
    engine_with_kernel(None)
}

/// The same, with a kernel for microVMs.
pub(crate) fn engine_with_kernel(kernel: Option<&Path>) -> Result<Engine> {
    let home = Home::from_environment()?;
    let drivers = crate::drivers::drivers(&home, kernel)?;
    Ok(Engine::new(home, drivers))
}

/// The asynchronous runtime. One thread: containers die with the thread that made them.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Problem::internal("cannot start the asynchronous runtime").caused_by(error)
        })
}
