//! A process that outlives `uc` by a moment, should it be killed: without a listener every call of the traced processes
//! would fail as unknown, even their exit, so they would spin or hang. The guardian ends those that are known, and whoever
//! makes a call after that.
#![expect(
    unsafe_code,
    reason = "clone3, what runs in the clone, and memory that both share"
)]

use std::{
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{Mode, OFlags, open},
    io::{Errno, read},
    mm::{MapFlags, ProtFlags, mmap_anonymous, munmap},
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
};
use uc_linux::sys::{Cloned, clone_process, close_from, exit_now, pidfd_open};
use uc_model::{Problem, Result};

use crate::{listener::Listener, tracee::proc_path};

/// The most threads that Linux numbers (`PID_MAX_LIMIT`).
const THREADS: usize = 1 << 22;

/// One bit for each thread there can be, in memory that both processes share; pages of it are made as they are written.
struct Known {
    bits: *mut AtomicU64,
}

impl Known {
    const WORDS: usize = THREADS / 64;

    fn new() -> Result<Self, Errno> {
        let size = Self::WORDS * size_of::<AtomicU64>();
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let bits = unsafe { mmap_anonymous(std::ptr::null_mut(), size, access, MapFlags::SHARED)? };
        Ok(Self { bits: bits.cast() })
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has this size, is zeroed and aligned to pages, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.bits, Self::WORDS) }
    }

    fn set(&self, thread: u32, known: bool) {
        let bit = 1 << (thread % 64);
        let word = usize::try_from(thread / 64)
            .ok()
            .and_then(|at| self.words().get(at));
        match word {
            Some(word) if known => word.fetch_or(bit, Ordering::Relaxed),
            Some(word) => word.fetch_and(!bit, Ordering::Relaxed),
            None => 0,
        };
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        // SAFETY: nobody else has the mapping's address.
        let _ = unsafe { munmap(self.bits.cast(), Self::WORDS * size_of::<AtomicU64>()) };
    }
}

/// Watches over a run until it is dropped.
pub(crate) struct Guardian {
    process: u32,
    known: Known,
}

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
        let known = Known::new().map_err(failed)?;
        // SAFETY: the clone calls `watch` alone, which makes system calls and nothing else, and never returns.
        match unsafe { clone_process(0, None) }.map_err(failed)? {
            Cloned::Child => watch(listener, &owner, &known),
            Cloned::Parent(process) => Ok(Self { process, known }),
        }
    }

    /// Takes note of a thread of the run.
    pub(crate) fn know(&self, thread: u32) {
        self.known.set(thread, true);
    }

    /// Takes note that a thread is about to end, after which its number may be another's.
    pub(crate) fn forget(&self, thread: u32) {
        self.known.set(thread, false);
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        if let Some(process) = pid(self.process) {
            let _ = kill_process(process, Signal::KILL);
            let _ = waitpid(Some(process), WaitOptions::empty());
        }
    }
}

fn pid(thread: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(thread).ok()?)
}

/// Waits for the owner's end, then kills the threads that are known and whoever makes a call, until nobody is left. Allocates
/// nothing.
fn watch(listener: &Listener, owner: &OwnedFd, known: &Known) -> ! {
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
    for (at, word) in known.words().iter().enumerate() {
        let mut left = word.load(Ordering::Relaxed);
        while left != 0 {
            let thread = at as u32 * 64 + left.trailing_zeros();
            left &= left - 1;
            if is_filtered(thread)
                && let Some(thread) = pid(thread)
            {
                let _ = kill_process(thread, Signal::KILL);
            }
        }
    }
    loop {
        let mut calling = [PollFd::from_borrowed_fd(calls.as_fd(), PollFlags::IN)];
        let found = poll(&mut calling, None);
        let [calling] = calling;
        if found.is_ok() && !calling.revents().contains(PollFlags::IN) {
            exit_now(0);
        }
        if let Some(thread) = crate::listener::caller(calls)
            && let Some(thread) = pid(thread)
        {
            let _ = kill_process(thread, Signal::KILL);
        }
    }
}

/// Whether a thread is under a filter: one whose number is another's by now is not, as a rule.
fn is_filtered(thread: u32) -> bool {
    const LINE: &[u8] = b"\nSeccomp:\t2";
    let (mut path, mut status) = ([0; 32], [0; 4096]);
    let Some(path) = proc_path(thread, "status", &mut path) else {
        return false;
    };
    let Ok(file) = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return false;
    };
    let length = read(&file, &mut status).unwrap_or(0);
    let found = status.get(..length).unwrap_or_default();
    found.windows(LINE.len()).any(|window| window == LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_known_until_they_are_forgotten() {
        let known = Known::new().expect("maps");
        for thread in [1, 64, 4_194_303, u32::MAX] {
            known.set(thread, true);
        }
        let count = || {
            known
                .words()
                .iter()
                .map(|word| word.load(Ordering::Relaxed).count_ones())
                .sum::<u32>()
        };
        assert_eq!(count(), 3);
        known.set(64, false);
        assert_eq!(count(), 2);
        let mut room = [0; 32];
        assert_eq!(
            proc_path(u32::MAX, "status", &mut room),
            Some(c"/proc/4294967295/status")
        );
        assert!(!is_filtered(u32::MAX));
    }
}
