//! What a machine may take of its host: control groups for its monitor and for the program that links its network.
//!
//! The guest's kernel bounds its containers. These groups bound whoever has got the better of that kernel, or of the
//! monitor; so they are a little wider than all that an honest guest takes. Where this host gives no groups, a machine runs
//! without, and its owner is told.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use uc_linux::cgroup::{Cgroup, Controller, Entrances, Layout};
use uc_model::{Bytes, MilliCpu, Problem, Result, RuntimeKind};
use uc_sandbox::Limits;

use crate::{machine::Shape, place::Place};

/// Memory of a monitor besides its guest's, and of what links its network, in MiB. Measured with QEMU 7.2 and pasta: 20 and
/// 30, and up to 128 for translations; libraries are mapped from files, whose pages can be taken back.
const MONITOR_MIB: u64 = 256;

/// The tables of the guest's pages take one part in so many of its memory.
const PAGE_TABLES: u64 = 64;

/// What the guest's kernel and the monitor take while containers use up their limits, in thousandths of a processor; 20 were
/// measured. A guest must not be slowed down so far that it seems to hang.
const MONITOR_MILLI_CPU: u64 = 250;

/// Threads besides the guest's processors: those that read disks, of which QEMU makes 64 at most, and those of the program
/// that links the network.
const THREADS: u32 = 128;

/// The control groups of one machine. They go with this value, and what is still in them.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    cgroup: Cgroup,
    /// Set when there is a program to bound: a start is not to wait for its turn.
    cpu: Limits,
    has_cpu: AtomicBool,
    /// What the owner is to know.
    pub(crate) warning: Option<String>,
    /// Where the groups are recorded until the machine has a sandbox. Last: it goes when they have gone.
    _place: Option<Place>,
}

impl Bounds {
    /// For the machine of a sandbox, recorded in its directory. Its containers may use so much of processors.
    pub(crate) fn of_sandbox(
        layout: &Layout,
        id: &str,
        kind: RuntimeKind,
        directory: &Path,
        shape: &Shape,
        containers: &Limits,
    ) -> Result<Self> {
        // A Pod may have a machine of each kind. No container has a name with a dot.
        let name = format!("undercurrent-{id}.{kind}");
        let cpu = cpu(containers);
        let size = size(shape);
        let (cgroup, _) = Cgroup::plan(layout, &name, &both(size, cpu), true)?;
        // Made before it is given limits, so that it goes where these are refused.
        let warning = unbounded(layout, &cpu);
        let bounds = Self::new(cgroup, cpu, warning, None);
        bounds.cgroup.make_with(directory, &size)?;
        Ok(bounds)
    }

    /// For a machine that waits for its sandbox, recorded in a directory of its own among those of machines.
    pub(crate) fn of_ready_machine(
        layout: &Layout,
        machines: &Path,
        shape: &Shape,
    ) -> Result<Self> {
        let place = Place::within(machines)?;
        let directory = place.path().to_owned();
        let name = format!("undercurrent-{}.ready", place.id());
        let size = size(shape);
        // Whoever comes may have limits for processors.
        let any = Limits {
            cpu: Some(MilliCpu(1000)),
            ..Limits::default()
        };
        let (cgroup, _) = Cgroup::plan(layout, &name, &both(size, any), true)?;
        let bounds = Self::new(cgroup, Limits::default(), None, Some(place));
        bounds.cgroup.make_with(&directory, &size)?;
        Ok(bounds)
    }

    fn new(cgroup: Cgroup, cpu: Limits, warning: Option<String>, place: Option<Place>) -> Self {
        Self {
            cgroup,
            cpu,
            has_cpu: AtomicBool::new(false),
            warning,
            _place: place,
        }
    }

    /// Passes a machine that waited on to a sandbox with this directory.
    pub(crate) fn pass_on(
        &mut self,
        layout: &Layout,
        directory: &Path,
        containers: &Limits,
    ) -> Result<()> {
        self.cpu = cpu(containers);
        self.warning = unbounded(layout, &self.cpu);
        self.cgroup.record(directory)
    }

    /// For the processes that are to be in them.
    pub(crate) fn entrances(&self) -> Result<Entrances> {
        self.cgroup.enter()
    }

    /// Bounds the use of processors, when the first program starts.
    pub(crate) fn bound_cpu(&self) -> Result<()> {
        match self.has_cpu.swap(true, Ordering::AcqRel) {
            true => Ok(()),
            false => self.cgroup.set(&self.cpu),
        }
    }

