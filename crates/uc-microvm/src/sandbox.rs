//! One workload's containers, in a machine of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    task::JoinHandle,
};
use uc_guest_protocol::{
    Answer, Call, Content, Create, Descriptor, StreamReader, StreamWriter, Streams,
};
use uc_model::{Problem, Result, RuntimeKind, workload::Network};
use uc_sandbox::{
    CreateRequest, CreateResponse, DestroyRequest, ExecRequest, Exit, ExitReason, Limits,
    PauseRequest, Payload, Pending, PrepareRequest, Process, RemoveRequest, ResumeRequest, Sandbox,
    StartRequest, StartResponse, Stats, StatsRequest, Stdio, StopRequest, TcpConnectRequest,
    WaitRequest,
};

mod further;
mod housing;
mod mounts;
mod pausing;
mod process;
mod removal;

use housing::Housing;
use process::{anonymous_process, guest_process};

use crate::{
    host::Host, images::Images, launch::Running, machine::DiskImage, snapshot::ReadyFunction,
    volumes,
};

/// Memory of a machine whose containers say nothing of theirs, in MiB: as the source's example has it.
pub(crate) const DEFAULT_MEMORY_MIB: u64 = 512;

/// What kernel, agent and file systems in memory take of it, in MiB.
pub(crate) const GUEST_OVERHEAD_MIB: u64 = 96;

/// How long the last output may take on its way after a stop.
const LAST_OUTPUT: Duration = Duration::from_millis(200);

/// The same for a program that ended by itself when it was asked to.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long a stop may take beyond its grace, before the machine is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// The sandbox of one workload.
pub(crate) struct MicrovmSandbox {
    request: PrepareRequest,
    host: Arc<Host>,
    kind: RuntimeKind,
    /// Containers are made one after the other: a machine with anything of another one is never kept as a snapshot.
    creating: AsyncMutex<()>,
    /// Made with the first container.
    machine: AsyncMutex<Option<Arc<Running>>>,
    containers: Mutex<BTreeMap<String, Arc<Container>>>,
    /// Containers that the guest is still removing.
    removing: Mutex<BTreeMap<String, JoinHandle<()>>>,
    /// The volumes that the machine has.
    volumes: Mutex<BTreeSet<String>>,
}

struct Container {
    process: Process,
    /// Whether it is a function.
    function: bool,
    /// Sent when the program has started.
    stdin: Mutex<Option<(Descriptor, StreamWriter)>>,
    feeding: Mutex<Option<JoinHandle<()>>>,
    /// Ends when all output has been passed on.
    output: watch::Receiver<bool>,
    carrying: JoinHandle<()>,
    exit: watch::Receiver<Option<Exit>>,
    started: AtomicBool,
    /// Whether it was asked to end.
    stopped: AtomicBool,
    stats: Mutex<Stats>,
}

