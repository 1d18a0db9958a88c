//! The driver of microVMs, and of functions in containers in microVMs.

use std::{path::Path, sync::Arc};

use uc_model::{Result, RuntimeKind};
use uc_sandbox::{Driver, Pending, PrepareRequest, Probe, Sandbox};

use crate::{
    host::{Host, Settings},
    probe,
    sandbox::MicrovmSandbox,
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
        Self {
            host: Arc::new(Host::new(settings)),
            kind: RuntimeKind::Microvm,
        }
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

    /// A monitor dies with its owner, and leaves nothing.
    fn reclaim(&self, _directory: &Path) -> Result<()> {
        Ok(())
    }
}
