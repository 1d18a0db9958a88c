//! A container of this machine: a program of an image, or a function.

use std::{path::PathBuf, time::Duration};

use tokio::sync::Mutex;
use uc_guest_protocol::{Content, Create, GuestProcess, Link};
use uc_model::{Problem, Result};
use uc_sandbox::{
    CreateRequest, Exit, Mount, Payload, Process, Sandbox, StartRequest, StopRequest, WaitRequest,
};

use crate::{
    disks,
    function::Function,
    pipes::{self, Ends},
};

/// What runs in a container.
pub(crate) struct Program {
    kind: Kind,
}

enum Kind {
    /// Its ends of the streams, taken by `run`.
    Native(Mutex<Option<Ends>>),
    /// Taken by `start`, then by `run`.
    Function {
        function: Mutex<Option<Function>>,
        /// Whether it handles HTTP requests.
        serves: bool,
    },
}

impl Program {
    /// Makes the container. A function's program is loaded when this returns.
    pub(crate) async fn create(
        sandbox: &dyn Sandbox,
        link: &Link,
        create: Create,
        mounts: Vec<Mount>,
    ) -> Result<(Self, Vec<String>)> {
        match &create.content {
            Content::Rootfs(disk) => {
                let layer = disks::mounted(disk)?;
                let input = create.streams.stdin.map(|number| link.reader(number));
                let (stdio, ends) = pipes::make(link, create.streams, input.transpose()?)?;
                let process = process(&create.process);
                let request = request(create, process, layer, stdio, mounts);
                let created = sandbox.create(request).await?;
                let kind = Kind::Native(Mutex::new(Some(ends)));
                Ok((Self { kind }, created.warnings))
            }
            Content::Function(disk) => {
                let layer = disks::mounted(disk)?;
                let serves = create.port.is_some();
                let (function, warnings) =
                    Function::create(sandbox, link, create, layer, mounts).await?;
                let kind = Kind::Function {
                    function: Mutex::new(Some(function)),
                    serves,
                };
                Ok((Self { kind }, warnings))
            }
        }
    }

    /// Whether it is a function.
    pub(crate) fn is_function(&self) -> bool {
        matches!(self.kind, Kind::Function { .. })
    }

    /// How it is asked to end. A function cannot be told, so its grace would only be waited out: it ends at once. One that
    /// handles HTTP requests has it for its last answers, and its runner knows one signal.
    pub(crate) fn stop_request(&self, request: StopRequest) -> StopRequest {
        match self.kind {
            Kind::Native(_) => request,
            Kind::Function { serves: false, .. } => StopRequest {
                grace: Duration::ZERO,
                ..request
            },
            Kind::Function { serves: true, .. } => StopRequest {
                signal: libc::SIGTERM,
                ..request
            },
        }
    }

    /// Does what its start takes, as far as that can be undone.
    pub(crate) async fn rehearse(&self) -> Result<()> {
        match &self.kind {
            Kind::Native(_) => Ok(()),
            Kind::Function { function, .. } => match function.lock().await.as_mut() {
                Some(function) => function.rehearse().await,
                None => Ok(()),
            },
        }
    }

    /// Starts it; a function is called with `process`.
    pub(crate) async fn start(
        &self,
        sandbox: &dyn Sandbox,
        name: &str,
        process: Option<&GuestProcess>,
    ) -> Result<()> {
        match &self.kind {
            Kind::Native(_) => {
                let container = name.to_owned();
                sandbox.start(StartRequest { container }).await.map(drop)
            }
            Kind::Function { function, .. } => match function.lock().await.as_mut() {
                Some(function) => function.call(process).await,
                None => Err(started_already(name)),
            },
        }
    }

    /// Carries its streams, and waits for its end: all that it wrote has been sent by then.
    pub(crate) async fn run(&self, sandbox: &dyn Sandbox, name: &str) -> Result<Exit> {
        let container = name.to_owned();
        let wait = sandbox.wait(WaitRequest { container });
        match &self.kind {
            Kind::Native(ends) => {
                if let Some(ends) = ends.lock().await.take() {
                    ends.carry().await;
                }
                wait.await
            }
            Kind::Function { function, .. } => {
                let function = function.lock().await.take();
                let function = function.ok_or_else(|| started_already(name))?;
                match function.run().await {
                    Some(exit) => Ok(exit),
                    // Its runner died: how, the container knows.
                    None => wait.await,
                }
            }
        }
    }
}

fn started_already(name: &str) -> Problem {
    Problem::invalid("the container has been started already").found(name)
}

fn process(process: &GuestProcess) -> Process {
    Process {
        argv: process.argv.clone(),
        env: process.env.clone(),
        cwd: process.cwd.clone(),
        user: process.user.clone(),
    }
}

pub(crate) fn request(
    create: Create,
    process: Process,
    layer: PathBuf,
    stdio: uc_sandbox::Stdio,
    mounts: Vec<Mount>,
) -> CreateRequest {
    CreateRequest {
        container: create.container,
        payload: Payload::Rootfs {
            layers: vec![layer],
        },
        process,
        stdio,
        mounts,
        read_only_root: create.read_only_root,
        limits: create.limits,
        seccomp_profile: create.seccomp_profile.map(String::into_bytes),
        call_listener: None,
    }
}
