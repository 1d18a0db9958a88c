//! One workload's containers, in a machine of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
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
    Answer, Call, Content, Create, Descriptor, Exec, GuestMount, GuestProcess, Source,
    StreamReader, StreamWriter, Streams,
};
use uc_linux::IdMapping;
use uc_model::{Digest, Problem, Result, RuntimeKind, workload::Network};
use uc_sandbox::{
    CreateRequest, CreateResponse, DestroyRequest, ExecRequest, Exit, ExitReason, HostMount,
    Limits, Mount, MountSource, Part, Payload, Pending, PrepareRequest, Process, RemoveRequest,
    Sandbox, StartRequest, StartResponse, Stats, StatsRequest, Stdio, StopRequest,
    TcpConnectRequest, WaitRequest,
};

use crate::{
    host::Host,
    images::Images,
    launch::Running,
    machine::{DiskImage, Shape},
    snapshot::ReadyFunction,
    volumes,
};

/// Memory of a machine whose containers say nothing of theirs, in MiB: as the source's example has it.
pub(crate) const DEFAULT_MEMORY_MIB: u64 = 512;

/// What kernel, agent and file systems in memory take of it, in MiB.
pub(crate) const GUEST_OVERHEAD_MIB: u64 = 96;

/// How long the last output may take on its way after a stop.
const LAST_OUTPUT: Duration = Duration::from_millis(200);

