//! A supervisor from the driver's side: what it is asked, and what it reports of each container.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rustix::net::RecvFlags;
use tokio::{
    io::unix::AsyncFd,
    sync::{Mutex as AsyncMutex, oneshot, watch},
    task::JoinHandle,
};
use uc_linux::{cgroup::Cgroup, exit::Ending, sys};
use uc_model::{Problem, Result, Telling};

use crate::{
    control,
    order::{FIRST, FromContainer, Report, Request, ToContainer},
    spawn::{self, Names, Spawned},
};

/// How long creating, starting or removing may take before the driver gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// How far a container has come.
#[derive(Debug, Clone)]
pub(crate) enum Progress {
    Preparing,
    /// With the parts of the container, where it has been staged.
    Created(Option<Arc<OwnedFd>>),
    Started,
    Failed(Telling),
    Exited {
        code: u8,
        signal: Option<i32>,
    },
    /// The supervisor is gone.
    Gone,
}

impl Progress {
    /// Whether its program will never run again.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Failed(_) | Self::Exited { .. } | Self::Gone => true,
            Self::Preparing | Self::Created(_) | Self::Started => false,
        }
    }
}

/// How an errand ended.
type Outcome = std::result::Result<u8, Telling>;

/// What is waited for.
#[derive(Default)]
struct Waiting {
    containers: BTreeMap<u32, watch::Sender<Progress>>,
    errands: BTreeMap<u32, oneshot::Sender<Outcome>>,
    /// The supervisor is gone.
    is_over: bool,
}

