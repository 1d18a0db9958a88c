//! `uc foresight replay`: a recording through the code of `uc watch`.

use std::{path::PathBuf, process::ExitCode, str::FromStr as _};

use clap::Args;
use serde::Serialize;
use uc_foresight::{
    eviction::Policy,
    recording::read_recording,
    replay::{ReplayEvent, Summary, replay as play},
};
use uc_model::{Bytes, Problem, Result};

use super::{model, trace};
use crate::{
    cli::Format,
    printing::{self, Mark, marked},
};

/// Play a recording through the guard in virtual time: what it would have seen, said and done
#[derive(Debug, Args)]
#[command(
    after_help = "The recording is a CSV file, packed with gzip or not, with the columns t_s,rss_bytes: seconds, and anonymous
resident memory in bytes, in order of time.

Examples:
  uc foresight replay service.csv --limit 512Mi
  uc foresight replay service.csv --limit 536870912 --format json | tail -1"
)]
pub(crate) struct ReplayArgs {
    /// The recording
    recording: PathBuf,
    /// The memory limit, in bytes or as a quantity such as 512Mi
    #[arg(long, value_name = "BYTES")]
    limit: String,
    /// Weights of another model than this release's
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn replay(args: &ReplayArgs, format: Format) -> Result<ExitCode> {
    let limit = limit(&args.limit)?;
    let model = model(args.weights.as_deref())?;
    let text = trace::read_text(&args.recording)?;
    let recording = read_recording(&text, limit).map_err(|problem| {
        if problem.place() == Some("--limit") {
            problem
        } else {
            problem.within(args.recording.display())
        }
    })?;
    if recording.repeated > 0 {
        printing::say(&format!(
            "{} lines repeat the time before them; the last of each counts",
            recording.repeated
        ));
    }
    let mut outcome = Ok(());
    let summary = play(
        &recording.samples,
        &model,
        &Policy::default(),
        &mut |event| {
            if outcome.is_ok() {
                outcome = match format {
                    Format::Json => line(&event),
                    Format::Text => printing::result(&words(&event)),
                };
            }
        },
    );
    outcome?;
    match format {
        Format::Json => line(&summary)?,
        Format::Text => printing::result(&conclusion(&summary))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn limit(text: &str) -> Result<u64> {
    let malformed = || {
        Problem::invalid("the limit is malformed")
            .at("--limit")
            .limit("a number of bytes, or a quantity such as 512Mi")
            .found(text)
    };
    Ok(Bytes::from_str(text).map_err(|_| malformed())?.0)
}

fn line(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|error| Problem::internal("cannot write JSON").caused_by(error))?;
    printing::result(&format!("{text}\n"))
}

fn words(event: &ReplayEvent) -> String {
    let mark = match event.event {
        "evicted" | "limit-crossed" => Mark::Bad,
        "warned" | "suspected" => Mark::Attention,
        _ => Mark::Quiet,
    };
    format!(
        "{:>10.0} s  {}  {:3.0} %  {}\n",
        event.t_s,
        marked(mark, &format!("{:13}", event.event)),
        100.0 * event.leak_probability,
        event.reason
    )
}

fn conclusion(summary: &Summary) -> String {
    let at = |time: Option<f64>, never: &str| {
        time.map_or_else(|| never.to_owned(), |t_s| format!("at {t_s:.0} s"))
    };
    let mark = if summary.verdict == "leak" {
        Mark::Bad
    } else {
        Mark::Good
    };
    let warning = summary
        .warning_s
        .map_or_else(String::new, |warning| format!(", {warning:.0} s before it"));
    format!(
        "{}: evicted {}{warning}; limit reached {}\n",
        marked(mark, summary.verdict),
        at(summary.evicted_at_s, "never"),
        at(summary.crossed_limit_at_s, "never"),
    )
}
