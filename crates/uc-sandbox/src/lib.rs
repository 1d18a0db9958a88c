//! The seam between the engine and its sandboxes: the traits [`Driver`] and [`Sandbox`] and their messages, and
//! nothing else (mission M2.1).
//!
//! A driver can be asked what it offers on this host ([`Driver::probe`]) and can set up a sandbox for one workload
//! ([`Driver::prepare`]). A sandbox holds one or more containers that share a network and a life time. Every driver
//! passes the contract suite in `uc-testkit`.
//!
//! Life of a container: `create` (everything that can fail is tried; the program has not run an instruction) →
//! `start` → `wait` → `remove`. Between start and end it may be held and let go, by `pause` and `resume`. `stop` may come at any time and more than once. `destroy` ends the sandbox: afterwards no
//! process, mount, cgroup or file of it is left. Dropping a sandbox without `destroy` kills its processes.

mod message;
mod offer;

use std::{future::Future, path::Path, pin::Pin};

pub use message::{
    CallListener, CreateRequest, CreateResponse, DestroyRequest, ExecRequest, Exit, ExitReason,
    ExpectedContainer, HandlerPort, HostMount, HostUser, HttpGrant, Limits, Mount, MountSource,
    Part, PauseRequest, Payload, PortForward, PrepareRequest, Process, RemoveRequest,
    ResumeRequest, StartRequest, StartResponse, Stats, StatsRequest, Stdio, StopRequest,
    TcpConnectRequest, User, WaitRequest,
};
pub use offer::{Availability, Limit, Offer, Probe};
use uc_model::{Problem, RuntimeKind};

/// A future of this seam. It is `Send` so that an engine may run sandboxes on any thread it likes.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

/// One backend.
pub trait Driver: Send + Sync {
    /// Which kind of sandbox this driver makes.
    fn kind(&self) -> RuntimeKind;

    /// What it offers on this host, found by trying. It leaves nothing behind and takes milliseconds, not seconds;
    /// what takes longer is remembered by the driver.
    fn probe(&self) -> Probe;

    /// Sets up a sandbox for one workload.
    fn prepare(&self, request: PrepareRequest) -> Pending<'_, Box<dyn Sandbox>>;

    /// Removes what a sandbox left outside its directory and storage when its owner was killed: processes, cgroups. It
    /// may be called again after a crash of its own. The two themselves stay, for the caller to remove.
    fn reclaim(&self, directory: &Path) -> Result<(), Problem> {
        let _ = directory;
        Ok(())
    }
}

/// One workload's sandbox.
///
/// Every method takes `&self`: waiting for one container must not keep another from being stopped.
pub trait Sandbox: Send + Sync {
    /// Makes a container ready to start. Its problems, and those of a start, do not say which container it is about: the
    /// caller does.
    fn create(&self, request: CreateRequest) -> Pending<'_, CreateResponse>;

    /// Starts the program of a created container.
    fn start(&self, request: StartRequest) -> Pending<'_, StartResponse>;

    /// Waits until the container has ended; a second call answers the same at once.
    fn wait(&self, request: WaitRequest) -> Pending<'_, Exit>;

    /// Holds the program, all of its processes and threads, where it is. When this returns it does nothing more, but it keeps
    /// its memory, files and connections. A container that does not run, or is paused, is a problem; a driver that cannot
    /// hold it refuses. One that could not be held in time goes on, and is not held later.
    fn pause(&self, request: PauseRequest) -> Pending<'_, ()>;

    /// Lets a paused program go on. A container that is not paused is a problem.
    fn resume(&self, request: ResumeRequest) -> Pending<'_, ()>;

    /// Holds containers, all or none: where one cannot be held, it and those before it go on. A driver that can only hold
    /// all that run may be able to do this, and refuse [`Sandbox::pause`].
    fn pause_all(&self, containers: Vec<String>) -> Pending<'_, ()> {
        Box::pin(async move {
            for (index, container) in containers.iter().enumerate() {
                let request = PauseRequest {
                    container: container.clone(),
                };
                if let Err(problem) = self.pause(request).await {
                    // The last one too: it may be held nevertheless, or from before.
                    let held = containers.into_iter().take(index + 1).collect();
                    // One that has ended meanwhile, or is not held, is none to let go.
                    let _ = self.resume_all(held).await;
                    return Err(problem);
                }
            }
            Ok(())
        })
    }

    /// Lets containers go on; a problem with one is told after the others.
    fn resume_all(&self, containers: Vec<String>) -> Pending<'_, ()> {
        Box::pin(async move {
            let mut result = Ok(());
            for container in containers {
                let resumed = self.resume(ResumeRequest { container }).await;
                result = result.and(resumed);
            }
            result
        })
    }

    /// Asks the program to end, waits for `grace`, then kills it; returns how it ended. A paused one goes on for that.
    fn stop(&self, request: StopRequest) -> Pending<'_, Exit>;

    /// Runs one more program in a running container and waits for it. A driver that cannot refuses, and so does every
    /// driver while the container is paused.
    fn exec(&self, request: ExecRequest) -> Pending<'_, Exit>;

    /// Opens and closes a TCP connection to a port inside the sandbox's network; an error says why it failed.
    fn tcp_connect(&self, request: TcpConnectRequest) -> Pending<'_, ()>;

    /// Forgets a container that has ended and removes what it left; its name may be used again.
    fn remove(&self, request: RemoveRequest) -> Pending<'_, ()>;

    /// What a container uses now, or used until its end.
    fn stats(&self, request: StatsRequest) -> Pending<'_, Stats>;

    /// Kills what runs and removes everything the sandbox put on the host.
    fn destroy(&self, request: DestroyRequest) -> Pending<'_, ()>;
}
