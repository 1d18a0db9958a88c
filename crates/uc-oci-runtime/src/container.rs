//! A container from the driver's side: its supervisor, and what that reports.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::unix::AsyncFd,
    sync::{oneshot, watch},
    task::JoinHandle,
};
use uc_linux::{cgroup::Cgroup, exit::Ending, pausing::Pausing, sys};
use uc_model::{Problem, Result, Telling};
use uc_sandbox::{Exit, ExitReason, Process};

use crate::{
    control,
    order::{Report, Request},
    spawn::{self, Names, Spawned},
};

/// How long creating or starting may take before the driver gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// How far a container has come.
#[derive(Debug, Clone)]
enum Progress {
    Preparing,
    Created,
    Started,
    Failed(Telling),
    Exited {
        code: u8,
        signal: Option<i32>,
    },
    /// The supervisor is gone.
    Gone,
}

/// What was asked under a number, and who waits for its answer: the code of a program, 0 for all else.
type Asked = Arc<Mutex<BTreeMap<u32, oneshot::Sender<std::result::Result<u8, Telling>>>>>;

/// A supervisor and the task that hears it.
pub(crate) struct Supervised {
    ending: Ending,
    control: Arc<AsyncFd<OwnedFd>>,
    progress: watch::Receiver<Progress>,
    asked: Asked,
    listener: JoinHandle<()>,
    process: Process,
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Supervised {
    pub(crate) fn new(spawned: Spawned, names: Names, process: Process) -> Result<Self> {
        rustix::io::ioctl_fionbio(&spawned.control, true).map_err(|errno| {
            Problem::internal("cannot listen to a supervisor")
                .caused_by(std::io::Error::from(errno))
        })?;
        let control = sys::watch(spawned.control)
            .map_err(|error| Problem::internal("cannot listen to a supervisor").caused_by(error))?;
        let control = Arc::new(control);
        let (sender, progress) = watch::channel(Progress::Preparing);
        let asked = Asked::default();
        let listener = tokio::spawn(listen(
            Arc::clone(&control),
            sender,
            Arc::clone(&asked),
            names,
        ));
        Ok(Self {
            ending: Ending::new(spawned.pidfd)?,
            control,
            progress,
            asked,
            listener,
            process,
        })
    }

    fn send(&self, request: &Request, descriptors: &[std::os::fd::BorrowedFd<'_>]) -> Result<()> {
        control::send(self.control.get_ref(), request, descriptors).map_err(|error| {
            Problem::host("the container's supervisor does not listen").caused_by(error)
        })
    }

    /// Lets the supervisor go on, and waits until it has created the container.
    pub(crate) async fn create(&self) -> Result<()> {
        // A supervisor that is gone has left word why.
        let asked = spawn::release(self.control.get_ref().as_fd())
            .and_then(|()| self.send(&Request::Create, &[]));
        match self
            .until(|progress| !matches!(progress, Progress::Preparing))
            .await?
        {
            Progress::Failed(telling) => Err(telling.into_problem()),
            Progress::Gone => {
                asked?;
                Err(died())
            }
            _ => Ok(()),
        }
    }

    async fn until(&self, reached: impl FnMut(&Progress) -> bool) -> Result<Progress> {
        let mut progress = self.progress.clone();
        let waited = tokio::time::timeout(PATIENCE, progress.wait_for(reached)).await;
        match waited {
            Ok(Ok(progress)) => Ok(progress.clone()),
            Ok(Err(_)) => Ok(Progress::Gone),
            Err(_) => Err(Problem::host("the runtime takes too long")
                .limit(format!("{} s", PATIENCE.as_secs()))),
        }
    }
}

fn died() -> Problem {
    Problem::host("the container's supervisor died while the container was being set up")
        .remedy("was it killed for want of memory? raise limits.memory")
}

/// Hears reports until the supervisor is gone.
async fn listen(
    control: Arc<AsyncFd<OwnedFd>>,
    progress: watch::Sender<Progress>,
    asked: Asked,
    names: Names,
) {
    loop {
        let Ok(packet) = control
            .async_io(tokio::io::Interest::READABLE, |socket| {
                control::receive_packet(socket)
            })
            .await
        else {
            break;
        };
        if packet.is_empty() {
            break;
        }
        if let Some(problem) = spawn::failure(&packet, &names) {
            progress.send_replace(Progress::Failed(Telling::of(&problem)));
            continue;
        }
        match serde_json::from_slice(&packet) {
            Ok(Report::Created) => drop(progress.send_replace(Progress::Created)),
            Ok(Report::Started) => {
                // A short program's end may have been reported before.
                progress.send_if_modified(|now| {
                    let early = matches!(now, Progress::Created);
                    if early {
                        *now = Progress::Started;
                    }
                    early
                });
            }
            Ok(Report::Failed(telling)) => drop(progress.send_replace(Progress::Failed(telling))),
            Ok(Report::Exited { code, signal }) => {
                progress.send_replace(Progress::Exited { code, signal });
            }
            Ok(Report::ExecEnded { number, result }) => answer(&asked, number, result),
            Ok(Report::Done { number, result }) => answer(&asked, number, result.map(|()| 0)),
            Err(_) => break,
        }
    }
    asked.lock().unwrap_or_else(PoisonError::into_inner).clear();
    progress.send_if_modified(|now| {
        let unfinished = !matches!(now, Progress::Exited { .. } | Progress::Failed(_));
        if unfinished {
            *now = Progress::Gone;
        }
        unfinished
    });
}

fn answer(asked: &Asked, number: u32, result: std::result::Result<u8, Telling>) {
    let waiting = asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&number);
    if let Some(waiting) = waiting {
        let _ = waiting.send(result);
    }
}

/// A created container.
pub(crate) struct Container {
    supervised: Supervised,
    pub(crate) cgroup: Cgroup,
    started: AtomicBool,
    stopping: AtomicBool,
    pausing: Pausing,
    /// Whether only the runtime can hold the program.
    has_own_kernel: bool,
    next_number: AtomicU32,
}

impl Drop for Container {
    /// A freezer of version 1 holds even what has been killed, and the end is waited for.
    fn drop(&mut self) {
        self.kill();
        let _ = self.cgroup.thaw();
    }
}

impl Container {
    pub(crate) fn new(supervised: Supervised, cgroup: Cgroup, has_own_kernel: bool) -> Self {
        Self {
            supervised,
            cgroup,
            started: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            pausing: Pausing::default(),
            has_own_kernel,
            next_number: AtomicU32::new(0),
        }
    }

