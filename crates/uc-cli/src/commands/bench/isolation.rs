//! How much of the host's kernel a sandboxed program can reach, read from the filters that are in force for it (mission M1.5).

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    process::{Child, Command, Stdio},
};

use serde::Serialize;
use uc_linux::processes::descendants;
use uc_model::{Problem, Result, RuntimeKind};
use uc_select::syscall_names;
use uc_trace::reach::reach;

use super::fixture::Fixture;
use crate::table::Table;

/// What was found of one runtime.
#[derive(Debug, Serialize)]
pub(super) struct Isolation {
    runtime: RuntimeKind,
    /// System calls of the host's kernel that the program itself can make, for some arguments.
    program: Option<Surface>,
    /// The same for the processes that serve it: what a program that takes them over would reach.
    behind: Option<Surface>,
    /// What the source says, in bits.
    source_bits: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<String>,
}

/// System calls within reach.
#[derive(Debug, Serialize)]
struct Surface {
    reachable: usize,
    /// All that the kernel has.
    of: usize,
    /// log2(1 + reachable / all): 0 where nothing can be reached, 1 without any filter.
    bits: f64,
    calls: BTreeSet<&'static str>,
}

impl Surface {
    fn of(processes: &[u32], all: usize) -> Result<Self> {
        let mut calls = BTreeSet::new();
        for process in processes {
            calls.extend(reach(*process)?.calls);
        }
        let reachable = calls.len();
        Ok(Self {
            reachable,
            of: all,
            bits: (1.0 + reachable as f64 / all as f64).log2(),
            calls,
        })
    }
}

/// Looks at each runtime that runs Linux programs on this host's kernel.
pub(super) fn isolation(fixture: &Fixture, uc: &str) -> Result<Vec<Isolation>> {
    let architecture = std::env::consts::ARCH.parse()?;
    let all = syscall_names(architecture).len();
    [
        (RuntimeKind::Container, Some(1.5)),
        (RuntimeKind::Gvisor, None),
    ]
    .into_iter()
    .map(|(runtime, source_bits)| {
        let looked = look(fixture, uc, runtime, all);
        let skipped = looked.as_ref().err().map(ToString::to_string);
        let (program, behind) = looked.ok().unzip();
        Ok(Isolation {
            runtime,
            program,
            behind: behind.flatten(),
            source_bits,
            skipped,
        })
    })
    .collect()
}

fn look(
    fixture: &Fixture,
    uc: &str,
    runtime: RuntimeKind,
    all: usize,
) -> Result<(Surface, Option<Surface>)> {
    let running = Running::start(fixture, uc, runtime)?;
    let family = descendants(running.0.id());
    let (program, behind): (Vec<u32>, Vec<u32>) = match runtime {
        // The program runs on threads that gVisor's kernel makes for it: its own children.
        RuntimeKind::Gvisor => {
            let kernel = family
                .iter()
                .copied()
                .find(|pid| command_line(*pid).contains("runsc-sandbox"))
                .ok_or_else(|| Problem::host("gVisor's kernel is not found among the processes"))?;
            let servers = family
                .iter()
                .copied()
                .filter(|pid| command_line(*pid).starts_with("runsc-"));
            (descendants(kernel), servers.collect())
        }
        _ => (family, Vec::new()),
    };
    let behind = match behind.as_slice() {
        [] => None,
        processes => Some(Surface::of(processes, all)?),
    };
    Ok((Surface::of(&program, all)?, behind))
}

/// A program that waits in a sandbox; it ends when this is dropped.
struct Running(Child);

impl Running {
    fn start(fixture: &Fixture, uc: &str, runtime: RuntimeKind) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Problem::host("a program cannot be started")
                .at("uc bench")
                .caused_by(error)
        };
        let mut child = Command::new(uc)
            .args(["run", "--runtime", runtime.name(), &fixture.image()])
            .args(["--", "sh", "-c", "echo up; exec sleep 1000"])
            .envs(fixture.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut stdout = child
            .stdout
            .take()
            .ok_or_else(|| Problem::internal("a pipe is missing"))?;
        let running = Self(child);
        let mut word = [0; 3];
        match stdout.read_exact(&mut word) {
            Ok(()) => Ok(running),
            Err(_) => Err(running.last_words()),
        }
    }

    fn last_words(mut self) -> Problem {
        let mut text = String::new();
        if let Some(stderr) = self.0.stderr.take() {
            let _ = stderr.take(4096).read_to_string(&mut text);
        }
        Problem::host(text.lines().next().unwrap_or("it does not start"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The sandbox goes with its owner.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// The table and what its columns mean.
pub(super) fn words(all: &[Isolation]) -> String {
    let mut table = Table::new(&[
        "RUNTIME",
        "PROGRAM REACHES",
        "BITS",
        "BEHIND IT",
        "BITS",
        "SOURCE",
    ]);
    for one in all {
        let surface = |surface: &Option<Surface>| match surface {
            Some(surface) => (
                format!("{} of {}", surface.reachable, surface.of),
                format!("{:.3}", surface.bits),
            ),
            None => ("-".into(), "-".into()),
        };
        let ((program, bits), (behind, behind_bits)) =
            (surface(&one.program), surface(&one.behind));
        let source = match (&one.skipped, one.source_bits) {
            (Some(reason), _) => format!("skipped: {reason}"),
            (None, Some(bits)) => format!("{bits} bits"),
            (None, None) => "-".into(),
        };
        table.row([
            one.runtime.to_string(),
            program,
            bits,
            behind,
            behind_bits,
            source,
        ]);
    }
    format!(
        "System calls of the host within reach (measured: read from the filters in force)\n{}\
         bits = log2(1 + reachable / all): 0 where nothing can be reached, 1 without a filter; the source's 1.5 for containers is\n\
         of no formula it gives, and beyond this one's largest value. A WebAssembly program has no instruction that reaches the\n\
         kernel; a microVM's reaches its own.\n",
        table.text()
    )
}
