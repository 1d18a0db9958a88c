//! How a child process ended.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{WaitId, WaitIdOptions},
};
use tokio::{io::unix::AsyncFd, sync::OnceCell};
use uc_model::{Problem, Result};
use uc_sandbox::{Exit, ExitReason};

/// How long the death of a killed process is waited for.
const DEATH_PATIENCE: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// A child process that can be awaited any number of times.
pub struct Ending {
    pidfd: AsyncFd<OwnedFd>,
    exit: OnceCell<Exit>,
}

impl Ending {
    /// Watches the child behind a pidfd.
    ///
    /// # Errors
    /// Internal, where the runtime cannot wait for it.
    pub fn new(pidfd: OwnedFd) -> Result<Self> {
        let pidfd = crate::sys::watch(pidfd)
            .map_err(|error| Problem::internal("cannot wait for a process").caused_by(error))?;
        Ok(Self {
            pidfd,
            exit: OnceCell::new(),
        })
    }

    /// The descriptor of the process.
    pub fn pidfd(&self) -> &OwnedFd {
        self.pidfd.get_ref()
    }

    /// The exit, once the process has ended.
    pub fn known(&self) -> Option<&Exit> {
        self.exit.get()
    }

    /// Waits for the end; the first to see it reaps the process.
    pub async fn wait(&self) -> Result<Exit> {
        self.exit
            .get_or_try_init(|| async {
                // A pidfd becomes readable when its process has ended; it stays so.
                let _readable = self.pidfd.readable().await.map_err(|error| {
                    Problem::internal("cannot wait for a process").caused_by(error)
                })?;
                reap(self.pidfd.get_ref())
            })
            .await
            .cloned()
    }
}

impl Drop for Ending {
    /// Nothing that was started outlives its owner.
    fn drop(&mut self) {
        if self.exit.get().is_none() {
            let _ = crate::sys::pidfd_signal(self.pidfd.get_ref().as_fd(), libc::SIGKILL);
            reap_soon(self.pidfd.get_ref());
        }
    }
}

/// Reaps a process that has been killed. One that a freezer of version 1 holds ends when it is let go, and nobody waits
/// for that here.
fn reap_soon(pidfd: &OwnedFd) {
    let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| poll(&mut polled, Some(&DEATH_PATIENCE)));
    match ready {
        Ok(0) => {
            if let Ok(pidfd) = pidfd.try_clone() {
                let _ = std::thread::Builder::new()
                    .name("uc-reaper".into())
                    .stack_size(64 << 10)
                    .spawn(move || reap(&pidfd));
            }
        }
        _ => drop(reap(pidfd)),
    }
}

/// The signal that ended a child process which is about to end, if one does. The child stays to be reaped.
pub fn deadly_signal(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let mut polled = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut polled, Some(&DEATH_PATIENCE))).ok()?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let status =
        rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(pidfd), options));
    status.ok()??.terminating_signal()
}

fn reap(pidfd: &OwnedFd) -> Result<Exit> {
    let status = rustix::io::retry_on_intr(|| {
        rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
    })
    .map_err(|errno| {
        Problem::internal("cannot learn how a process ended").caused_by(std::io::Error::from(errno))
    })?
    .ok_or_else(|| Problem::internal("a process ended without a status"))?;
    if let Some(code) = status.exit_status() {
        return Ok(Exit::with_code((code & 0xff) as u8));
    }
    let signal = status.terminating_signal().unwrap_or(libc::SIGKILL);
    Ok(Exit {
        code: 128 + (signal & 0x7f) as u8,
        reason: ExitReason::Signalled { signal },
    })
}

/// Waits for a process that is about to exit, and returns its exit code.
pub fn wait_for(pid: u32) -> Option<i32> {
    let pid = rustix::process::Pid::from_raw(pid as i32)?;
    let (_, status) = rustix::io::retry_on_intr(|| {
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())
    })
    .ok()
    .flatten()?;
    status.exit_status()
}

/// A descriptor of a child process, to wait for its end and to signal it.
pub fn watchable(pid: u32) -> Result<OwnedFd> {
    crate::sys::pidfd_open(pid).map_err(|errno| {
        Problem::host("cannot watch a process").caused_by(std::io::Error::from(errno))
    })
}
