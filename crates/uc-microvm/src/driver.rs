//! The driver of microVMs, and of functions in containers in microVMs.

use std::{path::Path, sync::Arc, time::Duration};

use uc_linux::cgroup;
use uc_model::{Result, RuntimeKind};
use uc_sandbox::{Driver, Pending, PrepareRequest, Probe, Sandbox};

use crate::{
    host::{Host, Settings},
    machine::{Accelerator, Shape},
    place,
    pool::Pool,
    probe,
    sandbox::{DEFAULT_MEMORY_MIB, MicrovmSandbox},
};

/// Makes microVMs.
#[derive(Clone)]
pub struct MicrovmDriver {
    host: Arc<Host>,
    kind: RuntimeKind,
}

impl MicrovmDriver {
    /// A driver of [`RuntimeKind::Microvm`].
    pub fn new(settings: Settings) -> Self {
        let size = settings.pool;
        let host = Arc::new(Host::new(settings));
        if size > 0
            && let Ok(pool) = Pool::new(size, Arc::downgrade(&host))
        {
            let _ = host.pool.set(pool);
        }
        Self {
            host,
            kind: RuntimeKind::Microvm,
        }
    }

    /// What executes guests' instructions here.
    pub fn accelerator(&self) -> Accelerator {
        self.host.accelerator()
    }

    /// Boots the same kernel and agent by the monitor alone, for benchmarks: the time to the agent's first byte.
    ///
    /// # Errors
    /// Those of a start.
    pub async fn bare_boot(&self) -> Result<Duration> {
        let kernel = self.host.kernel()?.clone();
        let agent = &self.host.programs()?.agent;
        let (initramfs, initramfs_digest) = self.host.images()?.initramfs(&kernel, agent)?;
        let shape = Shape {
            kernel,
            initramfs,
            initramfs_digest,
            memory_mib: DEFAULT_MEMORY_MIB,
            vcpus: 1,
            disks: Vec::new(),
            ports: None,
        };
        self.host.launcher()?.monitor.bare_boot(&shape).await
    }

    /// How many machines are ready in the pool.
    pub fn ready_machines(&self) -> usize {
        self.host.pool.get().map_or(0, Pool::count)
    }

    /// The same machines, with [`RuntimeKind::Fused`]: what is in a container there may be a function.
    pub fn fused(&self) -> Self {
        Self {
            host: Arc::clone(&self.host),
            kind: RuntimeKind::Fused,
        }
    }
}

impl Driver for MicrovmDriver {
    fn kind(&self) -> RuntimeKind {
        self.kind
    }

    fn probe(&self) -> Probe {
        probe::probe(&self.host, self.kind)
    }

    fn prepare(&self, request: PrepareRequest) -> Pending<'_, Box<dyn Sandbox>> {
        let (host, kind) = (Arc::clone(&self.host), self.kind);
        Box::pin(async move {
            let sandbox = MicrovmSandbox::new(request, host, kind);
            Ok(Box::new(sandbox) as Box<dyn Sandbox>)
        })
    }

    /// A monitor dies with its owner. Its control groups stay, and the directories of Firecracker and of the pool.
    fn reclaim(&self, directory: &Path) -> Result<()> {
        place::sweep(&self.host.machines());
        cgroup::reclaim(directory)
    }
}
