//! Each attempt runs in a process of its own: what it changes, and what kills it, stays there.

#![expect(unsafe_code, reason = "fork, alarm, waitpid and _exit")]

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use crate::{attempt::Outcome, errno::Errno};

/// An attempt that takes longer is ended by SIGALRM.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The most that is read of an attempt's answer.
const ANSWER_BYTES_LIMIT: u64 = 64 << 10;

/// Runs `attempt` in a child process.
pub(crate) fn run(attempt: fn() -> Outcome) -> Outcome {
    let (mut reader, writer) = match std::io::pipe() {
        Ok(ends) => ends,
        Err(error) => return Outcome::Skipped(format!("cannot make a pipe: {error}")),
    };
    // SAFETY: this program has one thread, so the child may go on using everything.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Outcome::Skipped(format!("cannot fork: {}", Errno::last()));
    }
    if pid == 0 {
        drop(reader);
        in_child(attempt, writer);
    }
    drop(writer);
    let mut answer = Vec::new();
    let received = reader
        .by_ref()
        .take(ANSWER_BYTES_LIMIT)
        .read_to_end(&mut answer);
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    if libc::WIFSIGNALED(status) {
        return Outcome::Killed(libc::WTERMSIG(status));
    }
    let outcome = received
        .ok()
        .and_then(|_| serde_json::from_slice(&answer).ok());
    // An attempt that ends without an answer has gone somewhere this program did not foresee.
    outcome.unwrap_or_else(|| Outcome::Succeeded("the attempt ended without an answer".into()))
}

fn in_child(attempt: fn() -> Outcome, mut writer: std::io::PipeWriter) -> ! {
    // SAFETY: it takes no pointer.
    unsafe { libc::alarm(TIME_LIMIT.as_secs() as u32) };
    let outcome = attempt();
    let answer = serde_json::to_vec(&outcome).unwrap_or_default();
    // A parent that does not get the answer reports that.
    let _ = writer.write_all(&answer);
    // SAFETY: it ends this process without running what the parent registered.
    unsafe { libc::_exit(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The tests of this module fork from a program with several threads, as `cargo test` is one: the children allocate
    // little and end at once, which glibc allows after fork.

    #[test]
    fn the_answer_comes_back() {
        let outcome = run(|| Outcome::Contained("nothing there".into()));
        assert_eq!(outcome, Outcome::Contained("nothing there".into()));
    }

    #[test]
    fn a_deadly_signal_is_seen() {
        let outcome = run(|| {
            // SAFETY: it takes no pointer and ends this child alone.
            unsafe { libc::raise(libc::SIGKILL) };
            Outcome::Skipped("still alive".into())
        });
        assert_eq!(outcome, Outcome::Killed(libc::SIGKILL));
    }
}
