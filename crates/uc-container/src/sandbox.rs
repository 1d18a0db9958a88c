//! One workload's containers.

use std::{
    collections::BTreeMap,
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use seccompiler::BpfProgram;
use tokio::sync::Mutex as AsyncMutex;
use uc_linux::{
    cgroup::{Cgroup, Layout},
    exit::Ending,
    idmap::IdMapping,
    namespaces::Namespaces,
    network::{self, Link},
    pausing::Pausing,
    scratch, sys, userns,
};
use uc_model::{Problem, Result, workload::Network};
use uc_sandbox::{
    CallListener, CreateRequest, CreateResponse, DestroyRequest, ExecRequest, Exit, ExitReason,
    MountSource, PauseRequest, Payload, Pending, PrepareRequest, Process, RemoveRequest,
    ResumeRequest, Sandbox, StartRequest, StartResponse, Stats, StatsRequest, StopRequest,
    TcpConnectRequest, WaitRequest,
};

use crate::{
    launch::{self, Control, ControlPair},
    plan::{Plan, PlanRequest, Program, Streams},
    report::Subjects,
    seccomp,
};

/// The sandbox of one workload.
pub(crate) struct ContainerSandbox {
    request: PrepareRequest,
    mapping: IdMapping,
    layout: Layout,
    /// The lowest layer of each root file system.
    mount_points: PathBuf,
    /// Made with the first container; the lock also keeps two from being first.
    shared: AsyncMutex<Option<Shared>>,
    containers: Mutex<BTreeMap<String, Arc<Container>>>,
}

/// What the containers of a sandbox share.
struct Shared {
    namespaces: Arc<Namespaces>,
    /// The process that links the sandbox's network to the host's.
    _link: Option<Link>,
}

struct Container {
    ending: Ending,
    /// Taken by `start`.
    control: AsyncMutex<Option<Control>>,
    started: AtomicBool,
    stopping: AtomicBool,
    pausing: Pausing,
    cgroup: Cgroup,
    process: Process,
    filters: Vec<BpfProgram>,
    subjects: Subjects,
}

impl ContainerSandbox {
    pub(crate) fn new(
        request: PrepareRequest,
        mapping: IdMapping,
        layout: Layout,
        mount_points: PathBuf,
    ) -> Self {
        Self {
            request,
            mapping,
            layout,
            mount_points,
            shared: AsyncMutex::new(None),
            containers: Mutex::new(BTreeMap::new()),
        }
    }

    fn own_network(&self) -> bool {
        self.request.network != Network::Host
    }

    fn containers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Container>>> {
        self.containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str) -> Result<Arc<Container>> {
        self.containers().get(name).cloned().ok_or_else(|| {
            Problem::not_found("no such container")
                .at(&self.request.id)
                .found(name)
        })
    }

    fn scratch(&self, container: &str) -> PathBuf {
        self.request.storage.join(container)
    }

    /// Where only the caller's own ids can be mapped, a program is in no further groups, which its image may have
    /// asked for: that is said. Otherwise a group must be within the mapping.
    fn check_groups(&self, groups: &[u32]) -> Result<Option<String>> {
        if !self.mapping.is_own_id_only() {
            return self.mapping.require_groups(groups).map(|()| None);
        }
        let further = groups.iter().any(|group| *group != 0);
        Ok(further.then(|| {
            format!(
                "supplementary groups {groups:?} cannot be set without a range in /etc/subgid; the program runs without"
            )
        }))
    }

    async fn create_container(&self, request: CreateRequest) -> Result<CreateResponse> {
        let name = request.container.clone();
        if self.containers().contains_key(&name) {
            return Err(Problem::invalid("a container of this name exists already")
                .at(&self.request.id)
                .found(name));
        }
        self.mapping
            .require(request.process.user.uid, request.process.user.gid)?;
        let without_groups = self.check_groups(&request.process.user.groups)?;
        for mount in &request.mounts {
            if let MountSource::Host(host) = &mount.source {
                userns::give_volume(&self.mapping, host)?;
            }
        }
        let group = format!("undercurrent-{}-{name}", self.request.id);
        let (cgroup, mut warnings) = Cgroup::plan(
            &self.layout,
            &group,
            &request.limits,
            self.request.ignore_unenforceable_limits,
        )?;
        let scratch = self.scratch(&name);
        scratch::make(&self.mapping, &scratch)?;
        warnings.extend(without_groups);
        let created = self.launch(request, &scratch, &cgroup).await;
        match created {
            Ok((launched, parts)) => {
                let pid = launched.pid;
                let container = Container {
                    ending: Ending::new(launched.pidfd)?,
                    control: AsyncMutex::new(Some(launched.control)),
                    started: AtomicBool::new(false),
                    stopping: AtomicBool::new(false),
                    pausing: Pausing::default(),
                    cgroup,
                    process: parts.process,
                    filters: parts.filters,
                    subjects: parts.subjects,
                };
                self.containers().insert(name, Arc::new(container));
                Ok(CreateResponse {
                    pid: Some(pid),
                    warnings,
                    parts: Vec::new(),
                })
            }
            Err(problem) => {
                cgroup.remove();
                let _ = userns::remove_tree(&self.mapping, &scratch);
                Err(problem)
            }
        }
    }

    async fn launch(
        &self,
        request: CreateRequest,
        scratch: &Path,
        cgroup: &Cgroup,
    ) -> Result<(launch::Launched, Parts)> {
        let Payload::Rootfs { layers } = &request.payload else {
            return Err(
                Problem::invalid("a container needs a Linux root file system")
                    .found("a WebAssembly program"),
            );
        };
        let layers: Vec<PathBuf> = std::iter::once(&self.mount_points)
            .chain(layers)
            .cloned()
            .collect();
        let mut filters = vec![seccomp::built_in()?.clone()];
        if let Some(profile) = &request.seccomp_profile {
            filters.extend(seccomp::compile_profile(profile)?);
        }
        let pair = ControlPair::new()?;
        let mut shared = self.shared.lock().await;
        let mut streams = Streams::new(request.stdio)?;
        streams.hand_over(&self.mapping, &request.process.user)?;
        let mut program = Program::new(
            &request.process,
            streams,
            filters.clone(),
            !self.mapping.is_own_id_only(),
        )?;
        if request.call_listener.is_some() {
            program.report = Some(seccomp::reporting(pair.child_fd()));
        }
        let plan_request = PlanRequest {
            layers: &layers,
            scratch,
            mounts: &request.mounts,
            read_only_root: request.read_only_root,
            hostname: &self.request.hostname,
            configure_network: shared.is_none() && self.own_network(),
            control_fd: pair.highest_fd(),
        };
        let plan = Plan::new(&plan_request, program, &request.process)?;
        let namespaces = shared.as_ref().map(|shared| Arc::clone(&shared.namespaces));
        let launched = launch::spawn_container(
            &plan,
            &cgroup.make(&self.request.directory)?,
            namespaces.as_deref(),
            self.own_network(),
            pair,
        )
        .await?;
        let set_up = self
            .set_up(&launched, &plan, &mut shared, request.call_listener)
            .await;
        match set_up {
            Ok(()) => Ok((
                launched,
                Parts {
                    process: request.process,
                    filters,
                    subjects: plan.subjects,
                },
            )),
            Err(problem) => {
                // Kills and reaps it.
                drop(Ending::new(launched.pidfd));
                Err(problem)
            }
        }
    }

    async fn set_up(
        &self,
        launched: &launch::Launched,
        plan: &Plan,
        shared: &mut Option<Shared>,
        call_listener: Option<CallListener>,
    ) -> Result<()> {
        let first = match shared {
            Some(_) => None,
            None => Some(self.identify(launched.pid)?),
        };
        let (control, child) = (&launched.control, launched.pidfd.as_fd());
        match call_listener {
            None => control.set_up(&plan.subjects, child).await?,
            Some(CallListener(listen)) => {
                listen(control.set_up_reporting(&plan.subjects, child).await?);
            }
        }
        if first.is_some() {
            *shared = first;
        }
        Ok(())
    }

    /// Gives the first process of a sandbox its ids and its network.
    fn identify(&self, pid: u32) -> Result<Shared> {
        uc_linux::id_maps::write_id_maps(&self.mapping, pid)?;
        let namespaces = Arc::new(Namespaces::of(pid, self.own_network())?);
        let link = match self.request.network {
            Network::User => Some(network::link(pid, &self.request.ports)?),
            Network::None | Network::Http | Network::Host => None,
        };
        Ok(Shared {
            namespaces,
            _link: link,
        })
    }

    async fn start_container(&self, name: &str) -> Result<StartResponse> {
        let container = self.find(name)?;
        let mut control = container.control.lock().await;
        let Some(control) = control.take() else {
            return Err(Problem::invalid("the container has been started already").found(name));
        };
        if container.stopping.load(Ordering::Acquire) {
            return Err(Problem::invalid("the container has been stopped").found(name));
        }
        let child = container.ending.pidfd().as_fd();
        control.start(&container.subjects, child).await?;
        container.started.store(true, Ordering::Release);
        Ok(StartResponse {})
    }

    async fn wait_container(&self, name: &str) -> Result<Exit> {
        let container = self.find(name)?;
        let exit = container.ending.wait().await?;
        Ok(container.explain(exit))
    }

    async fn pause_container(&self, name: &str) -> Result<()> {
        let container = self.find(name)?;
        container.require_running(name)?;
        let hold = container.cgroup.freeze(&self.request.directory);
        container.pausing.pause(hold).await
    }

    async fn resume_container(&self, name: &str) -> Result<()> {
        let container = self.find(name)?;
        let let_go = async { container.cgroup.thaw() };
        container.pausing.resume(let_go).await
    }

    async fn stop_container(&self, request: StopRequest) -> Result<Exit> {
        let container = self.find(&request.container)?;
        let grace = request.grace;
        if container.ending.known().is_none() {
            container.stopping.store(true, Ordering::Release);
            let let_go = async { container.cgroup.thaw() };
            container.pausing.end(let_go).await;
            if container.started.load(Ordering::Acquire) && !grace.is_zero() {
                let _ = sys::pidfd_signal(container.ending.pidfd().as_fd(), request.signal);
                let _ = tokio::time::timeout(grace, container.ending.wait()).await;
            }
            if container.ending.known().is_none() {
                container.kill();
            }
        }
        let exit = container.ending.wait().await?;
        Ok(container.explain(exit))
    }

    async fn exec_in_container(&self, request: ExecRequest) -> Result<Exit> {
        let container = self.find(&request.container)?;
        container.require_running(&request.container)?;
        container.pausing.require_running().await?;
        let process = Process {
            argv: request.command,
            ..container.process.clone()
        };
        let mut streams = request.stdio.map_or_else(Streams::null, Streams::new)?;
        streams.hand_over(&self.mapping, &process.user)?;
        let program = Program::new(
            &process,
            streams,
            container.filters.clone(),
            !self.mapping.is_own_id_only(),
        )?;
        let pair = ControlPair::new()?;
        let launched = launch::spawn_exec(
            &program,
            &container.cgroup.enter()?,
            container.ending.pidfd().as_fd(),
            self.own_network(),
            pair,
        )
        .await?;
        drop(program);
        let ending = Ending::new(launched.pidfd)?;
        let subjects = Subjects {
            program: process.argv.first().cloned().unwrap_or_default(),
            working_directory: process.cwd,
            ..Subjects::default()
        };
        let run = async {
            let child = ending.pidfd().as_fd();
            launched.control.set_up(&subjects, child).await?;
            launched.control.start(&subjects, child).await?;
            ending.wait().await
        };
        match tokio::time::timeout(request.timeout, run).await {
            Ok(exit) => exit,
            // Dropping `ending` kills the program.
            Err(_) => Ok(Exit {
                code: 124,
                reason: ExitReason::Deadline,
            }),
        }
    }

    async fn remove_container(&self, name: &str) -> Result<()> {
        let container = self.find(name)?;
        if container.ending.known().is_none() {
            return Err(Problem::invalid("the container has not ended").found(name));
        }
        self.containers().remove(name);
        container.cgroup.remove();
        userns::remove_tree(&self.mapping, &self.scratch(name))
    }

    async fn destroy_all(&self) -> Result<()> {
        let containers = std::mem::take(&mut *self.containers());
        for container in containers.values() {
            container.stopping.store(true, Ordering::Release);
            container.kill();
            let let_go = async { container.cgroup.thaw() };
            container.pausing.end(let_go).await;
        }
        for container in containers.values() {
            container.ending.wait().await?;
            container.cgroup.remove();
        }
        *self.shared.lock().await = None;
        uc_linux::cgroup::reclaim(&self.request.directory)?;
        userns::remove_tree(&self.mapping, &self.request.storage)?;
        userns::remove_tree(&self.mapping, &self.request.directory)
    }
}

/// What outlives a launch.
struct Parts {
    process: Process,
    filters: Vec<BpfProgram>,
    subjects: Subjects,
}

impl Drop for Container {
    /// A freezer of version 1 holds even what has been killed, and the end is waited for.
    fn drop(&mut self) {
        self.kill();
        let _ = self.cgroup.thaw();
    }
}

impl Container {
    fn kill(&self) {
        let _ = sys::pidfd_signal(self.ending.pidfd().as_fd(), libc::SIGKILL);
    }

    fn require_running(&self, name: &str) -> Result<()> {
        let runs = self.started.load(Ordering::Acquire) && self.ending.known().is_none();
        match runs {
            true => Ok(()),
            false => Err(Problem::invalid("the container is not running").found(name)),
        }
    }

    /// Puts the reason to a bare exit: a kill may have been ours, or the kernel's for want of memory.
    fn explain(&self, exit: Exit) -> Exit {
        if !matches!(exit.reason, ExitReason::Signalled { .. })
            && !self.stopping.load(Ordering::Acquire)
        {
            return exit;
        }
        let killed = matches!(
            exit.reason,
            ExitReason::Signalled {
                signal: libc::SIGKILL
            }
        );
        if killed && self.cgroup.stats().oom_kills.unwrap_or(0) > 0 {
            return Exit {
                reason: ExitReason::OutOfMemory,
                ..exit
            };
        }
        if self.stopping.load(Ordering::Acquire) {
            return Exit {
                reason: ExitReason::Stopped,
                ..exit
            };
        }
        exit
    }
}

impl Sandbox for ContainerSandbox {
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
        Box::pin(async move { self.pause_container(&request.container).await })
    }

    fn resume(&self, request: ResumeRequest) -> Pending<'_, ()> {
        Box::pin(async move { self.resume_container(&request.container).await })
    }

    fn stop(&self, request: StopRequest) -> Pending<'_, Exit> {
        Box::pin(self.stop_container(request))
    }

    fn exec(&self, request: ExecRequest) -> Pending<'_, Exit> {
        Box::pin(self.exec_in_container(request))
    }

    fn tcp_connect(&self, request: TcpConnectRequest) -> Pending<'_, ()> {
        Box::pin(async move {
            let shared = self.shared.lock().await;
            let namespaces = shared.as_ref().map(|shared| Arc::clone(&shared.namespaces));
            drop(shared);
            let namespaces =
                namespaces.ok_or_else(|| Problem::invalid("nothing runs in this sandbox yet"))?;
            network::tcp_connect(&namespaces, request).await
        })
    }

    fn remove(&self, request: RemoveRequest) -> Pending<'_, ()> {
        Box::pin(async move { self.remove_container(&request.container).await })
    }

    fn stats(&self, request: StatsRequest) -> Pending<'_, Stats> {
        Box::pin(async move { Ok(self.find(&request.container)?.cgroup.stats()) })
    }

    fn destroy(&self, _request: DestroyRequest) -> Pending<'_, ()> {
        Box::pin(self.destroy_all())
    }
}
