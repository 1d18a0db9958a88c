//! One workload's containers: each with a supervisor, or together in a gVisor kernel.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::sync::Mutex as AsyncMutex;
use uc_linux::{IdMapping, cgroup::Layout, network, scratch, userns};
use uc_model::{Problem, Result, workload::Network};
use uc_sandbox::{
    CreateRequest, CreateResponse, DestroyRequest, ExecRequest, Exit, MountSource, PauseRequest,
    Pending, PrepareRequest, Process, RemoveRequest, ResumeRequest, Sandbox, StartRequest,
    StartResponse, Stats, StatsRequest, StopRequest, TcpConnectRequest, WaitRequest,
};

use crate::{
    bundle,
    container::{self, Container},
    flavour::{Flavour, Platform},
    launch::Shared,
    streams,
    supervised::Supervised,
};

/// The programs that a sandbox uses.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) flavour: Flavour,
    pub(crate) platform: Platform,
    pub(crate) runtime: PathBuf,
    pub(crate) supervisor: PathBuf,
    /// The lowest layer of each root file system.
    pub(crate) mount_points: PathBuf,
}

/// The sandbox of one workload.
pub(crate) struct OciSandbox {
    pub(crate) request: PrepareRequest,
    pub(crate) mapping: IdMapping,
    pub(crate) layout: Layout,
    pub(crate) tools: Tools,
    /// Made with the first container; the lock also keeps two from being first.
    pub(crate) shared: AsyncMutex<Option<Shared>>,
    containers: Mutex<BTreeMap<String, Arc<Container>>>,
    kernels: AtomicU32,
}

impl OciSandbox {
    pub(crate) fn new(
        request: PrepareRequest,
        mapping: IdMapping,
        layout: Layout,
        tools: Tools,
    ) -> Self {
        Self {
            request,
            mapping,
            layout,
            tools,
            shared: AsyncMutex::new(None),
            containers: Mutex::new(BTreeMap::new()),
            kernels: AtomicU32::new(0),
        }
    }

    pub(crate) fn own_network(&self) -> bool {
        self.request.network != Network::Host
    }

    /// Whether containers share a gVisor kernel. One that is known to stay alone has none to share, and starts quicker.
    pub(crate) fn shares_kernel(&self) -> bool {
        self.tools.flavour.has_own_kernel() && self.request.containers.len() != 1
    }