    /// A problem that comes of a machine's end, which may be that of these bounds.
    pub(crate) fn explain(&self, problem: Problem) -> Problem {
        let stats = self.cgroup.stats();
        if stats.oom_kills.unwrap_or(0) == 0 {
            return problem;
        }
        let limit = stats.memory_limit_bytes.map(Bytes);
        Problem::host("the microVM's monitor was killed: it took more memory than it may")
            .limit(limit.map_or_else(String::new, |limit| limit.to_string()))
            .caused_by(problem)
    }

    /// Removes the groups, killing what is left in them.
    pub(crate) fn remove(&self) {
        self.cgroup.remove();
    }
}

impl Drop for Bounds {
    fn drop(&mut self) {
        self.remove();
    }
}

/// What a machine of this shape may take at all.
fn size(shape: &Shape) -> Limits {
    let tables = shape.memory_mib / PAGE_TABLES;
    let memory_mib = shape.memory_mib.saturating_add(tables + MONITOR_MIB);
    Limits {
        memory: Some(Bytes(memory_mib.saturating_mul(1 << 20))),
        pids: Some(THREADS.saturating_add(shape.vcpus)),
        ..Limits::default()
    }
}

/// What a machine may use of processors while its containers may use so much.
fn cpu(containers: &Limits) -> Limits {
    let quota = |cpu: MilliCpu| MilliCpu(cpu.0.saturating_add(MONITOR_MILLI_CPU));
    Limits {
        cpu: containers.cpu.map(quota),
        cpu_weight: containers.cpu_weight,
        ..Limits::default()
    }
}

fn both(size: Limits, cpu: Limits) -> Limits {
    Limits {
        cpu: cpu.cpu,
        cpu_weight: cpu.cpu_weight,
        ..size
    }
}

/// What an owner is told whose machine lacks some of its groups.
fn unbounded(layout: &Layout, cpu: &Limits) -> Option<String> {
    let wanted = [
        (Controller::Memory, true),
        (Controller::Cpu, cpu.cpu.is_some()),
        (Controller::Pids, true),
    ];
    let lacking = wanted
        .into_iter()
        .filter(|(controller, wanted)| *wanted && layout.place(*controller).is_none());
    let lacking: Vec<&str> = lacking
        .map(|(controller, _)| controller.name_v2())
        .collect();
    (!lacking.is_empty()).then(|| {
        format!(
            "the microVM bounds its containers, but nothing on this host bounds its monitor's use of {}: run as root, or under \
             a delegated group (systemd-run --user --scope uc run …)",
            lacking.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(cpu: Option<u64>) -> Limits {
        Limits {
            cpu: cpu.map(MilliCpu),
            cpu_weight: Some(MilliCpu(100)),
            ..Limits::default()
        }
    }

    #[test]
    fn without_groups_a_machine_has_none_and_its_owner_is_told() {
        let nowhere = Layout::default();
        let told = unbounded(&nowhere, &cpu(&limits(Some(500)))).expect("told");
        assert!(told.contains("of memory, cpu, pids:"), "{told}");
        // Nobody asked for a bound of processors.
        let told = unbounded(&nowhere, &cpu(&limits(None))).expect("told");
        assert!(told.contains("of memory, pids:"), "{told}");
        let planned = Cgroup::plan(&nowhere, "undercurrent-x", &limits(Some(500)), true);
        let bounds = Bounds::new(planned.expect("planned").0, limits(None), Some(told), None);
        let entrances = bounds.entrances().expect("none");
        assert!(entrances.unified().is_none() && entrances.tasks.is_empty());
        bounds.bound_cpu().expect("nothing to bound");
        let problem = bounds.explain(Problem::host("it ended"));
        assert_eq!(problem.to_string(), "it ended");
    }

    #[test]
    fn a_machine_may_use_what_its_containers_may_and_a_little() {
        assert_eq!(cpu(&limits(Some(500))).cpu, Some(MilliCpu(750)));
        assert_eq!(cpu(&limits(Some(500))).cpu_weight, Some(MilliCpu(100)));
        assert_eq!(cpu(&limits(None)).cpu, None);
        assert_eq!(cpu(&limits(Some(u64::MAX))).cpu, Some(MilliCpu(u64::MAX)));
    }
}
