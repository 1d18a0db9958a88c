//! One workload's containers, each with a supervisor.

use std::{
    collections::BTreeMap,
    os::fd::AsFd,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Mutex as AsyncMutex;
use uc_linux::{
    IdMapping,
    c_strings::path_c_string,
    cgroup::{Cgroup, Layout},
    id_maps::write_id_maps,
    namespaces::Namespaces,
    network::{self, Link},
    scratch, userns,
};
use uc_model::{Problem, Result, workload::Network};
use uc_sandbox::{
    CreateRequest, CreateResponse, DestroyRequest, ExecRequest, Exit, HostMount, MountSource,
    PauseRequest, Payload, Pending, PrepareRequest, Process, RemoveRequest, ResumeRequest, Sandbox,
    StartRequest, StartResponse, Stats, StatsRequest, StopRequest, TcpConnectRequest, WaitRequest,
};

use crate::{
    bundle,
    container::Container,
    control,
    flavour::{Flavour, Platform},
    order::Order,
    spawn::{self, Names, Plan, Sources},
    streams,
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
    request: PrepareRequest,
    mapping: IdMapping,
    layout: Layout,
    tools: Tools,
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

    async fn create_container(&self, request: CreateRequest) -> Result<CreateResponse> {
        let name = request.container.clone();
        if self.containers().contains_key(&name) {
            return Err(Problem::invalid("a container of this name exists already")
                .at(&self.request.id)
                .found(name));
        }
        if request.call_listener.is_some() {
            return Err(Problem::refused(format!(
                "{} does not tell of the system calls of its programs",
                self.tools.flavour
            ))
            .remedy("trace the program with --runtime container"));
        }
        let user = &request.process.user;
        self.mapping.require(user.uid, user.gid)?;
        self.mapping.require_groups(&user.groups)?;
        for mount in &request.mounts {
            if let MountSource::Host(host) = &mount.source {
                userns::give_volume(&self.mapping, host)?;
            }
        }
        let group = format!("undercurrent-{}-{name}", self.request.id);
        let (cgroup, warnings) = Cgroup::plan(
            &self.layout,
            &group,
            &request.limits,
            self.request.ignore_unenforceable_limits,
        )?;
        let scratch = self.request.storage.join(&name);
        scratch::make(&self.mapping, &scratch)?;
        match self.launch(request, &scratch, &cgroup).await {
            Ok((pid, container)) => {
                let has_own_kernel = self.tools.flavour.has_own_kernel();
                let container = Container::new(container, cgroup, has_own_kernel);
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
        scratch: &std::path::Path,
        cgroup: &Cgroup,
    ) -> Result<(u32, crate::container::Supervised)> {
        let Payload::Rootfs { layers } = &request.payload else {
            return Err(
                Problem::invalid("a container needs a Linux root file system")
                    .found("a WebAssembly program"),
            );
        };
        let layers: Vec<PathBuf> = std::iter::once(&self.tools.mount_points)
            .chain(layers)
            .cloned()
            .collect();
        if request.process.argv.first().is_none_or(String::is_empty) {
            return Err(Problem::invalid("there is no program to run").remedy(
                "the image has neither entrypoint nor command: set command in the manifest",
            ));
        }
        let bundle = bundle::bundle(
            &request,
            &self.request.hostname,
            self.tools.flavour,
            self.request.network,
        )?;
        let (sources, names) = self.sources(&request, &layers, scratch)?;
        let mut shared = self.shared.lock().await;
        let id = format!("{}-{}", self.request.id, request.container);
        let process = request.process.clone();
        let streams = streams::of(request.stdio, &self.mapping, &process.user)?;
        let pair = control::pair()
            .map_err(|error| Problem::host("cannot make a socket pair").caused_by(error))?;
        let reserve = std::fs::File::open("/dev/null")
            .map_err(|error| Problem::host("cannot open /dev/null").caused_by(error))?;
        let plan = Plan::new(
            sources,
            path_c_string(&self.tools.supervisor)?,
            streams,
            &[pair.0.as_fd(), pair.1.as_fd(), reserve.as_fd()],
            !self.mapping.is_own_id_only(),
        )?;
        // The order takes the number that was kept free for it, so that all numbers stay below the planned ones.
        drop(reserve);
        let order = spawn::write_order(&Order {
            id,
            flavour: self.tools.flavour,
            platform: self.tools.platform,
            network: self.request.network,
            configure_network: shared.is_none() && self.own_network(),
            hostname: self.request.hostname.clone(),
            descriptors: plan.descriptors(),
            volumes: bundle.volumes,
            config: bundle.config,
        })?;
        let groups = cgroup.make(&self.request.directory)?;
        let namespaces = shared.as_ref().map(|shared| Arc::clone(&shared.namespaces));
        let spawned = spawn::spawn(
            &plan,
            order.as_fd(),
            &groups,
            namespaces.as_deref(),
            self.own_network(),
            pair,
        )?;
        drop(plan);
        let pid = spawned.pid;
        let container = crate::container::Supervised::new(spawned, names, process)?;
        let link = self.identify(pid, shared.is_none())?;
        container.create().await?;
        if let Some(link) = link {
            *shared = Some(link);
        }
        Ok((pid, container))
    }

    /// Gives the first supervisor of a sandbox its ids and its network.
    fn identify(&self, pid: u32, is_first: bool) -> Result<Option<Shared>> {
        if !is_first {
            return Ok(None);
        }
        write_id_maps(&self.mapping, pid)?;
        let namespaces = Arc::new(Namespaces::of(pid, self.own_network())?);
        let link = match self.request.network {
            Network::User => Some(network::link(pid, &self.request.ports)?),
            Network::None | Network::Http | Network::Host => None,
        };
        Ok(Some(Shared {
            namespaces,
            _link: link,
        }))
    }

    fn sources(
        &self,
        request: &CreateRequest,
        layers: &[PathBuf],
        scratch: &std::path::Path,
    ) -> Result<(Sources, Names)> {
        let hosts: Vec<&HostMount> = request
            .mounts
            .iter()
            .filter_map(|mount| match &mount.source {
                MountSource::Host(host) => Some(host),
                MountSource::Memory { .. } => None,
            })
            .collect();
        scratch::check_counts(layers.len(), request.mounts.len())?;
        let names = Names {
            layers: layers
                .iter()
                .map(|layer| layer.display().to_string())
                .collect(),
            volumes: hosts
                .iter()
                .map(|host| host.path.display().to_string())
                .collect(),
            runtime: self.tools.runtime.display().to_string(),
            supervisor: self.tools.supervisor.display().to_string(),
        };
        let sources = Sources {
            scratch: path_c_string(scratch)?,
            runtime: path_c_string(&self.tools.runtime)?,
            layers: layers
                .iter()
                .map(|layer| path_c_string(layer))
                .collect::<Result<_>>()?,
            volumes: hosts
                .iter()
                .map(|host| {
                    let below = host.sub_path.as_deref().map(path_c_string).transpose()?;
                    Ok((path_c_string(&host.path)?, below))
                })
                .collect::<Result<_>>()?,
        };
        Ok((sources, names))
    }

    async fn remove_container(&self, name: &str) -> Result<()> {
        let container = self.find(name)?;
        if container.known().is_none() {
            return Err(Problem::invalid("the container is still running").found(name));
        }
        container.cgroup.remove();
        self.containers().remove(name);
        userns::remove_tree(&self.mapping, &self.request.storage.join(name))
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
        for container in containers.values() {
            container.kill();
            container.end_pause().await;
        }
        for container in containers.values() {
            container.wait().await?;
            container.cgroup.remove();
        }
        drop(containers);
        *self.shared.lock().await = None;
        uc_linux::cgroup::reclaim(&self.request.directory)?;
        userns::remove_tree(&self.mapping, &self.request.storage)?;
        userns::remove_tree(&self.mapping, &self.request.directory)
    }

    async fn tcp_connect_inside(&self, request: TcpConnectRequest) -> Result<()> {
        if self.tools.flavour == Flavour::Runsc && self.own_network() {
            return Err(Problem::unavailable(
                "gVisor's network cannot be reached from outside the sandbox",
            )
            .remedy("use exec probes, or --runtime container"));
        }
        let namespaces = match &*self.shared.lock().await {
            Some(shared) => Arc::clone(&shared.namespaces),
            None => return Err(Problem::invalid("nothing runs in this sandbox yet")),
        };
        network::tcp_connect(&namespaces, request).await
    }
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
            let container = self.find(&request.container)?;
            container.pause(&self.request.directory).await
        })
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
        Box::pin(async move { Ok(self.find(&request.container)?.cgroup.stats()) })
    }

    fn destroy(&self, _request: DestroyRequest) -> Pending<'_, ()> {
        Box::pin(self.destroy_all())
    }
}
