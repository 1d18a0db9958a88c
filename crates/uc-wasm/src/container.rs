//! One program on its own thread: made, started, stopped, measured.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::{Notify, watch};
use uc_model::{Bytes, Problem, Result};
use uc_sandbox::{Exit, ExitReason, Stats};

use crate::{
    ending,
    gate::Gate,
    job::{Job, Prepared, cannot_make_thread},
    meter::Usage,
    throttle::thread_cpu,
    ticker::Ticker,
};

/// The longest grace that is waited for, so that its end can be told.
const GRACE_MAX: Duration = Duration::from_secs(1 << 31);

/// What a container's thread and its observers share.
#[derive(Default)]
pub(crate) struct Control {
    /// Set once, by the first stop.
    pub(crate) stop: AtomicBool,
    /// Wakes a program that waits in a host function.
    pub(crate) stopping: Notify,
    /// Closed while the program is paused.
    pub(crate) gate: Gate,
    /// When a server is to have ended, once it was asked to.
    pub(crate) deadline: watch::Sender<Option<Instant>>,
    /// What it uses.
    pub(crate) usage: Arc<Usage>,
    /// Its thread, while the program runs; else 0.
    thread_id: AtomicI32,
    /// CPU time of the thread before the program's first instruction, in microseconds.
    cpu_before_us: AtomicU64,
    /// CPU time of the program when it ended, in microseconds.
    cpu_final_us: AtomicU64,
    exit: watch::Sender<Option<Exit>>,
}

/// A container of a sandbox.
pub(crate) struct Container {
    control: Arc<Control>,
    ticker: Ticker,
    memory_limit: Option<Bytes>,
    name: String,
    /// The port at which it answers, and where connections to it come.
    pub(crate) served: Option<(u16, SocketAddr)>,
    /// Taken by the start, or by a stop before it.
    prepared: Mutex<Option<Prepared>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    directory: PathBuf,
}

impl Container {
    /// Makes a container that is ready to start; also says what the user should know.
    pub(crate) async fn new(job: Job) -> Result<(Self, Vec<String>)> {
        let control = Arc::new(Control::default());
        let memory_limit = job.limits.memory;
        let directory = job.scratch.directory.clone();
        let (name, ticker) = (job.container.clone(), job.ticker.clone());
        let program = job.load().await?;
        let (prepared, warnings) = Prepared::new(job, program, &control).inspect_err(|_| {
            // What was made before the failure goes; the failure itself is what the user needs to hear.
            let _ = std::fs::remove_dir_all(&directory);
        })?;
        let container = Self {
            control,
            ticker,
            memory_limit,
            name,
            served: prepared.served(),
            prepared: Mutex::new(Some(prepared)),
            thread: Mutex::new(None),
            directory,
        };
        Ok((container, warnings))
    }

    /// Lets the program run, on a new thread.
    pub(crate) fn start(&self) -> Result<()> {
        self.prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map_or(Ok(()), Prepared::check)?;
        let Some(prepared) = self.take_prepared() else {
            return Err(
                Problem::invalid("the container has been started or stopped before")
                    .remedy("create another container"),
            );
        };
        // Without a thread the end is announced as well.
        let ending = Ending(Arc::clone(&self.control));
        let thread = std::thread::Builder::new()
            .name(format!("wasm-{}", self.name))
            .spawn(move || live(prepared, &ending))
            .map_err(cannot_make_thread)?;
        *self.thread() = Some(thread);
        Ok(())
    }

    /// Waits for the end.
    pub(crate) async fn wait(&self) -> Result<Exit> {
        let mut exit = self.control.exit.subscribe();
        let ended = exit.wait_for(Option::is_some).await;
        // `Control` holds the sender, so only a defect ends the wait otherwise.
        ended
            .ok()
            .and_then(|exit| exit.clone())
            .ok_or_else(|| Problem::internal("a WebAssembly program was lost"))
    }

    /// Holds the program: it stands still when this returns.
    pub(crate) async fn pause(&self) -> Result<()> {
        self.require_running()?;
        self.control.gate.close(&self.ticker).await?;
        // It may have ended while it was waited for, or been asked to: a server that is held would never hear of that.
        self.require_running().inspect_err(|_| {
            let _ = self.control.gate.open();
        })
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) -> Result<()> {
        self.require_running()?;
        self.control.gate.open()
    }

    fn require_running(&self) -> Result<()> {
        let started = self.thread().is_some();
        let asked =
            self.control.stop.load(Ordering::SeqCst) || self.control.deadline.borrow().is_some();
        match started && !asked && !self.has_ended() {
            true => Ok(()),
            false => Err(Problem::invalid("the container is not running")),
        }
    }

