//! Carrying out what the fleet decided.

use std::process::{Command, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use uc_engine::{Home, Phase, Status, owner, record};
use uc_foresight::eviction::{Action, Attempt, Event, Found};
use uc_model::{Problem, Result};

use super::{sources::Sources, subject::Handle};

/// Carries out one action on one subject; answers with what the fleet must be told, if anything.
pub(super) fn carry_out(
    action: &Action,
    handle: Option<&Handle>,
    sources: &Sources,
    home: &Home,
    problems: &mut Vec<Problem>,
) -> Option<Event> {
    match action {
        Action::Stop {
            workload, attempt, ..
        } => {
            let (workload, attempt) = (workload.clone(), *attempt);
            match handle.map_or_else(
                || Err(gone(&workload)),
                |handle| stop(handle, sources, Signal::TERM),
            ) {
                Ok(()) => Some(Event::StopConfirmed { workload, attempt }),
                Err(problem) => {
                    problems.push(problem);
                    Some(Event::StopFailed { workload, attempt })
                }
            }
        }
        Action::Kill { .. } => {
            let handle = handle?;
            if let Err(problem) = stop(handle, sources, Signal::KILL) {
                problems.push(problem);
            }
            None
        }
        Action::Restart { workload, attempt } => Some(restart(workload, *attempt, home, problems)),
        Action::Inspect { workload, attempt } => Some(Event::Inspected {
            workload: workload.clone(),
            attempt: *attempt,
            found: inspect(workload, handle, home),
        }),
        Action::Warn { .. } | Action::WouldEvict { .. } | Action::Report { .. } => None,
    }
}

fn gone(workload: &str) -> Problem {
    Problem::not_found("it is gone").at(workload)
}

/// Asks a subject to end, or ends it.
fn stop(handle: &Handle, sources: &Sources, signal: Signal) -> Result<()> {
    match handle {
        // Its owner sends the signal the image asks for, and minds the Pod's own grace.
        Handle::Workload(status) => owner::stop(status, signal == Signal::KILL),
        Handle::Group(path) => {
            for pid in sources.processes_of(path)? {
                send(pid, signal, None, sources)?;
            }
            Ok(())
        }
        Handle::Process { pid, began } => send(*pid, signal, Some(*began), sources),
        Handle::Remote => {
            Err(Problem::refused("it runs elsewhere").remedy("use the hook to stop it there"))
        }
    }
}

/// Signals a process by a descriptor, so that it is certainly the one that was looked at.
fn send(pid: u32, signal: Signal, began: Option<u64>, sources: &Sources) -> Result<()> {
    let failed = |error: rustix::io::Errno| {
        Problem::host("cannot signal a process")
            .at(pid)
            .caused_by(std::io::Error::from(error))
    };
    let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Err(gone(&pid.to_string()));
    };
    let descriptor = pidfd_open(number, PidfdFlags::empty()).map_err(failed)?;
    if began.is_some() && sources.began(pid)? != began {
        return Err(gone(&pid.to_string()));
    }
    pidfd_send_signal(&descriptor, signal).map_err(failed)
}

/// The record of the workload that a subject is a container of.
fn status_of(home: &Home, subject: &str) -> Option<Status> {
    let name = subject.rsplit_once('/').map_or(subject, |(name, _)| name);
    let mut statuses = record::list(home).ok()?;
    statuses.retain(|status| status.record.name == name);
    // A name can have been used before.
    statuses
        .into_iter()
        .max_by_key(|status| status.record.created_ms)
}

/// What became of a stop or restart that a crash interrupted.
fn inspect(workload: &str, handle: Option<&Handle>, home: &Home) -> Found {
    match (handle, status_of(home, workload)) {
        (Some(Handle::Workload(_)) | None, Some(status)) if status.alive => {
            if status.record.phase == Phase::Stopping {
                Found::Signalled
            } else {
                Found::Running
            }
        }
        (None | Some(Handle::Workload(_)), _) => Found::Gone,
        // A signal leaves no trace on others' processes.
        (Some(_), _) => Found::Running,
    }
}

/// Starts a detached workload anew from what it was made of.
fn restart(workload: &str, attempt: Attempt, home: &Home, problems: &mut Vec<Problem>) -> Event {
    match start_again(workload, home) {
        Ok(()) => Event::Restarted {
            workload: workload.to_owned(),
            attempt: Some(attempt),
        },
        Err(problem) => {
            problems.push(problem);
            Event::RestartFailed {
                workload: workload.to_owned(),
                attempt,
            }
        }
    }
}

fn start_again(workload: &str, home: &Home) -> Result<()> {
    let status = status_of(home, workload).ok_or_else(|| gone(workload))?;
    let program = std::env::current_exe()
        .map_err(|error| Problem::internal("cannot find this program").caused_by(error))?;
    let name = &status.record.name;
    let failed = |error| {
        Problem::host("cannot start the workload again")
            .at(name)
            .caused_by(error)
    };
    let ended = Command::new(program)
        .args(["run", "--detach", "--name", name, &status.record.source])
        .current_dir(&status.record.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(failed)?;
    if ended.success() {
        return Ok(());
    }
    Err(Problem::unavailable("the workload does not start again")
        .at(name)
        .found(ended)
        .remedy(format!(
            "in {} try: uc run --detach --name {name} {}",
            status.record.directory.display(),
            status.record.source
        )))
}

/// Whether an evicted workload is to be started again: those that run without a terminal are services.
pub(super) fn is_restartable(home: &Home, workload: &str) -> bool {
    status_of(home, workload).is_some_and(|status| status.record.detached)
}
