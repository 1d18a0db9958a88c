//! What happened between two snapshots of /proc: differences of counters that may wrap, step back or change owners.

use std::collections::BTreeMap;

use super::{
    procfs::{Process, Processes, Softirqs, Times},
    programs::{self, Class},
};

/// Most names of counters that stepped back that are kept for the report.
const MAX_BACKWARDS: usize = 16;

/// Counters that were smaller later than before; what they counted is lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Backwards {
    /// The first of them.
    pub(super) names: Vec<String>,
    /// How many there were.
    pub(super) count: usize,
}

impl Backwards {
    fn note(&mut self, name: &str) {
        self.count += 1;
        if self.names.len() < MAX_BACKWARDS && !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }

    /// The growth of a counter, 0 if it stepped back.
    fn growth(&mut self, name: &str, before: u64, after: u64) -> f64 {
        match after.checked_sub(before) {
            Some(growth) => growth as f64,
            None => {
                self.note(name);
                0.0
            }
        }
    }
}

/// What all processors did between two snapshots, in ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spent {
    /// Programs and the kernel on their behalf, guests included once.
    pub(super) ordinary: f64,
    /// Hard interrupts.
    pub(super) irq: f64,
    /// Soft interrupts.
    pub(super) softirq: f64,
    /// Idle, waiting or stolen.
    pub(super) not_ours: f64,
    /// Guests; a part of `ordinary`.
    pub(super) guest: f64,
}

impl Spent {
    /// Ticks that the processors worked.
    pub(super) fn busy(&self) -> f64 {
        self.ordinary + self.irq + self.softirq
    }
}

/// The differences of the line `cpu`. The columns guest and guest_nice are not added: user and nice hold them already.
pub(super) fn spent(before: &Times, after: &Times, backwards: &mut Backwards) -> Spent {
    let mut growth = |name: &str, column: fn(&Times) -> u64| {
        backwards.growth(&format!("/proc/stat {name}"), column(before), column(after))
    };
    let user = growth("user", |times| times.user);
    let nice = growth("nice", |times| times.nice);
    let system = growth("system", |times| times.system);
    let idle = growth("idle", |times| times.idle);
    let iowait = growth("iowait", |times| times.iowait);
    let steal = growth("steal", |times| times.steal);
    let guest = growth("guest", |times| times.guest);
    let guest_nice = growth("guest_nice", |times| times.guest_nice);
    Spent {
        ordinary: user + nice + system,
        irq: growth("irq", |times| times.irq),
        softirq: growth("softirq", |times| times.softirq),
        not_ours: idle + iowait + steal,
        guest: (guest + guest_nice).min(user + nice),
    }
}

/// The share of the softirqs served between two snapshots that were for the network; none if none was served.
pub(super) fn network_softirqs(
    before: &Softirqs,
    after: &Softirqs,
    backwards: &mut Backwards,
) -> Option<f64> {
    let (mut network, mut all) = (0.0, 0.0);
    for (name, after) in after {
        let Some(before) = before.get(name) else {
            continue;
        };
        for (&before, &after) in before.iter().zip(after) {
            let growth = match wrapped(before, after) {
                Some(growth) => growth,
                None => backwards.growth(&format!("/proc/softirqs {name}"), before, after),
            };
            all += growth;
            if name == "NET_RX" || name == "NET_TX" {
                network += growth;
            }
        }
    }
    (all > 0.0).then(|| network / all)
}

/// The growth of a counter of 32 bits that has plausibly passed its end, by less than half its range.
fn wrapped(before: u64, after: u64) -> Option<f64> {
    let (before, after) = (u32::try_from(before).ok()?, u32::try_from(after).ok()?);
    let growth = after.wrapping_sub(before);
    (after < before && growth < u32::MAX / 2).then(|| f64::from(growth))
}

/// The time of all processes of one name and class.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Time {
    /// How many processes.
    pub(super) processes: usize,
    /// Ticks in the programs.
    pub(super) user: f64,
    /// Ticks in the kernel.
    pub(super) system: f64,
}

/// The processes of a class, and what could not be told.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Attributed {
    /// Time by class and name.
    pub(super) time: BTreeMap<(Class, String), Time>,
    /// Processes seen only later that must have run before: their earlier time is unknown.
    pub(super) unpaired: usize,
    /// Processes with a class that ended in between; what they did since the first snapshot is lost.
    pub(super) ended: usize,
    /// Processes that changed between classes by changing their name.
    pub(super) renamed: usize,
    /// Whether a work queue's thread was counted by the work it names.
    pub(super) workers: bool,
}

/// The time of processes that have a class, none of them more than `most` ticks.
pub(super) fn attribute(
    before: &Processes,
    after: &Processes,
    extra: &[String],
    most: f64,
    backwards: &mut Backwards,
) -> Attributed {
    let mut found = Attributed::default();
    let newest = before.by_identity.keys().map(|(_, start)| *start).max();
    for (identity, process) in &after.by_identity {
        let class = programs::class(process, extra);
        let earlier = before.by_identity.get(identity);
        if earlier.is_some_and(|earlier| programs::class(earlier, extra) != class) {
            found.renamed += 1;
            continue;
        }
        let Some(class) = class.filter(|class| *class != Class::ServesSoftirqs) else {
            continue;
        };
        // A process that started before the newest of the first snapshot was running then and was missed: what it did
        // before is not known. Any other that is new has done everything since.
        if earlier.is_none() && newest.is_none_or(|newest| identity.1 < newest) {
            found.unpaired += 1;
            continue;
        }
        found.workers |= programs::is_worker(process);
        let was = |column: fn(&Process) -> u64| earlier.map_or(0, column);
        let name = format!("time of {}", process.comm);
        let user = backwards.growth(&name, was(|process| process.utime), process.utime);
        let system = backwards.growth(&name, was(|process| process.stime), process.stime);
        let time = found.time.entry((class, process.comm.clone())).or_default();
        time.processes += 1;
        time.user += user.min(most);
        time.system += system.min((most - user).max(0.0));
    }
    found.ended = before
        .by_identity
        .iter()
        .filter(|(identity, process)| {
            !after.by_identity.contains_key(identity) && programs::class(process, extra).is_some()
        })
        .count();
    found
}
