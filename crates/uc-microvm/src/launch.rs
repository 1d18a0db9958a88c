//! From a shape to a machine whose agent answers: booted, or restored from a snapshot.

use std::{
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::{Duration, Instant},
};

use sha2::Digest as _;
use tokio::sync::Mutex;
use uc_guest_protocol::{Answer, Call, Greeting, Network, Renewal, VERSION};
use uc_model::{Digest, Problem, Result};

use crate::{
    bounds::Bounds,
    clock,
    guest::{Guest, Posted},
    images,
    machine::{ADDRESSES, Accelerator, Shape},
    monitor::{Machine, Monitor, Words, hear_out},
    reactor::Reactor,
    restore::{self, NotRestored},
    snapshot::{ReadyFunction, Snapshot, Snapshots},
};

/// How long a kernel may take to its agent when its instructions are translated.
const TRANSLATED_PATIENCE: Duration = Duration::from_secs(120);

/// The same on the processor itself.
const PATIENCE: Duration = Duration::from_secs(30);

const REMEDY: &str =
    "raise limits.memory, or try another kernel (--kernel); `uc doctor` shows what was tried";

/// Bytes of randomness for a guest.
const ENTROPY_BYTES: usize = 64;

/// A machine whose agent answers. It ends with this value.
pub(crate) struct Running {
    pub(crate) guest: Guest,
    pub(crate) machine: Mutex<Machine>,
    pub(crate) shape: Shape,
    words: Words,
    /// What it may take of the host. Behind the machine: it kills what it still finds.
    pub(crate) bounds: Bounds,
    /// The answer to a renewal that has been asked for.
    renewing: StdMutex<Option<Posted>>,
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
    /// The key of the snapshot that it was restored from.
    pub(crate) key: Option<Digest>,
}

/// Starts machines.
pub(crate) struct Launcher {
    pub(crate) monitor: Monitor,
    /// `None` where every start is to be a cold one.
    pub(crate) snapshots: Option<Arc<Snapshots>>,
}

