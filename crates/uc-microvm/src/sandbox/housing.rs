//! The machine that a workload's containers are made in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use uc_guest_protocol::Call;
use uc_model::{Digest, MilliCpu, Result, workload::Network};
use uc_sandbox::{CreateRequest, Limits, Part, Payload, PrepareRequest};

use super::{DEFAULT_MEMORY_MIB, GUEST_OVERHEAD_MIB, MicrovmSandbox, Prepared};
use crate::{bounds::Bounds, clock, launch::Running, machine::Shape, snapshot::ReadyFunction};

/// Between two looks at whether a machine still answers, which also set its clock right: without KVM, and on a busy host, it
/// has been seen to lose a twentieth of the time.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long the answer to such a look may take.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(30);

/// A container's machine.
pub(super) struct Housing {
    pub(super) running: Arc<Running>,
    /// The function that is in it already.
    pub(super) ready: Option<ReadyFunction>,
    /// Whether nothing has been made in it yet.
    pub(super) is_fresh: bool,
}

/// Where a function that handles HTTP requests answers.
pub(super) fn port(payload: &Payload) -> Option<u16> {
    match payload {
        Payload::Wasm { port, .. } => port.map(|port| port.container_port),
        Payload::Rootfs { .. } => None,
    }
}

impl MicrovmSandbox {
    /// The machine that containers are made in: memory for what is known of them, and the disks of all.
    fn shape(&self, prepared: &Prepared) -> Result<Shape> {
        let kernel = self.host.kernel()?.clone();
        let agent = &self.host.programs()?.agent;
        let (initramfs, initramfs_digest) = self.host.images()?.initramfs(&kernel, agent)?;
        let mut disks = vec![prepared.disk.clone()];
        for expected in &self.request.containers {
            if expected.container != prepared.container {
                let (disk, _) = self.disk_of(self.host.images()?, &expected.payload)?;
                if disks.iter().all(|known| known.digest != disk.digest) {
                    disks.push(disk);
                }
            }
        }
        let limits = self.limits(prepared);
        let memory: Option<u64> = limits
            .iter()
            .map(|limit| limit.memory.map(|bytes| bytes.0.div_ceil(1 << 20)))
            .sum();
        let cpus = limits.iter().filter_map(|limit| limit.cpu);
        let milli: u64 = cpus.map(|cpu| cpu.0).sum();
        Ok(Shape {
            kernel,
            initramfs,
            initramfs_digest,
            memory_mib: memory.map_or(DEFAULT_MEMORY_MIB, |sum| {
                // Pages of what is read belong to no container.
                (sum + GUEST_OVERHEAD_MIB).max(2 * GUEST_OVERHEAD_MIB)
            }),
            vcpus: u32::try_from(milli.div_ceil(1000))
                .unwrap_or(u32::MAX)
                .clamp(1, host_cpus()),
            disks,
            ports: (self.request.network != Network::None).then(|| self.request.ports.clone()),
        })
    }

    /// The limits of the containers that are known of.
    fn limits(&self, prepared: &Prepared) -> Vec<Limits> {
        let others = self.request.containers.iter();
        let others = others.filter(|expected| expected.container != prepared.container);
        std::iter::once(prepared.limits)
            .chain(others.map(|expected| expected.limits))
            .collect()
    }

    /// What all containers together may use of processors: a limit if each has one, and the sum of their shares.
    fn shares(&self, prepared: &Prepared) -> Limits {
        let limits = self.limits(prepared);
        let total = |sum: MilliCpu, more: MilliCpu| MilliCpu(sum.0.saturating_add(more.0));
        let cpu: Option<Vec<MilliCpu>> = limits.iter().map(|limit| limit.cpu).collect();
        let weights = limits.iter().filter_map(|limit| limit.cpu_weight);
        Limits {
            cpu: cpu.map(|all| all.into_iter().fold(MilliCpu(0), total)),
            cpu_weight: weights.reduce(total),
            ..Limits::default()
        }
    }

