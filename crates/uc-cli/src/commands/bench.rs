//! `uc bench`: the same workload here and under the other runtimes found on PATH, timed in turns.

mod fixture;
mod isolation;
mod measure;
mod memory;
mod microvm;
mod peers;
mod pull;
mod statistics;
mod verify;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use uc_model::{Problem, Result};

use self::{
    fixture::Fixture,
    measure::{Contender, Measured},
    statistics::Summary,
};
use crate::{
    cli::Format,
    printing::{self, json},
    table::Table,
};

/// Measure cold starts, pulls and signatures beside crun, runc, runsc, podman, wasmtime, skopeo, umoci and cosign where they are
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc bench
  uc bench --only container --runs 50 --format json
  uc bench --only pull
  uc bench --only verify --cosign ./cosign

Whole processes, in turns, after warm-ups that are discarded. A ratio is our median divided by the other's.")]
pub(crate) struct BenchArgs {
    /// Runs of each contender that count (at most 5 pulls)
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000), value_name = "N")]
    runs: u16,
    /// One kind of workload
    #[arg(long, value_enum)]
    only: Option<Only>,
    /// The static busybox that the containers run
    #[arg(long, default_value = "/bin/busybox", value_name = "FILE")]
    busybox: PathBuf,
    /// A bare embedding of wasmtime to compare with: takes `compile IN OUT` and `run OUT`
    #[arg(long, value_name = "PROGRAM")]
    wasm_peer: Option<PathBuf>,
    /// The cosign to compare with, if not the one on PATH
    #[arg(long, value_name = "PROGRAM")]
    cosign: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    Wasm,
    Container,
    Gvisor,
    Isolation,
    Microvm,
    Pull,
    Verify,
}

/// Everything that was measured.
#[derive(Serialize)]
struct Report {
    provenance: &'static str,
    container: Vec<Measured>,
    gvisor: Vec<Measured>,
    isolation: Vec<isolation::Isolation>,
    microvm: Option<microvm::Microvm>,
    wasm: Vec<Measured>,
    /// One more instance of the program, in this process, in microseconds.
    instantiation_us: Option<Summary>,
    monitor: Option<memory::Monitor>,
    pull: Option<pull::Pull>,
    verify: Option<verify::Verify>,
}

/// Rounds of pulling, at the most: each leaves half a gigabyte until the end.
const PULLS: u16 = 5;

/// Instances that are timed, after as many that are not.
const INSTANCES: usize = 1000;

/// Runs the command.
pub(crate) fn bench(args: &BenchArgs, format: Format) -> Result<ExitCode> {
    let fixture = Fixture::new()?;
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bar:30}  {pos}/{len}  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let measure = |contenders: Vec<Contender>| {
        bar.inc_length(contenders.len() as u64 * u64::from(args.runs));
        measure::in_turns(&contenders, usize::from(args.runs), &bar)
    };
    let mut report = Report {
        provenance: "measured",
        container: Vec::new(),
        gvisor: Vec::new(),
        isolation: Vec::new(),
        microvm: None,
        wasm: Vec::new(),
        instantiation_us: None,
        monitor: None,
        pull: None,
        verify: None,
    };
    let wanted = |part| args.only.is_none_or(|only| only == part);
    let uc = std::env::current_exe()
        .map_err(|error| Problem::host("cannot find this program").caused_by(error))?
        .display()
        .to_string();
    if [
        Only::Container,
        Only::Gvisor,
        Only::Isolation,
        Only::Microvm,
    ]
    .map(wanted)
    .contains(&true)
    {
        fixture.containers(&args.busybox)?;
    }
    if wanted(Only::Gvisor) {
        report.gvisor = measure(gvisor(&fixture, &uc));
    }
    if wanted(Only::Isolation) {
        report.isolation = isolation::isolation(&fixture, &uc)?;
    }
    if wanted(Only::Microvm) {
        bar.set_message("microVM");
        let runs = usize::from(args.runs);
        match microvm::microvm(&fixture, &uc, runs, measure) {
            Ok(measured) => report.microvm = Some(measured),
            // Where microVMs were not asked for, a host without them has other figures.
            Err(problem) if args.only.is_none() => {
                printing::say(&format!("microVMs are skipped: {problem}"));
            }
            Err(problem) => return Err(problem),
        }
    }
    if wanted(Only::Container) {
        report.container = measure(containers(&fixture, &uc));
        report.monitor = Some(memory::monitor(&fixture, &uc)?);
    }
    if wanted(Only::Wasm) {
        report.wasm = measure(modules(&fixture, &uc, args.wasm_peer.as_deref())?);
        report.instantiation_us = instantiation(&fixture)?;
    }
    if wanted(Only::Pull) {
        bar.set_message("pull");
        report.pull = Some(pull::pull(&fixture, &uc, args.runs.min(PULLS).into())?);
    }
    if wanted(Only::Verify) {
        bar.set_message("verify");
        let rounds = usize::from(args.runs);
        report.verify = Some(verify::verify(&fixture, &uc, args.cosign.as_ref(), rounds)?);
    }
    bar.finish_and_clear();
    match format {
        Format::Json => json(&report)?,
        Format::Text => printing::result(&words(&report))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn contender(fixture: &Fixture, name: &'static str, command: &[&str]) -> Contender {
    Contender {
        name,
        command: command.iter().map(|&word| word.to_owned()).collect(),
        environment: fixture.environment(),
        without_unified: name == "crun" && Path::new("/sys/fs/cgroup/unified").exists(),
    }
}

fn containers(fixture: &Fixture, uc: &str) -> Vec<Contender> {
    let (image, bundle) = (fixture.image(), fixture.file("bundle"));
    let root = fixture.file("bundle/rootfs");
    let id = format!("uc-bench-{}", std::process::id());
    vec![
        contender(fixture, "uc", &[uc, "run", &image, "--", "true"]),
        contender(fixture, "crun", &["crun", "run", "--bundle", &bundle, &id]),
        contender(fixture, "runc", &["runc", "run", "--bundle", &bundle, &id]),
        contender(
            fixture,
            "podman",
            &[
                "podman",
                "run",
                "--rm",
                "--network=none",
                "--rootfs",
                &root,
                "/bin/true",
            ],
        ),
    ]
}

/// gVisor by way of `uc`, and by itself with the options that `uc` gives it; and with its own defaults, which are quicker and
/// let its kernel open the host's files.
fn gvisor(fixture: &Fixture, uc: &str) -> Vec<Contender> {
    let (image, bundle) = (fixture.image(), fixture.file("bundle"));
    let state = fixture.file("runsc");
    let program = std::env::var(crate::drivers::RUNSC).unwrap_or_else(|_| "runsc".into());
    let id = format!("uc-bench-{}", std::process::id());
    let bare = |options: &[&str]| -> Vec<String> {
        let common = ["--root", &state, "--network", "none", "--ignore-cgroups"];
        let run = ["run", "--bundle", &bundle, &id];
        [&[program.as_str()], &common[..], options, &run[..]]
            .concat()
            .iter()
            .map(|&word| word.to_owned())
            .collect()
    };
    let named = |name, command: Vec<String>| {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        contender(fixture, name, &words)
    };
    let ours = [uc, "run", "--runtime", "gvisor", &image, "--", "true"];
    vec![
        contender(fixture, "uc", &ours),
        named("runsc", bare(&["--overlay2", "none", "--directfs=false"])),
        named("runsc (own defaults)", bare(&[])),
    ]
}

fn modules(fixture: &Fixture, uc: &str, peer: Option<&Path>) -> Result<Vec<Contender>> {
    let module = fixture.module()?;
    let mut all = vec![contender(fixture, "uc", &[uc, "run", &module])];
    if let Some(peer) = peer {
        let (program, compiled) = (peer.display().to_string(), fixture.file("hello.cwasm"));
        let failed = || Problem::host("the bare embedding cannot compile").at(&program);
        let status = Command::new(peer)
            .args(["compile", &module, &compiled])
            .status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(failed().found(status)),
            Err(error) => return Err(failed().caused_by(error)),
        }
        all.push(contender(fixture, "bare", &[&program, "run", &compiled]));
    }
    all.push(contender(
        fixture,
        "wasmtime",
        &["wasmtime", "run", &module],
    ));
    Ok(all)
}

