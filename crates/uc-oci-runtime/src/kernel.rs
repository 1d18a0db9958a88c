//! A gVisor kernel that the containers of a Pod share, as under containerd: the first container only keeps it alive, the
//! others join it and leave it.

use std::{path::Path, sync::Arc};

use uc_linux::{cgroup::Cgroup, scratch, userns};
use uc_model::{Problem, Result};
use uc_sandbox::{CreateRequest, Limits};

use crate::{
    bundle,
    container::Container,
    inside,
    launch::{Launched, Shared, Start},
    limits,
    order::{Role, place_of},
    sandbox::OciSandbox,
    streams,
    supervised::Supervised,
};

/// A kernel that runs.
pub(crate) struct Kernel {
    pub(crate) supervised: Arc<Supervised>,
    pid: u32,
    /// Its name among the sandbox's; no container has one like it.
    name: String,
    /// What its containers may use together.
    limits: Limits,
    /// What has been said of that.
    told: Option<String>,
}

impl OciSandbox {
    /// Makes a container in the kernel that this sandbox's containers share; the first of them boots it.
    pub(crate) async fn launch_in_kernel(
        &self,
        request: CreateRequest,
        scratch: &Path,
    ) -> Result<Launched> {
        let mut shared = self.shared.lock().await;
        self.bury_kernel(&mut shared)?;
        let together = self.limits_together(&request.limits)?;
        let mut warnings = Vec::new();
        let present = match shared.take() {
            Some(present) => present,
            None => self.boot(&together, &mut warnings).await?,
        };
        let present = shared.insert(present);
        let namespaces = Arc::clone(&present.namespaces);
        let kernel = present
            .kernel
            .as_mut()
            .ok_or_else(|| Problem::internal("a sandbox without its kernel"))?;
        kernel.raise(&together)?;
        if let Some(warning) = limits::warning(&request.limits, &kernel.limits)
            && kernel.told.as_ref() != Some(&warning)
        {
            warnings.push(warning.clone());
            kernel.told = Some(warning);
        }
        let (pid, supervised) = (kernel.pid, Arc::clone(&kernel.supervised));
        let process = request.process.clone();
        let limits = request.limits;
        let number = self
            .join(request, scratch, &namespaces, &supervised, &kernel.name)
            .await?;
        Ok(Launched {
            container: Container::new(supervised, number, process, limits, true),
            pid,
            warnings,
        })
    }

    /// What the kernel's containers may use together once there is one more.
    fn limits_together(&self, new: &Limits) -> Result<Limits> {
        let ignore_uneven = self.request.ignore_unenforceable_limits;
        if !self.request.containers.is_empty() {
            return limits::of_expected(&self.request.containers, ignore_uneven);
        }
        let mut all: Vec<Limits> = self
            .containers()
            .values()
            .filter(|container| !container.has_ended())
            .map(|container| *container.limits())
            .collect();
        all.push(*new);
        limits::sum(&all, ignore_uneven)
    }

    /// Forgets a kernel that has died, and its network, whose addresses went with it.
    fn bury_kernel(&self, shared: &mut Option<Shared>) -> Result<()> {
        let name = match shared.as_ref().and_then(|shared| shared.kernel.as_ref()) {
            Some(kernel) if kernel.supervised.is_gone() => kernel.name.clone(),
            _ => return Ok(()),
        };
        if let Some(kernel) = shared.take().and_then(|shared| shared.kernel)
            && !self.is_in_use(&kernel.supervised)
        {
            kernel.supervised.cgroup.remove();
        }
        userns::remove_tree(&self.mapping, &self.request.storage.join(name))
    }

    /// Boots a kernel with its first container, in namespaces and control groups of its own.
    async fn boot(&self, limits: &Limits, warnings: &mut Vec<String>) -> Result<Shared> {
        let name = self.next_kernel();
        let (cgroup, told) = Cgroup::plan(
            &self.layout,
            &format!("undercurrent-{}-{name}", self.request.id),
            limits,
            self.request.ignore_unenforceable_limits,
        )?;
        warnings.extend(told);
        let scratch = self.request.storage.join(&name);
        scratch::make(&self.mapping, &scratch)?;
        let layers = [self.tools.mount_points.clone()];
        let (sources, names) = self.sources_of(&layers, &[], &scratch)?;
        let (hostname, network) = (&self.request.hostname, self.request.network);
        let entrances = cgroup.make(&self.request.directory)?;
        let (pid, supervised) = self.start_supervisor(Start {
            id: self.id_of(&name),
            role: Role::Kernel,
            config: bundle::of_kernel(inside::PAUSE, hostname, network),
            volumes: Vec::new(),
            sources,
            names,
            streams: streams::null()?,
            entrances: &entrances,
            cgroup,
            namespaces: None,
        })?;
        let booted = match self.identify(pid) {
            Ok(shared) => supervised.create().await.map(|_| shared),
            Err(problem) => Err(problem),
        };
        match booted {
            Ok(mut shared) => {
                shared.kernel = Some(Kernel {
                    supervised: Arc::new(supervised),
                    pid,
                    name,
                    limits: *limits,
                    told: None,
                });
                Ok(shared)
            }
            Err(problem) => {
                supervised.kill();
                supervised.cgroup.remove();
                let _ = userns::remove_tree(&self.mapping, &scratch);
                Err(problem)
            }
        }
    }

    /// Builds the parts of a container, and hands them to the kernel's supervisor; its number there.
    async fn join(
        &self,
        request: CreateRequest,
        scratch: &Path,
        namespaces: &uc_linux::namespaces::Namespaces,
        kernel: &Supervised,
        kernel_name: &str,
    ) -> Result<u32> {
        let number = kernel.next_container();
        let mut bundle = self.bundle(&request, &place_of(number))?;
        bundle::join(&mut bundle.config, &self.id_of(kernel_name));
        let (sources, names) = self.sources(&self.layers(&request)?, &request, scratch)?;
        let id = format!("{}-{}", self.request.id, request.container);
        let streams = streams::of(request.stdio, &self.mapping, &request.process.user)?;
        let entrances = kernel.cgroup.enter()?;
        let (_, stage) = self.start_supervisor(Start {
            id: id.clone(),
            role: Role::Stage,
            config: bundle.config,
            volumes: bundle.volumes,
            sources,
            names,
            streams: streams::null()?,
            entrances: &entrances,
            cgroup: Cgroup::default(),
            namespaces: Some(namespaces),
        })?;
        let parts = stage
            .create()
            .await?
            .ok_or_else(|| Problem::internal("a container was staged without its parts"))?;
        drop(stage);
        kernel.join(number, id, &parts, streams).await
    }

    /// A name for the runtime.
    fn id_of(&self, kernel_name: &str) -> String {
        format!("{}{kernel_name}", self.request.id)
    }
}

impl Kernel {
    /// Lets its containers use more together.
    fn raise(&mut self, together: &Limits) -> Result<()> {
        let raised = limits::larger(&self.limits, together);
        if raised != self.limits {
            self.supervised.cgroup.change(&raised)?;
            self.limits = raised;
        }
        Ok(())
    }
}
