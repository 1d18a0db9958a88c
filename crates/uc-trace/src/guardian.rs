//! A process that outlives `uc` by a moment, should it be killed: without a listener every call of the traced processes
//! would fail as unknown, even their exit, so they would spin or hang. The guardian ends each of them at its next call.
#![expect(unsafe_code, reason = "clone3, and what runs in the clone")]

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
};
use uc_linux::sys::{Cloned, clone_process, close_from, exit_now, pidfd_open};
use uc_model::{Problem, Result};

use crate::listener::Listener;

/// Watches over a run until it is dropped.
pub(crate) struct Guardian(u32);

impl Guardian {
    /// Starts it.
    ///
    /// # Errors
    /// Host, where no process can be made.
    pub(crate) fn start(listener: &Listener) -> Result<Self> {
        let failed = |error: Errno| {
            Problem::host("cannot start the process that ends a traced program with uc")
                .caused_by(error)
        };
        let owner = pidfd_open(std::process::id()).map_err(failed)?;
        // SAFETY: the clone calls `watch` alone, which makes system calls and nothing else, and never returns.
        match unsafe { clone_process(0, None) }.map_err(failed)? {
            Cloned::Child => watch(listener, &owner),
            Cloned::Parent(process) => Ok(Self(process)),
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        if let Some(process) = i32::try_from(self.0).ok().and_then(Pid::from_raw) {
            let _ = kill_process(process, Signal::KILL);
            let _ = waitpid(Some(process), WaitOptions::empty());
        }
    }
}

/// Waits for the owner's end, then kills whoever makes a call until nobody is left. Allocates nothing.
fn watch(listener: &Listener, owner: &OwnedFd) -> ! {
    // Away from the terminal, whose signals are not meant for it, and from pipes whose end others wait for.
    // SAFETY: setsid takes nothing.
    unsafe { libc::setsid() };
    let (calls, end) = (listener.descriptor().as_raw_fd(), owner.as_raw_fd());
    // SAFETY: the clone's table of descriptors is its own; below 3 are none of those that are kept.
    let kept = unsafe { libc::dup2(calls, 0) == 0 && libc::dup2(end, 1) == 1 };
    if !kept || close_from(2).is_err() {
        exit_now(1);
    }
    // SAFETY: both have just been made and are closed by nobody.
    let (calls, end) = unsafe {
        (
            std::os::fd::BorrowedFd::borrow_raw(0),
            std::os::fd::BorrowedFd::borrow_raw(1),
        )
    };
    let mut owner = [PollFd::from_borrowed_fd(end, PollFlags::IN)];
    while poll(&mut owner, None) == Err(Errno::INTR) {}
    loop {
        let mut calling = [PollFd::from_borrowed_fd(calls.as_fd(), PollFlags::IN)];
        let found = poll(&mut calling, None);
        let [calling] = calling;
        if found.is_ok() && !calling.revents().contains(PollFlags::IN) {
            exit_now(0);
        }
        if let Some(thread) = crate::listener::caller(calls)
            && let Some(thread) = i32::try_from(thread).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process(thread, Signal::KILL);
        }
    }
}
