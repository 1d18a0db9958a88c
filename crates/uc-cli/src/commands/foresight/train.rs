//! `uc foresight train`: weights from traces.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use uc_foresight::{
    corpus::{ALL_SHAPES, Machine, make_case},
    forecast::ModelKind,
    training::{Example, TrainingOptions, examples_of, train as fit},
};
use uc_model::{Bytes, Problem, Result};

use super::{trace, write_atomically};
use crate::{
    cli::Format,
    printing::{self, json},
};

/// Seconds between two examples of a series.
const EXAMPLE_STEP_S: f64 = 900.0;

/// Train the forecasting model on traces of machines' memory
#[derive(Debug, Args)]
#[command(
    after_help = "A trace is a CSV file, packed with gzip or not, with the columns machine,t_s,mem_percent and no other: training reads metrics
alone (red line 5.2). A third of the machines, chosen by a hash of their names, is kept out for uc foresight evaluate.
The same traces and options make the same weights on the same machine.

Examples:
  uc foresight train memory.csv.gz --output memory.safetensors
  uc watch --weights memory.safetensors"
)]
pub(crate) struct TrainArgs {
    /// Traces
    #[arg(required = true)]
    traces: Vec<PathBuf>,
    /// Where the weights go
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Which model
    #[arg(long, value_enum, default_value_t = Kind::Lstm)]
    kind: Kind,
    /// Cells of the LSTM
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    cells: u16,
    /// Passes over the examples
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    epochs: u16,
    /// Series with leaks and harmless growth put in, for each shape
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u16).range(0..=20_000))]
    cases: u16,
    /// Seed of the first weights, the cases and the order of examples
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The models that can be trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A long short-term memory beside a linear part
    Lstm,
    /// The linear part alone
    Linear,
}

#[derive(Serialize)]
struct Trained {
    file: PathBuf,
    bytes: u64,
    machines: usize,
    examples: usize,
    /// Pinball loss on the examples, in units of each series' own movement.
    training_loss: f64,
}

/// Runs the command.
pub(super) fn train(args: &TrainArgs, format: Format) -> Result<ExitCode> {
    let mut machines = Vec::new();
    for path in &args.traces {
        machines.extend(trace::read(path)?);
    }
    machines.retain(|machine| !machine.is_held_out());
    let examples = examples(&machines, args.cases.into(), args.seed);
    let options = TrainingOptions {
        kind: match args.kind {
            Kind::Lstm => ModelKind::Lstm,
            Kind::Linear => ModelKind::Linear,
        },
        cells: args.cells.into(),
        epochs: args.epochs.into(),
        seed: args.seed,
        ..TrainingOptions::default()
    };
    let style =
        ProgressStyle::with_template("training {bar:30} {percent:>3} %  loss {msg}  {eta} left");
    let bar =
        ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut training_loss = f64::NAN;
    let weights = fit(&examples, &options, &mut |progress| {
        training_loss = progress.loss;
        bar.set_length(progress.steps as u64);
        bar.set_position(progress.step as u64);
        bar.set_message(format!("{:.4}", progress.loss));
    })?;
    bar.finish_and_clear();
    let bytes = weights.write()?;
    write_atomically(&args.output, &bytes)?;
    let trained = Trained {
        file: args.output.clone(),
        bytes: bytes.len() as u64,
        machines: machines.len(),
        examples: examples.len(),
        training_loss,
    };
    match format {
        Format::Json => json(&trained)?,
        Format::Text => printing::result(&format!(
            "{}: {} from {} examples of {} machines; pinball loss {:.4} of a series' own movement\n",
            trained.file.display(),
            Bytes(trained.bytes),
            trained.examples,
            trained.machines,
            trained.training_loss
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Examples of machines as they are, and of cases made from them.
pub(super) fn examples(machines: &[Machine], cases: u64, seed: u64) -> Vec<Example> {
    let mut examples = Vec::new();
    for machine in machines {
        let samples = uc_foresight::corpus::whole(machine, 1.0);
        examples.extend(examples_of(&samples, 2.0 * EXAMPLE_STEP_S));
    }
    for shape in ALL_SHAPES {
        for number in 0..cases {
            let Some(machine) = machines.get(number as usize % machines.len().max(1)) else {
                continue;
            };
            if let Some(case) = make_case(machine, shape, case_seed(seed, number)) {
                examples.extend(examples_of(&case.samples, EXAMPLE_STEP_S));
            }
        }
    }
    examples
}

/// Cases of one seed have nothing in common with those of another.
pub(super) fn case_seed(seed: u64, number: u64) -> u64 {
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(number)
}

/// Refuses what no trace can be evaluated without.
pub(super) fn at_least_one(machines: &[Machine], which: &str) -> Result<()> {
    if machines.is_empty() {
        return Err(
            Problem::invalid(format!("the traces have no {which} machine"))
                .limit("several machines: a third, chosen by a hash of their names, is held out")
                .remedy("give traces of more machines"),
        );
    }
    Ok(())
}
