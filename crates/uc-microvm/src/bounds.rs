//! What a machine may take of its host: control groups for its monitor and for the program that links its network.
//!
//! The guest's kernel bounds its containers. These groups bound whoever has got the better of that kernel, or of the
//! monitor; so they are a little wider than all that an honest guest takes. Where this host gives no groups, a machine runs
//! without, and its owner is told.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
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
    cpu: Cpu,
    has_cpu: Mutex<bool>,
    /// What the owner is to know.
    pub(crate) warning: Option<String>,
    /// Where the groups are recorded until the machine has a sandbox. Last: it goes when they have gone.
    _place: Option<Place>,
}

/// What a machine may use of processors.
#[derive(Debug, Default)]
struct Cpu {
    /// The first for which the groups around it leave room counts.
    quotas: Vec<MilliCpu>,
    weight: Option<MilliCpu>,
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
        let size = size(shape);
        let (cgroup, _) = Cgroup::plan(layout, &name, &both(size, containers), true)?;
        // Made before it is given limits, so that it goes where these are refused.
        let mut bounds = Self::new(cgroup, None);
        bounds.cgroup.make_with(directory, &size)?;
        bounds.expect(layout, containers)?;
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
        let (cgroup, _) = Cgroup::plan(layout, &name, &both(size, &any), true)?;
        let bounds = Self::new(cgroup, Some(place));
        bounds.cgroup.make_with(&directory, &size)?;
        Ok(bounds)
    }

    fn new(cgroup: Cgroup, place: Option<Place>) -> Self {
        Self {
            cgroup,
            cpu: Cpu::default(),
            has_cpu: Mutex::default(),
            warning: None,
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
        self.cgroup.record(directory)?;
        self.expect(layout, containers)
    }

    /// Takes down what its containers may use, and what its owner is to know of that.
    fn expect(&mut self, layout: &Layout, containers: &Limits) -> Result<()> {
        self.cpu = cpu(containers);
        let has_room = self.cgroup.has_room_for(&self.cpu.quotas)?;
        let warnings = [
            unbounded(layout, &self.cpu),
            (!has_room).then(|| crowded(containers)),
        ];
        let warnings: Vec<String> = warnings.into_iter().flatten().collect();
        self.warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        Ok(())
    }

    /// For the processes that are to be in them.
    pub(crate) fn entrances(&self) -> Result<Entrances> {
        self.cgroup.enter()
    }

    /// Bounds the use of processors, when the first program starts. Another one that starts waits for that.
    pub(crate) fn bound_cpu(&self) -> Result<()> {
        let mut has_cpu = self.has_cpu.lock().unwrap_or_else(PoisonError::into_inner);
        if !*has_cpu {
            // Where there is no room for them, the owner has been told.
            let _ = self.cgroup.bound_cpu(&self.cpu.quotas, self.cpu.weight)?;
            *has_cpu = true;
        }
        Ok(())
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

/// What a machine may use of processors while its containers may use so much: a little more, or the same where a group around
/// it has no more than that.
fn cpu(containers: &Limits) -> Cpu {
    let wider = |cpu: MilliCpu| MilliCpu(cpu.0.saturating_add(MONITOR_MILLI_CPU));
    Cpu {
        quotas: containers
            .cpu
            .map_or_else(Vec::new, |cpu| vec![wider(cpu), cpu]),
        weight: containers.cpu_weight,
    }
}

/// What a machine of this size is planned with: the groups that it will need.
fn both(size: Limits, containers: &Limits) -> Limits {
    Limits {
        cpu: containers.cpu,
        cpu_weight: containers.cpu_weight,
        ..size
    }
}

/// What an owner is told whose machine has its group's processors alone.
fn crowded(containers: &Limits) -> String {
    let limit = containers.cpu.map_or(0, |cpu| cpu.0);
    format!(
        "the microVM bounds its containers, but a control group around it leaves less than their {limit}m of CPU time: that \
         group alone bounds its monitor's. Lower limits.cpu, or raise that group's quota"
    )
}

/// What an owner is told whose machine lacks some of its groups.
fn unbounded(layout: &Layout, cpu: &Cpu) -> Option<String> {
    let wanted = [
        (Controller::Memory, true),
        (Controller::Cpu, !cpu.quotas.is_empty()),
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
        let mut bounds = Bounds::new(planned.expect("planned").0, None);
        bounds
            .expect(&nowhere, &limits(Some(500)))
            .expect("nothing to try");
        assert!(bounds.warning.is_some());
        let entrances = bounds.entrances().expect("none");
        assert!(entrances.unified().is_none() && entrances.tasks.is_empty());
        bounds.bound_cpu().expect("nothing to bound");
        let problem = bounds.explain(Problem::host("it ended"));
        assert_eq!(problem.to_string(), "it ended");
    }

    #[test]
    fn a_machine_may_use_what_its_containers_may_and_a_little() {
        let quotas = |milli| cpu(&limits(milli)).quotas;
        assert_eq!(quotas(Some(500)), [MilliCpu(750), MilliCpu(500)]);
        assert_eq!(cpu(&limits(Some(500))).weight, Some(MilliCpu(100)));
        assert_eq!(quotas(None), []);
        assert_eq!(quotas(Some(u64::MAX)), [MilliCpu(u64::MAX); 2]);
    }
}
