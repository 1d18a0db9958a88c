//! The container driver.

use std::path::{Path, PathBuf};

use uc_linux::{cgroup, cgroup::Layout, idmap::IdMapping, mount_points};
use uc_model::{Result, RuntimeKind};
use uc_sandbox::{Driver, Pending, PrepareRequest, Probe, Sandbox};

use crate::{probe, sandbox::ContainerSandbox};

/// Makes rootless containers.
#[derive(Debug, Clone)]
pub struct ContainerDriver {
    mount_points: PathBuf,
}

impl ContainerDriver {
    /// A driver that keeps the layer of mount points in a directory, made at the first run where it is missing.
    pub fn new(mount_points: PathBuf) -> Self {
        Self { mount_points }
    }
}

impl Driver for ContainerDriver {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Container
    }

    fn probe(&self) -> Probe {
        probe::probe()
    }

    fn prepare(&self, request: PrepareRequest) -> Pending<'_, Box<dyn Sandbox>> {
        Box::pin(async move {
            let mapping = IdMapping::for_caller()?;
            let mount_points = mount_points::layer(&self.mount_points, &mapping)?;
            let sandbox =
                ContainerSandbox::new(request, mapping, Layout::of_this_host(), mount_points);
            Ok(Box::new(sandbox) as Box<dyn Sandbox>)
        })
    }

    fn reclaim(&self, directory: &Path) -> Result<()> {
        cgroup::reclaim(directory)
    }
}
