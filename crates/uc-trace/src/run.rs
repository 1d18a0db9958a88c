//! A traced run: a command is started under the filter, its calls are recorded until nobody of its tree is left.

use std::{
    os::fd::OwnedFd,
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{io::Errno, process::Signal};
use uc_model::{Problem, ProblemKind, Result};
use uc_select::{Architecture, Footprint};

use crate::{
    capabilities::{Capabilities, Observer},
    deeds::Deeds,
    guardian::Guardian,
    listener::{self, Call, Listener, News},
    recorder::Recorder,
    ticker::Ticker,
    tracee::{Tracee, has_executed},
    tree::Tree,
};

/// How a run is bounded.
#[derive(Debug, Clone)]
pub struct Options {
    /// After this time the program is ended.
    pub longest: Option<Duration>,
    /// How long it has after each request to end before it is asked more firmly.
    pub grace: Duration,
    /// Whether to ask the kernel which capabilities it uses.
    pub capabilities: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            longest: None,
            grace: Duration::from_secs(5),
            capabilities: false,
        }
    }
}

/// Whether a run is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It goes on.
    GoOn,
    /// The program has been interrupted by the terminal and has the grace to end by itself.
    EndSoon,
    /// It is asked to end.
    End,
}

/// What a run showed.
#[derive(Debug)]
pub struct Trace {
    /// The calls.
    pub footprint: Footprint,
    /// Files, ports and programs.
    pub deeds: Deeds,
    /// How the command ended.
    pub status: ExitStatus,
    /// How long the whole tree ran.
    pub duration: Duration,
    /// How many threads made calls.
    pub threads: usize,
    /// The most memory resident in one process or, looked at a few times a second, in all at one time; in bytes.
    pub peak_memory: u64,
    /// The capabilities that the kernel found it to have when it needed one; `None` where that was not asked, or this kernel
    /// or user cannot see it.
    pub capabilities: Option<Capabilities>,
}

/// How often time, memory and wishes are looked at.
const TICK: Duration = Duration::from_millis(50);
const LOOK: Duration = Duration::from_millis(250);
/// Looking at the clock at each call would cost as much as counting it.
const CALLS_BETWEEN: u32 = 64;

/// The processor this runs on, where its calls are known.
///
/// # Errors
/// Host, where they are not.
pub fn architecture() -> Result<Architecture> {
    std::env::consts::ARCH
        .parse()
        .map_err(|problem: Problem| problem.with_kind(ProblemKind::Host))
}

/// Runs a command, whose program must be a path, and records the calls of all its processes from its first instruction on;
/// returns when all have ended. Children of this process that have ended are reaped where they belong to the run.
///
/// # Errors
/// Host, where the kernel does not report calls; command not found and not executable, as a shell has them.
pub fn trace(command: Command, options: &Options, wish: &dyn Fn() -> Wish) -> Result<Trace> {
    let began = Instant::now();
    let architecture = architecture()?;
    let launch = Launch::start(command)?;
    let listener = Listener::new(launch.listen()?)?;
    let guardian = Guardian::start(&listener)?;
    let mut run = Run::new(architecture, options.clone(), guardian);
    run.launcher = Some(launch.launcher());
    let observer = options
        .capabilities
        .then(|| Observer::start(launch.launcher()))
        .flatten();
    launch.go();
    run.collect(&listener, wish)?;
    let launcher = launch.launcher();
    let limits = launch.finish()?;
    let capabilities = observer
        .map(|observer| observer.finish(launcher))
        .transpose()?;
    run.tree.wait();
    let status = run.tree.status().map_or(0, |status| status.as_raw());
    let duration = began.elapsed();
    let mut gaps = run.gaps;
    if limits.without_new_privileges {
        gaps.extend(privileged(&run.recorder.deeds));
    }
    let (mut footprint, deeds) = run.recorder.finish();
    footprint.gaps.extend(gaps);
    Ok(Trace {
        footprint,
        deeds,
        status: ExitStatus::from_raw(status),
        duration,
        threads: run.tree.threads(),
        peak_memory: run.tree.peak_memory(),
        capabilities,
    })
}

