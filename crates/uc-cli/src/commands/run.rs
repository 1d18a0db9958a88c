//! `uc run`: check, choose, start; stream the output; exit with the workload's code.

mod cold_start;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use serde::Serialize;
use uc_engine::{
    ContainerChoice, Engine, Outcome, Resolved, RunRequest, Stage, StopLevel, Stopper, Timings,
    footprints,
    trust::{self, Admission, Trust},
};
use uc_image::{NoProgress, Progress};
use uc_model::{Digest, Problem, Result, RuntimeChoice, RuntimeKind};
use uc_select::{Footprint, Prediction, coverage};

use super::{attest::now_s, engine_with_kernel, monitor, runtime, verify::read_trust};
use crate::{
    cli::Format,
    printing::{self, json},
    progress::Bars,
    table::Table,
    target,
};

/// Check a workload, choose its sandbox, run it and exit with its code
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc run pod.yaml                      a Kubernetes Pod in the lightest sandbox that is safe for it
  uc run ./hello.wasm -- --name you    a WebAssembly program with arguments
  uc run oci:./layout:tag -- ls -l     an image from an OCI layout
  uc run --detach --name web pod.yaml  in the background; then: uc ps, uc logs web, uc stop web
  uc run --timings pod.yaml            and how long each stage took
  uc run --trust team.pub pod.yaml     only if the team signed every image of it
  uc run --trace pod.yaml              and remember what its programs ask of a kernel")]
pub(crate) struct RunArgs {
    /// A manifest (.yaml, .json or - for standard input), an image (reference, oci:DIR[:TAG], oci-archive:FILE[:TAG])
    /// or a WebAssembly file (.wasm, .wat)
    #[arg(value_name = "FILE|IMAGE|MODULE")]
    pub(crate) target: String,
    /// Arguments for an image or module
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
    /// The runtime
    #[arg(long, default_value = "auto", value_parser = runtime_parser(), value_name = "RUNTIME")]
    pub(crate) runtime: RuntimeChoice,
    /// Print how long each stage took
    #[arg(long, conflicts_with = "detach")]
    timings: bool,
    /// Run in the background and print the workload's id
    #[arg(long, short)]
    detach: bool,
    /// A public key: run only what one of these has signed (can be given several times)
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
    /// A trust policy; without --trust and --policy, the user's own (trust.toml in the configuration directory)
    #[arg(long, value_name = "FILE", conflicts_with = "trust")]
    policy: Option<PathBuf>,
    /// Record the system calls of its containers, and add them to what is known of their images for later choices
    #[arg(long, conflicts_with = "detach")]
    trace: bool,
    /// What its programs ask of a kernel, as `uc trace --output` wrote it
    #[arg(long, value_name = "FILE")]
    footprint: Option<PathBuf>,
    /// The kernel of a microVM: a vmlinux, a bzImage, or a libkrunfw; without it UC_KERNEL, the host's own in /boot, or an
    /// installed libkrunfw
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Name the workload (with --detach: unique among those that run)
    #[arg(long)]
    name: Option<String>,
}

/// Reads a runtime's name; completions offer the same names.
pub(crate) fn runtime_parser() -> impl TypedValueParser<Value = RuntimeChoice> {
    PossibleValuesParser::new(["auto", "wasm", "container", "gvisor", "microvm", "fused"])
        .try_map(|text| text.parse())
}

/// A workload that has passed every check.
pub(crate) struct Checked {
    pub(crate) resolved: Resolved,
    pub(crate) admissions: Vec<Admission>,
    pub(crate) choices: Vec<ContainerChoice>,
    pub(crate) runtimes: Vec<RuntimeKind>,
    pub(crate) timings: Timings,
}

