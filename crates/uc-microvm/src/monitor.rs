//! The two monitors behind one seam: QEMU, which runs everywhere, and Firecracker, which needs KVM.
//!
//! A monitor makes machines of a shape, from their kernel or from a snapshot. A machine says how its agent is reached, can
//! be saved, and ends with its value. What only one of them has is asked for here: nobody else tells them apart.

use std::{os::fd::AsFd as _, path::Path, time::Duration};

use uc_guest_protocol::Descriptor;
use uc_linux::{cgroup::Entrances, exit::Ending};
use uc_model::{Problem, Result};

use crate::{
    console::{Console, PANIC},
    firecracker::monitor::{Firecracker, FirecrackerMachine},
    machine::{Accelerator, Shape},
    qemu::{Qemu, QemuMachine},
    restore::NotRestored,
    snapshot::Snapshot,
};

/// How long a monitor may take to end by itself, for its last words.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What runs machines.
#[derive(Debug, Clone)]
pub(crate) enum Monitor {
    Qemu(Qemu),
    Firecracker(Firecracker),
}

impl Monitor {
    /// For people.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Qemu(_) => "QEMU",
            Self::Firecracker(_) => "Firecracker",
        }
    }

    pub(crate) fn program(&self) -> &Path {
        match self {
            Self::Qemu(qemu) => &qemu.program,
            Self::Firecracker(firecracker) => &firecracker.program,
        }
    }

    /// What executes its guests' instructions.
    pub(crate) fn accelerator(&self) -> Accelerator {
        match self {
            Self::Qemu(qemu) => qemu.accelerator,
            Self::Firecracker(_) => Accelerator::Kvm,
        }
    }

    /// What tells its snapshots from those of others: which it is, what executes, and whether its program is still the one
    /// that it was.
    pub(crate) fn stamp(&self) -> String {
        let (name, accelerator) = (self.name(), self.accelerator().name());
        format!("{name} {accelerator} {}", stamp(self.program()))
    }

    /// Whether a link to an agent outlives a snapshot: a virtio-serial port does, a vsock connection does not.
    pub(crate) fn keeps_links(&self) -> bool {
        matches!(self, Self::Qemu(_))
    }

    /// Whether what links its machines' networks is there.
    pub(crate) fn has_user_network(&self) -> bool {
        match self {
            Self::Qemu(_) => uc_linux::network::link_program().is_some(),
            Self::Firecracker(_) => uc_linux::tap_link::has_program(),
        }
    }

    /// Refuses what its machines cannot have.
    pub(crate) fn check(&self, shape: &Shape) -> Result<()> {
        match self {
            Self::Qemu(_) => Ok(()),
            Self::Firecracker(firecracker) => firecracker.check(shape),
        }
    }

    /// Boots a machine. It can be saved later if `keeps_memory`.
    pub(crate) async fn boot(
        &self,
        shape: &Shape,
        keeps_memory: bool,
        groups: Entrances,
    ) -> Result<Machine> {
        Ok(match self {
            Self::Qemu(qemu) => {
                let machine = Box::pin(qemu.boot(shape, keeps_memory, &groups)).await?;
                Machine::Qemu(Box::new(machine))
            }
            Self::Firecracker(firecracker) => {
                let machine = Box::pin(firecracker.boot(shape, groups)).await?;
                Machine::Firecracker(Box::new(machine))
            }
        })
    }

    /// Boots the same without any of ours around it, for benchmarks: the time to the first byte of its agent.
    pub(crate) async fn bare_boot(&self, shape: &Shape) -> Result<Duration> {
        match self {
            Self::Qemu(qemu) => qemu.bare_boot(shape).await,
            Self::Firecracker(_) => {
                Err(Problem::refused("a bare start is measured with QEMU alone")
                    .remedy("leave UC_FIRECRACKER out"))
            }
        }
    }

    /// Starts a machine from a snapshot of one of the same shape.
    pub(crate) async fn restore(
        &self,
        shape: &Shape,
        snapshot: &Snapshot,
        groups: Entrances,
    ) -> Result<Machine, NotRestored> {
        Ok(match self {
            Self::Qemu(qemu) => {
                let machine = Box::pin(qemu.restore(shape, snapshot, &groups)).await?;
                Machine::Qemu(Box::new(machine))
            }
            Self::Firecracker(firecracker) => {
                let machine = Box::pin(firecracker.restore(shape, snapshot, groups)).await?;
                Machine::Firecracker(Box::new(machine))
            }
        })
    }
}

