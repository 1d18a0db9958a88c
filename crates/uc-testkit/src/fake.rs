//! A driver that does what it is told: for tests of the engine, which must not depend on a real sandbox.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fs::File,
    io::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, watch};
use uc_model::{
    Facility, Figure, PayloadFormat, Problem, ProblemKind, Result, RuntimeKind, workload::Network,
};
use uc_sandbox::{
    Availability, CreateRequest, CreateResponse, DestroyRequest, Driver, ExecRequest, Exit,
    ExitReason, Limit, Offer, PauseRequest, Pending, PrepareRequest, Probe, RemoveRequest,
    ResumeRequest, Sandbox, StartRequest, StartResponse, Stats, StatsRequest, Stdio, StopRequest,
    TcpConnectRequest, WaitRequest,
};

/// What one run of a container does.
#[derive(Debug, Clone)]
pub struct Script {
    /// Fails `create`.
    pub create_fails: Option<ProblemKind>,
    /// Fails `start`.
    pub start_fails: Option<ProblemKind>,
    /// Written to standard output at the start.
    pub stdout: String,
    /// Written to standard error at the start.
    pub stderr: String,
    /// How long it runs by itself; for ever when `None`.
    pub runs_for: Option<Duration>,
    /// How it then ends.
    pub exit: Exit,
    /// How long it takes to end after a stop; killed after the grace if that is shorter.
    pub stops_after: Duration,
    /// What it uses.
    pub stats: Stats,
}

impl Default for Script {
    /// Ends at once with 0.
    fn default() -> Self {
        Self {
            create_fails: None,
            start_fails: None,
            stdout: String::new(),
            stderr: String::new(),
            runs_for: Some(Duration::ZERO),
            exit: Exit::with_code(0),
            stops_after: Duration::ZERO,
            stats: Stats::default(),
        }
    }
}

impl Script {
    /// Ends at once with a code.
    pub fn exits(code: u8) -> Self {
        Self {
            exit: Exit::with_code(code),
            ..Self::default()
        }
    }

    /// Runs until it is stopped.
    pub fn runs_for_ever() -> Self {
        Self {
            runs_for: None,
            ..Self::default()
        }
    }
}

/// The driver. Clones share scripts and log.
#[derive(Clone)]
pub struct FakeDriver {
    shared: Arc<Shared>,
}

struct Shared {
    probe: Mutex<Probe>,
    prepare_fails: Mutex<Option<ProblemKind>>,
    scripts: Mutex<HashMap<String, VecDeque<Script>>>,
    exec_exits: Mutex<VecDeque<Exit>>,
    port_is_open: AtomicBool,
    unpausable: Mutex<Option<String>>,
    log: Mutex<Vec<String>>,
}

impl FakeDriver {
    /// A driver of a kind that offers everything.
    pub fn new(kind: RuntimeKind) -> Self {
        Self {
            shared: Arc::new(Shared {
                probe: Mutex::new(generous(kind)),
                prepare_fails: Mutex::default(),
                scripts: Mutex::default(),
                exec_exits: Mutex::default(),
                port_is_open: AtomicBool::new(true),
                unpausable: Mutex::default(),
                log: Mutex::default(),
            }),
        }
    }

    /// Changes what the probe answers.
    pub fn edit_probe(&self, edit: impl FnOnce(&mut Probe)) {
        edit(&mut lock(&self.shared.probe));
    }

    /// Fails the next `prepare`.
    pub fn fail_next_prepare(&self, kind: ProblemKind) {
        *lock(&self.shared.prepare_fails) = Some(kind);
    }

    /// Adds a script for the next container of a name that has none yet; without one it ends at once with 0.
    pub fn script(&self, container: &str, script: Script) {
        lock(&self.shared.scripts)
            .entry(container.into())
            .or_default()
            .push_back(script);
    }

    /// Adds the end of the next `exec`; without one it ends with 0.
    pub fn script_exec(&self, exit: Exit) {
        lock(&self.shared.exec_exits).push_back(exit);
    }

    /// Whether `tcp_connect` works from now on.
    pub fn set_port_open(&self, open: bool) {
        self.shared.port_is_open.store(open, Ordering::Relaxed);
    }

    /// Fails the `pause` of a container from now on, and holds it all the same.
    pub fn fail_pause_of(&self, container: &str) {
        *lock(&self.shared.unpausable) = Some(container.to_owned());
    }