/// Runs the command.
pub(crate) fn run(args: &RunArgs, format: Format) -> Result<ExitCode> {
    let timings = Timings::start();
    let target = target::read(
        &args.target,
        &args.arguments,
        args.runtime,
        args.name.as_deref(),
    )?;
    let footprint = args
        .footprint
        .as_deref()
        .map(footprints::read)
        .transpose()?;
    let source = target.source.clone();
    let engine = engine_with_kernel(args.kernel.as_deref())?;
    let trust = read_trust(&args.trust, args.policy.as_deref())?;
    let bars = Bars::default();
    let mut checked = Vec::new();
    for workload in target.workloads {
        checked.push(check(
            &engine,
            workload,
            trust.as_ref(),
            &bars,
            timings.clone(),
            |resolved| {
                resolved.know(footprint.as_ref());
                if args.trace {
                    resolved.prefer_traceable();
                }
            },
        )?);
    }
    warn_of_red_lines(&checked);
    if args.detach {
        return monitor::detach(checked, &source, args.kernel.as_deref(), format);
    }
    run_here(engine, checked, &source, args, format)
}

/// Says which red lines are close.
fn warn_of_red_lines(checked: &[Checked]) {
    for choice in checked.iter().flat_map(|one| &one.choices) {
        for verdict in &choice.red_lines {
            if verdict.level == uc_redline::Level::Warn {
                printing::say(&format!(
                    "warning: container {}: red line {}: {} (limit: {}, found: {}); {}",
                    choice.container,
                    verdict.red_line,
                    verdict.title,
                    verdict.limit,
                    verdict.found,
                    verdict.remedy
                ));
            }
        }
    }
}

/// Resolves a workload, judges it and chooses its runtimes.
fn check(
    engine: &Engine,
    workload: uc_model::workload::Workload,
    trust: Option<&Trust>,
    progress: &dyn Progress,
    mut timings: Timings,
    adapt: impl FnOnce(&mut Resolved),
) -> Result<Checked> {
    let mut resolved = engine.resolve(workload, progress)?;
    adapt(&mut resolved);
    timings.end(Stage::Resolve);
    let admissions = trust
        .map(|trust| engine.admit(&resolved, trust, now_s()))
        .transpose()?
        .unwrap_or_default();
    let choices = engine.choose(&resolved, false);
    for choice in &choices {
        choice.red_lines_pass()?;
    }
    timings.end(Stage::Verify);
    let runtimes = choices
        .iter()
        .map(ContainerChoice::runtime)
        .collect::<Result<_>>()?;
    timings.end(Stage::Choose);
    Ok(Checked {
        resolved,
        admissions,
        choices,
        runtimes,
        timings,
    })
}

/// Checks a workload again in the monitor, where everything is at hand. What was judged when it was handed over must be what
/// is found now.
pub(crate) fn check_again(
    engine: &Engine,
    workload: uc_model::workload::Workload,
    judged: &[Option<Digest>],
) -> Result<Checked> {
    let checked = check(
        engine,
        workload,
        None,
        &NoProgress,
        Timings::start(),
        |_| {},
    )?;
    if trust::judged(&checked.resolved) == judged {
        Ok(checked)
    } else {
        Err(
            Problem::refused("the image has changed since it was checked")
                .remedy("try again; naming the image by its digest keeps it from changing"),
        )
    }
}

fn run_here(
    engine: Engine,
    checked: Vec<Checked>,
    source: &str,
    args: &RunArgs,
    format: Format,
) -> Result<ExitCode> {
    let containers: usize = checked.iter().map(|one| one.runtimes.len()).sum();
    let engine = Arc::new(engine);
    let stopper = Stopper::default();
    let mut reports = Vec::new();
    let outcomes = runtime()?.block_on(async {
        let signals = tokio::spawn(stop_on_signals(stopper.clone(), || {
            printing::say("stopping; a second signal ends it at once");
        }));
        let mut tasks = Vec::new();
        for one in checked {
            let request = RunRequest {
                resolved: one.resolved,
                runtimes: one.runtimes,
                source: source.to_owned(),
                detached: false,
                named_output: containers > 1,
                output_to_stderr: format == Format::Json,
                time_output: args.timings || format == Format::Json,
                trace: args.trace,
                timings: one.timings,
                stopper: stopper.clone(),
                on_started: None,
            };
            reports.push((one.choices, one.admissions));
            let engine = Arc::clone(&engine);
            let stopper = stopper.clone();
            tasks.push(tokio::spawn(async move {
                let outcome = engine.run(request).await;
                if outcome.is_err() {
                    // What cannot start takes the others of its file with it.
                    stopper.ask(StopLevel::Graceful);
                }
                outcome
            }));
        }
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(
                task.await
                    .map_err(|error| Problem::internal("a run failed").caused_by(error))?,
            );
        }
        signals.abort();
        Ok::<_, Problem>(outcomes)
    })?;
    report(outcomes, reports, args.timings, format)
}