impl Drop for Container {
    fn drop(&mut self) {
        self.carrying.abort();
        if let Some(feeding) = locked(&self.feeding).take() {
            feeding.abort();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one `create` needs besides its request.
struct Prepared {
    container: String,
    limits: Limits,
    disk: DiskImage,
    is_function: bool,
    /// Where a function that handles HTTP requests answers.
    port: Option<u16>,
    /// What else decides whether a snapshot with a function fits.
    inside: Option<Vec<u8>>,
}

impl MicrovmSandbox {
    pub(crate) fn new(request: PrepareRequest, host: Arc<Host>, kind: RuntimeKind) -> Self {
        Self {
            request,
            host,
            kind,
            creating: AsyncMutex::new(()),
            machine: AsyncMutex::new(None),
            containers: Mutex::new(BTreeMap::new()),
            removing: Mutex::default(),
            volumes: Mutex::new(BTreeSet::new()),
        }
    }

    fn find(&self, name: &str) -> Result<Arc<Container>> {
        locked(&self.containers).get(name).cloned().ok_or_else(|| {
            Problem::not_found("no such container")
                .at(&self.request.id)
                .found(name)
        })
    }

    async fn running(&self) -> Result<Arc<Running>> {
        let machine = self.machine.lock().await;
        machine
            .clone()
            .ok_or_else(|| Problem::invalid("nothing runs in this sandbox yet"))
    }

    /// A problem as its user should see it: one that comes of the machine's end says how that was.
    async fn explained(&self, running: &Running, problem: Problem) -> Problem {
        if running.guest.is_alive() {
            return problem;
        }
        if let Ok(launcher) = self.host.launcher() {
            // It may be the snapshot that does not work.
            launcher.forget(running);
        }
        running.explain(problem, self.host.accelerator()).await
    }

    fn disk_of(&self, images: &Images, payload: &Payload) -> Result<(DiskImage, bool)> {
        match payload {
            Payload::Rootfs { layers } => Ok((images.root(layers)?, false)),
            Payload::Wasm { file, .. } if self.kind == RuntimeKind::Fused => {
                let precompile = self.host.settings.precompile.as_ref();
                let disk = images.function(self.host.programs()?, file, precompile)?;
                Ok((disk, true))
            }
            Payload::Wasm { .. } => {
                Err(Problem::invalid("a microVM needs a Linux root file system")
                    .found("a WebAssembly program")
                    .remedy("--runtime fused runs it as a function in a container in a microVM"))
            }
        }
    }

    fn prepare_create(&self, request: &CreateRequest) -> Result<Prepared> {
        request.mounts.iter().try_for_each(volumes::check)?;
        let (disk, is_function) = self.disk_of(self.host.images()?, &request.payload)?;
        let alone = locked(&self.containers).is_empty() && request.mounts.is_empty();
        let inside = (is_function && alone).then(|| self.inside(request));
        Ok(Prepared {
            container: request.container.clone(),
            limits: request.limits,
            disk,
            is_function,
            port: housing::port(&request.payload),
            inside,
        })
    }

    async fn create_container(&self, mut request: CreateRequest) -> Result<CreateResponse> {
        let name = request.container.clone();
        if locked(&self.containers).contains_key(&name) {
            return Err(Problem::invalid("a container of this name exists already")
                .at(&self.request.id)
                .found(name));
        }
        if request.call_listener.take().is_some() {
            return Err(Problem::refused(
                "system calls of a program in a microVM cannot be recorded",
            )
            .remedy("record them with --runtime container"));
        }
        process::name_function(&mut request);
        let removing = locked(&self.removing).remove(&name);
        if let Some(removing) = removing {
            let _ = removing.await;
        }
        let _alone = self.creating.lock().await;
        let prepared = self.prepare_create(&request)?;
        let housing = self.machine(&prepared).await?;
        let running = Arc::clone(&housing.running);
        let begin = Instant::now();
        let created = match &housing.ready {
            Some(ready) => self.adopt(&running, request, ready),
            None => self.make(&housing, request, &prepared).await,
        };
        let parts = self.parts(&housing, begin.elapsed());
        match created {
            Ok((container, mut warnings)) => {
                warnings.extend(self.host.take_notes());
                if housing.is_fresh {
                    warnings.extend(running.bounds.warning.clone());
                }
                locked(&self.containers).insert(name, Arc::new(container));
                Ok(CreateResponse {
                    pid: None,
                    warnings,
                    parts,
                })
            }
            Err(problem) => {
                running.guest.settle(&name, None);
                Err(self.explained(&running, problem).await)
            }
        }
    }

    /// Takes over the function that the machine's snapshot has.
    fn adopt(
        &self,
        running: &Running,
        request: CreateRequest,
        ready: &ReadyFunction,
    ) -> Result<(Container, Vec<String>)> {
        let link = &running.guest.link;
        let streams = ready.streams;
        let stdin = streams
            .stdin
            .map(|number| link.writer(number))
            .transpose()?;
        let outputs = [
            (streams.stdout, link.reader(streams.stdout)?),
            (streams.stderr, link.reader(streams.stderr)?),
        ];
        let container = self.container(running, request, true, stdin, outputs)?;
        Ok((container, ready.warnings.clone()))
    }

    async fn make(
        &self,
        housing: &Housing,
        mut request: CreateRequest,
        prepared: &Prepared,
    ) -> Result<(Container, Vec<String>)> {
        let running = &housing.running;
        let name = request.container.clone();
        let disk = running.shape.disk(&prepared.disk.digest).ok_or_else(|| {
            Problem::refused("the microVM has been made without this container's image")
                .at(&request.container)
                .remedy("name all containers in one Pod")
        })?;
        let guest = &running.guest;
        let stdin = match request.stdio.stdin {
            Some(_) => Some(guest.writer()?),
            None => None,
        };
        let outputs = [guest.reader()?, guest.reader()?];
        let [(stdout, _), (stderr, _)] = outputs;
        let streams = Streams {
            stdin: stdin.as_ref().map(|(number, _)| *number),
            stdout,
            stderr,
        };
        let mounts = std::mem::take(&mut request.mounts);
        let mounts = self.mounts(running, &mounts).await?;
        let profile = request.seccomp_profile.take().map(String::from_utf8);
        let profile = profile.transpose().map_err(|_| {
            Problem::invalid("the seccomp profile is not text").at(&request.container)
        })?;
        let create = Create {
            container: request.container.clone(),
            content: match prepared.is_function {
                true => Content::Function(disk),
                false => Content::Rootfs(disk),
            },
            process: match prepared.is_function {
                // What is made may be kept for others: who calls it comes with the call.
                true => anonymous_process(&request.process),
                false => guest_process(&request.process),
            },
            streams,
            mounts,
            read_only_root: request.read_only_root,
            limits: request.limits,
            seccomp_profile: profile,
            network: self.request.network != Network::None,
            port: prepared.port,
        };
        let stdin = stdin.map(|(_, writer)| writer);
        let container = self.container(running, request, prepared.is_function, stdin, outputs)?;
        let warnings = match guest.ask(Call::Create(Box::new(create))).await? {
            Answer::Created { warnings } => warnings,
            _ => return Err(Problem::host("the microVM's agent answers in another way")),
        };
        if let Some(inside) = prepared.inside.as_ref().filter(|_| housing.is_fresh) {
            let ready = ReadyFunction {
                container: name,
                streams,
                warnings: warnings.clone(),
            };
            self.keep_function(running, inside, ready).await;
        }
        Ok((container, warnings))
    }

    async fn keep_function(&self, running: &Running, inside: &[u8], ready: ReadyFunction) {
        let kept = async {
            let launcher = self.host.launcher()?;
            // What only the machine sees of its memory cannot be saved.
            if !running.machine.lock().await.keeps_memory() {
                return Ok(());
            }
            let key = launcher.key(&running.shape, inside);
            launcher.keep(running, &key, Some(ready)).await
        };
        if let Err(problem) = kept.await {
            self.host.note(&problem);
        }
    }

    /// A container's host side: its streams are carried from now on.
    fn container(
        &self,
        running: &Running,
        request: CreateRequest,
        function: bool,
        stdin: Option<StreamWriter>,
        outputs: [(u16, StreamReader); 2],
    ) -> Result<Container> {
        let Stdio {
            stdin: source,
            stdout,
            stderr,
            ..
        } = request.stdio;
        let numbers = outputs.each_ref().map(|(number, _)| *number);
        let exit = running.guest.expect(&request.container, numbers)?;
        let (tell, output) = watch::channel(false);
        let [(_, out), (_, err)] = outputs;
        let carrying = running.reactor.handle().spawn(async move {
            let (stdout, stderr) = (Descriptor::new(stdout), Descriptor::new(stderr));
            let carry = async |stream: StreamReader, sink: Descriptor| {
                stream.copy_to(&sink).await;
            };
            tokio::join!(carry(out, stdout), carry(err, stderr));
            let _ = tell.send(true);
        });
        Ok(Container {
            process: request.process,
            function,
            stdin: Mutex::new(source.map(Descriptor::new).zip(stdin)),
            feeding: Mutex::new(None),
            output,
            carrying,
            exit,
            started: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            stats: Mutex::new(Stats {
                memory_limit_bytes: request.limits.memory.map(|limit| limit.0),
                ..Stats::default()
            }),
        })
    }

    async fn start_container(&self, name: &str) -> Result<StartResponse> {
        let container = self.find(name)?;
        if container.exit.borrow().is_some() {
            return Err(Problem::invalid("the container has ended").found(name));
        }
        if container.started.swap(true, Ordering::AcqRel) {
            return Err(Problem::invalid("the container has been started already").found(name));
        }
        let running = self.running().await?;
        running.bounds.bound_cpu()?;
        let call = Call::Start {
            container: name.to_owned(),
            process: container
                .function
                .then(|| Box::new(guest_process(&container.process))),
        };
        let renewed = async {
            let renewed = running.renewed().await;
            if renewed.is_err() {
                // It was restored and does not work: its snapshot goes with it.
                running.kill().await;
                running.guest.ended().await;
            }
            renewed
        };
        if let Err(problem) = tokio::try_join!(renewed, running.guest.ask(call)) {
            return Err(self.explained(&running, problem).await);
        }
        let stdin = locked(&container.stdin).take();
        if let Some((source, stream)) = stdin {
            let feeding = running.reactor.handle().spawn(async move {
                if stream.copy_from(&source).await.is_ok() {
                    let _ = stream.finish().await;
                }
            });
            *locked(&container.feeding) = Some(feeding);
        }
        Ok(StartResponse {})
    }

    async fn wait_container(&self, name: &str) -> Result<Exit> {
        let container = self.find(name)?;
        let mut exit = container.exit.clone();
        let ended = exit.wait_for(Option::is_some).await.is_ok();
        if !ended {
            let running = self.running().await?;
            let problem = Problem::host("the microVM ended before the program did").at(name);
            return Err(running.explain(problem, self.host.accelerator()).await);
        }
        let exit = exit.borrow().clone();
        let exit = exit.ok_or_else(|| Problem::internal("an end without an exit"))?;
        container.stop_feeding();
        let mut output = container.output.clone();
        let output = output.wait_for(|done| *done);
        let patience = match (&exit.reason, container.stopped.load(Ordering::Acquire)) {
            (ExitReason::Stopped, _) => LAST_OUTPUT,
            (_, true) => LAST_WORDS,
            // Whoever reads it may take his time; all of it has come.
            (_, false) => Duration::MAX,
        };
        let _ = tokio::time::timeout(patience, output).await;
        Ok(exit)
    }

    async fn stop_container(&self, request: StopRequest) -> Result<Exit> {
        let container = self.find(&request.container)?;
        if let Some(exit) = container.exit.borrow().clone() {
            return Ok(exit);
        }
        let running = self.running().await?;
        let call = Call::Stop {
            container: request.container.clone(),
            grace_ms: u64::try_from(request.grace.as_millis()).unwrap_or(u64::MAX),
            signal: request.signal,
        };
        container.stopped.store(true, Ordering::Release);
        let patience = STOP_PATIENCE.saturating_add(request.grace);
        let answer = running.guest.ask_for(call, patience).await;
        let exit = match &answer {
            Ok(Answer::Ended(exit)) => exit.clone(),
            _ => Exit {
                code: 137,
                reason: ExitReason::Stopped,
            },
        };
        // Whoever waits is to hear of this end, and not of the machine's.
        running.guest.settle(&request.container, Some(exit.clone()));
        if !matches!(answer, Ok(Answer::Ended(_))) {
            // One that does not do as it is told has stopped once it has been killed.
            running.kill().await;
        }
        if !container.started.load(Ordering::Acquire) {
            // Nothing will be written by what never ran.
            container.carrying.abort();
        }
        let known = container.exit.borrow().clone();
        Ok(known.unwrap_or(exit))
    }

    async fn stats_of(&self, name: &str) -> Result<Stats> {
        let container = self.find(name)?;
        let running = self.running().await?;
        let call = Call::Stats {
            container: name.to_owned(),
        };
        match running.guest.ask(call).await {
            Ok(Answer::Stats(stats)) => {
                *locked(&container.stats) = stats;
                Ok(stats)
            }
            // What was measured last outlives the machine.
            _ => Ok(*locked(&container.stats)),
        }
    }
}

impl Container {
    fn stop_feeding(&self) {
        if let Some(feeding) = locked(&self.feeding).take() {
            feeding.abort();
        }
    }
}

impl Sandbox for MicrovmSandbox {
    fn create(&self, request: CreateRequest) -> Pending<'_, CreateResponse> {
        Box::pin(self.create_container(request))
    }

    fn start(&self, request: StartRequest) -> Pending<'_, StartResponse> {
        Box::pin(async move { self.start_container(&request.container).await })
    }

    fn wait(&self, request: WaitRequest) -> Pending<'_, Exit> {
        Box::pin(async move { self.wait_container(&request.container).await })
    }