    /// Every call so far, in order: `prepare ID`, `create NAME`, `start NAME`, `pause NAME`, `resume NAME`, `stop NAME`,
    /// `exec NAME COMMAND`, `tcp PORT`, `remove NAME`, `destroy ID`.
    pub fn log(&self) -> Vec<String> {
        lock(&self.shared.log).clone()
    }
}

impl Driver for FakeDriver {
    fn kind(&self) -> RuntimeKind {
        lock(&self.shared.probe).kind
    }

    fn probe(&self) -> Probe {
        lock(&self.shared.probe).clone()
    }

    fn prepare(&self, request: PrepareRequest) -> Pending<'_, Box<dyn Sandbox>> {
        Box::pin(async move {
            self.shared.note(format!("prepare {}", request.id));
            fail_as_told(lock(&self.shared.prepare_fails).take(), "prepare")?;
            Ok(Box::new(FakeSandbox {
                id: request.id,
                shared: Arc::clone(&self.shared),
                containers: Mutex::default(),
            }) as Box<dyn Sandbox>)
        })
    }
}

impl Shared {
    fn note(&self, call: String) {
        lock(&self.log).push(call);
    }
}

struct FakeSandbox {
    id: String,
    shared: Arc<Shared>,
    containers: Mutex<HashMap<String, Arc<FakeContainer>>>,
}

struct FakeContainer {
    script: Script,
    /// Taken at the start, or by a stop before it; closed at the end.
    stdio: Mutex<Option<Stdio>>,
    paused: AtomicBool,
    kill: Notify,
    exit: watch::Sender<Option<Exit>>,
}

impl FakeSandbox {
    fn find(&self, name: &str) -> Result<Arc<FakeContainer>> {
        let found = lock(&self.containers).get(name).cloned();
        found.ok_or_else(|| Problem::not_found("no such container").at(name))
    }

    fn create_now(&self, request: CreateRequest) -> Result<CreateResponse> {
        let name = request.container;
        self.shared.note(format!("create {name}"));
        let mut containers = lock(&self.containers);
        if containers.contains_key(&name) {
            return Err(Problem::invalid("the container exists already").at(name));
        }
        let script = lock(&self.shared.scripts)
            .get_mut(&name)
            .and_then(VecDeque::pop_front)
            .unwrap_or_default();
        fail_as_told(script.create_fails, "create")?;
        let container = FakeContainer {
            script,
            stdio: Mutex::new(Some(request.stdio)),
            paused: AtomicBool::new(false),
            kill: Notify::new(),
            exit: watch::Sender::new(None),
        };
        containers.insert(name, Arc::new(container));
        Ok(CreateResponse::default())
    }

    fn start_now(&self, name: &str) -> Result<StartResponse> {
        self.shared.note(format!("start {name}"));
        let container = self.find(name)?;
        fail_as_told(container.script.start_fails, "start")?;
        let stdio = lock(&container.stdio).take();
        let stdio =
            stdio.ok_or_else(|| Problem::invalid("it has been started or stopped").at(name))?;
        tokio::spawn(async move { container.live(stdio).await });
        Ok(StartResponse {})
    }
}

impl FakeContainer {
    async fn live(&self, stdio: Stdio) {
        // Nobody may be reading; a program would not care either.
        let _ = File::from(stdio.stdout).write_all(self.script.stdout.as_bytes());
        let _ = File::from(stdio.stderr).write_all(self.script.stderr.as_bytes());
        let by_itself = async {
            match self.script.runs_for {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        let exit = tokio::select! {
            () = by_itself => self.script.exit.clone(),
            () = self.kill.notified() => stopped(),
        };
        self.exit.send_replace(Some(exit));
    }

    async fn ended(&self) -> Result<Exit> {
        let mut exit = self.exit.subscribe();
        let ended = exit.wait_for(Option::is_some).await;
        ended
            .ok()
            .and_then(|exit| exit.clone())
            .ok_or_else(|| Problem::internal("the fake container was lost"))
    }

    async fn stop(&self, grace: Duration) -> Result<Exit> {
        if lock(&self.stdio).take().is_some() {
            self.exit.send_replace(Some(stopped()));
        }
        let by_itself = tokio::time::timeout(self.script.stops_after.min(grace), self.ended());
        if let Ok(exit) = by_itself.await {
            return exit;
        }
        self.kill.notify_one();
        self.ended().await
    }
}

impl Sandbox for FakeSandbox {
    fn create(&self, request: CreateRequest) -> Pending<'_, CreateResponse> {
        Box::pin(async move { self.create_now(request) })
    }

    fn start(&self, request: StartRequest) -> Pending<'_, StartResponse> {
        Box::pin(async move { self.start_now(&request.container) })
    }