/// SIGINT, SIGTERM, SIGHUP and SIGQUIT (Ctrl-\) ask for a graceful end; a second one ends at once. `tell` is called
/// at the first.
pub(crate) async fn stop_on_signals(stopper: Stopper, tell: fn()) {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for kind in kinds {
        // A handler that cannot be set leaves the default: the signal then ends us, and the containers with us.
        let Ok(mut stream) = signal(kind) else {
            continue;
        };
        let stopper = stopper.clone();
        tasks.spawn(async move {
            while stream.recv().await.is_some() {
                if stopper.level() == StopLevel::None {
                    tell();
                }
                stopper.ask_again();
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// One workload in the JSON report.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    outcome: Outcome,
    choices: Vec<ContainerChoice>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trust: Vec<Admission>,
    timings_ms: BTreeMap<&'static str, f64>,
    /// T_vm, T_container and T_function of what runs in a microVM.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cold_start: Vec<cold_start::Row>,
}

fn report(
    outcomes: Vec<Result<Outcome>>,
    checks: Vec<(Vec<ContainerChoice>, Vec<Admission>)>,
    show_timings: bool,
    format: Format,
) -> Result<ExitCode> {
    let mut code = 0;
    let mut reports = Vec::new();
    for (outcome, (choices, trust)) in outcomes.into_iter().zip(checks) {
        let outcome = outcome?;
        if code == 0 {
            code = outcome.exit_code;
        }
        if format == Format::Text {
            if let Some(message) = &outcome.message {
                printing::say(&format!("{}: {message}", outcome.id));
            }
            for (container, footprint) in &outcome.footprints {
                printing::say(&trace_words(container, footprint));
            }
            if show_timings {
                print_timings(&outcome);
            }
        }
        let timings_ms = outcome
            .timings
            .stages()
            .into_iter()
            .map(|(stage, duration)| (stage.name(), milliseconds(duration)))
            .collect();
        reports.push(Report {
            cold_start: cold_start::rows(&outcome.timings),
            outcome,
            choices,
            trust,
            timings_ms,
        });
    }
    if format == Format::Json {
        json(&reports)?;
    }
    Ok(ExitCode::from(code))
}

/// What a recorded run says of the runtimes.
fn trace_words(container: &str, footprint: &Footprint) -> String {
    let mut text = format!(
        "container {container}: {} kinds of system calls",
        footprint.calls.len()
    );
    for kind in [RuntimeKind::Gvisor, RuntimeKind::Microvm] {
        let coverage = coverage(footprint, kind);
        let outlook = match coverage.prediction {
            Prediction::Runs => "is expected to run it",
            Prediction::Doubtful => "may not run it",
            Prediction::Fails => "is not expected to run it",
        };
        text.push_str(&format!("; {kind} {outlook}"));
    }
    text
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn print_timings(outcome: &Outcome) {
    let runtimes: Vec<String> = outcome
        .containers
        .iter()
        .map(|(name, record)| {
            format!(
                "{name} in {}",
                record.runtime.map_or("?", RuntimeKind::name)
            )
        })
        .collect();
    let mut table = Table::new(&["STAGE", "MS (measured)"]);
    for (stage, duration) in outcome.timings.stages() {
        table.row([
            stage.name().to_owned(),
            format!("{:>10.3}", milliseconds(duration)),
        ]);
    }
    table.row([
        "total".to_owned(),
        format!("{:>10.3}", milliseconds(outcome.timings.total())),
    ]);
    printing::say(&format!(
        "\n{}: {}\n{}",
        outcome.id,
        runtimes.join(", "),
        table.text().trim_end()
    ));
    let rows = cold_start::rows(&outcome.timings);
    if !rows.is_empty() {
        printing::say(&format!("\n{}", cold_start::table(&rows).trim_end()));
    }
}
