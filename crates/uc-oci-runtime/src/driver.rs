//! The driver of one runtime.

use std::path::{Path, PathBuf};

use uc_linux::{IdMapping, cgroup, cgroup::Layout, mount_points};
use uc_model::{Problem, Result, RuntimeKind};
use uc_sandbox::{Driver, Pending, PortForward, PrepareRequest, Probe, Sandbox};

use crate::{
    binary,
    flavour::{Flavour, Platform},
    probe,
    sandbox::{OciSandbox, Tools},
};

/// Makes sandboxes by one runtime's command line.
#[derive(Debug, Clone)]
pub struct OciRuntimeDriver {
    flavour: Flavour,
    platform: Platform,
    /// The runtime's program; looked for on PATH where none is given.
    program: Option<PathBuf>,
    /// A program that is the supervisor when called by its name.
    supervisor: PathBuf,
    mount_points: PathBuf,
}

impl OciRuntimeDriver {
    /// A driver whose supervisors are `supervisor`, a program that calls [`crate::supervise`] when its argument 0 is
    /// [`crate::SUPERVISOR`], and that keeps the layer of mount points in a directory.
    pub fn new(flavour: Flavour, supervisor: PathBuf, mount_points: PathBuf) -> Self {
        Self {
            flavour,
            platform: Platform::Systrap,
            program: None,
            supervisor,
            mount_points,
        }
    }

    /// Uses this program instead of the first on PATH.
    #[must_use]
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// Uses another of gVisor's platforms.
    #[must_use]
    pub fn with_platform(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// The runtime.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    pub(crate) fn platform(&self) -> Platform {
        self.platform
    }

    /// What to do about a runtime that is missing or does not work.
    pub(crate) fn how_to_mend(&self) -> &'static str {
        match (&self.program, self.flavour.has_own_kernel()) {
            (None, _) => probe::how_to_get(self.flavour),
            (Some(_), true) => "name another program by UC_RUNSC, or unset it",
            (Some(_), false) => "name another program by UC_CONTAINER_RUNTIME, or unset it",
        }
    }

    /// The runtime's program.
    ///
    /// # Errors
    /// Host, where none was given and none is on PATH.
    pub fn program(&self) -> Result<PathBuf> {
        binary::locate(self.flavour, self.program.as_deref()).ok_or_else(|| {
            Problem::host(format!("{} is not on PATH", self.flavour)).remedy(self.how_to_mend())
        })
    }

    fn sandbox(&self, request: PrepareRequest) -> Result<OciSandbox> {
        if self.flavour.has_own_kernel() {
            check_ports(&request.ports)?;
        }
        let mapping = IdMapping::for_caller()?;
        let tools = Tools {
            flavour: self.flavour,
            platform: self.platform,
            runtime: self.program()?,
            supervisor: self.supervisor.clone(),
            mount_points: mount_points::layer(&self.mount_points, &mapping)?,
        };
        Ok(OciSandbox::new(
            request,
            mapping,
            Layout::of_this_host(),
            tools,
        ))
    }
}

/// A connection from the host's loopback is handed to the loopback of the sandbox's namespace, which is not gVisor's.
fn check_ports(ports: &[PortForward]) -> Result<()> {
    let Some(port) = ports.iter().find(|port| port.host_ip.is_loopback()) else {
        return Ok(());
    };
    Err(
        Problem::refused("a port of the host's loopback cannot lead into gVisor")
            .at(format!("hostPort {}", port.host_port))
            .found(format!("hostIP {}", port.host_ip))
            .remedy(
                "set hostIP to an address that other hosts see, or 0.0.0.0 for all, and connect to that; or use \
                 --runtime container",
            ),
    )
}

impl Driver for OciRuntimeDriver {
    fn kind(&self) -> RuntimeKind {
        self.flavour.kind()
    }

    fn probe(&self) -> Probe {
        probe::probe(self)
    }

    fn prepare(&self, request: PrepareRequest) -> Pending<'_, Box<dyn Sandbox>> {
        Box::pin(async move { Ok(Box::new(self.sandbox(request)?) as Box<dyn Sandbox>) })
    }

    fn reclaim(&self, directory: &Path) -> Result<()> {
        cgroup::reclaim(directory)
    }
}
