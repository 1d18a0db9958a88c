//! Making a container: what a supervisor is started with, and a container that has one for itself.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use uc_linux::{
    c_strings::path_c_string,
    cgroup::{Cgroup, Entrances},
    id_maps::write_id_maps,
    namespaces::Namespaces,
    network::{self, Link},
    scratch,
};
use uc_model::{Problem, Result, workload::Network};
use uc_sandbox::{CreateRequest, HostMount, MountSource, Payload};

use crate::{
    bundle,
    container::Container,
    control,
    kernel::Kernel,
    order::{FIRST, Order, PLACE, Role, Volume},
    sandbox::OciSandbox,
    spawn::{self, Names, Plan, Sources},
    streams,
    supervised::Supervised,
};

/// What the containers of a sandbox share.
pub(crate) struct Shared {
    pub(crate) namespaces: Arc<Namespaces>,
    /// The process that links the sandbox's network to the host's.
    _link: Option<Link>,
    /// The kernel, where they share one.
    pub(crate) kernel: Option<Kernel>,
}

impl Shared {
    /// Who serves the kernel.
    pub(crate) fn kernel(&self) -> Option<&Arc<Supervised>> {
        self.kernel.as_ref().map(|kernel| &kernel.supervised)
    }
}

/// A container that has been made.
pub(crate) struct Launched {
    pub(crate) container: Container,
    pub(crate) pid: u32,
    pub(crate) warnings: Vec<String>,
}

/// What a supervisor is started for.
pub(crate) struct Start<'a> {
    pub(crate) id: String,
    pub(crate) role: Role,
    pub(crate) config: Value,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) sources: Sources,
    pub(crate) names: Names,
    pub(crate) streams: [OwnedFd; 3],
    pub(crate) entrances: &'a Entrances,
    /// The control groups that it has for itself.
    pub(crate) cgroup: Cgroup,
    /// Namespaces to join; none where it is the first.
    pub(crate) namespaces: Option<&'a Namespaces>,
}

impl OciSandbox {
    /// Makes a container with a supervisor of its own.
    pub(crate) async fn launch_alone(
        &self,
        request: CreateRequest,
        scratch: &Path,
    ) -> Result<Launched> {
        let group = format!("undercurrent-{}-{}", self.request.id, request.container);
        let (cgroup, warnings) = Cgroup::plan(
            &self.layout,
            &group,
            &request.limits,
            self.request.ignore_unenforceable_limits,
        )?;
        let bundle = self.bundle(&request, PLACE)?;
        let (sources, names) = self.sources(&self.layers(&request)?, &request, scratch)?;
        let mut shared = self.shared.lock().await;
        if self.tools.flavour.has_own_kernel() {
            // Another kernel has been there, and has taken the addresses of its network.
            *shared = None;
        }
        let (process, limits) = (request.process.clone(), request.limits);
        let streams = streams::of(request.stdio, &self.mapping, &process.user)?;
        let entrances = cgroup.make(&self.request.directory)?;
        let started = self.start_supervisor(Start {
            id: format!("{}-{}", self.request.id, request.container),
            role: Role::Container,
            config: bundle.config,
            volumes: bundle.volumes,
            sources,
            names,
            streams,
            entrances: &entrances,
            cgroup,
            namespaces: shared.as_ref().map(|shared| &*shared.namespaces),
        });
        let (pid, supervised) = started?;
        let made = match &*shared {
            None => self.identify(pid).map(Some),
            Some(_) => Ok(None),
        };
        let created = match made {
            Ok(made) => supervised.create().await.map(|_| made),
            Err(problem) => Err(problem),
        };
        match created {
            Ok(made) => {
                if let Some(made) = made {
                    *shared = Some(made);
                }
                Ok(Launched {
                    container: Container::new(
                        Arc::new(supervised),
                        FIRST,
                        process,
                        limits,
                        self.tools.flavour.has_own_kernel(),
                    ),
                    pid,
                    warnings,
                })
            }
            Err(problem) => {
                supervised.kill();
                supervised.cgroup.remove();
                Err(problem)
            }
        }
    }

    /// The bundle of a container whose parts will lie below `place`.
    pub(crate) fn bundle(&self, request: &CreateRequest, place: &str) -> Result<bundle::Bundle> {
        bundle::bundle(
            request,
            &self.request.hostname,
            self.tools.flavour,
            self.request.network,
            place,
        )
    }

    /// The layers of a container's root file system, lowest first.
    pub(crate) fn layers(&self, request: &CreateRequest) -> Result<Vec<PathBuf>> {
        let Payload::Rootfs { layers } = &request.payload else {
            return Err(
                Problem::invalid("a container needs a Linux root file system")
                    .found("a WebAssembly program"),
            );
        };
        Ok(std::iter::once(&self.tools.mount_points)
            .chain(layers)
            .cloned()
            .collect())
    }

    /// What a supervisor of a container opens of the host.
    pub(crate) fn sources(
        &self,
        layers: &[PathBuf],
        request: &CreateRequest,
        scratch: &Path,
    ) -> Result<(Sources, Names)> {
        scratch::check_counts(layers.len(), request.mounts.len())?;
        let hosts: Vec<&HostMount> = request
            .mounts
            .iter()
            .filter_map(|mount| match &mount.source {
                MountSource::Host(host) => Some(host),
                MountSource::Memory { .. } => None,
            })
            .collect();
        self.sources_of(layers, &hosts, scratch)
    }

    pub(crate) fn sources_of(
        &self,
        layers: &[PathBuf],
        hosts: &[&HostMount],
        scratch: &Path,
    ) -> Result<(Sources, Names)> {
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

    /// Starts a supervisor, which then waits to be let go on.
    pub(crate) fn start_supervisor(&self, start: Start<'_>) -> Result<(u32, Supervised)> {
        let pair = control::pair()
            .map_err(|error| Problem::host("cannot make a socket pair").caused_by(error))?;
        let file = spawn::order_file()?;
        let plan = Plan::new(
            start.sources,
            path_c_string(&self.tools.supervisor)?,
            start.streams,
            &[pair.0.as_fd(), pair.1.as_fd(), file.as_fd()],
            !self.mapping.is_own_id_only(),
        )?;
        let order = Order {
            id: start.id,
            role: start.role,
            flavour: self.tools.flavour,
            platform: self.tools.platform,
            network: self.request.network,
            configure_network: start.namespaces.is_none() && self.own_network(),
            hostname: self.request.hostname.clone(),
            descriptors: plan.descriptors(),
            volumes: start.volumes,
            config: start.config,
        };
        let order = spawn::write_order(file, &order)?;
        let spawned = spawn::spawn(
            &plan,
            order.as_fd(),
            start.entrances,
            start.namespaces,
            self.own_network(),
            pair,
        )?;
        drop(plan);
        let pid = spawned.pid;
        Ok((pid, Supervised::new(spawned, start.names, start.cgroup)?))
    }

    /// Gives the first supervisor of a sandbox its ids and its network.
    pub(crate) fn identify(&self, pid: u32) -> Result<Shared> {
        write_id_maps(&self.mapping, pid)?;
        let namespaces = Arc::new(Namespaces::of(pid, self.own_network())?);
        let link = match self.request.network {
            Network::User => Some(network::link(pid, &self.request.ports)?),
            Network::None | Network::Http | Network::Host => None,
        };
        Ok(Shared {
            namespaces,
            _link: link,
            kernel: None,
        })
    }
}
