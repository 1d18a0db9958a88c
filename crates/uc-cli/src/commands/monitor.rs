//! `uc run --detach` and the monitor behind it: a process of its own that owns one workload.
//!
//! The command resolves, checks and pulls with the user watching, then starts the monitor and hands it the workload on
//! its standard input. The monitor answers with one line of JSON on its standard output when all containers run, or
//! with what went wrong.

mod memory;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use uc_engine::{RunRequest, Stopper, trust::judged};
use uc_model::{
    Digest, Problem, ProblemKind, Result,
    workload::{PullPolicy, Workload},
};

use super::{
    engine_with_kernel,
    run::{Checked, check_again},
    runtime,
};
use crate::{
    cli::Format,
    printing::{self, json},
};

/// Under this name the program is a monitor. It is no command of the user's.
pub(crate) const NAME: &str = "uc-monitor";
/// Largest workload that is handed over, in bytes: a manifest's limit and what projected files may add.
const MAX_HANDOVER: u64 = 64 << 20;

/// What the monitor is given.
#[derive(Serialize, Deserialize)]
struct Handover {
    workload: Workload,
    source: String,
    /// The digests of what its containers consist of, as they were checked.
    judged: Vec<Option<Digest>>,
    /// The kernel of its microVMs, where one was named.
    kernel: Option<PathBuf>,
}

/// What the monitor answers.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Started {
        id: String,
    },
    Failed {
        exit_code: u8,
        words: String,
        remedy: Option<String>,
    },
}

/// Starts a monitor for each workload and prints their ids.
pub(crate) fn detach(
    checked: Vec<Checked>,
    source: &str,
    kernel: Option<&Path>,
    format: Format,
) -> Result<ExitCode> {
    let mut ids = Vec::new();
    for one in checked {
        let judged = judged(&one.resolved);
        let mut workload = one.resolved.workload;
        // What was pulled a moment ago is not pulled again.
        for container in workload
            .init_containers
            .iter_mut()
            .chain(&mut workload.containers)
        {
            container.pull_policy = PullPolicy::IfNotPresent;
        }
        ids.push(start(&Handover {
            workload,
            source: source.to_owned(),
            judged,
            kernel: kernel.map(Path::to_owned),
        })?);
    }
    match format {
        Format::Json => json(&serde_json::json!({ "ids": ids }))?,
        Format::Text => printing::result(&format!("{}\n", ids.join("\n")))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn start(handover: &Handover) -> Result<String> {
    let failed = |error: std::io::Error| Problem::host("cannot start a monitor").caused_by(error);
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command
        .arg0(NAME)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let text = serde_json::to_vec(handover)
        .map_err(|error| Problem::internal("cannot write a workload").caused_by(error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&text).map_err(failed)?;
    }
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout.take(MAX_HANDOVER))
            .read_line(&mut line)
            .map_err(failed)?;
    }
    match serde_json::from_str(&line) {
        Ok(Answer::Started { id }) => Ok(id),
        Ok(Answer::Failed {
            exit_code,
            words,
            remedy,
        }) => {
            let kind = ProblemKind::from_exit_code(exit_code).unwrap_or(ProblemKind::Internal);
            let problem = Problem::new(kind, words);
            Err(match remedy {
                Some(remedy) => problem.remedy(remedy),
                None => problem,
            })
        }
        Err(_) => Err(Problem::internal(
            "the monitor died before the workload ran",
        )),
    }
}

/// Runs the monitor.
pub(crate) fn monitor() -> ExitCode {
    match own() {
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            let failed = Answer::Failed {
                exit_code: problem.kind().exit_code(),
                words: problem.to_string(),
                remedy: problem.remedy_text().map(str::to_owned),
            };
            answer(&failed);
            ExitCode::from(problem.kind().exit_code())
        }
    }
}

fn own() -> Result<u8> {
    // Signals of the terminal it was started from are not for it. It may lead a session already.
    let _ = rustix::process::setsid();
    let mut text = Vec::new();
    std::io::stdin()
        .lock()
        .take(MAX_HANDOVER)
        .read_to_end(&mut text)
        .map_err(|error| Problem::internal("cannot read the workload").caused_by(error))?;
    let Handover {
        workload,
        source,
        judged,
        kernel,
    } = serde_json::from_slice(&text)
        .map_err(|error| Problem::internal("cannot read the workload").caused_by(error))?;
    drop(text);
    let engine = engine_with_kernel(kernel.as_deref())?;
    let checked = check_again(&engine, workload, &judged)?;
    let stopper = Stopper::default();
    let request = RunRequest {
        resolved: checked.resolved,
        runtimes: checked.runtimes,
        source,
        detached: true,
        named_output: false,
        output_to_stderr: false,
        time_output: false,
        trace: false,
        timings: checked.timings,
        stopper: stopper.clone(),
        on_started: Some(Box::new(|id| {
            answer(&Answer::Started { id: id.to_owned() });
            let_go();
            memory::release_startup_code();
        })),
    };
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let signals = tokio::spawn(super::run::stop_on_signals(stopper, || {}));
        let outcome = engine.run(request).await;
        signals.abort();
        outcome
    });
    // A name lookup or a probe may still wait on a thread; its workload is gone.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(outcome?.exit_code)
}

fn answer(answer: &Answer) {
    if let Ok(text) = serde_json::to_string(answer) {
        // Whoever started us may be gone; the workload is not.
        let _ = printing::result(&format!("{text}\n"));
    }
}

/// Lets go of the terminal and directory the monitor was started from.
fn let_go() {
    let _ = rustix::process::chdir("/");
    if let Ok(null) = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
    {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}