impl Launcher {
    /// The key of a machine of this shape; `inside` tells what else is in it.
    pub(crate) fn key(&self, shape: &Shape, inside: &[u8]) -> Digest {
        let mut hash = images::hash("snapshot");
        hash.update(VERSION.to_le_bytes());
        hash.update(env!("CARGO_PKG_VERSION"));
        hash.update(self.monitor.stamp());
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

    /// Starts a machine within bounds, from the snapshot of one of the keys, if there is one.
    pub(crate) async fn start(
        &self,
        shape: Shape,
        hostname: &str,
        keys: &[Digest],
        bounds: Bounds,
    ) -> Result<Running> {
        if let Some(snapshots) = &self.snapshots {
            for key in keys {
                let Some(mut snapshot) = snapshots.find(key) else {
                    continue;
                };
                // There is none of the kind that is wanted most: this machine may become that one.
                snapshot.keeps_memory = keys.first() != Some(key);
                let restored = self.restore(&shape, hostname, key, &snapshot, &bounds);
                match restored.await {
                    Ok(running) => return Ok(running.within(bounds)),
                    // A cold start tells what is really wrong: this host may be short of something.
                    Err(failed) if failed.by_snapshot => snapshot.remove(),
                    Err(_) => {}
                }
            }
        }
        let running = self.boot(shape, hostname, &bounds).await?.within(bounds);
        match self.monitor.keeps_links() {
            true => Ok(running),
            false => self.save_early(running).await,
        }
    }

    /// A machine from the snapshot of a key.
    pub(crate) async fn restored(
        &self,
        shape: &Shape,
        hostname: &str,
        key: &Digest,
        bounds: Bounds,
    ) -> Result<Running> {
        let snapshot = self
            .snapshots
            .as_ref()
            .and_then(|snapshots| snapshots.find(key));
        let snapshot = snapshot.ok_or_else(|| Problem::not_found("there is no such snapshot"))?;
        let running = self
            .restore(shape, hostname, key, &snapshot, &bounds)
            .await
            .map_err(|failed| failed.problem)?
            .within(bounds);
        running.renewed().await?;
        Ok(running)
    }

    /// Boots a machine and greets its agent.
    async fn boot(&self, shape: Shape, hostname: &str, bounds: &Bounds) -> Result<Running> {
        let patience = match self.monitor.accelerator() {
            Accelerator::Kvm => PATIENCE,
            Accelerator::Tcg => TRANSLATED_PATIENCE,
        };
        self.boot_within(patience, shape, hostname, bounds).await
    }

    /// The same within a time of the caller's.
    pub(crate) async fn boot_within(
        &self,
        patience: Duration,
        shape: Shape,
        hostname: &str,
        bounds: &Bounds,
    ) -> Result<Running> {
        self.monitor.check(&shape)?;
        let begin = Instant::now();
        let reactor = Reactor::new()?;
        let groups = bounds.entrances()?;
        let booting = self.monitor.boot(&shape, self.snapshots.is_some(), groups);
        let mut machine = reactor.run(booting).await?;
        let greeted = async {
            let guest = reach(&mut machine, &reactor).await?;
            guest.booted().await?;
            greet(&guest, &shape, hostname).await?;
            Ok(guest)
        };
        let greeted = tokio::time::timeout(patience, reactor.run(greeted)).await;
        match greeted {
            Ok(Ok(guest)) => {
                let mut running = Running::new(guest, machine, shape, reactor);
                running.started.duration = begin.elapsed();
                Ok(running)
            }
            Ok(Err(problem)) => {
                hear_out(machine.ended()).await;
                Err(self.placed(&shape, machine.words().explain(problem)))
            }
            Err(_) => {
                let how = self.monitor.accelerator().title();
                let silent = Problem::host(format!("a guest does not reach its agent with {how}"))
                    .limit(format!("{} s", patience.as_secs()));
                Err(self.placed(&shape, machine.words().add_to(silent)))
            }
        }
    }

    /// Restores a machine and has it renewed, or gives it up. Where a function waits in it that is not waited for: the agent
    /// does one after the other, and the call can be on its way meanwhile.
    async fn restore(
        &self,
        shape: &Shape,
        hostname: &str,
        key: &Digest,
        snapshot: &Snapshot,
        bounds: &Bounds,
    ) -> Result<Running, NotRestored> {
        let begin = Instant::now();
        let verification = snapshot.verify()?;
        let mut running = restore::within(
            [restore::PATIENCE, restore::VERIFICATION_PATIENCE],
            self.reach_restored(shape, snapshot, bounds),
            verification.done(),
        )
        .await?;
        let function = snapshot.note.function.clone();
        running.ask_to_renew(hostname).await?;
        if function.is_none() {
            running.renewed().await.map_err(NotRestored::by_snapshot)?;
        }
        running.started = Started {
            duration: begin.elapsed(),
            restored: true,
            from_pool: false,
            function,
            key: Some(key.clone()),
        };
        Ok(running)
    }

    /// Restores a machine, up to the line to its agent.
    async fn reach_restored(
        &self,
        shape: &Shape,
        snapshot: &Snapshot,
        bounds: &Bounds,
    ) -> Result<Running, NotRestored> {
        let reactor = Reactor::new()?;
        let restoring = self.monitor.restore(shape, snapshot, bounds.entrances()?);
        let mut machine = reactor.run(restoring).await?;
        let guest = reactor.run(reach(&mut machine, &reactor)).await;
        let guest = guest.map_err(NotRestored::by_snapshot)?;
        Ok(Running::new(guest, machine, shape.clone(), reactor))
    }

    /// Forgets the snapshot of a machine that did not work: the next one starts cold.
    pub(crate) fn forget(&self, running: &Running) {
        if let (Some(snapshots), Some(key)) = (&self.snapshots, &running.started.key) {
            snapshots.remove(key);
        }
    }

    /// Keeps a snapshot of a machine, unless there is one. What an agent has open towards us must outlive it: a monitor
    /// that does not keep links has saved its machine before anybody used it, and saves it no more.
    pub(crate) async fn keep(
        &self,
        running: &Running,
        key: &Digest,
        function: Option<ReadyFunction>,
    ) -> Result<()> {
        let Some(snapshots) = self
            .snapshots
            .as_ref()
            .filter(|snapshots| self.monitor.keeps_links() && !snapshots.has(key))
        else {
            return Ok(());
        };
        let mut machine = running.machine.lock().await;
        snapshots.save(key, &mut machine, function).await
    }

    /// Keeps a snapshot of a machine that nobody uses yet, and reaches its agent anew.
    async fn save_early(&self, mut running: Running) -> Result<Running> {
        let key = self.key(&running.shape, b"");
        let snapshots = self.snapshots.as_ref();
        let Some(snapshots) = snapshots.filter(|snapshots| !snapshots.has(&key)) else {
            return Ok(running);
        };
        let machine = running.machine.get_mut();
        let saving = snapshots.save(&key, machine, None);
        // Nothing is lost without it but time: the machine is what was asked for.
        let _ = running.reactor.run(saving).await;
        running.guest = reach_again(machine, &running.reactor).await?;
        Ok(running)
    }

    /// A problem with a machine, with what it consists of.
    fn placed(&self, shape: &Shape, problem: Problem) -> Problem {
        problem
            .at(place(shape, self.monitor.accelerator()))
            .remedy(REMEDY)
    }
}

/// The agent of a machine, as soon as there is a line to it.
async fn reach(machine: &mut Machine, reactor: &Reactor) -> Result<Guest> {
    let agent = machine.agent().await?;
    Ok(Guest::over(agent, reactor.handle()))
}

async fn reach_again(machine: &mut Machine, reactor: &Reactor) -> Result<Guest> {
    let reached = reactor.run(reach(machine, reactor));
    tokio::time::timeout(restore::PATIENCE, reached)
        .await
        .unwrap_or_else(|_| Err(restore::silent()))
}

async fn greet(guest: &Guest, shape: &Shape, hostname: &str) -> Result<()> {
    let network = shape.ports.as_ref().map(|_| Network {
        address: format!("{}/{}", ADDRESSES.guest, ADDRESSES.prefix),
        gateway: ADDRESSES.gateway.to_string(),
    });
    let greeting = Greeting {
        version: VERSION,
        hostname: hostname.to_owned(),
        renewal: renewal(hostname)?,
        network,
    };
    match guest.ask(Call::Greet(greeting)).await? {
        Answer::Welcome(_) => Ok(()),
        _ => Err(Problem::host("the microVM's agent answers in another way")),
    }
}

/// Where problems with a machine are.
fn place(shape: &Shape, accelerator: Accelerator) -> String {
    format!("{} ({})", shape.kernel.version, accelerator.name())
}

impl Running {
    fn new(guest: Guest, machine: Machine, shape: Shape, reactor: Reactor) -> Self {
        Self {
            guest,
            words: machine.words(),
            bounds: Bounds::default(),
            machine: Mutex::new(machine),
            shape,
            renewing: StdMutex::default(),
            started: Started {
                duration: Duration::ZERO,
                restored: false,
                from_pool: false,
                function: None,
                key: None,
            },
            reactor,
        }
    }

