//! `uc offload`: what moving network work to hardware frees and saves, from this host's own load.

mod proc;

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use uc_model::{Problem, Result};
use uc_plan::offload::{Offload, Question, offload as model};
use uc_report::{Block, Chart, Mark, Plot, Report, Section, Series};

use super::plan::{json, output};
use crate::{
    cli::Presentation,
    figures::{self, Row},
    words::amount,
};

/// Work out what hardware offload frees: Amdahl's law with the share measured on this host
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  uc offload                              the source's case: P 0.6, S 10
  uc offload --measure 10                 P from ten seconds of this host's /proc
  uc offload --measure 10 --also myproxy --core-price 60
  uc offload --p 0.35 --s 20 --cores 16 --format html --file offload.html

P is the share of the busy processor time that would move, S how much faster it becomes. Measured are softirq time, kernel
threads and programs known for network and cryptography; time in the network stack within system calls cannot be seen in /proc."
)]
pub(crate) struct OffloadArgs {
    /// Measure P on this host for so many seconds
    #[arg(long, value_name = "SECONDS")]
    measure: Option<f64>,
    /// Count this program as network work too
    #[arg(long, value_name = "PROGRAM", requires = "measure")]
    also: Vec<String>,
    /// The share of work that moves, 0 to 1 [default: as measured, else the source's 0.6]
    #[arg(long)]
    p: Option<f64>,
    /// How much faster it becomes [default: the source's 10]
    #[arg(long)]
    s: Option<f64>,
    /// Cores of the machine [default: as measured, else 1]
    #[arg(long)]
    cores: Option<f64>,
    /// What a core costs a month, to see whether the bundle pays
    #[arg(long, value_name = "AMOUNT")]
    core_price: Option<f64>,
    /// Throughput before, Gbps [default: the source's 10]
    #[arg(long, value_name = "GBPS")]
    throughput: Option<f64>,
    /// Latency before, ms [default: the source's 10]
    #[arg(long, value_name = "MS")]
    latency: Option<f64>,
    /// A protocol that the bitstream is for
    #[arg(long, value_name = "NAME", requires = "allow")]
    protocol: Vec<String>,
    /// A protocol that the provider allows
    #[arg(long, value_name = "NAME")]
    allow: Vec<String>,
    /// Write the result to a file instead of standard output
    #[arg(long)]
    file: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn offload(args: &OffloadArgs, presentation: Presentation) -> Result<ExitCode> {
    let measured = match args.measure {
        Some(seconds) => Some(proc::measure(seconds, &args.also)?),
        None => None,
    };
    let answer = model(&Question {
        p: args.p,
        s: args.s,
        measured,
        cores: args.cores,
        core_price_per_month: args.core_price,
        throughput_gbps: args.throughput,
        latency_ms: args.latency,
        protocols: args.protocol.clone(),
        allow_list: args.allow.clone(),
        ..Question::default()
    })?;
    let rows = figures::rows(&answer)?;
    let text = match presentation {
        Presentation::Json => json(&answer)?,
        Presentation::Csv => figures::to_csv(&rows),
        Presentation::Html => report(&answer, &rows).to_html(),
        Presentation::Text => text(&answer, &rows),
    };
    output(args.file.as_deref(), &text)?;
    match answer.protocols.iter().find(|verdict| !verdict.allowed) {
        Some(verdict) => Err(
            Problem::refused("red line 8.1: the bitstream is not loaded")
                .limit(format!("allowed: {}", args.allow.join(", ")))
                .found(&verdict.protocol)
                .remedy("ask the provider to allow the protocol, or leave it to the processor"),
        ),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn verdict(answer: &Offload) -> String {
    let speed_up = &answer.speed_up;
    let mut text = format!(
        "With P {} ({}) and S {} work is done {} times as fast; {} of {} busy cores are freed.",
        amount(speed_up.p.value),
        speed_up.p.provenance,
        amount(speed_up.s.value),
        amount(speed_up.speed_up.value),
        amount(answer.cpu_freed.freed_cores.value),
        amount(answer.cpu_freed.busy_cores.value),
    );
    if let Some(pays) = answer.payback.pays {
        text.push_str(if pays {
            " The bundle pays."
        } else {
            " The bundle does not pay."
        });
    }
    if let Some(price) = &answer.payback.break_even_core_price {
        text.push_str(&format!(
            " It breaks even where a core costs {}.",
            figures::with_unit(price)
        ));
    }
    text
}

fn text(answer: &Offload, rows: &[Row]) -> String {
    let mut text = format!("{}\n\n{}", verdict(answer), figures::text(rows));
    for note in &answer.notes {
        text.push_str(&format!("Note: {note}\n"));
    }
    if let Some(measured) = &answer.measured {
        for note in measured.notes.iter().map(ToString::to_string) {
            text.push_str(&format!("Note: {note}\n"));
        }
        for unseen in measured.unseen.iter().map(ToString::to_string) {
            text.push_str(&format!("Not seen: {unseen}\n"));
        }
    }
    text
}

fn report(answer: &Offload, rows: &[Row]) -> Report {
    let blocks = vec![
        Block::Note(Mark::Plain, verdict(answer)),
        Block::Chart(sensitivity(answer)),
    ];
    let mut sections = vec![Section {
        id: "verdict".into(),
        heading: "What offload brings".into(),
        blocks,
    }];
    sections.extend(figures::sections(rows));
    Report {
        title: "Hardware offload".into(),
        subtitle: "Amdahl's law, the processor time that is freed, and whether the bundle pays."
            .into(),
        sections,
    }
}

fn sensitivity(answer: &Offload) -> Chart {
    let grid = &answer.speed_up.sensitivity.grid;
    let mut factors: Vec<f64> = grid.iter().map(|point| point.s).collect();
    factors.sort_by(f64::total_cmp);
    factors.dedup();
    let series = factors
        .into_iter()
        .map(|s| Series {
            label: format!("S {}", amount(s)),
            points: grid
                .iter()
                .filter(|point| point.s == s)
                .map(|point| (point.p, Some(point.speed_up)))
                .collect(),
            best: None,
        })
        .collect();
    Chart {
        title: "Speed-up over P for several S".into(),
        alt: "Amdahl's law: the speed-up rises with the share P that moves, and the less a larger S helps the smaller P is.".into(),
        unit_x: "P".into(),
        unit_y: "speed-up".into(),
        plot: Plot::Lines { series },
    }
}
