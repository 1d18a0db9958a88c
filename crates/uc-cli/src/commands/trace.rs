//! `uc trace`: what a program asks of its kernel, where it would run, and the least that it must be allowed.

mod output;
mod pod;
mod program;
mod rehearsal;
mod summary;

use std::{
    ffi::OsString,
    os::fd::AsFd as _,
    path::PathBuf,
    process::{Command, ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use clap::Args;
use serde::Serialize;
use uc_model::{Problem, Result};
use uc_select::{Coverage, Footprint, Interface, coverage};
use uc_trace::{Deeds, Options, Profile, Trace, capabilities::Capabilities, scan};

use crate::{
    cli::Format,
    printing::{self, json},
};
use rehearsal::{Rehearsed, Trial};

/// Record which system calls a program makes, and what follows for its sandbox
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc trace -- ls -l                               the calls of a run, and which runtimes have them
  uc trace --for 10 -- redis-server --port 0      ends a service after ten seconds
  uc trace --seccomp min.json -- ./app            the smallest seccomp profile, for uc, crun, runc, docker
  uc trace --pod pod.yaml --image oci:app -- app  a Pod with the least privileges, for uc run
  uc trace --settle -- ./app                      runs it again where it is in doubt whether it would run elsewhere
  uc trace --rehearse gvisor -- ./app             runs it again with what gVisor lacks refused
  uc trace --rehearse profile -- ./app            runs it again under its own profile
  uc trace --rehearse capabilities -- ./app       finds the capabilities it cannot do without; for root
  uc trace --static ./app                         reads the program instead of running it

The program keeps its input, output and terminal; the summary goes to standard error after its end. With --format
json the summary goes to standard output, and the program's output to standard error.
All threads and child processes are followed, until the last has ended. Ctrl-C goes to the program; what is left of it
after five seconds is ended. The exit code is the program's.
What the program did not do in this run is not in the result: trace a run that does all that matters.
--rehearse and --settle run the program again, three times or more, with nothing to read: whatever it does to files, other
programs and hosts is done again. What a runtime's rehearsal shows replaces what is predicted from the calls alone, here and
in the file of --output, so that uc run and uc explain --footprint know it too.")]
pub(crate) struct TraceArgs {
    /// The program and its arguments
    #[arg(
        value_name = "COMMAND",
        required_unless_present = "static_",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
    /// Read the calls from the code of this program, without running it
    #[arg(long = "static", id = "static_", value_name = "PROGRAM", conflicts_with_all = ["command", "longest", "rehearse", "settle", "pod"])]
    program: Option<PathBuf>,
    /// End the program after this time
    #[arg(long = "for", id = "longest", value_name = "SECONDS", value_parser = seconds)]
    longest: Option<Duration>,
    /// Write the calls as JSON
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the smallest seccomp profile, in OCI form
    #[arg(long, value_name = "FILE")]
    seccomp: Option<PathBuf>,
    /// Write a Pod with the least privileges, and its seccomp profile beside it
    #[arg(long, value_name = "FILE", requires = "image")]
    pod: Option<PathBuf>,
    /// The image that holds the program, for --pod
    #[arg(long, value_name = "IMAGE", requires = "pod")]
    image: Option<String>,
    /// Run again under: profile, capabilities, gvisor, container or microvm; can be given more than once
    #[arg(long, value_name = "WHAT")]
    rehearse: Vec<Trial>,
    /// Rehearse under gvisor and container wherever what is refused leaves open whether it would run
    #[arg(long)]
    settle: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("not a time above 0".into()),
    }
}

/// Everything that is known, as it is printed with `--format json`.
#[derive(Serialize)]
struct Findings {
    /// How the program ended; absent for `--static`.
    #[serde(flatten)]
    run: Option<Run>,
    footprint: Footprint,
    /// How the static result came about, or why nothing was rehearsed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    coverage: Vec<Coverage>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rehearsals: Vec<Rehearsed>,
}

/// What a run showed beside its calls.
#[derive(Serialize)]
struct Run {
    exit_code: u8,
    seconds: f64,
    threads: usize,
    peak_memory: u64,
    deeds: Deeds,
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<Capabilities>,
}

/// Runs the command. Its exit code is the traced program's.
pub(crate) fn trace(args: &TraceArgs, format: Format) -> Result<ExitCode> {
    let destination = args
        .pod
        .as_deref()
        .map(|pod| pod::Destination::of(pod, args.seccomp.as_deref()));
    let destination = destination.transpose()?;
    let mut findings = match &args.program {
        Some(program) => of_code(program)?,
        None => of_run(args, format)?,
    };
    let code = findings.run.as_ref().map_or(0, |run| run.exit_code);
    // What was recorded is kept and shown even where it cannot be rehearsed.
    let unrehearsed = rehearsal::rehearse(args, &mut findings).err();
    let profile = Profile::of(&findings.footprint);
    if let Some(file) = &args.output {
        output::write_json(file, &findings.footprint)?;
    }
    if let Some(file) = &args.seccomp {
        output::write_json(file, &profile)?;
    }
    if let (Some(destination), Some(image), Some(run)) = (&destination, &args.image, &findings.run)
    {
        output::write_json(&destination.profile, &profile)?;
        let text = pod::manifest(destination, image, &args.command, run);
        output::write(&destination.pod, text.as_bytes())?;
    }
    match format {
        Format::Json => json(&findings)?,
        Format::Text => printing::say(&summary::words(&findings, &profile)),
    }
    match unrehearsed {
        Some(problem) => Err(problem),
        None => Ok(ExitCode::from(code)),
    }
}

fn of_code(program: &std::path::Path) -> Result<Findings> {
    let report = scan::scan(program, &scan::Options::default())?;
    Ok(Findings {
        run: None,
        coverage: coverages(&report.footprint),
        footprint: report.footprint,
        notes: report.notes,
        rehearsals: Vec::new(),
    })
}

fn of_run(args: &TraceArgs, format: Format) -> Result<Findings> {
    let mut command = program::command(&args.command)?;
    if format == Format::Json {
        command.stdout(standard_error()?);
    }
    let options = Options {
        longest: args.longest,
        capabilities: args.rehearse.contains(&Trial::Capabilities),
        ..Options::default()
    };
    uc_trace::note_interrupts();
    let trace: Trace = uc_trace::trace(command, &options, &uc_trace::wish)?;
    Ok(Findings {
        run: Some(Run {
            exit_code: exit_code(trace.status),
            seconds: trace.duration.as_secs_f64(),
            threads: trace.threads,
            peak_memory: trace.peak_memory,
            deeds: trace.deeds,
            capabilities: trace.capabilities,
        }),
        coverage: coverages(&trace.footprint),
        footprint: trace.footprint,
        notes: Vec::new(),
        rehearsals: Vec::new(),
    })
}

fn coverages(footprint: &Footprint) -> Vec<Coverage> {
    Interface::ALL
        .map(|interface| coverage(footprint, interface))
        .into()
}

fn standard_error() -> Result<Stdio> {
    let copy = std::io::stderr().as_fd().try_clone_to_owned();
    copy.map(Stdio::from)
        .map_err(|error| Problem::host("cannot hand on standard error").caused_by(error))
}

fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    shell_code(status.code(), status.signal())
}

/// As a shell has it: 128 and the signal for a program that a signal ended.
fn shell_code(code: Option<i32>, signal: Option<i32>) -> u8 {
    let code = code.or(signal.map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The command as it is run each time.
fn again(words: &[OsString]) -> Result<Command> {
    program::command(words)
}
