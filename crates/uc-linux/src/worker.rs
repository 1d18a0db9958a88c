//! Work done in a process of its own that is user 0 of the containers' user namespace: what goes wrong there can harm
//! nothing that is not theirs.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use serde::{Deserialize, Serialize};
use uc_model::{Problem, Result, Telling};

use crate::{
    id_maps::write_id_maps,
    idmap::{IdMapping, MapWriter},
    sys,
};

/// Longest answer of a worker, in bytes. The longest that is meant are the names of 8 MiB of directories which a layer uses
/// and does not describe; each of their bytes is written as a number.
const MAX_ANSWER: u64 = 40 << 20;

/// What a worker says.
#[derive(Serialize, Deserialize)]
enum Answer<T> {
    Done(T),
    Failed(Telling),
}

/// Does `work` in a forked process, in a user namespace with `mapping`, in `directory`, which must be one that the caller may
/// search. It has no network and cannot gain privileges. Files opened before stay open.
///
/// Only the calling thread exists there; `work` must not wait for others.
///
/// # Errors
/// Those of `work`; of the host, where no user namespace can be made.
pub fn run<T>(mapping: &IdMapping, directory: &Path, work: impl FnOnce() -> Result<T>) -> Result<T>
where
    T: Serialize + for<'de> Deserialize<'de>,
{
    let worker = Worker::fork(mapping, directory, || {
        let answer = match work() {
            Ok(value) => Answer::Done(value),
            Err(problem) => Answer::Failed(Telling::of(&problem)),
        };
        serde_json::to_vec(&answer).unwrap_or_default()
    })?;
    match serde_json::from_slice(&worker.finish()?) {
        Ok(Answer::Done(value)) => Ok(value),
        Ok(Answer::Failed(telling)) => Err(telling.into_problem()),
        Err(error) => {
            Err(Problem::internal("a worker in a user namespace sent nonsense").caused_by(error))
        }
    }
}

/// Does `work` where it may read every file that belongs to the containers: in this process for root, else as [`run`] does.
/// There, files are seen to belong to ids of containers; root sees those of the host. Paths must lead through directories
/// that the containers' root may search.
///
/// # Errors
/// As for [`run`].
pub fn run_as_reader<T>(
    mapping: &IdMapping,
    directory: &Path,
    work: impl FnOnce() -> Result<T>,
) -> Result<T>
where
    T: Serialize + for<'de> Deserialize<'de>,
{
    match mapping.writer {
        MapWriter::Direct => work(),
        MapWriter::Helper | MapWriter::OwnIdOnly => run(mapping, directory, work),
    }
}

/// A process that works in a user namespace of its own, as user 0 of it.
#[derive(Debug)]
struct Worker {
    pid: rustix::process::Pid,
    answer: File,
}

impl Worker {
    /// Forks a process that enters a new user namespace with `mapping`, changes into `directory` (as the caller), and
    /// runs `work`, whose bytes [`Worker::finish`] returns.
    fn fork(mapping: &IdMapping, directory: &Path, work: impl FnOnce() -> Vec<u8>) -> Result<Self> {
        let host = |what: &str, errno: rustix::io::Errno| {
            Problem::host(what).caused_by(std::io::Error::from(errno))
        };
        let (go_read, go_write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|e| host("cannot make a pipe", e))?;
        let (ready_read, ready_write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|e| host("cannot make a pipe", e))?;
        let (answer_read, answer_write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|e| host("cannot make a pipe", e))?;
        let can_set_groups = mapping.writer != MapWriter::OwnIdOnly;
        // SAFETY: glibc's fork leaves the allocator usable in the child, even if other threads exist; the child uses
        // nothing else that another thread could have locked, and leaves by _exit.
        match unsafe { libc::fork() } {
            -1 => Err(Problem::host("cannot fork").caused_by(std::io::Error::last_os_error())),
            0 => {
                drop((go_write, ready_read, answer_read));
                let entered = enter(directory, &go_read, &ready_write, can_set_groups);
                let bytes = if entered { work() } else { Vec::new() };
                let written = entered && File::from(answer_write).write_all(&bytes).is_ok();
                sys::exit_now(if written { 0 } else { 1 });
            }
            pid => {
                drop((go_read, ready_write, answer_write));
                let pid = rustix::process::Pid::from_raw(pid)
                    .ok_or_else(|| Problem::internal("fork returned no process id"))?;
                let worker = Self {
                    pid,
                    answer: File::from(answer_read),
                };
                worker.release(mapping, ready_read, go_write)?;
                Ok(worker)
            }
        }
    }

