//! From a shape to a machine whose agent answers: booted, or restored from a snapshot.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use sha2::Digest as _;
use tokio::sync::Mutex;
use uc_guest_protocol::{Answer, Call, Greeting, Network, Renewal, VERSION};
use uc_model::{Digest, Problem, Result};

use crate::{
    console::Console,
    guest::Guest,
    images,
    machine::{Accelerator, Lines, Shape},
    qemu::{Qemu, QemuMachine, stamp},
    reactor::Reactor,
    snapshot::{ReadyFunction, Snapshot, Snapshots},
};

/// How long a kernel may take to its agent.
const BOOT_PATIENCE: Duration = Duration::from_secs(120);

/// How long a monitor may take to end by itself, for its last words.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// QEMU's network of user mode has these addresses by default.
const ADDRESS: &str = "10.0.2.15/24";
const GATEWAY: &str = "10.0.2.2";

/// Bytes of randomness for a guest.
const ENTROPY_BYTES: usize = 64;

/// A machine whose agent answers. It ends with this value.
pub(crate) struct Running {
    pub(crate) guest: Guest,
    pub(crate) machine: Mutex<QemuMachine>,
    pub(crate) shape: Shape,
    console: Console,
    monitor: Console,
    pub(crate) started: Started,
    // Last, so that it outlives what runs on it.
    pub(crate) reactor: Reactor,
}

/// How a machine came to be.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    /// From the start of its monitor to the agent's first answer.
    pub(crate) duration: Duration,
    /// Whether from a snapshot.
    pub(crate) restored: bool,
    /// Whether it had been restored before it was wanted.
    pub(crate) from_pool: bool,
    /// The function that is in it.
    pub(crate) function: Option<ReadyFunction>,
}

/// Starts machines.
pub(crate) struct Launcher {
    pub(crate) qemu: Qemu,
    /// `None` where every start is to be a cold one.
    pub(crate) snapshots: Option<Arc<Snapshots>>,
}

impl Launcher {
    /// The key of a machine of this shape; `inside` tells what else is in it.
    pub(crate) fn key(&self, shape: &Shape, inside: &[u8]) -> Digest {
        let mut hash = images::hash("snapshot");
        hash.update(VERSION.to_le_bytes());
        hash.update(env!("CARGO_PKG_VERSION"));
        hash.update(stamp(&self.qemu.program));
        hash.update(self.qemu.accelerator.name());
        hash.update(shape.kernel.digest.to_string());
        hash.update(shape.initramfs_digest.to_string());
        hash.update(shape.memory_mib.to_le_bytes());
        hash.update(shape.vcpus.to_le_bytes());
        hash.update([u8::from(shape.ports.is_some())]);
        for disk in &shape.disks {
            hash.update(disk.digest.to_string());
        }
        hash.update((inside.len() as u64).to_le_bytes());
        hash.update(inside);
        images::digest(hash)
    }

    /// Starts a machine, from the snapshot of one of the keys, if there is one.
    pub(crate) async fn start(
        &self,
        shape: Shape,
        hostname: &str,
        keys: &[Digest],
    ) -> Result<Running> {
        if let Some(snapshots) = &self.snapshots {
            for key in keys {
                let Some(snapshot) = snapshots.find(key) else {
                    continue;
                };
                match self.restore(&shape, hostname, snapshot).await {
                    Ok(running) => return Ok(running),
                    // It may be of a QEMU that has been replaced since: a cold start tells what is really wrong.
                    Err(_) => snapshots.remove(key),
                }
            }
        }
        self.boot(shape, hostname).await
    }

    /// A machine from the snapshot of a key.
    pub(crate) async fn restored(
        &self,
        shape: &Shape,
        hostname: &str,
        key: &Digest,
    ) -> Result<Running> {
        let snapshot = self
            .snapshots
            .as_ref()
            .and_then(|snapshots| snapshots.find(key));
        let snapshot = snapshot.ok_or_else(|| Problem::not_found("there is no such snapshot"))?;
        self.restore(shape, hostname, snapshot).await
    }

    /// Boots a machine and greets its agent.
    pub(crate) async fn boot(&self, shape: Shape, hostname: &str) -> Result<Running> {
        let begin = Instant::now();
        let reactor = Reactor::new()?;
        let (machine, lines) = {
            let _inside = reactor.handle().enter();
            self.qemu.boot(&shape, self.snapshots.is_some())?
        };
        let mut running = Running::new(shape, machine, lines, reactor);
        let booted = tokio::time::timeout(BOOT_PATIENCE, running.guest.booted()).await;
        let greeted = match booted {
            Ok(Ok(())) => running.greet(hostname).await,
            Ok(Err(problem)) => Err(problem),
            Err(_) => Err(
                Problem::host("the microVM's kernel does not reach its agent")
                    .limit(format!("{} s", BOOT_PATIENCE.as_secs())),
            ),
        };
        if let Err(problem) = greeted {
            return Err(running.explain(problem, self.qemu.accelerator).await);
        }
        running.started.duration = begin.elapsed();
        Ok(running)
    }

