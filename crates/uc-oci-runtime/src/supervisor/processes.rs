//! Waiting for messages and for the ends of processes at once. Process 1 also gets the ends of those whose parents are gone.

use std::{
    collections::{BTreeMap, VecDeque},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::{WaitOptions, WaitStatus},
};
use uc_model::{Problem, Result};

/// Most ends kept that nobody has asked for yet; the oldest are forgotten.
const MAX_KEPT: usize = 1024;

/// What happens next.
pub(super) enum Event {
    /// The driver has sent a message, or is gone.
    Message,
    /// A process has ended.
    Ended { pid: i32, status: Status },
}

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status(WaitStatus);

impl Status {
    /// The code that a shell would show.
    pub(super) fn code(self) -> u8 {
        match (self.0.exit_status(), self.0.terminating_signal()) {
            (Some(code), _) => (code & 0xff) as u8,
            (None, Some(signal)) => 128 + (signal & 0x7f) as u8,
            (None, None) => 255,
        }
    }

    pub(super) fn signal(self) -> Option<i32> {
        self.0.terminating_signal()
    }
}

/// The processes of a supervisor.
pub(super) struct Processes {
    /// Readable when a child has ended.
    signals: OwnedFd,
    ended: VecDeque<(i32, Status)>,
    /// Ends of commands that [`Self::wait_for`] waits for.
    awaited: BTreeMap<i32, Status>,
}

impl Processes {
    pub(super) fn new() -> Result<Self> {
        // SAFETY: the set is initialised by sigemptyset before it is used; this process has one thread.
        let number = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGCHLD);
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if number < 0 {
            return Err(Problem::host("cannot wait for processes")
                .caused_by(std::io::Error::last_os_error()));
        }
        Ok(Self {
            // SAFETY: a new descriptor that nobody else owns.
            signals: unsafe { OwnedFd::from_raw_fd(number as RawFd) },
            ended: VecDeque::new(),
            awaited: BTreeMap::new(),
        })
    }

    /// Waits for a message or an end.
    pub(super) fn next(&mut self, control: BorrowedFd<'_>) -> Result<Event> {
        loop {
            if let Some((pid, status)) = self.ended.pop_front() {
                return Ok(Event::Ended { pid, status });
            }
            let mut polled = [
                PollFd::from_borrowed_fd(control, PollFlags::IN),
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            ];
            poll(&mut polled, None)?;
            let [message, child] = polled.map(|polled| !polled.revents().is_empty());
            if child {
                self.reap(None);
            } else if message {
                return Ok(Event::Message);
            }
        }
    }

    /// Waits for the end of one process; `None` where it takes too long.
    pub(super) fn wait_for(&mut self, pid: i32, patience: Duration) -> Result<Option<Status>> {
        let deadline = Instant::now() + patience;
        loop {
            self.reap(Some(pid));
            if let Some(status) = self.awaited.remove(&pid) {
                return Ok(Some(status));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let mut polled = [PollFd::from_borrowed_fd(
                self.signals.as_fd(),
                PollFlags::IN,
            )];
            poll(&mut polled, Some(left))?;
        }
    }

    /// Reaps all that have ended.
    fn reap(&mut self, awaited: Option<i32>) {
        let mut buffer = [0u8; size_of::<libc::signalfd_siginfo>()];
        // SAFETY: the buffer has the size given. Only that it is readable counts: one signal may stand for many ends.
        while unsafe {
            libc::read(
                self.signals.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
            )
        } > 0
        {}
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            if awaited == Some(pid) {
                self.awaited.insert(pid, Status(status));
                continue;
            }
            if self.ended.len() >= MAX_KEPT {
                self.ended.pop_front();
            }
            self.ended.push_back((pid, Status(status)));
        }
    }
}

fn poll(polled: &mut [PollFd<'_>], patience: Option<Duration>) -> Result<()> {
    let timeout = patience.map(|left| Timespec {
        tv_sec: left.as_secs() as i64,
        tv_nsec: left.subsec_nanos().into(),
    });
    rustix::io::retry_on_intr(|| rustix::event::poll(polled, timeout.as_ref()))
        .map(drop)
        .map_err(|errno| {
            Problem::internal("cannot wait for events").caused_by(std::io::Error::from(errno))
        })
}
