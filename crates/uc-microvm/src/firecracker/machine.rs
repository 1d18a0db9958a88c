//! A microVM from its start to its end, whatever is in it: what a driver needs of Firecracker.

use std::{os::fd::AsFd as _, os::fd::AsRawFd as _, path::Path, time::Duration};

use tokio::net::{UnixListener, UnixStream};
use uc_model::{Problem, Result};
use uc_sandbox::Exit;

use super::{
    api::{
        Action, BackendType, MemoryBackend, NetworkOverride, SnapshotCreate, SnapshotLoad,
        SnapshotType, VmState,
    },
    launch::{self, GivenFile, Launch, VSOCK, given_path},
    process::Process,
    snapshot, vsock,
};
use crate::{
    restore::NotRestored,
    snapshot::{MEMORY, STATE},
};

/// A running or paused microVM. Dropping it kills it and removes its directory.
#[derive(Debug)]
pub struct Machine {
    process: Process,
}

impl Machine {
    /// Boots what the launch's configuration says: call by call, since a refusal then says most.
    ///
    /// # Errors
    /// Those of [`Process::start`]; Firecracker's refusal; internal, where there is no configuration.
    pub async fn boot(mut launch: Launch) -> Result<Self> {
        launch::check(&launch)?;
        let configuration = launch
            .configuration
            .take()
            .ok_or_else(|| Problem::internal("a microVM to boot without a configuration"))?;
        let process = Process::start(launch).await?;
        let booted = async {
            process.api().configure(&configuration).await?;
            process.api().act(Action::InstanceStart).await
        };
        let booted = booted.await;
        Self::or_removed(process, booted).await
    }

    /// Restores the snapshot in a directory and lets it run. The launch gives the disks under the names they had, and no
    /// configuration. Other tap devices can be named for the interfaces.
    ///
    /// # Errors
    /// Those of [`Process::start`]; not found, where a file of the snapshot is missing; invalid, where another version made
    /// it or its files do not belong together.
    pub async fn restore(
        launch: Launch,
        snapshot: &Path,
        networks: Vec<NetworkOverride>,
    ) -> Result<Self> {
        Self::restore_or_tell(launch, snapshot, networks)
            .await
            .map_err(|failed| failed.problem)
    }

    /// The same, telling what the snapshot is to blame for: what Firecracker does not load.
    pub(crate) async fn restore_or_tell(
        mut launch: Launch,
        snapshot: &Path,
        networks: Vec<NetworkOverride>,
    ) -> Result<Self, NotRestored> {
        launch.configuration = None;
        let files = [STATE, MEMORY].map(|name| GivenFile::read_only(name, snapshot.join(name)));
        launch.files.extend(files);
        let process = Process::start(launch).await?;
        let loaded = load(&process, networks).await;
        Self::or_removed(process, loaded)
            .await
            .map_err(NotRestored::by_snapshot)
    }

    /// The machine, or the reason why it did not come to run, with nothing left of it.
    async fn or_removed(process: Process, started: Result<()>) -> Result<Self> {
        let Err(problem) = started else {
            return Ok(Self { process });
        };
        Err(process.explain(problem).await)
    }

    /// Stops its processors.
    ///
    /// # Errors
    /// Firecracker's refusal, or why it has ended; so for all that follows.
    pub async fn pause(&self) -> Result<()> {
        self.told(self.process.api().set_state(VmState::Paused).await)
            .await
    }

    /// Lets its processors run again.
    ///
    /// # Errors
    /// See [`Machine::pause`].
    pub async fn resume(&self) -> Result<()> {
        self.told(self.process.api().set_state(VmState::Resumed).await)
            .await
    }

    /// Writes it to `state` and `memory` in a directory of the caller's alone. It must be paused, and stays so. The
    /// directory is best on the file system of the microVM's own.
    ///
    /// # Errors
    /// See [`Machine::pause`]; storage, where the files cannot be moved.
    pub async fn snapshot(&self, into: &Path) -> Result<()> {
        let create = SnapshotCreate {
            snapshot_type: SnapshotType::Full,
            snapshot_path: format!("/run/{STATE}"),
            mem_file_path: format!("/run/{MEMORY}"),
        };
        self.told(self.process.api().create_snapshot(&create).await)
            .await?;
        snapshot::take(self.process.run_directory().as_fd(), into)
    }

    /// Connects to a port of the guest.
    ///
    /// # Errors
    /// Unavailable, where nobody in the guest listens, or it does not answer within `patience`.
    pub async fn connect(&self, port: u32, patience: Duration) -> Result<UnixStream> {
        let stream = vsock::connect(self.process.run_directory(), socket_name(), port, patience);
        match stream.await {
            Ok(stream) => Ok(stream),
            Err(problem) => Err(self.process.explain(problem).await),
        }
    }

    /// Listens for the guest's connections to a port of the host.
    ///
    /// # Errors
    /// Storage, where the socket cannot be made.
    pub fn listen(&self, port: u32) -> Result<UnixListener> {
        let run = self.process.run_directory();
        let name = vsock::listener_name(socket_name(), port);
        let failed = |error: std::io::Error| {
            Problem::storage("cannot listen for a microVM's connections")
                .at(format!("vsock port {port}"))
                .caused_by(error)
        };
        let path = format!("/proc/self/fd/{}/{name}", run.as_raw_fd());
        let listener = UnixListener::bind(path).map_err(failed)?;
        let user = self.process.user();
        rustix::fs::chownat(
            run.as_fd(),
            &name,
            Some(rustix::fs::Uid::from_raw(user.uid)),
            Some(rustix::fs::Gid::from_raw(user.gid)),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(|errno| failed(errno.into()))?;
        Ok(listener)
    }

    /// Asks the guest to shut down, as a keyboard does (x86 alone; the guest need not listen).
    ///
    /// # Errors
    /// See [`Machine::pause`].
    pub async fn ask_to_shut_down(&self) -> Result<()> {
        self.told(self.process.api().act(Action::SendCtrlAltDel).await)
            .await
    }

    /// The last lines of the guest's serial console and of Firecracker itself.
    pub fn console(&self) -> Vec<String> {
        self.process.console()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Internal, where the end cannot be learnt.
    pub async fn wait(&self) -> Result<Exit> {
        self.process.wait().await
    }

    /// Kills it, waits for its end and removes its directory.
    ///
    /// # Errors
    /// Storage, where something of the directory stays.
    pub async fn destroy(self) -> Result<()> {
        self.process.remove().await
    }

    /// The Firecracker behind it.
    pub fn process(&self) -> &Process {
        &self.process
    }

    async fn told<T>(&self, answer: Result<T>) -> Result<T> {
        match answer {
            Ok(value) => Ok(value),
            Err(problem) => Err(self.process.explain(problem).await),
        }
    }
}

async fn load(process: &Process, network_overrides: Vec<NetworkOverride>) -> Result<()> {
    let load = SnapshotLoad {
        snapshot_path: given_path(STATE),
        mem_backend: MemoryBackend {
            backend_type: BackendType::File,
            backend_path: given_path(MEMORY),
        },
        resume_vm: true,
        network_overrides,
        vsock_override: None,
    };
    process.api().load_snapshot(&load).await
}

fn socket_name() -> &'static str {
    VSOCK.trim_start_matches("/run/")
}
