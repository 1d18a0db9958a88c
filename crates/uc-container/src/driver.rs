//! The container driver.

use std::path::Path;

use uc_model::{Result, RuntimeKind};
use uc_sandbox::{Driver, Pending, PrepareRequest, Probe, Sandbox};

use crate::{cgroup, cgroup::Layout, idmap::IdMapping, probe, sandbox::ContainerSandbox};

/// Makes rootless containers.
#[derive(Debug, Clone, Copy, Default)]
pub struct ContainerDriver;

impl Driver for ContainerDriver {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Container
    }

    fn probe(&self) -> Probe {
        probe::probe()
    }

    fn prepare(&self, request: PrepareRequest) -> Pending<'_, Box<dyn Sandbox>> {
        Box::pin(async move {
            let sandbox =
                ContainerSandbox::new(request, IdMapping::for_caller()?, Layout::of_this_host());
            Ok(Box::new(sandbox) as Box<dyn Sandbox>)
        })
    }

    fn reclaim(&self, directory: &Path) -> Result<()> {
        cgroup::reclaim(directory)?;
        crate::userns::remove_tree(&IdMapping::for_caller()?, &directory.join("containers"))
    }
}
