//! `uc foresight`: the forecasting model and the leak verdict, away from any host.

mod evaluate;
mod recordings;
mod replay;
mod trace;
mod train;

use std::{fs, io::Write as _, path::Path, process::ExitCode};

use clap::{Args, Subcommand};
use uc_foresight::forecast::{LARGEST_EDGE_MODEL_BYTES, Model};
use uc_model::{Problem, Result};

use crate::cli::Format;

/// Train, evaluate and replay what `uc watch` decides with
#[derive(Debug, Args)]
pub(crate) struct ForesightArgs {
    #[command(subcommand)]
    command: ForesightCommand,
}

#[derive(Debug, Subcommand)]
enum ForesightCommand {
    Train(train::TrainArgs),
    Evaluate(evaluate::EvaluateArgs),
    Replay(replay::ReplayArgs),
}

/// Runs the command.
pub(crate) fn foresight(args: &ForesightArgs, format: Format) -> Result<ExitCode> {
    match &args.command {
        ForesightCommand::Train(args) => train::train(args, format),
        ForesightCommand::Evaluate(args) => evaluate::evaluate(args, format),
        ForesightCommand::Replay(args) => replay::replay(args, format),
    }
}

/// The model of a file of weights, or that of this release.
pub(crate) fn model(weights: Option<&Path>) -> Result<Model> {
    let Some(path) = weights else {
        return Model::shipped();
    };
    let unreadable = |error| {
        Problem::not_found("cannot read the weights")
            .at(path.display())
            .caused_by(error)
    };
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length >= LARGEST_EDGE_MODEL_BYTES {
        return Err(uc_foresight::forecast::too_large(length).within(path.display()));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    Model::read(&bytes).map_err(|problem| problem.within(path.display()))
}

/// Writes a file whole or not at all.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| {
        Problem::storage("cannot write the file")
            .at(path.display())
            .caused_by(error)
    })
}