fn instantiation(fixture: &Fixture) -> Result<Option<Summary>> {
    let module = PathBuf::from(fixture.module()?);
    let times = uc_wasm::instantiation_times(fixture.compiled(), &module, 2 * INSTANCES)?;
    let samples: Vec<f64> = times
        .iter()
        .skip(INSTANCES)
        .map(|time| time.as_secs_f64() * 1e6)
        .collect();
    Ok(Summary::of(&samples))
}

fn words(report: &Report) -> String {
    let mut text = String::new();
    let none = Vec::new();
    let sandboxes = report
        .microvm
        .as_ref()
        .map_or(&none, |microvm| &microvm.sandboxes);
    for (title, all) in [
        (
            "Container `true`, image unpacked, whole process",
            &report.container,
        ),
        (
            "gVisor `true`, image unpacked, whole process",
            &report.gvisor,
        ),
        ("WebAssembly hello, cached, whole process", &report.wasm),
        ("Hello in each sandbox, whole process", sandboxes),
    ] {
        if all.is_empty() {
            continue;
        }
        let mut table = Table::new(&["RUNTIME", "MEDIAN", "±MAD", "MIN", "UC / IT", "COMMAND"]);
        for one in all {
            let command = match &one.skipped {
                Some(reason) => format!("skipped: {reason}"),
                None => one.command.clone(),
            };
            let cell = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2}"));
            table.row([
                one.name.to_owned(),
                cell(one.summary_ms.map(|summary| summary.median)),
                cell(one.summary_ms.map(|summary| summary.deviation)),
                cell(one.summary_ms.map(|summary| summary.minimum)),
                cell(one.ratio),
                command,
            ]);
        }
        text.push_str(&format!("{title} (ms, measured)\n{}\n", table.text()));
    }
    if let Some(summary) = &report.instantiation_us {
        text.push_str(&format!(
            "WebAssembly instance in process: {:.1} µs ± {:.1} (measured, median of {INSTANCES}; promise: 50 µs)\n",
            summary.median, summary.deviation
        ));
    }
    if let Some(monitor) = &report.monitor {
        text.push_str(&format!(
            "Monitor of a detached workload: {:.2} MB PSS (measured; promise: {:.1} MB)\n",
            monitor.pss_mb, monitor.promise_mb
        ));
    }
    if !report.isolation.is_empty() {
        text.push_str(&isolation::words(&report.isolation));
    }
    if let Some(microvm) = &report.microvm {
        text.push_str(&microvm.words());
    }
    if let Some(pull) = &report.pull {
        text.push_str(&pull.words());
    }
    if let Some(verify) = &report.verify {
        text.push_str(&verify.words());
    }
    text
}
