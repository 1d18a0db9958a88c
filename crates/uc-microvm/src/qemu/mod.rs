//! QEMU's machine `microvm`.

mod bare;
mod command;
mod confinement;
mod copy;
mod qmp;

use std::{
    fs::{File, Permissions},
    os::{fd::AsFd, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::MemfdFlags;
use serde_json::json;
use uc_guest_protocol::Descriptor;
use uc_linux::cgroup::Entrances;
use uc_model::{Problem, Result};

use crate::{
    console::Console,
    jail::{self, Jailed, Surroundings, Wanted},
    machine::{Accelerator, Shape, line, open},
    monitor::Words,
    restore::NotRestored,
    snapshot::{MEMORY, STATE, Snapshot},
};
use command::Start;
use qmp::Qmp;

/// How long loading or saving a machine's state may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// QEMU on this host.
#[derive(Debug, Clone)]
pub(crate) struct Qemu {
    pub(crate) program: PathBuf,
    pub(crate) accelerator: Accelerator,
}

/// A machine run by QEMU.
pub(crate) struct QemuMachine {
    qmp: Qmp,
    /// The line to the agent, until it is taken.
    agent: Option<Descriptor>,
    pub(crate) jailed: Jailed,
    pub(crate) words: Words,
    /// Its memory, while it is shared with us.
    memory: Option<File>,
}

impl Qemu {
    /// Boots a machine. Its memory can be saved later if `keeps_memory`.
    pub(crate) async fn boot(
        &self,
        shape: &Shape,
        keeps_memory: bool,
        groups: &Entrances,
    ) -> Result<QemuMachine> {
        let kernel = open(&shape.kernel.image)?;
        let initramfs = open(&shape.initramfs)?;
        let memory = keeps_memory.then(|| memory(shape)).transpose()?;
        let start = Start::Boot {
            kernel: kernel.as_fd(),
            initramfs: initramfs.as_fd(),
            memory: memory.as_ref().map(AsFd::as_fd),
        };
        let machine = self.spawn(shape, &start, groups).await?;
        Ok(QemuMachine { memory, ..machine })
    }

    /// Starts a machine from a snapshot, of whose memory it sees a copy: its own, or one that is shared with us where it may
    /// be saved later.
    pub(crate) async fn restore(
        &self,
        shape: &Shape,
        snapshot: &Snapshot,
        groups: &Entrances,
    ) -> Result<QemuMachine, NotRestored> {
        let copy = match snapshot.keeps_memory {
            true => Some(copy_of(shape, &snapshot.memory, groups).await?),
            false => None,
        };
        let start = Start::Restore {
            memory: copy.as_ref().unwrap_or(&snapshot.memory).as_fd(),
            shared: copy.is_some(),
        };
        let mut machine = self.spawn(shape, &start, groups).await?;
        // What keeps it from starting at all is not the snapshot's fault.
        machine.shares_memory().await?;
        let loaded = machine.load(&snapshot.state).await;
        loaded.map_err(NotRestored::by_snapshot)?;
        Ok(QemuMachine {
            memory: copy,
            ..machine
        })
    }

    async fn spawn(
        &self,
        shape: &Shape,
        start: &Start<'_>,
        groups: &Entrances,
    ) -> Result<QemuMachine> {
        let disks: Vec<File> = shape
            .disks
            .iter()
            .map(|disk| open(&disk.path))
            .collect::<Result<_>>()?;
        let (qmp, qmp_far) = line()?;
        let (agent, agent_far) = line()?;
        let (console, console_far) = line()?;
        let (monitor, monitor_far) = line()?;
        let lines = [qmp_far.as_fd(), agent_far.as_fd(), console_far.as_fd()];
        let disks: Vec<_> = disks.iter().map(AsFd::as_fd).collect();
        let (argv, descriptors) = command::command(self, shape, start, lines, &disks);
        let (plan, names) = confinement::plan(
            self,
            shape.ports.as_deref(),
            &argv,
            descriptors,
            monitor_far,
        )?;
        let surroundings = Surroundings {
            mapping: plan.identity.mapping(),
            host_network: false,
            link: shape.ports.as_deref().map(Wanted::Interface),
            groups,
        };
        let started = jail::start(&surroundings, |control| jail::enter(&plan, control))?;
        // With these goes our end of its lines: when it ends, they are at their end.
        drop(plan);
        drop((qmp_far, agent_far, console_far));
        let jailed = started.executed(&names).await?;
        Ok(QemuMachine {
            qmp: Qmp::new(qmp),
            agent: Some(agent),
            jailed,
            words: Words {
                console: Console::of(console),
                monitor: Console::of(monitor),
            },
            memory: None,
        })
    }
}

/// Memory that a monitor and we share.
fn memory(shape: &Shape) -> Result<File> {
    let failed =
        |error: std::io::Error| Problem::host("cannot make the microVM's memory").caused_by(error);
    let file = rustix::fs::memfd_create(c"microvm-memory", MemfdFlags::CLOEXEC)
        .map_err(|errno| failed(errno.into()))?;
    let file = File::from(file);
    file.set_len(shape.memory_mib << 20).map_err(failed)?;
    Ok(file)
}

/// Memory that a monitor and we share, filled from a snapshot's by a process in the machine's groups.
async fn copy_of(shape: &Shape, saved: &File, groups: &Entrances) -> Result<File> {
    let copy = memory(shape)?;
    copy::copy(saved, &copy, groups).await.map_err(|error| {
        Problem::storage("cannot copy the memory of a microVM's snapshot").caused_by(error)
    })?;
    Ok(copy)
}

impl QemuMachine {
    /// Whether its memory is shared with us.
    pub(crate) fn keeps_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// The line to the agent, which the machine has from its start.
    pub(crate) fn agent(&mut self) -> Result<Descriptor> {
        self.agent
            .take()
            .ok_or_else(|| Problem::internal("a machine has one line to its agent"))
    }

    /// Loads a state and lets the machine go on from it.
    async fn load(&mut self, state: &File) -> Result<()> {
        self.qmp.give("state", state.as_fd()).await?;
        let uri = json!({ "uri": "fd:state" });
        self.qmp.execute("migrate-incoming", uri).await?;
        self.migrated("query-migrate").await?;
        self.qmp.execute("cont", json!({})).await.map(drop)
    }

    /// Stops the machine, writes its state and memory, and lets it go on.
    pub(crate) async fn save(&mut self, into: &Path) -> Result<()> {
        let failed = |error: std::io::Error| {
            Problem::storage("cannot write a microVM's snapshot")
                .at(into.display())
                .caused_by(error)
        };
        let create = |name: &str| File::create_new(into.join(name)).map_err(failed);
        let (state, memory) = (create(STATE)?, create(MEMORY)?);
        let own = self
            .memory
            .as_ref()
            .ok_or_else(|| Problem::internal("a machine whose memory is not ours is to be saved"))?
            .try_clone()
            .map_err(|error| Problem::host("cannot open a machine's memory").caused_by(error))?;
        self.qmp.execute("stop", json!({})).await?;
        let saved = self.write(&state, &own, &memory).await;
        self.qmp.execute("cont", json!({})).await?;
        saved?;
        // QEMU opens it as nobody, for a copy of its own; the directory is closed to others.
        memory
            .set_permissions(Permissions::from_mode(0o666))
            .map_err(failed)
    }

    async fn write(&mut self, state: &File, own: &File, memory: &File) -> Result<()> {
        self.shares_memory().await?;
        self.qmp.give("state", state.as_fd()).await?;
        let uri = json!({ "uri": "fd:state" });
        self.qmp.execute("migrate", uri).await?;
        self.migrated("query-migrate").await?;
        copy::copy(own, memory, &Entrances::default())
            .await
            .map_err(|error| Problem::storage("cannot write a microVM's memory").caused_by(error))
    }

    async fn shares_memory(&mut self) -> Result<()> {
        let capability = json!({ "capability": "x-ignore-shared", "state": true });
        let arguments = json!({ "capabilities": [capability] });
        self.qmp
            .execute("migrate-set-capabilities", arguments)
            .await
            .map(drop)
    }

    async fn migrated(&mut self, query: &str) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.qmp.execute(query, json!({})).await?;
            match answer.get("status").and_then(serde_json::Value::as_str) {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => {
                    return Err(
                        Problem::host("QEMU cannot load or save the microVM's state").found(answer),
                    );
                }
                _ if Instant::now() > until => {
                    return Err(
                        Problem::host("QEMU takes too long with the microVM's state")
                            .limit(format!("{} s", PATIENCE.as_secs())),
                    );
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

/// QEMU among the programs on `PATH`.
pub(crate) fn find() -> Option<PathBuf> {
    ["qemu-system-x86_64", "qemu-kvm"]
        .into_iter()
        .find_map(uc_linux::idmap::find_program)
}