    fn release(&self, mapping: &IdMapping, ready: OwnedFd, go: OwnedFd) -> Result<()> {
        let mut byte = [0u8; 1];
        File::from(ready).read_exact(&mut byte).map_err(|error| {
            Problem::host("cannot make a user namespace")
                .remedy("`uc doctor` shows why")
                .caused_by(error)
        })?;
        write_id_maps(mapping, self.pid.as_raw_nonzero().get().unsigned_abs())?;
        File::from(go).write_all(b"g").map_err(|error| {
            Problem::host("the worker in the user namespace died").caused_by(error)
        })
    }

    /// The worker's answer.
    fn finish(self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.answer.take(MAX_ANSWER + 1).read_to_end(&mut bytes);
        // The reading end is closed by now, so that a worker with more to say ends as well.
        let status = rustix::io::retry_on_intr(|| {
            rustix::process::waitpid(Some(self.pid), rustix::process::WaitOptions::empty())
        })
        .map_err(|errno| {
            Problem::internal("cannot wait for a worker").caused_by(std::io::Error::from(errno))
        })?;
        read.map_err(|error| Problem::internal("cannot read a worker's answer").caused_by(error))?;
        if bytes.len() as u64 > MAX_ANSWER {
            return Err(
                Problem::refused("a worker in a user namespace has too much to say")
                    .limit(format!("{} MiB", MAX_ANSWER >> 20)),
            );
        }
        match status {
            Some((_, status)) if status.exit_status() == Some(0) => Ok(bytes),
            other => {
                Err(Problem::host("the worker in the user namespace died")
                    .found(format!("{other:?}")))
            }
        }
    }
}

/// In the child: a new user namespace, its user 0, the directory. False if any of it fails.
fn enter(directory: &Path, go: &OwnedFd, ready: &OwnedFd, can_set_groups: bool) -> bool {
    let dies_with_parent = sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).is_ok();
    // SAFETY: this process has one thread, the one that forked it.
    let unshared =
        unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::CLONE_NEWIPC) }
            == 0;
    let mut byte = [0u8; 1];
    dies_with_parent
        && unshared
        && rustix::process::chdir(directory).is_ok()
        && rustix::io::write(ready, b"r").is_ok()
        && matches!(rustix::io::read(go.as_fd(), &mut byte), Ok(1))
        && (!can_set_groups || sys::set_groups(&[]).is_ok())
        && sys::set_group(0).is_ok()
        && sys::set_user(0).is_ok()
        && sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).is_ok()
        && sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).is_ok()
}

#[cfg(test)]
mod tests {
    use uc_model::ProblemKind;

    use super::*;

    /// What comes of work in a user namespace, or nothing where there is none to be had.
    fn ran<T: Serialize + for<'de> Deserialize<'de>>(
        work: impl FnOnce() -> Result<T>,
    ) -> Option<Result<T>> {
        let mapping = IdMapping::for_caller();
        let directory = tempfile::tempdir().expect("a directory");
        let tried = mapping.and_then(|mapping| {
            run(&mapping, directory.path(), || Ok(()))?;
            Ok(mapping)
        });
        match tried {
            Ok(mapping) => Some(run(&mapping, directory.path(), work)),
            Err(problem) => {
                println!("skipped: {problem}");
                None
            }
        }
    }

    #[test]
    fn a_value_and_a_problem_come_back_as_they_were() {
        let who = || {
            Ok((
                rustix::process::geteuid().as_raw(),
                "a \0 \u{fc}".to_owned(),
            ))
        };
        let Some(answer) = ran(who) else { return };
        assert_eq!(answer.expect("a value"), (0, "a \0 \u{fc}".to_owned()));
        let refuses = || -> Result<u32> {
            Err(Problem::refused("too big")
                .at("layer 1")
                .limit("1")
                .found("2")
                .remedy("less")
                .caused_by("inner"))
        };
        let problem = ran(refuses).expect("as before").expect_err("a problem");
        assert_eq!(problem.kind(), ProblemKind::Refused);
        assert_eq!(problem.to_view().causes, ["inner"]);
        assert_eq!(problem.remedy_text(), Some("less"));
    }

    #[test]
    fn one_that_dies_or_says_too_much_is_a_problem() {
        let Some(died) = ran(|| -> Result<()> { sys::exit_now(3) }) else {
            return;
        };
        assert!(died.expect_err("no answer").to_string().contains("died"));
        // More than the pipe holds beyond what is read.
        let long = ran(|| Ok("x".repeat(MAX_ANSWER as usize + (2 << 20)))).expect("as before");
        let problem = long.expect_err("too long");
        assert_eq!(problem.kind(), ProblemKind::Refused, "{problem}");
    }
}
