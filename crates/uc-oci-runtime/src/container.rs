//! A container from the driver's side: a supervisor of its own, or a place in the kernel of one that serves several.

use std::{
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::watch;
use uc_linux::pausing::Pausing;
use uc_model::{Problem, Result};
use uc_sandbox::{Exit, ExitReason, Limits, Process, Stats, TcpConnectRequest};

use crate::{
    inside,
    order::{FIRST, Request},
    supervised::{Progress, Supervised, died},
};

/// How long a kernel may take to end one of its programs before it is ended as a whole.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// A created container.
pub(crate) struct Container {
    supervised: Arc<Supervised>,
    number: u32,
    progress: watch::Receiver<Progress>,
    process: Process,
    limits: Limits,
    started: AtomicBool,
    stopping: AtomicBool,
    pausing: Pausing,
    /// Whether only the runtime can hold the program.
    has_own_kernel: bool,
}

impl Drop for Container {
    /// A freezer of version 1 holds even what has been killed, and the end is waited for.
    fn drop(&mut self) {
        if self.is_sole() {
            self.supervised.kill();
            let _ = self.supervised.cgroup.thaw();
        }
    }
}

impl Container {
    pub(crate) fn new(
        supervised: Arc<Supervised>,
        number: u32,
        process: Process,
        limits: Limits,
        has_own_kernel: bool,
    ) -> Self {
        Self {
            progress: supervised.follow(number),
            supervised,
            number,
            process,
            limits,
            started: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            pausing: Pausing::default(),
            has_own_kernel,
        }
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn supervised(&self) -> &Arc<Supervised> {
        &self.supervised
    }

    /// Whether its end is its supervisor's.
    fn is_sole(&self) -> bool {
        self.number == FIRST
    }

    pub(crate) fn has_ended(&self) -> bool {
        match self.is_sole() {
            true => self.supervised.ending().known().is_some(),
            false => self.progress.borrow().is_end(),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.started.load(Ordering::Acquire) && !self.has_ended()
    }

    pub(crate) async fn start(&self) -> Result<()> {
        if self.started.swap(true, Ordering::AcqRel) {
            return Err(Problem::invalid("the container has been started already"));
        }
        if self.stopping.load(Ordering::Acquire) {
            return Err(Problem::invalid("the container has been stopped"));
        }
        self.supervised.send(self.number, Request::Start, &[])?;
        let is_under_way =
            |progress: &Progress| !matches!(progress, Progress::Preparing | Progress::Created(_));
        match self.supervised.until(self.number, is_under_way).await? {
            Progress::Failed(telling) => Err(telling.into_problem()),
            Progress::Gone if !self.stopping.load(Ordering::Acquire) => Err(died()),
            _ => Ok(()),
        }
    }

    /// Waits for the end of the program, and of all that served it alone.
    pub(crate) async fn wait(&self) -> Result<Exit> {
        let of_supervisor = match self.is_sole() {
            true => self.supervised.ending().wait().await?,
            // It is asked only where the supervisor is gone, and then everything in its kernel was killed.
            false => Exit {
                code: 137,
                reason: ExitReason::Signalled {
                    signal: libc::SIGKILL,
                },
            },
        };
        let mut progress = self.progress.clone();
        let last = progress
            .wait_for(Progress::is_end)
            .await
            .map(|last| last.clone());
        let exit = match last {
            Ok(Progress::Exited {
                code,
                signal: Some(signal),
            }) => Exit {
                code,
                reason: ExitReason::Signalled { signal },
            },
            Ok(Progress::Exited { code, signal: None }) => Exit::with_code(code),
            _ => of_supervisor,
        };
        Ok(self.explain(exit))
    }

    /// Puts the reason to a bare exit: a kill may have been ours, or the kernel's for want of memory.
    fn explain(&self, exit: Exit) -> Exit {
        let stopping = self.stopping.load(Ordering::Acquire);
        let killed = matches!(
            exit.reason,
            ExitReason::Signalled {
                signal: libc::SIGKILL
            }
        );
        let oom_kills = || self.supervised.cgroup.stats().oom_kills.unwrap_or(0);
        let reason = if killed && oom_kills() > 0 {
            ExitReason::OutOfMemory
        } else if stopping {
            ExitReason::Stopped
        } else {
            return exit;
        };
        Exit { reason, ..exit }
    }

    pub(crate) async fn stop(&self, signal: i32, grace: Duration) -> Result<Exit> {
        if !self.has_ended() {
            self.stopping.store(true, Ordering::Release);
            if self.started.load(Ordering::Acquire) && !grace.is_zero() {
                self.end_pause().await;
                let request = Request::Signal { signal };
                let _ = self.supervised.send(self.number, request, &[]);
                let _ = tokio::time::timeout(grace, self.ended()).await;
            }
            if !self.has_ended() {
                self.kill().await;
            }
        }
        self.wait().await
    }

    async fn ended(&self) {
        match self.is_sole() {
            true => drop(self.supervised.ending().wait().await),
            false => drop(self.progress.clone().wait_for(Progress::is_end).await),
        }
    }

    /// Holds the program. `directory` is the sandbox's.
    pub(crate) async fn pause(&self, directory: &Path) -> Result<()> {
        self.require_running()?;
        let hold = async {
            match self.has_own_kernel {
                true => self.supervised.hold(true).await,
                false => self.supervised.cgroup.freeze(directory).await,
            }
        };
        self.pausing.pause(hold).await
    }

    /// Lets it go on.
    pub(crate) async fn resume(&self) -> Result<()> {
        self.pausing.resume(self.let_go()).await
    }

    /// Lets it go for good: a freezer of version 1 holds even what has been killed.
    pub(crate) async fn end_pause(&self) {
        self.pausing.end(self.let_go()).await;
    }

    async fn let_go(&self) -> Result<()> {
        match self.has_own_kernel {
            true => self.supervised.hold(false).await,
            false => self.supervised.cgroup.thaw(),
        }
    }

    fn require_running(&self) -> Result<()> {
        match self.is_running() {
            true => Ok(()),
            false => Err(Problem::invalid("the container is not running")),
        }
    }

    /// Ends the container and everything that serves it alone.
    async fn kill(&self) {
        if self.is_sole() {
            self.supervised.kill();
            return self.end_pause().await;
        }
        // A kernel that is held ends nothing.
        self.end_pause().await;
        let _ = self.supervised.send(self.number, Request::End, &[]);
        let patience = tokio::time::timeout(KILL_PATIENCE, self.ended());
        if patience.await.is_err() {
            // A kernel that does not do this does nothing for the others either.
            self.supervised.kill();
        }
    }

    /// What it uses: in a kernel that it shares, what all use together, since the host knows of no more. The threads of the
    /// kernel are no container's.
    pub(crate) fn stats(&self) -> Stats {
        let stats = self.supervised.cgroup.stats();
        match self.is_sole() {
            true => stats,
            false => Stats {
                pids: None,
                ..stats
            },
        }
    }

    /// Lets the supervisor forget it, once it has ended.
    pub(crate) async fn remove(&self) -> Result<()> {
        match self.is_sole() {
            true => Ok(()),
            false => self.supervised.remove(self.number).await,
        }
    }

    pub(crate) async fn exec(
        &self,
        process: &Value,
        streams: [OwnedFd; 3],
        timeout: Duration,
    ) -> Result<Exit> {
        self.require_running()?;
        self.pausing.require_running().await?;
        let request = |number| Request::Exec {
            number,
            process: process.clone(),
        };
        let ended = self
            .supervised
            .errand(self.number, request, streams.into(), timeout)
            .await?;
        match ended {
            Some(code) => Ok(Exit::with_code(code?)),
            None => Ok(Exit {
                code: 137,
                reason: ExitReason::Deadline,
            }),
        }
    }
}

/// Tries a port of the network that a supervisor's kernel has.
pub(crate) async fn tcp_connect(supervised: &Supervised, request: TcpConnectRequest) -> Result<()> {
    let port = request.port;
    let connect = |number| Request::Connect { number, port };
    let until = Instant::now() + request.timeout;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let ended = supervised.errand(FIRST, connect, Vec::new(), left).await?;
        match ended {
            Some(Ok(inside::INTERRUPTED)) => {}
            Some(code) => return code.map(drop),
            None => {
                return Err(
                    Problem::unavailable(format!("cannot connect to port {port}"))
                        .found(std::io::Error::from_raw_os_error(libc::ETIMEDOUT)),
                );
            }
        }
    }
}
