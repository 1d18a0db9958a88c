//! A run under refusals, without tracing: does the program behave as it does with them absent?
#![expect(
    unsafe_code,
    reason = "a filter must be installed between fork and exec"
)]

use std::{
    io::Read as _,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, kill_process_group},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uc_linux::seccomp::install;
use uc_model::{Problem, ProblemKind, Result};

use crate::refusals::Refusals;

/// How much of what a program writes to its standard error is kept, in bytes, from the end.
const TAIL: usize = 4096;

/// The conditions of a run.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// Calls that fail.
    pub refusals: Option<Refusals>,
    /// The capabilities that the program can have at most, by number; for root alone. All unless given.
    pub capabilities: Option<Vec<u32>>,
    /// After this time it is killed, with its process group; a minute unless given.
    pub longest: Option<Duration>,
}

/// What a run showed. Two that are equal in everything but time went alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    /// The exit code, none where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it was killed because it took too long.
    pub timed_out: bool,
    /// SHA-256 of its standard output.
    pub output: String,
    /// The size of its standard output in bytes.
    pub output_bytes: u64,
    /// The end of its standard error.
    pub error_tail: String,
}

impl Rehearsal {
    /// Whether it ended as the other did.
    pub fn ends_as(&self, other: &Self) -> bool {
        (self.code, self.signal, self.timed_out) == (other.code, other.signal, other.timed_out)
    }

    /// Whether it wrote the same to its standard output.
    pub fn says_as(&self, other: &Self) -> bool {
        self.output == other.output
    }
}

/// Runs a command with nothing to read, under the conditions given, and keeps what it did.
///
/// # Errors
/// Not executable, where it cannot be started.
pub fn rehearse(mut command: Command, conditions: &Conditions) -> Result<Rehearsal> {
    let programs: Vec<_> = conditions
        .refusals
        .iter()
        .flat_map(|refusals| refusals.programs().to_vec())
        .collect();
    let dropped = conditions.capabilities.as_ref().map(|kept| dropped(kept));
    // A filter of anyone but root takes the privileges of set-user-id programs away; so every run is without them.
    let is_root = rustix::process::geteuid().is_root();
    let prepare = move || {
        if !is_root {
            uc_linux::sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
        }
        for capability in dropped.iter().flatten() {
            // One that this kernel does not know need not be dropped.
            let _ = uc_linux::sys::prctl(libc::PR_CAPBSET_DROP, (*capability).into());
        }
        for program in &programs {
            let installed = install(program).or_else(|_| {
                uc_linux::sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
                install(program)
            });
            installed.map_err(|error| std::io::Error::from_raw_os_error(error.raw_os_error()))?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec it makes system calls with what was made before, and nothing else.
    unsafe { command.pre_exec(prepare) };
    let program = command.get_program().to_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| {
            Problem::new(ProblemKind::NotExecutable, "the program cannot be executed")
                .at(program.display())
                .caused_by(error)
        })?;
    let longest = conditions.longest.unwrap_or(Duration::from_secs(60));
    let mut watched = Watched::of(&mut child);
    let status = watched.follow(&mut child, Instant::now() + longest)?;
    Ok(watched.finish(status))
}

/// The capabilities that are not kept.
fn dropped(kept: &[u32]) -> Vec<u32> {
    (0..64)
        .filter(|capability| !kept.contains(capability))
        .collect()
}

struct Watched {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    digest: Sha256,
    bytes: u64,
    tail: Vec<u8>,
    timed_out: bool,
}

impl Watched {
    fn of(child: &mut Child) -> Self {
        Self {
            stdout: child.stdout.take().map(OwnedFd::from),
            stderr: child.stderr.take().map(OwnedFd::from),
            digest: Sha256::new(),
            bytes: 0,
            tail: Vec::new(),
            timed_out: false,
        }
    }

    /// Reads until the program has ended and both outputs are closed; what it left behind has a moment more, and is then
    /// ended too.
    fn follow(&mut self, child: &mut Child, deadline: Instant) -> Result<ExitStatus> {
        const BEHIND: Duration = Duration::from_secs(1);
        let failed = |error| Problem::internal("cannot wait for a process").caused_by(error);
        let mut ended: Option<(ExitStatus, Instant)> = None;
        loop {
            if ended.is_none() {
                ended = child
                    .try_wait()
                    .map_err(failed)?
                    .map(|status| (status, Instant::now()));
            }
            let is_silent = self.stdout.is_none() && self.stderr.is_none();
            match ended {
                Some((status, since)) if is_silent || since.elapsed() > BEHIND => {
                    kill_group(child);
                    return Ok(status);
                }
                None if Instant::now() > deadline => {
                    self.timed_out = true;
                    kill_group(child);
                    return child.wait().map_err(failed);
                }
                _ if is_silent => std::thread::sleep(Duration::from_millis(1)),
                _ => self.read(),
            }
        }
    }

    /// Reads what there is, or waits a moment for it.
    fn read(&mut self) {
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: 10_000_000,
        };
        let open = [self.stdout.as_ref(), self.stderr.as_ref()];
        let mut polled: Vec<PollFd<'_>> = open
            .into_iter()
            .flatten()
            .map(|end| PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN))
            .collect();
        if poll(&mut polled, Some(&wait)).is_err() {
            return;
        }
        let mut ready = polled.iter().map(|end| !end.revents().is_empty());
        let is_ready = [
            self.stdout.is_some() && ready.next() == Some(true),
            self.stderr.is_some() && ready.next() == Some(true),
        ];
        if is_ready[0] {
            let (digest, bytes) = (&mut self.digest, &mut self.bytes);
            take(&mut self.stdout, |read| {
                digest.update(read);
                *bytes += read.len() as u64;
            });
        }
        if is_ready[1] {
            let tail = &mut self.tail;
            take(&mut self.stderr, |read| {
                tail.extend_from_slice(read);
                let excess = tail.len().saturating_sub(TAIL);
                tail.drain(..excess);
            });
        }
    }

    fn finish(self, status: ExitStatus) -> Rehearsal {
        let digest = self.digest.finalize();
        Rehearsal {
            code: status.code(),
            signal: status.signal(),
            timed_out: self.timed_out,
            output: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            output_bytes: self.bytes,
            error_tail: String::from_utf8_lossy(&self.tail).into_owned(),
        }
    }
}

/// Reads once from a pipe that has something, and closes it at its end.
fn take(end: &mut Option<OwnedFd>, mut with: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 << 10];
    let read = end.take().map(|descriptor| {
        let mut file = std::fs::File::from(descriptor);
        let read = file.read(&mut buffer);
        (file, read)
    });
    if let Some((file, Ok(count @ 1..))) = read {
        with(buffer.get(..count).unwrap_or_default());
        *end = Some(file.into());
    }
}

fn kill_group(child: &Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}
