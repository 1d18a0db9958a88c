//! `uc foresight evaluate`: forecasts and verdicts beside other methods, on machines and programs never trained on.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, thread};

use clap::Args;
use serde::Serialize;
use uc_foresight::{
    Sample,
    corpus::{ALL_SHAPES, Machine, make_case, whole},
    evaluation::{
        Detection, ForecastScore, Interval, Outcome, detect,
        rule::{BackwardRegression, Coroot, Foresight, PrecogMf, Rule, Threshold},
        score_forecasts,
    },
    forecast::{
        Model, ModelKind,
        baseline::{Baseline, BaselineKind},
    },
    training::{Example, TrainingOptions, train},
};
use uc_model::Result;

use super::{
    model, recordings, trace,
    train::{at_least_one, case_seed, examples},
};
use crate::{
    cli::Format,
    printing::{self, json},
    table::Table,
};

/// How much above its own peak a machine's limit is when it is watched as it is.
const HEADROOMS: [f64; 3] = [1.02, 1.1, 1.3];
/// Seed of the cases: none that training uses by default.
const SEED: u64 = 1_009;
/// Cases for each shape that baselines and the linear model learn from.
const BASELINE_CASES: u64 = 60;

/// Evaluate forecasts and verdicts on machines and programs that were never trained on
#[derive(Debug, Args)]
#[command(
    after_help = "Each shape of leak and of harmless growth is put into machines that training leaves out; besides, each such machine is
watched as it is, for its whole trace. All rules see the same samples. Intervals hold the figure with a probability of 95 %.

Examples:
  uc foresight evaluate memory.csv.gz
  uc foresight evaluate memory.csv.gz --recordings recordings/index.toml --format json"
)]
pub(crate) struct EvaluateArgs {
    /// Traces
    #[arg(required = true)]
    traces: Vec<PathBuf>,
    /// A list of recordings of programs (see recordings/README.md)
    #[arg(long, value_name = "INDEX")]
    recordings: Option<PathBuf>,
    /// Weights of another model than this release's
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Series for each shape
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    cases: u16,
    /// Seed of the series; another than that of training draws others
    #[arg(long, default_value_t = SEED)]
    seed: u64,
}

/// One series to judge.
struct Series {
    kind: String,
    leaks: bool,
    samples: Vec<Sample>,
}

#[derive(Serialize)]
struct Evaluation {
    held_out_machines: usize,
    series: usize,
    forecasts: Vec<ForecastScore>,
    forecast_examples: usize,
    rules: Vec<Detection>,
    /// For each kind of series: evictions and series, by this release's rule.
    kinds: BTreeMap<String, (usize, usize)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    programs: Option<Programs>,
}

#[derive(Serialize)]
struct Programs {
    rules: Vec<Detection>,
    /// By this release's rule: file, whether it leaks, whether it was evicted, seconds before its limit.
    recordings: Vec<(String, bool, bool, Option<f64>)>,
}