    fn thread(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the program, and waits until it has: a command at once, wherever it is, since it cannot be told. A server has
    /// `grace` for the answers in progress.
    pub(crate) async fn stop(&self, grace: Duration) -> Result<Exit> {
        if self.served.is_some() && !grace.is_zero() && self.is_running() {
            let latest = Instant::now() + grace.min(GRACE_MAX);
            self.control.deadline.send_modify(|deadline| {
                *deadline = Some(deadline.map_or(latest, |earlier| earlier.min(latest)));
            });
            // It goes on for its last answers. Whoever pauses it looks at the deadline behind that: one of the two opens.
            let _ = self.control.gate.open();
            return self.wait().await;
        }
        let _ticking = self.request_stop();
        self.wait().await
    }

    fn is_running(&self) -> bool {
        !self.has_ended()
            && self
                .prepared
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_none()
    }

    /// Asks the program to end, without waiting. Epochs advance until the answer is dropped: a program that has just
    /// looked up must look up again.
    pub(crate) fn request_stop(&self) -> crate::ticker::Hold {
        self.control.stop.store(true, Ordering::SeqCst);
        if let Some(prepared) = self.take_prepared() {
            // Streams close before the end is announced.
            drop(prepared);
            self.control.announce(ending::stopped());
        }
        self.control.stopping.notify_one();
        // A thread that is held as a whole hears of it then.
        let _ = self.control.gate.open();
        self.ticker.hold()
    }

    /// Removes what it left on the host. It must have ended.
    pub(crate) fn remove(&self) -> Result<()> {
        let thread = self.thread().take();
        if let Some(thread) = thread {
            // A panic was reported as the program's end.
            let _ = thread.join();
        }
        match std::fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Problem::storage("cannot remove a directory of the sandbox")
                    .at(self.directory.display())
                    .found(error.to_string())
                    .remedy("remove it by hand")
                    .caused_by(error))
            }
            _ => Ok(()),
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.control.exit.borrow().is_some()
    }

    /// What it uses now, or used until its end.
    pub(crate) fn stats(&self) -> Stats {
        let control = &self.control;
        let memory_bytes = control.usage.memory_bytes.load(Ordering::Relaxed);
        let out_of_memory = matches!(
            *control.exit.borrow(),
            Some(Exit {
                reason: ExitReason::OutOfMemory,
                ..
            })
        );
        let thread_id = control.thread_id.load(Ordering::Acquire);
        let running = thread_id != 0;
        Stats {
            memory_anon_bytes: Some(memory_bytes),
            memory_bytes: Some(memory_bytes),
            memory_peak_bytes: Some(control.usage.memory_peak_bytes.load(Ordering::Relaxed)),
            memory_limit_bytes: self.memory_limit.map(|limit| limit.0),
            cpu_us: if running {
                let before_us = control.cpu_before_us.load(Ordering::Relaxed);
                cpu_of_thread_us(thread_id).map(|cpu_us| cpu_us.saturating_sub(before_us))
            } else {
                Some(control.cpu_final_us.load(Ordering::Relaxed))
            },
            pids: Some(u64::from(running)),
            oom_kills: Some(u64::from(out_of_memory)),
        }
    }

    fn take_prepared(&self) -> Option<Prepared> {
        self.prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Drop for Container {
    /// Whoever drops a sandbox without destroying it does not wait for its programs, but ends them.
    fn drop(&mut self) {
        if self.control.exit.borrow().is_none() {
            let ticking = self.request_stop();
            let exit = self.control.exit.subscribe();
            let _ = std::thread::Builder::new()
                .name("wasm-reaper".into())
                .stack_size(64 << 10)
                .spawn(move || {
                    while exit.borrow().is_none() && exit.has_changed().is_ok() {
                        std::thread::sleep(crate::ticker::TICK);
                    }
                    drop(ticking);
                });
        }
    }
}

/// The whole life of a container's thread, with its end announced even if the thread fails.
fn live(prepared: Prepared, Ending(control): &Ending) {
    let cpu_before = thread_cpu();
    control
        .cpu_before_us
        .store(micros(cpu_before), Ordering::Relaxed);
    control.thread_id.store(
        rustix::thread::gettid().as_raw_nonzero().get(),
        Ordering::Release,
    );
    let exit = prepared.run(control);
    let cpu = thread_cpu().saturating_sub(cpu_before);
    control.cpu_final_us.store(micros(cpu), Ordering::Relaxed);
    control.thread_id.store(0, Ordering::Release);
    control.announce(exit);
}

impl Control {
    fn announce(&self, exit: Exit) {
        self.exit.send_replace(Some(exit));
    }
}

/// Announces an end whatever happens to the thread.
struct Ending(Arc<Control>);

impl Drop for Ending {
    fn drop(&mut self) {
        if self.0.exit.borrow().is_none() {
            self.0.thread_id.store(0, Ordering::Release);
            self.0.announce(ending::broken());
        }
    }
}

/// CPU time of a thread of this process, in microseconds.
fn cpu_of_thread_us(thread_id: i32) -> Option<u64> {
    // The first number is the time on a CPU in nanoseconds.
    let line = std::fs::read_to_string(format!("/proc/self/task/{thread_id}/schedstat")).ok()?;
    let nanos: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(nanos / 1_000)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