    pub(crate) fn process(&self) -> &Process {
        &self.supervised.process
    }

    pub(crate) fn known(&self) -> Option<&Exit> {
        self.supervised.ending.known()
    }

    pub(crate) async fn start(&self) -> Result<()> {
        if self.started.swap(true, Ordering::AcqRel) {
            return Err(Problem::invalid("the container has been started already"));
        }
        if self.stopping.load(Ordering::Acquire) {
            return Err(Problem::invalid("the container has been stopped"));
        }
        self.supervised.send(&Request::Start, &[])?;
        let reached = self
            .supervised
            .until(|progress| !matches!(progress, Progress::Preparing | Progress::Created))
            .await?;
        match reached {
            Progress::Failed(telling) => Err(telling.into_problem()),
            Progress::Gone if !self.stopping.load(Ordering::Acquire) => Err(died()),
            _ => Ok(()),
        }
    }

    /// Waits for the end of the program, and of all that served it.
    pub(crate) async fn wait(&self) -> Result<Exit> {
        let of_supervisor = self.supervised.ending.wait().await?;
        let mut progress = self.supervised.progress.clone();
        let last = progress
            .wait_for(|progress| {
                matches!(
                    progress,
                    Progress::Exited { .. } | Progress::Gone | Progress::Failed(_)
                )
            })
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
        let reason = if killed && self.cgroup.stats().oom_kills.unwrap_or(0) > 0 {
            ExitReason::OutOfMemory
        } else if stopping {
            ExitReason::Stopped
        } else {
            return exit;
        };
        Exit { reason, ..exit }
    }

    pub(crate) async fn stop(&self, signal: i32, grace: Duration) -> Result<Exit> {
        if self.supervised.ending.known().is_none() {
            self.stopping.store(true, Ordering::Release);
            if self.started.load(Ordering::Acquire) && !grace.is_zero() {
                self.end_pause().await;
                let _ = self.supervised.send(&Request::Signal { signal }, &[]);
                let _ = tokio::time::timeout(grace, self.supervised.ending.wait()).await;
            }
            if self.supervised.ending.known().is_none() {
                self.kill();
                self.end_pause().await;
            }
        }
        self.wait().await
    }

    /// Holds the program. `directory` is the sandbox's.
    pub(crate) async fn pause(&self, directory: &Path) -> Result<()> {
        self.require_running()?;
        let hold = async {
            match self.has_own_kernel {
                true => self.ask_to_pause(true).await,
                false => self.cgroup.freeze(directory).await,
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
            true => self.ask_to_pause(false).await,
            false => self.cgroup.thaw(),
        }
    }

    async fn ask_to_pause(&self, hold: bool) -> Result<()> {
        let (number, done) = self.next();
        self.supervised
            .send(&Request::Pause { number, hold }, &[])?;
        match tokio::time::timeout(PATIENCE, done).await {
            Ok(Ok(Ok(_))) => Ok(()),
            Ok(Ok(Err(telling))) => Err(telling.into_problem()),
            Ok(Err(_)) => Err(Problem::invalid("the container has ended")),
            Err(_) => Err(Problem::host("the runtime takes too long")
                .limit(format!("{} s", PATIENCE.as_secs()))),
        }
    }

    /// A number to ask under, and its answer.
    fn next(&self) -> (u32, oneshot::Receiver<std::result::Result<u8, Telling>>) {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.supervised
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, sender);
        (number, answer)
    }

    fn require_running(&self) -> Result<()> {
        let runs = self.started.load(Ordering::Acquire) && self.known().is_none();
        match runs {
            true => Ok(()),
            false => Err(Problem::invalid("the container is not running")),
        }
    }

    /// Ends the supervisor, and with it everything it started.
    pub(crate) fn kill(&self) {
        self.stopping.store(true, Ordering::Release);
        let _ = sys::pidfd_signal(self.supervised.ending.pidfd().as_fd(), libc::SIGKILL);
    }

    pub(crate) async fn exec(
        &self,
        process: &Value,
        streams: [OwnedFd; 3],
        timeout: Duration,
    ) -> Result<Exit> {
        self.require_running()?;
        self.pausing.require_running().await?;
        let (number, ended) = self.next();
        let request = Request::Exec {
            number,
            process: process.clone(),
        };
        let descriptors: Vec<_> = streams.iter().map(AsFd::as_fd).collect();
        self.supervised.send(&request, &descriptors)?;
        drop(streams);
        match tokio::time::timeout(timeout, ended).await {
            Ok(Ok(Ok(code))) => Ok(Exit::with_code(code)),
            Ok(Ok(Err(telling))) => Err(telling.into_problem()),
            Ok(Err(_)) => Err(Problem::invalid("the container has ended")),
            Err(_) => {
                let _ = self.supervised.send(&Request::EndExec { number }, &[]);
                Ok(Exit {
                    code: 137,
                    reason: ExitReason::Deadline,
                })
            }
        }
    }
}