/// Records the calls that arrive on a listener, which installing [`crate::notify_filter`] with
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER` gave, until nobody is left who could make one or `stop` says so. Ends nobody: once the
/// listener is closed, calls of those who are left fail with ENOSYS.
///
/// # Errors
/// Host, where this kernel's notifications are not understood.
pub fn collect(descriptor: OwnedFd, stop: &dyn Fn() -> bool) -> Result<(Footprint, Deeds)> {
    let listener = Listener::new(descriptor)?;
    let mut recorder = Recorder::new(architecture()?);
    let _ticker = Ticker::start(TICK)?;
    let mut calls = 0u32;
    loop {
        match listener.wait()? {
            News::End => break,
            News::Call(call) => {
                record(&listener, &mut recorder, &call);
                calls = calls.wrapping_add(1);
                if !calls.is_multiple_of(CALLS_BETWEEN) {
                    continue;
                }
            }
            News::Nothing => {}
        }
        if stop() {
            recorder
                .footprint
                .gaps
                .push("recording ended before the program did".into());
            break;
        }
    }
    Ok(recorder.finish())
}

fn record(listener: &Listener, recorder: &mut Recorder, call: &Call) {
    // While the call waits, its arguments' memory is as it was.
    let examined = recorder.examine(call, &Tracee(call.thread));
    // A call that a signal has interrupted will be made anew, and is counted then.
    if listener.let_go(call) {
        recorder.count(examined);
    }
}

/// How far the launch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The launcher makes calls of its own, and then its child does.
    Launching,
    /// The program's first call waits until the launcher has ended.
    Waiting(Call),
    /// The program runs.
    Running,
}

/// How firmly the tree has been asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Not,
    Interrupted(Instant),
    Terminated(Instant),
    Killed,
}

struct Run {
    guardian: Guardian,
    recorder: Recorder,
    tree: Tree,
    options: Options,
    launcher: Option<u32>,
    stage: Stage,
    /// Whether the launcher's child has asked for its program.
    has_asked: bool,
    asked: Asked,
    began: Instant,
    gaps: Vec<String>,
}

impl Run {
    fn new(architecture: Architecture, options: Options, guardian: Guardian) -> Self {
        Self {
            guardian,
            recorder: Recorder::new(architecture),
            tree: Tree::new(),
            options,
            launcher: None,
            stage: Stage::Launching,
            has_asked: false,
            asked: Asked::Not,
            began: Instant::now(),
            gaps: Vec::new(),
        }
    }

    fn collect(&mut self, listener: &Listener, wish: &dyn Fn() -> Wish) -> Result<()> {
        let _ticker = Ticker::start(TICK)?;
        let (mut ticked, mut looked) = (Instant::now(), Instant::now());
        let mut calls = 0u32;
        loop {
            match listener.wait()? {
                News::End => return Ok(()),
                News::Call(call) => {
                    self.take(listener, &call);
                    calls = calls.wrapping_add(1);
                    if !calls.is_multiple_of(CALLS_BETWEEN) {
                        continue;
                    }
                }
                News::Nothing => {}
            }
            let now = Instant::now();
            if self.stage == Stage::Running && now.duration_since(ticked) >= TICK {
                ticked = now;
                self.ask(now, wish());
                if now.duration_since(looked) >= LOOK {
                    looked = now;
                    self.tree.look();
                }
            }
        }
    }

    fn take(&mut self, listener: &Listener, call: &Call) {
        match self.stage {
            Stage::Running => self.see(listener, call),
            _ => self.launch(listener, call),
        }
    }

    /// Lets the launcher and its child go their way until the child has become the program and the launcher has ended.
    ///
    /// Nothing may be allocated before that: the launcher may hold the allocator's lock, in a fork or otherwise, and releases
    /// it by a call that waits for this thread. So the program's first call waits for the launcher's last.
    fn launch(&mut self, listener: &Listener, call: &Call) {
        if self.launcher == Some(call.thread) {
            let has_gone = listener.let_go(call);
            if has_gone && i64::from(call.number) == libc::SYS_exit {
                self.launcher = None;
                if let Stage::Waiting(first) = self.stage {
                    self.begin(listener, &first);
                }
            }
            return;
        }
        match has_executed(call.thread) {
            _ if self.stage != Stage::Launching => {}
            Some(true) if self.launcher.is_some() => {
                self.stage = Stage::Waiting(*call);
                return;
            }
            Some(true) => return self.begin(listener, call),
            // Where /proc does not tell, what comes after the request for the program is the program's.
            None if self.has_asked => return self.begin(listener, call),
            Some(false) | None => {
                self.tree.start(call.thread);
                self.has_asked |= i64::from(call.number) == libc::SYS_execve;
            }
        }
        listener.let_go(call);
    }

    /// The program's first call. It was executed before, which the launch has let go without recording it.
    fn begin(&mut self, listener: &Listener, first: &Call) {
        self.stage = Stage::Running;
        self.tree.start(first.thread);
        self.recorder.footprint.add("execve", None);
        self.see(listener, first);
    }

    fn see(&mut self, listener: &Listener, call: &Call) {
        self.tree.see(call.thread);
        self.guardian.know(call.thread);
        match i64::from(call.number) {
            libc::SYS_exit_group => {
                self.tree.measure(call.thread);
                self.guardian.forget(call.thread);
            }
            libc::SYS_exit => self.guardian.forget(call.thread),
            _ => {}
        }
        record(listener, &mut self.recorder, call);
    }

    /// Asks the tree to end, ever more firmly, where that is wished or its time is over.
    fn ask(&mut self, now: Instant, wish: Wish) {
        let is_over = self
            .options
            .longest
            .is_some_and(|longest| now.duration_since(self.began) >= longest);
        let grace_over = |since| now.duration_since(since) >= self.options.grace;
        let next = match self.asked {
            Asked::Not if is_over || wish == Wish::End => Asked::Terminated(now),
            Asked::Not if wish == Wish::EndSoon => Asked::Interrupted(now),
            Asked::Interrupted(since) if grace_over(since) || wish == Wish::End => {
                Asked::Terminated(now)
            }
            Asked::Terminated(since) if grace_over(since) => Asked::Killed,
            // Again and again, since a process may have been made meanwhile.
            Asked::Killed => Asked::Killed,
            _ => return,
        };
        match next {
            Asked::Terminated(_) => self.tree.signal(Signal::TERM),
            Asked::Killed => self.tree.signal(Signal::KILL),
            _ => {}
        }
        if self.asked == Asked::Not {
            let seconds = now.duration_since(self.began).as_secs_f64();
            self.gaps.push(format!(
                "the program was asked to end after {seconds:.1} s: what it would have done later was not seen"
            ));
        }
        self.asked = next;
    }
}

/// Programs whose privileges a filter without the host's administrator has taken away.
fn privileged(deeds: &Deeds) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let is_privileged = |path: &&std::path::PathBuf| {
        std::fs::metadata(path)
            .is_ok_and(|found| found.mode() & (libc::S_ISUID | libc::S_ISGID) != 0)
    };
    let found: Vec<String> = deeds
        .executed
        .iter()
        .filter(is_privileged)
        .map(|path| path.display().to_string())
        .collect();
    (!found.is_empty()).then(|| {
        format!(
            "{} ran without the privileges of its owner, which only root can trace",
            found.join(", ")
        )
    })
}

/// The thread that puts itself under the filter and starts the command, so that the filter holds for the command from its
/// first instruction, and for nothing else.
struct Launch {
    shared: Arc<Shared>,
    handle: thread::JoinHandle<Result<Limits>>,
}

/// What the two threads tell each other. Neither waits in a call for the other: those of the launcher wait themselves until
/// they are let go.
#[derive(Default)]
struct Shared {
    listener: OnceLock<Result<OwnedFd, Errno>>,
    launcher: AtomicU32,
    may_start: AtomicBool,
}

/// What the launch took from the program.
struct Limits {
    without_new_privileges: bool,
}

impl Launch {
    fn start(command: Command) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let handle = thread::Builder::new()
            .name("launcher".into())
            .spawn(move || launch(command, &theirs))
            .map_err(|error| Problem::host("cannot make a thread").caused_by(error))?;
        Ok(Self { shared, handle })
    }

    /// The listener, as soon as it is there.
    fn listen(&self) -> Result<OwnedFd> {
        loop {
            match self.shared.listener.get() {
                None => thread::sleep(Duration::from_micros(20)),
                Some(Err(error)) => return Err(listener::refused(*error)),
                Some(Ok(descriptor)) => {
                    return descriptor.try_clone().map_err(|error| {
                        Problem::host("cannot listen to system calls").caused_by(error)
                    });
                }
            }
        }
    }

    fn launcher(&self) -> u32 {
        self.shared.launcher.load(Ordering::Acquire)
    }

    /// Lets the command start: from now on calls arrive.
    fn go(&self) {
        self.shared.may_start.store(true, Ordering::Release);
    }

    /// The launch's result; the thread must have ended.
    fn finish(self) -> Result<Limits> {
        self.handle
            .join()
            .map_err(|_| Problem::internal("the thread that starts the program failed"))?
    }
}

fn launch(mut command: Command, shared: &Shared) -> Result<Limits> {
    let program = command.get_program().to_owned();
    let launcher = rustix::thread::gettid().as_raw_nonzero().get();
    shared
        .launcher
        .store(launcher.cast_unsigned(), Ordering::Release);
    let (descriptor, without_new_privileges) = match listener::install() {
        Ok(installed) => (Ok(installed.descriptor), installed.without_new_privileges),
        Err(error) => (Err(error), false),
    };
    let refused = descriptor.as_ref().err().copied();
    let _ = shared.listener.set(descriptor);
    if let Some(error) = refused {
        return Err(listener::refused(error));
    }
    while !shared.may_start.load(Ordering::Acquire) {
        std::hint::spin_loop();
    }
    command.spawn().map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ProblemKind::CommandNotFound,
            _ => ProblemKind::NotExecutable,
        };
        Problem::new(kind, "the program cannot be executed")
            .at(program.display())
            .caused_by(error)
    })?;
    Ok(Limits {
        without_new_privileges,
    })
}
