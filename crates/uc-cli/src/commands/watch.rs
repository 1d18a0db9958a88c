//! stub
use crate::cli::Format;
use clap::Args;
use std::process::ExitCode;
use uc_model::Result;
/// Watch
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {}
pub(crate) fn watch(_: &WatchArgs, _: Format) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