    async fn restore(&self, shape: &Shape, hostname: &str, snapshot: Snapshot) -> Result<Running> {
        let begin = Instant::now();
        let reactor = Reactor::new()?;
        let (mut machine, lines) = {
            let _inside = reactor.handle().enter();
            self.qemu.wait_for_state(shape, &snapshot.memory)?
        };
        machine.load(&snapshot.state).await?;
        let mut running = Running::new(shape.clone(), machine, lines, reactor);
        running.renew(hostname).await?;
        running.started = Started {
            duration: begin.elapsed(),
            restored: true,
            from_pool: false,
            function: snapshot.note.function,
        };
        Ok(running)
    }

    /// Keeps a snapshot of a machine, unless there is one.
    pub(crate) async fn keep(
        &self,
        running: &Running,
        key: &Digest,
        function: Option<ReadyFunction>,
    ) -> Result<()> {
        let Some(snapshots) = &self.snapshots else {
            return Ok(());
        };
        let mut machine = running.machine.lock().await;
        snapshots.save(key, &mut machine, function).await
    }
}

impl Running {
    fn new(shape: Shape, machine: QemuMachine, lines: Lines, reactor: Reactor) -> Self {
        Self {
            guest: Guest::over(lines.agent, reactor.handle()),
            machine: Mutex::new(machine),
            shape,
            console: lines.console,
            monitor: lines.monitor,
            started: Started {
                duration: Duration::ZERO,
                restored: false,
                from_pool: false,
                function: None,
            },
            reactor,
        }
    }

    /// Gives the machine clock, randomness and a name of its own.
    pub(crate) async fn renew(&self, hostname: &str) -> Result<()> {
        let renewal = Call::Renew(renewal(hostname)?);
        self.guest.ask(renewal).await.map(drop)
    }

    async fn greet(&self, hostname: &str) -> Result<()> {
        let network = self.shape.ports.as_ref().map(|_| Network {
            address: ADDRESS.to_owned(),
            gateway: GATEWAY.to_owned(),
        });
        let greeting = Greeting {
            version: VERSION,
            hostname: hostname.to_owned(),
            renewal: renewal(hostname)?,
            network,
        };
        match self.guest.ask(Call::Greet(greeting)).await? {
            Answer::Welcome(_) => Ok(()),
            _ => Err(Problem::host("the microVM's agent answers in another way")),
        }
    }

    /// A problem with the machine, with what it and its monitor said last.
    pub(crate) async fn explain(&self, problem: Problem, accelerator: Accelerator) -> Problem {
        // A monitor that ends says why, and has not always been heard yet.
        let _ = tokio::time::timeout(LAST_WORDS, self.guest.ended()).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        let said = self.console.last_words();
        let monitor = self.monitor.last_lines();
        let what = match &said {
            said if said.contains("Kernel panic") => "the microVM's kernel panicked",
            said if said.contains("Out of memory") => "the microVM ran out of memory",
            _ => "the microVM ended, or does not answer",
        };
        let found = match monitor.is_empty() {
            true => said,
            false => format!("{said}; its monitor: {}", monitor.join(" | ")),
        };
        Problem::host(what)
            .at(format!("{} ({})", self.shape.kernel.version, accelerator.name()))
            .found(found)
            .remedy("raise limits.memory, or try another kernel (--kernel); `uc doctor` shows what was tried")
            .caused_by(problem)
    }

    /// Kills the machine.
    pub(crate) async fn kill(&self) {
        use std::os::fd::AsFd as _;
        let machine = self.machine.lock().await;
        let ending = &machine.jailed.ending;
        let _ = uc_linux::sys::pidfd_signal(ending.pidfd().as_fd(), libc::SIGKILL);
        let _ = ending.wait().await;
    }
}

fn renewal(hostname: &str) -> Result<Renewal> {
    let clock = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let mut bytes = [0; ENTROPY_BYTES];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    if filled != Ok(ENTROPY_BYTES) {
        return Err(Problem::host("the host gives no randomness"));
    }
    Ok(Renewal {
        clock_ns: u64::try_from(clock.as_nanos()).unwrap_or(u64::MAX),
        entropy: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        hostname: hostname.to_owned(),
    })
}