/// Runs the command.
pub(super) fn evaluate(args: &EvaluateArgs, format: Format) -> Result<ExitCode> {
    let model = model(args.weights.as_deref())?;
    let mut machines = Vec::new();
    for path in &args.traces {
        machines.extend(trace::read(path)?);
    }
    let (held_out, learned): (Vec<Machine>, Vec<Machine>) =
        machines.into_iter().partition(Machine::is_held_out);
    at_least_one(&held_out, "held-out")?;
    at_least_one(&learned, "training")?;
    printing::say("scoring forecasts\n");
    let examples_held_out = examples(&held_out, u64::from(args.cases) / 2, args.seed);
    let forecasts = score_all(
        &model,
        &examples(&learned, BASELINE_CASES, args.seed.wrapping_add(1)),
        &examples_held_out,
    )?;
    printing::say("judging series\n");
    let series = series(&held_out, args.cases.into(), args.seed);
    let outcomes = judge(&series, &model);
    let programs = match &args.recordings {
        Some(index) => Some(programs(index, &model)?),
        None => None,
    };
    let evaluation = Evaluation {
        held_out_machines: held_out.len(),
        series: series.len(),
        forecasts,
        forecast_examples: examples_held_out.len(),
        kinds: kinds(&series, &outcomes),
        rules: detections(&outcomes),
        programs,
    };
    match format {
        Format::Json => json(&evaluation)?,
        Format::Text => printing::result(&text(&evaluation))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn score_all(
    model: &Model,
    learned: &[Example],
    held_out: &[Example],
) -> Result<Vec<ForecastScore>> {
    let mut scores = vec![score_forecasts(model.kind().name(), held_out, |example| {
        model.forecast(&example.features)
    })];
    if model.kind() == ModelKind::Lstm {
        let options = TrainingOptions {
            kind: ModelKind::Linear,
            ..TrainingOptions::default()
        };
        let linear = Model::of(&train(learned, &options, &mut |_| ())?)?;
        scores.push(score_forecasts(linear.kind().name(), held_out, |example| {
            linear.forecast(&example.features)
        }));
    }
    for kind in BaselineKind::ALL {
        let baseline = Baseline::fit(kind, learned);
        scores.push(score_forecasts(kind.name(), held_out, |example| {
            baseline.forecast(&example.features)
        }));
    }
    Ok(scores)
}

fn series(machines: &[Machine], cases: u64, seed: u64) -> Vec<Series> {
    let mut series = Vec::new();
    for shape in ALL_SHAPES {
        let drawn = (0..cases * 4).filter_map(|number| {
            let machine = machines.get(number as usize % machines.len())?;
            make_case(machine, shape, case_seed(seed, number))
        });
        series.extend(drawn.take(cases as usize).map(|case| Series {
            kind: shape.name().to_owned(),
            leaks: case.leaks(),
            samples: case.samples,
        }));
    }
    for machine in machines {
        series.extend(HEADROOMS.map(|headroom| Series {
            kind: format!("whole trace, limit {headroom} x its peak"),
            leaks: false,
            samples: whole(machine, headroom),
        }));
    }
    series
}

fn rules(model: &Model) -> [Box<dyn Rule + '_>; 5] {
    [
        Box::new(Foresight::new(model)),
        Box::new(Threshold),
        Box::new(BackwardRegression::default()),
        Box::new(Coroot::default()),
        Box::new(PrecogMf::default()),
    ]
}

/// What each rule does with each series, in the order of the series.
fn judge(series: &[Series], model: &Model) -> Vec<[Outcome; 5]> {
    let of =
        |one: &Series| rules(model).map(|mut rule| detect(&one.samples, one.leaks, rule.as_mut()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        // Every thread takes each n-th series, so that long ones are spread over all.
        let parts: Vec<_> = (0..threads)
            .map(|part| {
                scope.spawn(move || {
                    series
                        .iter()
                        .enumerate()
                        .skip(part)
                        .step_by(threads)
                        .map(|(at, one)| (at, of(one)))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let mut all: BTreeMap<usize, [Outcome; 5]> = BTreeMap::new();
        for part in parts {
            all.extend(
                part.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
        }
        all.into_values().collect()
    })
}

fn detections(outcomes: &[[Outcome; 5]]) -> Vec<Detection> {
    let names = [
        "foresight (this release)",
        "90 % threshold",
        "backward regression",
        "Coroot's rule",
        "PrecogMF",
    ];
    let of = |(at, name): (usize, &&str)| {
        let outcomes: Vec<Outcome> = outcomes.iter().map(|all| all[at]).collect();
        Detection::of(name, &outcomes)
    };
    names.iter().enumerate().map(of).collect()
}

fn kinds(series: &[Series], outcomes: &[[Outcome; 5]]) -> BTreeMap<String, (usize, usize)> {
    let mut kinds: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (one, outcome) in series.iter().zip(outcomes) {
        let count = kinds.entry(one.kind.clone()).or_default();
        count.0 += usize::from(outcome[0].evicted);
        count.1 += 1;
    }
    kinds
}

fn programs(index: &std::path::Path, model: &Model) -> Result<Programs> {
    let held_out: Vec<Series> = recordings::read(index)?
        .into_iter()
        .filter(|recording| recording.is_held_out)
        .map(|recording| Series {
            kind: recording.file,
            leaks: recording.leaks,
            samples: recording.samples,
        })
        .collect();
    let outcomes = judge(&held_out, model);
    let told = held_out.iter().zip(&outcomes).map(|(one, outcome)| {
        (
            one.kind.clone(),
            one.leaks,
            outcome[0].evicted,
            outcome[0].warning_s,
        )
    });
    Ok(Programs {
        recordings: told.collect(),
        rules: detections(&outcomes),
    })
}

fn text(evaluation: &Evaluation) -> String {
    let mut text = format!(
        "Forecasts of memory in 10 minutes: {} moments of {} held-out machines, losses in units of each series' own movement\n\n{}",
        evaluation.forecast_examples,
        evaluation.held_out_machines,
        forecast_table(&evaluation.forecasts)
    );
    text.push_str(&format!(
        "\nVerdicts: {} series of {} held-out machines; {:.0} weeks of healthy ones\n\n{}",
        evaluation.series,
        evaluation.held_out_machines,
        evaluation.rules[0].healthy_weeks,
        rule_table(&evaluation.rules)
    ));
    let mut table = Table::new(&["SERIES", "EVICTED", "OF"]);
    for (kind, (evicted, all)) in &evaluation.kinds {
        table.row([kind.clone(), evicted.to_string(), all.to_string()]);
    }
    text.push_str(&format!(
        "\nThis release's rule, by kind of series\n\n{}",
        table.text()
    ));
    if let Some(programs) = &evaluation.programs {
        text.push_str(&format!(
            "\nRecorded programs that nothing was tuned on\n\n{}\n",
            rule_table(&programs.rules)
        ));
        let mut table = Table::new(&["RECORDING", "LEAKS", "EVICTED", "BEFORE ITS LIMIT"]);
        for (file, leaks, evicted, warning_s) in &programs.recordings {
            let yes = |value: &bool| if *value { "yes" } else { "no" }.to_owned();
            let warning =
                warning_s.map_or_else(|| "-".to_owned(), |warning| format!("{warning:.0} s"));
            table.row([file.clone(), yes(leaks), yes(evicted), warning]);
        }
        text.push_str(&table.text());
    }
    text
}

fn forecast_table(scores: &[ForecastScore]) -> String {
    let mut table = Table::new(&[
        "METHOD",
        "PINBALL",
        "MAE",
        "IN 90 % BAND",
        "PINBALL OF PEAK",
    ]);
    for score in scores {
        table.row([
            score.method.clone(),
            format!("{:.4}", score.pinball),
            format!("{:.4}", score.mae),
            format!("{:.1} %", 100.0 * score.coverage),
            format!("{:.4}", score.peak_pinball),
        ]);
    }
    table.text()
}

fn rule_table(rules: &[Detection]) -> String {
    let mut table = Table::new(&[
        "RULE",
        "TP",
        "FP",
        "TN",
        "FN",
        "PRECISION",
        "RECALL",
        "F1",
        "MEDIAN WARNING",
        "9 OF 10 HAVE",
        "FALSE PER 100 WEEKS",
    ]);
    let share = |interval: &Interval| {
        format!(
            "{:.3} ({:.3}-{:.3})",
            interval.value, interval.low, interval.high
        )
    };
    let time = |interval: &Interval| {
        format!(
            "{:.1} min ({:.1}-{:.1})",
            interval.value / 60.0,
            interval.low / 60.0,
            interval.high / 60.0
        )
    };
    for rule in rules {
        table.row([
            rule.rule.clone(),
            rule.true_positives.to_string(),
            rule.false_positives.to_string(),
            rule.true_negatives.to_string(),
            rule.false_negatives.to_string(),
            share(&rule.precision),
            share(&rule.recall),
            share(&rule.f1),
            time(&rule.median_warning_s),
            time(&rule.least_warning_s),
            rule.false_per_100_weeks.map_or_else(
                || "too short".to_owned(),
                |rate| format!("{:.1} ({:.1}-{:.1})", rate.value, rate.low, rate.high),
            ),
        ]);
    }
    table.text()
}