    /// A name for one more kernel of this sandbox, like none of a container's, since it has a dot.
    pub(crate) fn next_kernel(&self) -> String {
        format!(".kernel-{}", self.kernels.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn containers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Container>>> {
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

    async fn create_container(&self, request: CreateRequest) -> Result<CreateResponse> {
        let name = request.container.clone();
        self.check(&request)?;
        for mount in &request.mounts {
            if let MountSource::Host(host) = &mount.source {
                userns::give_volume(&self.mapping, host)?;
            }
        }
        let scratch = self.request.storage.join(&name);
        scratch::make(&self.mapping, &scratch)?;
        let launched = match self.shares_kernel() {
            true => self.launch_in_kernel(request, &scratch).await,
            false => self.launch_alone(request, &scratch).await,
        };
        match launched {
            Ok(launched) => {
                let container = Arc::new(launched.container);
                self.containers().insert(name, container);
                Ok(CreateResponse {
                    pid: Some(launched.pid),
                    warnings: launched.warnings,
                    parts: Vec::new(),
                })
            }
            Err(problem) => {
                let _ = userns::remove_tree(&self.mapping, &scratch);
                Err(problem)
            }
        }
    }

    /// Refuses what cannot work.
    fn check(&self, request: &CreateRequest) -> Result<()> {
        let name = &request.container;
        let containers = self.containers();
        if containers.contains_key(name) {
            return Err(Problem::invalid("a container of this name exists already")
                .at(&self.request.id)
                .found(name));
        }
        if self.tools.flavour.has_own_kernel() && !self.shares_kernel() && !containers.is_empty() {
            return Err(
                Problem::invalid("this sandbox was made for one container, and has it")
                    .at(&self.request.id)
                    .found(name),
            );
        }
        drop(containers);
        if request.call_listener.is_some() {
            return Err(Problem::refused(format!(
                "{} does not tell of the system calls of its programs",
                self.tools.flavour
            ))
            .remedy("trace the program with --runtime container"));
        }
        if request.process.argv.first().is_none_or(String::is_empty) {
            return Err(Problem::invalid("there is no program to run").remedy(
                "the image has neither entrypoint nor command: set command in the manifest",
            ));
        }
        let user = &request.process.user;
        self.mapping.require(user.uid, user.gid)?;
        self.mapping.require_groups(&user.groups)
    }

    async fn remove_container(&self, name: &str) -> Result<()> {
        let container = self.find(name)?;
        if !container.has_ended() {
            return Err(Problem::invalid("the container is still running").found(name));
        }
        container.remove().await?;
        let supervised = container.supervised();
        self.containers().remove(name);
        if supervised.is_gone() && !self.is_in_use(supervised) {
            supervised.cgroup.remove();
        }
        userns::remove_tree(&self.mapping, &self.request.storage.join(name))
    }

    /// Whether containers that have not been removed are a supervisor's.
    pub(crate) fn is_in_use(&self, supervised: &Arc<Supervised>) -> bool {
        self.containers()
            .values()
            .any(|container| Arc::ptr_eq(container.supervised(), supervised))
    }

    /// Finds containers that are to be held. gVisor holds a kernel as a whole, and so only all that run in it.
    fn pausable(&self, names: &[String]) -> Result<Vec<Arc<Container>>> {
        let containers: Vec<_> = names
            .iter()
            .map(|name| self.find(name))
            .collect::<Result<_>>()?;
        let is_left_out = |other: &Arc<Container>| {
            other.is_running() && !containers.iter().any(|one| Arc::ptr_eq(one, other))
        };
        if self.shares_kernel() && self.containers().values().any(is_left_out) {
            return Err(Problem::refused(
                "gVisor cannot hold one container of a Pod without the others in its kernel",
            )
            .found(names.join(", "))
            .remedy("pause the whole Pod, or put the container into a Pod of its own"));
        }
        Ok(containers)
    }

    async fn pause_together(&self, names: Vec<String>) -> Result<()> {
        let containers = self.pausable(&names)?;
        for (index, container) in containers.iter().enumerate() {
            if let Err(problem) = container.pause(&self.request.directory).await {
                for held in containers.iter().take(index + 1) {
                    // One that has ended meanwhile is none to let go, nor the last one, unless it was held before.
                    let _ = held.resume().await;
                }
                return Err(problem);
            }
        }
        Ok(())
    }

    async fn exec_in_container(&self, request: ExecRequest) -> Result<Exit> {
        let container = self.find(&request.container)?;
        let process = Process {
            argv: request.command,
            ..container.process().clone()
        };
        let streams = match request.stdio {
            Some(stdio) => streams::of(stdio, &self.mapping, &process.user)?,
            None => streams::null()?,
        };
        container
            .exec(&bundle::process(&process), streams, request.timeout)
            .await
    }

    async fn destroy_all(&self) -> Result<()> {
        let containers = std::mem::take(&mut *self.containers());
        let shared = self.shared.lock().await.take();
        let kernel = shared.as_ref().and_then(Shared::kernel);
        let supervised: Vec<_> = containers
            .values()
            .map(|container| container.supervised())
            .chain(kernel)
            .collect();
        for supervised in &supervised {
            supervised.kill();
        }
        for container in containers.values() {
            container.end_pause().await;
        }
        for supervised in &supervised {
            supervised.ending().wait().await?;
            supervised.cgroup.remove();
        }
        for container in containers.values() {
            container.wait().await?;
        }
        drop((containers, shared));
        uc_linux::cgroup::reclaim(&self.request.directory)?;
        userns::remove_tree(&self.mapping, &self.request.storage)?;
        userns::remove_tree(&self.mapping, &self.request.directory)
    }

    async fn tcp_connect_inside(&self, request: TcpConnectRequest) -> Result<()> {
        if self.tools.flavour.has_own_kernel() && self.own_network() {
            return container::tcp_connect(&*self.kernel().await?, request).await;
        }
        let namespaces = match &*self.shared.lock().await {
            Some(shared) => Arc::clone(&shared.namespaces),
            None => return Err(nothing_runs()),
        };
        network::tcp_connect(&namespaces, request).await
    }

    /// Who serves the kernel that has the sandbox's network.
    async fn kernel(&self) -> Result<Arc<Supervised>> {
        let running = self
            .containers()
            .values()
            .find(|container| container.is_running())
            .map(|container| Arc::clone(container.supervised()));
        running.ok_or_else(nothing_runs)
    }
}

fn nothing_runs() -> Problem {
    Problem::invalid("nothing runs in this sandbox yet")
}

impl Sandbox for OciSandbox {
    fn create(&self, request: CreateRequest) -> Pending<'_, CreateResponse> {
        Box::pin(self.create_container(request))
    }

    fn start(&self, request: StartRequest) -> Pending<'_, StartResponse> {
        Box::pin(async move {
            self.find(&request.container)?.start().await?;
            Ok(StartResponse {})
        })
    }

    fn wait(&self, request: WaitRequest) -> Pending<'_, Exit> {
        Box::pin(async move { self.find(&request.container)?.wait().await })
    }

    fn pause(&self, request: PauseRequest) -> Pending<'_, ()> {
        Box::pin(async move {
            for container in self.pausable(&[request.container])? {
                container.pause(&self.request.directory).await?;
            }
            Ok(())
        })
    }

    fn pause_all(&self, containers: Vec<String>) -> Pending<'_, ()> {
        Box::pin(self.pause_together(containers))
    }

    fn resume(&self, request: ResumeRequest) -> Pending<'_, ()> {
        Box::pin(async move { self.find(&request.container)?.resume().await })
    }

    fn stop(&self, request: StopRequest) -> Pending<'_, Exit> {
        Box::pin(async move {
            let container = self.find(&request.container)?;
            container.stop(request.signal, request.grace).await
        })
    }

    fn exec(&self, request: ExecRequest) -> Pending<'_, Exit> {
        Box::pin(self.exec_in_container(request))
    }

    fn tcp_connect(&self, request: TcpConnectRequest) -> Pending<'_, ()> {
        Box::pin(self.tcp_connect_inside(request))
    }

    fn remove(&self, request: RemoveRequest) -> Pending<'_, ()> {
        Box::pin(async move { self.remove_container(&request.container).await })
    }

    fn stats(&self, request: StatsRequest) -> Pending<'_, Stats> {
        Box::pin(async move { Ok(self.find(&request.container)?.stats()) })
    }

    fn destroy(&self, _request: DestroyRequest) -> Pending<'_, ()> {
        Box::pin(self.destroy_all())
    }
}