    /// The same, with the bounds that it was started within.
    fn within(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Gives the machine clock, randomness and a name of its own.
    pub(crate) async fn renew(&self, hostname: &str) -> Result<()> {
        let renewal = Call::Renew(renewal(hostname)?);
        self.guest.ask(renewal).await.map(drop)
    }

    /// Asks the agent of a machine that has just been restored for a renewal.
    async fn ask_to_renew(&mut self, hostname: &str) -> Result<(), NotRestored> {
        // Made last, since its time passes.
        let renewal = Call::Renew(renewal(hostname)?);
        let posted = tokio::time::timeout(restore::PATIENCE, self.guest.post(renewal)).await;
        let posted = posted.unwrap_or_else(|_| Err(restore::silent()));
        let posted = posted.map_err(NotRestored::by_snapshot)?;
        self.renewing = StdMutex::new(Some(posted));
        Ok(())
    }

    /// Waits until the renewal that has been asked for is done.
    pub(crate) async fn renewed(&self) -> Result<()> {
        let renewing = self
            .renewing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match renewing {
            Some(renewing) => {
                let answer = self.guest.answer_to(renewing);
                let answer = tokio::time::timeout(restore::PATIENCE, answer).await;
                answer.unwrap_or_else(|_| Err(restore::silent())).map(drop)
            }
            None => Ok(()),
        }
    }

    /// A problem with the machine, with what it and its monitor said last.
    pub(crate) async fn explain(&self, problem: Problem, accelerator: Accelerator) -> Problem {
        // It may be busy with a snapshot, so it is not asked.
        hear_out(self.guest.ended()).await;
        let problem = self.bounds.explain(self.words.explain(problem));
        problem.at(place(&self.shape, accelerator)).remedy(REMEDY)
    }

    /// Kills the machine.
    pub(crate) async fn kill(&self) {
        self.machine.lock().await.kill().await;
    }
}

fn renewal(hostname: &str) -> Result<Renewal> {
    let mut bytes = [0; ENTROPY_BYTES];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    if filled != Ok(ENTROPY_BYTES) {
        return Err(Problem::host("the host gives no randomness"));
    }
    Ok(Renewal {
        clock_ns: clock::now_ns(),
        entropy: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        hostname: hostname.to_owned(),
    })
}
