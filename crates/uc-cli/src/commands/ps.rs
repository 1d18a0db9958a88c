//! `uc ps`: the workloads of this user.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime},
};

use clap::Args;
use uc_engine::{Phase, Status, record};
use uc_model::Result;

use super::engine;
use crate::{
    cli::Format,
    printing::{self, Mark, json, marked},
    table::Table,
};

/// List workloads: what runs, what has ended, what was lost
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc ps
  uc ps --format json

States: creating, running, paused, stopping, exited; lost means that its monitor was killed, and the workload with it.
WHY is there where something has ended for a reason of which its exit code says too little.")]
pub(crate) struct PsArgs {}

/// Runs the command.
pub(crate) fn ps(_args: &PsArgs, format: Format) -> Result<ExitCode> {
    let all = record::list(engine()?.home())?;
    match format {
        Format::Json => {
            let views: Vec<_> = all
                .iter()
                .map(|status| serde_json::json!({ "state": status.word(), "workload": status }))
                .collect();
            json(&views)?;
        }
        Format::Text => printing::result(&words(&all))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn words(all: &[Status]) -> String {
    let mut headings = vec![
        "ID", "NAME", "STATE", "READY", "RESTARTS", "AGE", "RUNTIME", "SOURCE",
    ];
    if all.iter().any(|status| status.record.message.is_some()) {
        headings.push("WHY");
    }
    let mut table = Table::new(&headings);
    for status in all {
        let record = &status.record;
        let containers = record.containers.values();
        // As in kubectl: an init container has ended when it is done, and is never ready.
        let lasting = containers.clone().filter(|container| !container.init);
        let ready = lasting
            .clone()
            .filter(|container| container.ready && status.alive && record.phase != Phase::Paused)
            .count();
        let restarts: u32 = containers.clone().map(|container| container.restarts).sum();
        let mut runtimes: Vec<&str> = containers
            .clone()
            .filter_map(|container| container.runtime)
            .map(|kind| kind.name())
            .collect();
        runtimes.sort_unstable();
        runtimes.dedup();
        table.row([
            record.id.clone(),
            record.name.clone(),
            state(status),
            format!("{ready}/{}", lasting.count()),
            restarts.to_string(),
            age(record.created_ms),
            runtimes.join(","),
            record.source.clone(),
            why(status),
        ]);
    }
    table.text()
}

/// Why it ended, on one line: a trap's words, for one, are the program's own.
fn why(status: &Status) -> String {
    let message = status.record.message.as_deref().unwrap_or_default();
    message
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

fn state(status: &Status) -> String {
    let word = status.word();
    match (word, status.record.exit_code) {
        ("exited", Some(0)) => marked(Mark::Quiet, "exited (0)"),
        ("exited", Some(code)) => marked(Mark::Attention, &format!("exited ({code})")),
        ("running", _) => marked(Mark::Good, word),
        ("paused", _) => marked(Mark::Attention, word),
        ("lost", _) => marked(Mark::Bad, word),
        _ => word.to_owned(),
    }
}

/// How long ago, in the largest unit that fits.
fn age(created_ms: u64) -> String {
    if created_ms == 0 {
        return "?".into();
    }
    let created = SystemTime::UNIX_EPOCH + Duration::from_millis(created_ms);
    let seconds = SystemTime::now()
        .duration_since(created)
        .unwrap_or_default()
        .as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