    /// The machine, started if this is the first container.
    pub(super) async fn machine(&self, prepared: &Prepared) -> Result<Housing> {
        let mut slot = self.machine.lock().await;
        if let Some(running) = slot.as_ref() {
            return Ok(Housing {
                running: Arc::clone(running),
                ready: None,
                is_fresh: false,
            });
        }
        let launcher = self.host.launcher()?;
        let shape = self.shape(prepared)?;
        let plain = launcher.key(&shape, b"");
        let with_function = prepared
            .inside
            .as_ref()
            .map(|inside| launcher.key(&shape, inside));
        let keys: Vec<Digest> = with_function.iter().chain([&plain]).cloned().collect();
        let shares = self.shares(prepared);
        let ready = self.ready_machine(&shape, keys.first(), &shares).await;
        let running = match ready {
            Some(running) => running,
            None => {
                let bounds = self.bounds(&shape, &shares)?;
                let hostname = &self.request.hostname;
                launcher.start(shape, hostname, &keys, bounds).await?
            }
        };
        if !running.started.restored
            && let Err(problem) = launcher.keep(&running, &plain, None).await
        {
            self.host.note(&problem);
        }
        let ready = running.started.function.clone();
        let running = Arc::new(running);
        *slot = Some(Arc::clone(&running));
        self.watch(&running);
        Ok(Housing {
            running,
            ready,
            is_fresh: true,
        })
    }

    /// All of a function's container that is fixed before it is called.
    pub(super) fn inside(&self, request: &CreateRequest) -> Vec<u8> {
        let parts = serde_json::json!({
            "container": request.container,
            "hostname": self.request.hostname,
            "user": request.process.user,
            "limits": request.limits,
            "read_only_root": request.read_only_root,
            "profile": request.seccomp_profile,
            "port": port(&request.payload),
            "stdin": request.stdio.stdin.is_some(),
        });
        parts.to_string().into_bytes()
    }

    /// Control groups for a new machine.
    fn bounds(&self, shape: &Shape, shares: &Limits) -> Result<Bounds> {
        let PrepareRequest { id, directory, .. } = &self.request;
        Bounds::of_sandbox(self.host.layout(), id, self.kind, directory, shape, shares)
    }

    /// A machine that was made ready for this, where there is a pool.
    async fn ready_machine(
        &self,
        shape: &Shape,
        key: Option<&Digest>,
        shares: &Limits,
    ) -> Option<Running> {
        let begin = Instant::now();
        let pool = self.host.pool.get()?;
        let mut running = pool.take(key?, shape, &self.request.hostname)?;
        // Its name may be for another workload; all else has been renewed when it was made ready.
        running.renew(&self.request.hostname).await.ok()?;
        let (layout, directory) = (self.host.layout(), &self.request.directory);
        running.bounds.pass_on(layout, directory, shares).ok()?;
        running.started.duration = begin.elapsed();
        running.started.from_pool = true;
        Some(running)
    }

    /// How long machine and container took.
    pub(super) fn parts(&self, housing: &Housing, container: Duration) -> Vec<Part> {
        let started = &housing.running.started;
        let source = match started {
            started if started.from_pool => "from the pool",
            started if started.restored => "restored",
            _ => "booted",
        };
        let how = match housing.ready {
            Some(_) => "in the snapshot",
            None => "made in the guest",
        };
        vec![
            Part {
                name: "machine",
                how: format!("{source}, {}", self.host.accelerator().name()),
                duration: started.duration,
            },
            Part {
                name: "container",
                how: how.to_owned(),
                duration: container,
            },
        ]
    }

    /// Keeps a machine's clock right, and ends one that has stopped to answer: whoever waits for it learns of it.
    fn watch(&self, running: &Arc<Running>) {
        let weak = Arc::downgrade(running);
        running.reactor.handle().spawn(async move {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                let Some(running) = weak.upgrade() else {
                    return;
                };
                let ping = Call::Ping {
                    clock_ns: clock::now_ns(),
                };
                let answer = running.guest.ask_for(ping, HEARTBEAT_PATIENCE);
                if answer.await.is_err() {
                    running.kill().await;
                    return;
                }
            }
        });
    }
}

fn host_cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
}
