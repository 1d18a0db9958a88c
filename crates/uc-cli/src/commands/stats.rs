//! `uc stats`: what running workloads use.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use uc_engine::{owner, record};
use uc_model::{Bytes, Problem, Result};
use uc_sandbox::Stats;

use super::engine;
use crate::{
    cli::Format,
    printing::{self, json},
    table::Table,
};

/// Show what running workloads use, measured now
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc stats
  uc stats web --format json

A dash means that this host or runtime cannot tell.")]
pub(crate) struct StatsArgs {
    /// Names or ids; all running workloads if none is given
    workloads: Vec<String>,
}

#[derive(Serialize)]
struct Usage {
    id: String,
    container: String,
    #[serde(flatten)]
    stats: Stats,
}

/// Runs the command.
pub(crate) fn stats(args: &StatsArgs, format: Format) -> Result<ExitCode> {
    let home = engine()?.home().clone();
    let chosen = if args.workloads.is_empty() {
        record::list(&home)?
            .into_iter()
            .filter(|status| status.alive)
            .collect()
    } else {
        args.workloads
            .iter()
            .map(|name| record::find(&home, name))
            .collect::<Result<Vec<_>>>()?
    };
    let mut usages = Vec::new();
    for status in chosen {
        if !status.alive && !args.workloads.is_empty() {
            return Err(
                Problem::not_found("the workload does not run, so it uses nothing")
                    .at(&status.record.id)
                    .found(status.word())
                    .remedy("uc ps lists what runs; uc logs shows what it wrote"),
            );
        }
        match owner::stats(&status) {
            Ok(containers) => {
                let id = &status.record.id;
                usages.extend(containers.into_iter().map(|(container, stats)| Usage {
                    id: id.clone(),
                    container,
                    stats,
                }));
            }
            // One that ended while all were listed is no error; one that was asked for by name is.
            Err(_) if args.workloads.is_empty() => {}
            Err(problem) => return Err(problem),
        }
    }
    match format {
        Format::Json => json(&usages)?,
        Format::Text => printing::result(&words(&usages))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn words(usages: &[Usage]) -> String {
    let mut table = Table::new(&[
        "ID",
        "CONTAINER",
        "MEMORY",
        "ANONYMOUS",
        "PEAK",
        "LIMIT",
        "CPU",
        "PROCESSES",
        "OOM KILLS",
    ]);
    let bytes =
        |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| Bytes(value).to_string());
    let count =
        |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    for Usage {
        id,
        container,
        stats,
    } in usages
    {
        let cpu = stats
            .cpu_us
            .map_or_else(|| "-".to_owned(), |us| format!("{:.3} s", us as f64 / 1e6));
        table.row([
            id.clone(),
            container.clone(),
            bytes(stats.memory_bytes),
            bytes(stats.memory_anon_bytes),
            bytes(stats.memory_peak_bytes),
            bytes(stats.memory_limit_bytes),
            cpu,
            count(stats.pids),
            count(stats.oom_kills),
        ]);
    }
    table.text()
}