    fn wait(&self, request: WaitRequest) -> Pending<'_, Exit> {
        Box::pin(async move { self.find(&request.container)?.ended().await })
    }

    fn pause(&self, request: PauseRequest) -> Pending<'_, ()> {
        Box::pin(async move {
            let name = request.container;
            self.shared.note(format!("pause {name}"));
            let container = self.find(&name)?;
            container.paused.store(true, Ordering::Relaxed);
            match lock(&self.shared.unpausable).as_ref() == Some(&name) {
                true => Err(Problem::refused("the script fails pause").at(name)),
                false => Ok(()),
            }
        })
    }

    fn resume(&self, request: ResumeRequest) -> Pending<'_, ()> {
        Box::pin(async move {
            self.shared.note(format!("resume {}", request.container));
            let container = self.find(&request.container)?;
            match container.paused.swap(false, Ordering::Relaxed) {
                true => Ok(()),
                false => Err(Problem::invalid("it is not paused").at(request.container)),
            }
        })
    }

    fn stop(&self, request: StopRequest) -> Pending<'_, Exit> {
        Box::pin(async move {
            self.shared.note(format!("stop {}", request.container));
            self.find(&request.container)?.stop(request.grace).await
        })
    }

    fn exec(&self, request: ExecRequest) -> Pending<'_, Exit> {
        Box::pin(async move {
            self.shared.note(format!(
                "exec {} {}",
                request.container,
                request.command.join(" ")
            ));
            if self
                .find(&request.container)?
                .paused
                .load(Ordering::Relaxed)
            {
                return Err(Problem::invalid("it is paused").at(request.container));
            }
            Ok(lock(&self.shared.exec_exits)
                .pop_front()
                .unwrap_or(Exit::with_code(0)))
        })
    }

    fn tcp_connect(&self, request: TcpConnectRequest) -> Pending<'_, ()> {
        Box::pin(async move {
            self.shared.note(format!("tcp {}", request.port));
            match self.shared.port_is_open.load(Ordering::Relaxed) {
                true => Ok(()),
                false => Err(Problem::unavailable("connection refused")),
            }
        })
    }

    fn remove(&self, request: RemoveRequest) -> Pending<'_, ()> {
        Box::pin(async move {
            self.shared.note(format!("remove {}", request.container));
            let container = self.find(&request.container)?;
            if container.exit.borrow().is_none() {
                return Err(Problem::invalid("it has not ended").at(request.container));
            }
            lock(&self.containers).remove(&request.container);
            Ok(())
        })
    }

    fn stats(&self, request: StatsRequest) -> Pending<'_, Stats> {
        Box::pin(async move { Ok(self.find(&request.container)?.script.stats) })
    }

    fn destroy(&self, _: DestroyRequest) -> Pending<'_, ()> {
        Box::pin(async move {
            self.shared.note(format!("destroy {}", self.id));
            let containers: Vec<_> = lock(&self.containers).drain().collect();
            for (_, container) in containers {
                container.stop(Duration::ZERO).await?;
            }
            Ok(())
        })
    }
}

impl Drop for FakeSandbox {
    fn drop(&mut self) {
        for container in lock(&self.containers).values() {
            container.kill.notify_one();
        }
    }
}

fn stopped() -> Exit {
    Exit {
        code: 137,
        reason: ExitReason::Stopped,
    }
}

fn fail_as_told(kind: Option<ProblemKind>, call: &str) -> Result<()> {
    match kind {
        Some(kind) => Err(Problem::new(kind, format!("the script fails {call}"))),
        None => Ok(()),
    }
}

fn generous(kind: RuntimeKind) -> Probe {
    let formats = match kind {
        RuntimeKind::Wasm => vec![PayloadFormat::WasmModule, PayloadFormat::WasmComponent],
        _ => vec![PayloadFormat::LinuxRootfs],
    };
    Probe {
        kind,
        availability: Availability::Ready,
        offer: Offer {
            formats: formats.into_iter().collect(),
            networks: [Network::None, Network::Http, Network::User, Network::Host].into(),
            limits: BTreeSet::from([Limit::Memory, Limit::Cpu, Limit::Pids]),
            isolation: kind.isolation(),
            isolation_bits: Figure::assumed(0.5, "bit", "fake"),
            shared_loopback: true,
            serves_handlers: false,
            exec: true,
            start_ms: Figure::assumed(1.0, "ms", "the fake driver"),
            overhead_mib: Figure::assumed(1.0, "MiB", "the fake driver"),
        },
        facilities: vec![Facility::found("fake sandbox", "scripted", "tests")],
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