    fn pause(&self, request: PauseRequest) -> Pending<'_, ()> {
        Box::pin(async move { self.hold(request.container, true).await })
    }

    fn resume(&self, request: ResumeRequest) -> Pending<'_, ()> {
        Box::pin(async move { self.hold(request.container, false).await })
    }

    fn stop(&self, request: StopRequest) -> Pending<'_, Exit> {
        Box::pin(self.stop_container(request))
    }

    fn exec(&self, request: ExecRequest) -> Pending<'_, Exit> {
        Box::pin(self.exec_in_container(request))
    }

    fn tcp_connect(&self, request: TcpConnectRequest) -> Pending<'_, ()> {
        Box::pin(async move {
            let running = self.running().await?;
            let call = Call::TcpConnect {
                port: request.port,
                timeout_ms: u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX),
            };
            let answer = running.guest.ask_within(call, request.timeout).await;
            answer.map(drop)
        })
    }

    fn remove(&self, request: RemoveRequest) -> Pending<'_, ()> {
        Box::pin(async move { self.remove_container(&request.container).await })
    }

    fn stats(&self, request: StatsRequest) -> Pending<'_, Stats> {
        Box::pin(async move { self.stats_of(&request.container).await })
    }

    fn destroy(&self, _request: DestroyRequest) -> Pending<'_, ()> {
        Box::pin(self.destroy_all())
    }
}
