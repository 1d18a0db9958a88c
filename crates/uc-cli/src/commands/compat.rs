//! `uc compat`: what each runtime offers its programs, and how far two of them are apart.

mod text;

use std::{collections::BTreeMap, process::ExitCode};

use clap::Args;
use serde::Serialize;
use uc_model::{Figure, Problem, Provenance, Result};
use uc_select::{
    Architecture, ArgumentRule, Claim, Comparison, Interface, Support, argument_rules, calls,
    claims, compare, function_count, mapping, posix_subset, source_remarks, support, syscall_names,
};

use crate::{
    cli::Format,
    printing::{self, json},
};

/// Compare what the runtimes offer: system calls, files, networks
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc compat                        every runtime, and how far each two are apart
  uc compat container gvisor       what becomes of each call that moves from one to the other
  uc compat --calls gvisor         what gVisor answers to every call
  uc compat --arch aarch64 --format json

Runtimes: wasm (WASI preview 1), wasm-p2, container, gvisor, microvm (or kata, firecracker).
Incompatibility is the share of the calls of either that are not of both: 0 for equal sets, 1 for sets with nothing in common.")]
pub(crate) struct CompatArgs {
    /// Where a program runs now
    #[arg(value_name = "FROM", requires = "to")]
    from: Option<String>,
    /// Where it moves
    #[arg(value_name = "TO")]
    to: Option<String>,
    /// List every call with what this runtime answers
    #[arg(long, value_name = "RUNTIME", conflicts_with = "from")]
    calls: Option<String>,
    /// The processor whose system calls are meant: x86_64 or aarch64; this machine's unless given
    #[arg(long, value_name = "NAME")]
    arch: Option<String>,
}

/// Runs the command.
pub(crate) fn compat(args: &CompatArgs, format: Format) -> Result<ExitCode> {
    let architecture = architecture(args)?;
    match (&args.calls, &args.from, &args.to) {
        (Some(runtime), ..) => {
            let listing = Listing::of(interface(runtime, "--calls")?, architecture);
            show(format, &listing, || text::listing(&listing))?;
        }
        (None, Some(from), Some(to)) => {
            let mapping = mapping(interface(from, "FROM")?, interface(to, "TO")?, architecture);
            show(format, &mapping, || text::mapping(&mapping, architecture))?;
        }
        _ => {
            let matrix = Matrix::of(architecture);
            show(format, &matrix, || text::matrix(&matrix))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(format: Format, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
    match format {
        Format::Json => json(value),
        Format::Text => printing::result(&text()),
    }
}

fn architecture(args: &CompatArgs) -> Result<Architecture> {
    let (name, at) = match &args.arch {
        Some(name) => (name.as_str(), "--arch"),
        None => (std::env::consts::ARCH, "this machine"),
    };
    name.parse().map_err(|problem: Problem| problem.at(at))
}

fn interface(name: &str, at: &str) -> Result<Interface> {
    name.parse().map_err(|problem: Problem| problem.at(at))
}

/// A runtime's set and models.
#[derive(Debug, Serialize)]
struct Runtime {
    name: Interface,
    title: &'static str,
    calls: Figure,
    /// What the source claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_calls: Option<Figure>,
    /// Functions of WASI.
    #[serde(skip_serializing_if = "Option::is_none")]
    functions: Option<usize>,
    network: &'static str,
    storage: &'static str,
    provenance: Provenance,
}

/// Every runtime against every other.
#[derive(Debug, Serialize)]
struct Matrix {
    architecture: Architecture,
    runtimes: Vec<Runtime>,
    comparisons: Vec<Comparison>,
    /// Calls of gVisor, Kata and WASI preview 1 alike.
    posix_subset: Vec<&'static str>,
    remarks: Vec<String>,
}

/// Over which the source takes its POSIX subset.
const SOURCE_RUNTIMES: [Interface; 3] = [Interface::Gvisor, Interface::Microvm, Interface::WasiP1];

impl Matrix {
    fn of(architecture: Architecture) -> Self {
        let pairs = Interface::ALL
            .into_iter()
            .enumerate()
            .flat_map(|(at, one)| {
                let others = Interface::ALL.into_iter().skip(at + 1);
                others.map(move |other| (one, other))
            });
        Self {
            architecture,
            runtimes: Interface::ALL
                .map(|name| runtime(name, architecture))
                .into(),
            comparisons: pairs
                .map(|(one, other)| compare(one, other, architecture))
                .collect(),
            posix_subset: posix_subset(&SOURCE_RUNTIMES, architecture)
                .into_iter()
                .collect(),
            remarks: source_remarks(architecture),
        }
    }
}

fn runtime(name: Interface, architecture: Architecture) -> Runtime {
    let claimed_calls = claims().into_iter().find_map(|claim| match claim {
        Claim::Size {
            interface, calls, ..
        } if interface == name => Some(calls),
        _ => None,
    });
    let count = calls(name, architecture).len();
    Runtime {
        name,
        title: name.title(),
        calls: Figure::modelled(
            count as f64,
            "calls",
            &format!("counted: {}", name.provenance().basis()),
        ),
        claimed_calls,
        functions: function_count(name),
        network: name.network(),
        storage: name.storage(),
        provenance: name.provenance(),
    }
}

/// Every call with a runtime's answer.
#[derive(Debug, Serialize)]
struct Listing {
    runtime: Interface,
    architecture: Architecture,
    provenance: Provenance,
    calls: BTreeMap<&'static str, Support>,
    arguments: &'static [ArgumentRule],
}

impl Listing {
    fn of(runtime: Interface, architecture: Architecture) -> Self {
        Self {
            runtime,
            architecture,
            provenance: runtime.provenance(),
            calls: syscall_names(architecture)
                .into_iter()
                .map(|call| (call, support(runtime, architecture, call, None)))
                .collect(),
            arguments: argument_rules(runtime),
        }
    }
}