/// A supervisor and the task that hears it.
pub(crate) struct Supervised {
    ending: Ending,
    control: Arc<AsyncFd<OwnedFd>>,
    waiting: Arc<Mutex<Waiting>>,
    listener: JoinHandle<()>,
    next_container: AtomicU32,
    next_errand: AtomicU32,
    /// Whether its kernel is held, with all that runs in it.
    is_held: AsyncMutex<bool>,
    /// What it and all that it starts is in; empty where that is another's.
    pub(crate) cgroup: Cgroup,
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Supervised {
    pub(crate) fn new(spawned: Spawned, names: Names, cgroup: Cgroup) -> Result<Self> {
        rustix::io::ioctl_fionbio(&spawned.control, true).map_err(|errno| {
            Problem::internal("cannot listen to a supervisor")
                .caused_by(std::io::Error::from(errno))
        })?;
        let control = sys::watch(spawned.control)
            .map_err(|error| Problem::internal("cannot listen to a supervisor").caused_by(error))?;
        let control = Arc::new(control);
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (first, _) = watch::channel(Progress::Preparing);
        lock(&waiting).containers.insert(FIRST, first);
        let listener = tokio::spawn(listen(Arc::clone(&control), Arc::clone(&waiting), names));
        Ok(Self {
            ending: Ending::new(spawned.pidfd)?,
            control,
            waiting,
            listener,
            next_container: AtomicU32::new(FIRST + 1),
            next_errand: AtomicU32::new(0),
            is_held: AsyncMutex::new(false),
            cgroup,
        })
    }

    pub(crate) fn ending(&self) -> &Ending {
        &self.ending
    }

    /// Ends it, and with it everything it started.
    pub(crate) fn kill(&self) {
        let _ = sys::pidfd_signal(self.ending.pidfd().as_fd(), libc::SIGKILL);
    }

    /// Whether it has been heard for the last time.
    pub(crate) fn is_gone(&self) -> bool {
        lock(&self.waiting).is_over
    }

    pub(crate) fn send(
        &self,
        container: u32,
        request: Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<()> {
        let message = ToContainer { container, request };
        control::send(self.control.get_ref(), &message, descriptors).map_err(|error| {
            Problem::host("the container's supervisor does not listen").caused_by(error)
        })
    }

    /// Lets the supervisor go on, and waits until it has done what it was started for; what it hands over, if anything.
    pub(crate) async fn create(&self) -> Result<Option<Arc<OwnedFd>>> {
        // A supervisor that is gone has left word why.
        let asked = spawn::release(self.control.get_ref().as_fd())
            .and_then(|()| self.send(FIRST, Request::Create, &[]));
        self.created(FIRST, asked).await
    }

    /// A number for a container that is to join the kernel.
    pub(crate) fn next_container(&self) -> u32 {
        self.next_container.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a staged container into the kernel, under that number.
    pub(crate) async fn join(
        &self,
        number: u32,
        id: String,
        parts: &OwnedFd,
        streams: [OwnedFd; 3],
    ) -> Result<u32> {
        let (sender, _) = watch::channel(Progress::Preparing);
        {
            let mut waiting = lock(&self.waiting);
            if waiting.is_over {
                return Err(died());
            }
            waiting.containers.insert(number, sender);
        }
        let [stdin, stdout, stderr] = &streams;
        let descriptors = [parts, stdin, stdout, stderr].map(AsFd::as_fd);
        let asked = self.send(number, Request::Join { id }, &descriptors);
        drop(streams);
        match self.created(number, asked).await {
            Ok(_) => Ok(number),
            Err(problem) => {
                self.forget(number);
                Err(problem)
            }
        }
    }

    async fn created(&self, number: u32, asked: Result<()>) -> Result<Option<Arc<OwnedFd>>> {
        let reached = self
            .until(number, |progress| !matches!(progress, Progress::Preparing))
            .await?;
        match reached {
            Progress::Failed(telling) => Err(telling.into_problem()),
            Progress::Gone => {
                asked?;
                Err(died())
            }
            Progress::Created(parts) => Ok(parts),
            _ => Ok(None),
        }
    }

    /// What is known of a container from here on.
    pub(crate) fn follow(&self, number: u32) -> watch::Receiver<Progress> {
        let waiting = lock(&self.waiting);
        match waiting.containers.get(&number) {
            Some(sender) => sender.subscribe(),
            // It has been forgotten, and what is not there is gone.
            None => watch::channel(Progress::Gone).1,
        }
    }

    /// Waits until a container has come so far.
    pub(crate) async fn until(
        &self,
        number: u32,
        reached: impl FnMut(&Progress) -> bool,
    ) -> Result<Progress> {
        let mut progress = self.follow(number);
        let waited = tokio::time::timeout(PATIENCE, progress.wait_for(reached)).await;
        match waited {
            Ok(Ok(progress)) => Ok(progress.clone()),
            Ok(Err(_)) => Ok(Progress::Gone),
            Err(_) => Err(too_long()),
        }
    }

    /// Removes an ended container from the kernel.
    pub(crate) async fn remove(&self, container: u32) -> Result<()> {
        let request = |errand| Request::Remove { errand };
        let removed = self.errand(container, request, Vec::new(), PATIENCE).await;
        self.forget(container);
        match removed {
            Ok(None) => Err(too_long()),
            // Where the supervisor is gone, so is the container.
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    }

    fn forget(&self, number: u32) {
        lock(&self.waiting).containers.remove(&number);
    }

    /// Holds the kernel, or lets it go on; what is so already stays so.
    pub(crate) async fn hold(&self, hold: bool) -> Result<()> {
        let mut is_held = self.is_held.lock().await;
        if *is_held == hold {
            return Ok(());
        }
        let request = |errand| Request::Pause { errand, hold };
        let done = match self.errand(FIRST, request, Vec::new(), PATIENCE).await {
            Ok(Some(done)) => done.map(drop),
            Ok(None) => Err(too_long()),
            Err(problem) => Err(problem),
        };
        match done {
            Ok(()) => *is_held = hold,
            Err(_) if hold => self.undo_hold(),
            Err(_) => {}
        }
        done
    }

    /// Lets the kernel go after a hold that failed: it may have been held all the same, or be held yet, and nobody would
    /// know. The supervisor does what it is asked in turn, and nobody waits for what it says of this.
    fn undo_hold(&self) {
        let errand = self.next_errand.fetch_add(1, Ordering::Relaxed);
        let hold = false;
        let _ = self.send(FIRST, Request::Pause { errand, hold }, &[]);
    }

    /// Has something done beside a container's program; `None` where that takes longer than it may.
    pub(crate) async fn errand(
        &self,
        container: u32,
        request: impl FnOnce(u32) -> Request,
        descriptors: Vec<OwnedFd>,
        timeout: Duration,
    ) -> Result<Option<Result<u8>>> {
        let number = self.next_errand.fetch_add(1, Ordering::Relaxed);
        let (sender, ended) = oneshot::channel();
        {
            let mut waiting = lock(&self.waiting);
            if waiting.is_over {
                return Err(Problem::invalid("the container has ended"));
            }
            waiting.errands.insert(number, sender);
        }
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let sent = self.send(container, request(number), &borrowed);
        // A reader sees the end of what is written with the program that writes it.
        drop(descriptors);
        if let Err(problem) = sent {
            lock(&self.waiting).errands.remove(&number);
            return Err(problem);
        }
        match tokio::time::timeout(timeout, ended).await {
            Ok(Ok(outcome)) => Ok(Some(outcome.map_err(Telling::into_problem))),
            Ok(Err(_)) => Err(Problem::invalid("the container has ended")),
            Err(_) => {
                let _ = self.send(container, Request::EndErrand { number }, &[]);
                Ok(None)
            }
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn too_long() -> Problem {
    Problem::host("the runtime takes too long").limit(format!("{} s", PATIENCE.as_secs()))
}

pub(crate) fn died() -> Problem {
    Problem::host("the container's supervisor died while the container was being set up")
        .remedy("was it killed for want of memory? raise limits.memory")
}

/// Hears reports until the supervisor is gone.
async fn listen(control: Arc<AsyncFd<OwnedFd>>, waiting: Arc<Mutex<Waiting>>, names: Names) {
    loop {
        let received = control
            .async_io(tokio::io::Interest::READABLE, |socket| {
                control::receive_packet(socket, RecvFlags::DONTWAIT)
            })
            .await;
        let Ok((packet, descriptors)) = received else {
            break;
        };
        if packet.is_empty() {
            break;
        }
        if let Some(problem) = spawn::failure(&packet, &names) {
            lock(&waiting).change(FIRST, Progress::Failed(Telling::of(&problem)));
            continue;
        }
        match serde_json::from_slice(&packet) {
            Ok(message) => lock(&waiting).hear(message, descriptors),
            Err(_) => break,
        }
    }
    lock(&waiting).end();
}

impl Waiting {
    fn change(&self, container: u32, to: Progress) {
        if let Some(progress) = self.containers.get(&container) {
            progress.send_replace(to);
        }
    }

    fn hear(&mut self, message: FromContainer, descriptors: Vec<OwnedFd>) {
        let FromContainer { container, report } = message;
        match report {
            Report::Created => {
                let parts = descriptors.into_iter().next().map(Arc::new);
                self.change(container, Progress::Created(parts));
            }
            Report::Started => {
                let Some(progress) = self.containers.get(&container) else {
                    return;
                };
                // A short program's end may have been reported before.
                progress.send_if_modified(|now| {
                    let early = matches!(now, Progress::Created(_));
                    if early {
                        *now = Progress::Started;
                    }
                    early
                });
            }
            Report::Failed(telling) => self.change(container, Progress::Failed(telling)),
            Report::Exited { code, signal } => {
                self.change(container, Progress::Exited { code, signal });
            }
            Report::ErrandEnded { number, result } => {
                if let Some(waiting) = self.errands.remove(&number) {
                    let _ = waiting.send(result);
                }
            }
        }
    }

    fn end(&mut self) {
        self.is_over = true;
        self.errands.clear();
        for progress in self.containers.values() {
            progress.send_if_modified(|now| {
                let unfinished = !now.is_end();
                if unfinished {
                    *now = Progress::Gone;
                }
                unfinished
            });
        }
    }
}

#[cfg(test)]
#[path = "supervised/tests.rs"]
mod tests;