/// A running machine. It is killed with this value.
pub(crate) enum Machine {
    Qemu(Box<QemuMachine>),
    Firecracker(Box<FirecrackerMachine>),
}

impl Machine {
    /// The line to its agent, as soon as there is one. After [`Machine::save`] of a monitor that does not keep links, and
    /// only then, there is another.
    pub(crate) async fn agent(&mut self) -> Result<Descriptor> {
        match self {
            Self::Qemu(machine) => machine.agent(),
            Self::Firecracker(machine) => Box::pin(machine.agent()).await,
        }
    }

    /// Writes `state` and `memory` into a directory; the machine goes on afterwards.
    pub(crate) async fn save(&mut self, into: &Path) -> Result<()> {
        match self {
            Self::Qemu(machine) => Box::pin(machine.save(into)).await,
            Self::Firecracker(machine) => Box::pin(machine.save(into)).await,
        }
    }

    /// Whether it can be saved: its memory is not only a copy that it alone sees.
    pub(crate) fn keeps_memory(&self) -> bool {
        match self {
            Self::Qemu(machine) => machine.keeps_memory(),
            Self::Firecracker(_) => true,
        }
    }

    fn ending(&self) -> &Ending {
        match self {
            Self::Qemu(machine) => &machine.jailed.ending,
            Self::Firecracker(machine) => machine.ending(),
        }
    }

    /// Kills it and waits for its end.
    pub(crate) async fn kill(&self) {
        let ending = self.ending();
        if ending.known().is_none() {
            let _ = uc_linux::sys::pidfd_signal(ending.pidfd().as_fd(), libc::SIGKILL);
        }
        let _ = ending.wait().await;
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) {
        let _ = self.ending().wait().await;
    }

    /// What it and its monitor say.
    pub(crate) fn words(&self) -> Words {
        match self {
            Self::Qemu(machine) => machine.words.clone(),
            Self::Firecracker(machine) => machine.words(),
        }
    }
}

/// Waits a moment for the end of a machine that is ending: it says why, and has not always been heard yet.
pub(crate) async fn hear_out(ended: impl Future<Output = ()>) {
    let _ = tokio::time::timeout(LAST_WORDS, ended).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// What a machine and its monitor said last.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    pub(crate) console: Console,
    /// Empty where both write to one.
    pub(crate) monitor: Console,
}

impl Words {
    /// A problem that comes of a machine's end, with what was said.
    pub(crate) fn explain(&self, problem: Problem) -> Problem {
        let what = match &self.console {
            console if console.has_said(PANIC) => "the microVM's kernel panicked",
            console if console.has_said("Out of memory") => "the microVM ran out of memory",
            _ => "the microVM ended, or does not answer",
        };
        self.add_to(Problem::host(what)).caused_by(problem)
    }

    /// A problem, with what was said.
    pub(crate) fn add_to(&self, problem: Problem) -> Problem {
        let said = self.console.last_words();
        let monitor = self.monitor.last_lines();
        problem.found(match monitor.is_empty() {
            true => said,
            false => format!("{said}; its monitor: {}", monitor.join(" | ")),
        })
    }
}

/// What tells whether a program is still the one that it was: path, size and time of change.
fn stamp(program: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(program);
    let (size, changed) = metadata.map_or((0, 0), |metadata| (metadata.len(), metadata.mtime()));
    format!("{} {size} {changed}", program.display())
}
