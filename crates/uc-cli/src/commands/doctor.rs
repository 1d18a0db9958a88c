//! `uc doctor`: what this host can run, what is missing, how to get it.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use uc_engine::Home;
use uc_model::{Facility, Result, RuntimeKind};
use uc_sandbox::{Availability, Probe};

use super::engine;
use crate::{
    cli::Format,
    printing::{self, Mark, json, marked},
    table::Table,
};

/// Show what this host can run, what is missing and how to get it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc doctor
  uc doctor --format json")]
pub(crate) struct DoctorArgs {}

#[derive(Serialize)]
struct Diagnosis {
    runtimes: Vec<Probe>,
    without_driver: Vec<RuntimeKind>,
    host: Vec<Facility>,
}

/// Runs the command. It succeeds if at least one runtime is ready and there is a place for its files.
pub(crate) fn doctor(_args: &DoctorArgs, format: Format) -> Result<ExitCode> {
    let engine = engine()?;
    let files = files(engine.home());
    let can_write = files.found;
    let runtimes = engine.probe_all();
    let without_driver = RuntimeKind::ALL
        .into_iter()
        .filter(|kind| runtimes.iter().all(|probe| probe.kind != *kind))
        .collect();
    let diagnosis = Diagnosis {
        runtimes,
        without_driver,
        host: [files].into_iter().chain(host_facilities()).collect(),
    };
    match format {
        Format::Json => json(&diagnosis)?,
        Format::Text => printing::result(&words(&diagnosis))?,
    }
    let any_ready = diagnosis
        .runtimes
        .iter()
        .any(|probe| probe.availability == Availability::Ready);
    Ok(ExitCode::from(if any_ready && can_write { 0 } else { 78 }))
}

/// Whether `uc` can keep its own files: without, nothing runs.
fn files(home: &Home) -> Facility {
    const NAME: &str = "a place for files";
    const ENABLES: &str = "every workload";
    match home.try_writing() {
        Ok(()) => Facility::found(NAME, home.data().display().to_string(), ENABLES),
        Err(problem) => Facility::missing(
            NAME,
            problem.to_string(),
            ENABLES,
            problem
                .remedy_text()
                .unwrap_or("set UC_HOME to a directory of yours"),
        ),
    }
}

/// Facilities that later runtimes need, which no driver of this version tries.
fn host_facilities() -> Vec<Facility> {
    let kvm = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    let kvm = match kvm {
        Ok(_) => Facility::found(
            "KVM",
            "/dev/kvm opens; only booting a guest shows whether it works",
            "microVMs at full speed",
        ),
        Err(error) => Facility::missing(
            "KVM",
            format!("/dev/kvm: {error}"),
            "microVMs at full speed",
            "enable virtualisation in the firmware; join group kvm",
        ),
    };
    let programs = [
        (
            "firecracker",
            "microVMs",
            "https://github.com/firecracker-microvm/firecracker/releases",
        ),
        (
            "qemu-system-x86_64",
            "microVMs without KVM",
            "apt install qemu-system-x86",
        ),
    ];
    let on_path = |name: &str| {
        std::env::var_os("PATH").and_then(|path| {
            std::env::split_paths(&path)
                .map(|directory| directory.join(name))
                .find(|file| file.is_file())
        })
    };
    let found = programs
        .into_iter()
        .map(|(name, enables, remedy)| match on_path(name) {
            Some(path) => Facility::found(name, path.display().to_string(), enables),
            None => Facility::missing(name, "not on PATH", enables, remedy),
        });
    [kvm].into_iter().chain(found).collect()
}

fn words(diagnosis: &Diagnosis) -> String {
    let mut runtimes = Table::new(&["RUNTIME", "STATE", "DETAIL"]);
    for probe in &diagnosis.runtimes {
        let (state, detail) = match &probe.availability {
            Availability::Ready => (
                marked(Mark::Good, "ready"),
                format!("isolation: {}", probe.offer.isolation),
            ),
            Availability::Missing { what, remedy } => {
                (marked(Mark::Bad, "missing"), format!("{what}; {remedy}"))
            }
        };
        runtimes.row([probe.kind.to_string(), state, detail]);
    }
    for kind in &diagnosis.without_driver {
        runtimes.row([
            kind.to_string(),
            marked(Mark::Quiet, "none"),
            "no driver in this version".to_owned(),
        ]);
    }
    let mut facilities = Table::new(&["FACILITY", "STATE", "DETAIL", "ENABLES"]);
    let mut remedies = String::new();
    for facility in diagnosis
        .runtimes
        .iter()
        .flat_map(|probe| &probe.facilities)
        .chain(&diagnosis.host)
    {
        let state = if facility.found {
            marked(Mark::Good, "found")
        } else {
            marked(Mark::Attention, "missing")
        };
        facilities.row([
            facility.name.clone(),
            state,
            facility.detail.clone(),
            facility.enables.clone(),
        ]);
        if let Some(remedy) = &facility.remedy {
            remedies.push_str(&format!("  {}: {remedy}\n", facility.name));
        }
    }
    let remedies = if remedies.is_empty() {
        String::new()
    } else {
        format!("\nTo get what is missing:\n{remedies}")
    };
    format!("{}\n{}{remedies}", runtimes.text(), facilities.text())
}
