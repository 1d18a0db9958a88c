//! `uc explain`: which runtime and why, nothing started.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use serde::Serialize;
use uc_engine::{ContainerChoice, Engine, Resolved, RunRequest, Stopper, Timings, footprints};
use uc_model::{Result, RuntimeChoice, RuntimeKind};

use super::{engine_with_kernel, run::runtime_parser, runtime};
use crate::{
    cli::Format,
    printing::{self, Mark, json, marked},
    progress::Bars,
    target,
};

/// Say which runtime a workload would get and why, without running it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc explain pod.yaml
  uc explain ./module.wasm --format json
  uc explain pod.yaml --runtime gvisor   why not this one?")]
pub(crate) struct ExplainArgs {
    /// A manifest, an image or a WebAssembly file, as for `uc run`
    #[arg(value_name = "FILE|IMAGE|MODULE")]
    target: String,
    /// The runtime to ask about
    #[arg(long, default_value = "auto", value_parser = runtime_parser(), value_name = "RUNTIME")]
    runtime: RuntimeChoice,
    /// What its programs ask of a kernel, as `uc trace --output` wrote it
    #[arg(long, value_name = "FILE")]
    footprint: Option<PathBuf>,
    /// The kernel of a microVM, as for `uc run`
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
}

/// One workload's explanation.
#[derive(Serialize)]
struct Explanation {
    workload: String,
    runtimes: Vec<Option<RuntimeKind>>,
    containers: Vec<ContainerChoice>,
    /// Why it could not start although there is a runtime for it, found by doing all but that.
    #[serde(skip_serializing_if = "Option::is_none")]
    obstacle: Option<Obstacle>,
    notes: Vec<String>,
}

/// A problem in words.
#[derive(Serialize)]
struct Obstacle {
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Runs the command. The exit code is that of `uc run`'s refusal, if it would refuse.
pub(crate) fn explain(args: &ExplainArgs, format: Format) -> Result<ExitCode> {
    let target = target::read(&args.target, &[], args.runtime, None)?;
    let footprint = args
        .footprint
        .as_deref()
        .map(footprints::read)
        .transpose()?;
    let engine = engine_with_kernel(args.kernel.as_deref())?;
    let bars = Bars::default();
    let mut explanations = Vec::new();
    let mut code = 0;
    for workload in target.workloads {
        let name = workload.name.clone();
        let mut resolved = engine.resolve(workload, &bars)?;
        resolved.know(footprint.as_ref());
        let containers = engine.choose(&resolved, true);
        let runtimes: Vec<Option<RuntimeKind>> = containers
            .iter()
            .map(|choice| choice.runtime().ok())
            .collect();
        let refusal = containers.iter().find_map(|choice| choice.runtime().err());
        let obstacle = match runtimes
            .iter()
            .copied()
            .collect::<Option<Vec<RuntimeKind>>>()
        {
            Some(chosen) => rehearse(&engine, resolved, chosen, &target.source).err(),
            None => None,
        };
        let problem = refusal.as_ref().or(obstacle.as_ref());
        code = problem.map_or(code, |problem| problem.kind().exit_code());
        explanations.push(Explanation {
            workload: name,
            runtimes,
            containers,
            obstacle: obstacle.map(|problem| Obstacle {
                what: problem.to_string(),
                remedy: problem.remedy_text().map(str::to_owned),
            }),
            notes: target.notes.clone(),
        });
    }
    match format {
        Format::Json => json(&explanations)?,
        Format::Text => {
            for explanation in &explanations {
                printing::result(&words(explanation))?;
            }
            for note in &target.notes {
                printing::say(&format!("note: {note}"));
            }
        }
    }
    Ok(ExitCode::from(code))
}

/// Does all that a run does before its first program starts, and undoes it.
fn rehearse(
    engine: &Engine,
    resolved: Resolved,
    runtimes: Vec<RuntimeKind>,
    source: &str,
) -> Result<()> {
    let request = RunRequest {
        resolved,
        runtimes,
        source: source.to_owned(),
        detached: false,
        named_output: true,
        output_to_stderr: true,
        time_output: false,
        trace: false,
        timings: Timings::start(),
        stopper: Stopper::default(),
        on_started: None,
    };
    runtime()?.block_on(engine.rehearse(request))
}

fn words(explanation: &Explanation) -> String {
    let mut text = format!("{}\n", marked(Mark::Strong, &explanation.workload));
    for choice in &explanation.containers {
        text.push_str(&format!(
            "  container {} ({})\n",
            choice.container, choice.image
        ));
        if let Some(address) = choice.answers_at {
            text.push_str(&format!(
                "    answers HTTP requests at {address}, each by a fresh instance\n"
            ));
        }
        for verdict in &choice.red_lines {
            let (mark, word) = match verdict.level {
                uc_redline::Level::Pass => (Mark::Good, "pass"),
                uc_redline::Level::Warn => (Mark::Attention, "warn"),
                uc_redline::Level::Refuse => (Mark::Bad, "refuse"),
            };
            text.push_str(&format!(
                "    red line {} {}: {} (limit: {}; found: {})\n",
                verdict.red_line,
                marked(mark, word),
                verdict.title,
                verdict.limit,
                verdict.found
            ));
        }
        for line in choice.decision.to_string().lines() {
            text.push_str(&format!("    {line}\n"));
        }
    }
    if let Some(obstacle) = &explanation.obstacle {
        text.push_str(&format!(
            "  {}: {}\n",
            marked(Mark::Bad, "cannot start"),
            obstacle.what
        ));
        if let Some(remedy) = &obstacle.remedy {
            text.push_str(&format!("    remedy: {remedy}\n"));
        }
    }
    text
}