/// Between two looks at whether a machine still answers.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// The sandbox of one workload.
pub(crate) struct MicrovmSandbox {
    request: PrepareRequest,
    host: Arc<Host>,
    kind: RuntimeKind,
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
            port: port(&request.payload),
            inside,
        })
    }

    /// All of a function's container that is fixed before it is called.
    fn inside(&self, request: &CreateRequest) -> Vec<u8> {
        let parts = serde_json::json!({
            "container": request.container,
            "hostname": self.request.hostname,
            "user": request.process.user,
            "limits": request.limits,
            "read_only_root": request.read_only_root,
            "profile": request.seccomp_profile,
            "port": port(&request.payload),
            "stdin": request.stdio.stdin.is_some(),
        });
        parts.to_string().into_bytes()
    }

    /// The machine that containers are made in: memory for what is known of them, and the disks of all.
    fn shape(&self, prepared: &Prepared) -> Result<Shape> {
        let kernel = self.host.kernel()?.clone();
        let agent = &self.host.programs()?.agent;
        let (initramfs, initramfs_digest) = self.host.images()?.initramfs(&kernel, agent)?;
        let mut disks = vec![prepared.disk.clone()];
        let mut limits = vec![prepared.limits];
        for expected in &self.request.containers {
            if expected.container != prepared.container {
                let (disk, _) = self.disk_of(self.host.images()?, &expected.payload)?;
                if disks.iter().all(|known| known.digest != disk.digest) {
                    disks.push(disk);
                }
                limits.push(expected.limits);
            }
        }
        let memory: Option<u64> = limits
            .iter()
            .map(|limit| limit.memory.map(|bytes| bytes.0.div_ceil(1 << 20)))
            .sum();
        let cpus = limits.iter().filter_map(|limit| limit.cpu);
        let milli: u64 = cpus.map(|cpu| cpu.0).sum();
        Ok(Shape {
            kernel,
            initramfs,
            initramfs_digest,
            memory_mib: memory.map_or(DEFAULT_MEMORY_MIB, |sum| {
                // Pages of what is read belong to no container.
                (sum + GUEST_OVERHEAD_MIB).max(2 * GUEST_OVERHEAD_MIB)
            }),
            vcpus: u32::try_from(milli.div_ceil(1000))
                .unwrap_or(u32::MAX)
                .clamp(1, host_cpus()),
            disks,
            ports: (self.request.network != Network::None).then(|| self.request.ports.clone()),
        })
    }

    /// The machine, started if this is the first container, and the function that may be in it.
    async fn machine(&self, prepared: &Prepared) -> Result<(Arc<Running>, Option<ReadyFunction>)> {
        let mut slot = self.machine.lock().await;
        if let Some(running) = slot.as_ref() {
            return Ok((Arc::clone(running), None));
        }
        let launcher = self.host.launcher()?;
        let shape = self.shape(prepared)?;
        let plain = launcher.key(&shape, b"");
        let with_function = prepared
            .inside
            .as_ref()
            .map(|inside| launcher.key(&shape, inside));
        let keys: Vec<Digest> = with_function.iter().chain([&plain]).cloned().collect();
        let running = match self.ready_machine(&shape, keys.first()).await {
            Some(running) => running,
            None => launcher.start(shape, &self.request.hostname, &keys).await?,
        };
        if !running.started.restored
            && let Err(problem) = launcher.keep(&running, &plain, None).await
        {
            self.host.note(&problem);
        }
        let function = running.started.function.clone();
        let running = Arc::new(running);
        *slot = Some(Arc::clone(&running));
        self.watch(&running);
        Ok((running, function))
    }

    /// A machine that was made ready for this, where there is a pool.
    async fn ready_machine(&self, shape: &Shape, key: Option<&Digest>) -> Option<Running> {
        let begin = Instant::now();
        let pool = self.host.pool.get()?;
        let mut running = pool.take(key?, shape, &self.request.hostname)?;
        // Its name may be for another workload; all else has been renewed when it was made ready.
        running.renew(&self.request.hostname).await.ok()?;
        running.started.duration = begin.elapsed();
        running.started.from_pool = true;
        Some(running)
    }

    /// Ends a machine that has stopped to answer: whoever waits for it learns of it.
    fn watch(&self, running: &Arc<Running>) {
        let weak = Arc::downgrade(running);
        running.reactor.handle().spawn(async move {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                let Some(running) = weak.upgrade() else {
                    return;
                };
                if running.guest.ask(Call::Ping).await.is_err() {
                    running.kill().await;
                    return;
                }
            }
        });
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
        let removing = locked(&self.removing).remove(&name);
        if let Some(removing) = removing {
            let _ = removing.await;
        }
        let prepared = self.prepare_create(&request)?;
        let (running, ready) = self.machine(&prepared).await?;
        let begin = Instant::now();
        let how = match ready {
            Some(_) => "in the snapshot",
            None => "made in the guest",
        };
        let created = match ready {
            Some(ready) => self.adopt(&running, request, ready),
            None => self.make(&running, request, &prepared).await,
        };
        let parts = self.parts(&running, begin.elapsed(), how);
        match created {
            Ok((container, warnings)) => {
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

    /// How long machine and container took.
    fn parts(&self, running: &Running, container: Duration, how: &str) -> Vec<Part> {
        let accelerator = self.host.accelerator().name();
        let source = match &running.started {
            started if started.from_pool => "from the pool",
            started if started.restored => "restored",
            _ => "booted",
        };
        vec![
            Part {
                name: "machine",
                how: format!("{source}, {accelerator}"),
                duration: running.started.duration,
            },
            Part {
                name: "container",
                how: how.to_owned(),
                duration: container,
            },
        ]
    }

    /// Takes over the function that the machine's snapshot has.
    fn adopt(
        &self,
        running: &Running,
        request: CreateRequest,
        ready: ReadyFunction,
    ) -> Result<(Container, Vec<String>)> {
        let link = &running.guest.link;
        let streams = ready.streams;
        let stdin = streams
            .stdin
            .map(|number| link.writer(number))
            .transpose()?;
        let outputs = [link.reader(streams.stdout)?, link.reader(streams.stderr)?];
        let container = self.container(running, request, true, stdin, outputs)?;
        Ok((container, ready.warnings))
    }

    async fn make(
        &self,
        running: &Running,
        mut request: CreateRequest,
        prepared: &Prepared,
    ) -> Result<(Container, Vec<String>)> {
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
        let (stdout, out) = guest.reader()?;
        let (stderr, err) = guest.reader()?;
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
            process: guest_process(&request.process),
            streams,
            mounts,
            read_only_root: request.read_only_root,
            limits: request.limits,
            seccomp_profile: profile,
            network: self.request.network != Network::None,
            port: prepared.port,
        };
        let stdin = stdin.map(|(_, writer)| writer);
        let container =
            self.container(running, request, prepared.is_function, stdin, [out, err])?;
        let warnings = match guest.ask(Call::Create(Box::new(create))).await? {
            Answer::Created { warnings } => warnings,
            _ => return Err(Problem::host("the microVM's agent answers in another way")),
        };
        if let Some(inside) = &prepared.inside {
            let ready = ReadyFunction {
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
            // The memory of a machine that was restored is not ours to save.
            if running.started.restored {
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
        outputs: [StreamReader; 2],
    ) -> Result<Container> {
        let Stdio {
            stdin: source,
            stdout,
            stderr,
            ..
        } = request.stdio;
        let exit = running.guest.expect(&request.container)?;
        let (tell, output) = watch::channel(false);
        let [out, err] = outputs;
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
            stats: Mutex::new(Stats {
                memory_limit_bytes: request.limits.memory.map(|limit| limit.0),
                ..Stats::default()
            }),
        })
    }

    /// The mounts as the guest has them. Volumes that it has not seen yet are on their way when this returns.
    async fn mounts(&self, running: &Running, mounts: &[Mount]) -> Result<Vec<GuestMount>> {
        let mut given = Vec::new();
        for mount in mounts {
            let source = match &mount.source {
                MountSource::Memory { size_limit } => Source::Memory {
                    size_limit: *size_limit,
                },
                MountSource::Host(host) => {
                    let name = volumes::name(host);
                    let is_new = locked(&self.volumes).insert(name.clone());
                    if is_new {
                        fill(running, name.clone(), host).await?;
                    }
                    let sub_path = host.sub_path.as_ref();
                    Source::Volume {
                        name,
                        sub_path: sub_path.map(|path| path.to_string_lossy().into_owned()),
                        owned: host.owned,
                        group: host.group,
                    }
                }
            };
            given.push(GuestMount {
                source,
                target: mount.target.clone(),
                read_only: mount.read_only,
            });
        }
        Ok(given)
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
        let call = Call::Start {
            container: name.to_owned(),
            process: container
                .function
                .then(|| Box::new(guest_process(&container.process))),
        };
        if let Err(problem) = running.guest.ask(call).await {
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
        if exit.reason == ExitReason::Stopped {
            let _ = tokio::time::timeout(LAST_OUTPUT, output.wait_for(|done| *done)).await;
        } else {
            let _ = output.wait_for(|done| *done).await;
        }
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
        let answer = running.guest.ask_within(call, request.grace).await;
        let exit = match answer {
            Ok(Answer::Ended(exit)) => exit,
            // A machine that does not do as it is told, or is gone, has stopped once it has been killed.
            _ => {
                running.kill().await;
                Exit {
                    code: 137,
                    reason: ExitReason::Stopped,
                }
            }
        };
        running.guest.settle(&request.container, Some(exit.clone()));
        if !container.started.load(Ordering::Acquire) {
            // Nothing will be written by what never ran.
            container.carrying.abort();
        }
        let known = container.exit.borrow().clone();
        Ok(known.unwrap_or(exit))
    }

    async fn exec_in_container(&self, request: ExecRequest) -> Result<Exit> {
        let container = self.find(&request.container)?;
        let running = self.running().await?;
        if container.function {
            return Err(
                Problem::refused("a function's container has no other programs to run")
                    .found(&request.container),
            );
        }
        if !container.started.load(Ordering::Acquire) || container.exit.borrow().is_some() {
            return Err(Problem::invalid("the container is not running").found(&request.container));
        }
        let mut carried = Vec::new();
        let streams = match request.stdio {
            None => None,
            Some(stdio) => Some(carry(&running, stdio, &mut carried)?),
        };
        let call = Call::Exec(Exec {
            container: request.container,
            command: request.command,
            timeout_ms: u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX),
            streams,
        });
        let answer = running.guest.ask_within(call, request.timeout).await;
        match answer {
            Ok(Answer::Ended(exit)) => {
                for task in carried.iter_mut() {
                    let _ = task.await;
                }
                Ok(exit)
            }
            Ok(_) => Err(Problem::host("the microVM's agent answers in another way")),
            Err(problem) => Err(self.explained(&running, problem).await),
        }
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

    async fn remove_container(&self, name: &str) -> Result<()> {
        let container = self.find(name)?;
        if container.exit.borrow().is_none() {
            return Err(Problem::invalid("the container has not ended").found(name));
        }
        let running = self.running().await?;
        let call = Call::Remove {
            container: name.to_owned(),
        };
        running.guest.settle(name, None);
        locked(&self.containers).remove(name);
        // Whoever makes another of this name waits for it; the others need not.
        let removing = running.reactor.handle().spawn({
            let running = Arc::downgrade(&running);
            async move {
                if let Some(running) = running.upgrade() {
                    let _ = running.guest.ask(call).await;
                }
            }
        });
        locked(&self.removing).insert(name.to_owned(), removing);
        Ok(())
    }

    async fn destroy_all(&self) -> Result<()> {
        let running = self.machine.lock().await.take();
        if let Some(running) = &running {
            running.kill().await;
        }
        locked(&self.containers).clear();
        drop(running);
        for place in [&self.request.storage, &self.request.directory] {
            remove(place)?;
        }
        Ok(())
    }
}

impl Container {
    fn stop_feeding(&self) {
        if let Some(feeding) = locked(&self.feeding).take() {
            feeding.abort();
        }
    }
}

/// Sends a volume's content.
async fn fill(running: &Running, volume: String, host: &HostMount) -> Result<()> {
    let bytes = volumes::pack(host, &IdMapping::for_caller()?)?;
    let (stream, writer) = running.guest.writer()?;
    running.guest.ask(Call::Fill { volume, stream }).await?;
    running.reactor.handle().spawn(async move {
        if writer.write_all(&bytes).await.is_ok() {
            let _ = writer.finish().await;
        }
    });
    Ok(())
}

/// Opens the streams of a further program, and carries them.
fn carry(running: &Running, stdio: Stdio, carried: &mut Vec<JoinHandle<()>>) -> Result<Streams> {
    let handle = running.reactor.handle();
    let mut streams = Streams {
        stdin: None,
        stdout: 0,
        stderr: 0,
    };
    if let Some(source) = stdio.stdin {
        let (number, writer) = running.guest.writer()?;
        streams.stdin = Some(number);
        handle.spawn(async move {
            if writer.copy_from(&Descriptor::new(source)).await.is_ok() {
                let _ = writer.finish().await;
            }
        });
    }
    let outputs = [
        (&mut streams.stdout, stdio.stdout),
        (&mut streams.stderr, stdio.stderr),
    ];
    for (slot, sink) in outputs {
        let (number, reader) = running.guest.reader()?;
        *slot = number;
        carried.push(handle.spawn(async move { reader.copy_to(&Descriptor::new(sink)).await }));
    }
    Ok(streams)
}

fn port(payload: &Payload) -> Option<u16> {
    match payload {
        Payload::Wasm { port, .. } => *port,
        Payload::Rootfs { .. } => None,
    }
}

fn guest_process(process: &Process) -> GuestProcess {
    GuestProcess {
        argv: process.argv.clone(),
        env: process.env.clone(),
        cwd: process.cwd.clone(),
        user: process.user.clone(),
    }
}

fn host_cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
}

fn remove(place: &PathBuf) -> Result<()> {
    match std::fs::remove_dir_all(place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Problem::storage("cannot remove a sandbox's directory")
                .at(place.display())
                .caused_by(error))
        }
        _ => Ok(()),
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
