//! P of this machine: the share of its busy processor time that network and cryptographic offload could take.

use serde::Serialize;
use uc_model::{Figure, Problem, Result};

use super::{
    delta::{self, Attributed, Backwards, Spent},
    procfs::{self, CpuStat},
    programs::Class,
    work::{Work, label},
};

/// The most names that a caller may add to the known programs, and the longest of them in bytes.
pub const MAX_EXTRA: usize = 256;
const MAX_EXTRA_NAME: usize = 256;

/// Most names in the list of programs.
const MAX_NAMED: usize = 64;

/// The texts of /proc at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The text of /proc/stat.
    pub stat: String,
    /// The text of /proc/softirqs; empty if the kernel has none.
    pub softirqs: String,
    /// The text of each /proc/PID/stat that could be read.
    pub processes: Vec<String>,
}

/// One kind of work and its part of the busy time; the shares of all kinds add up to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// The kind of work.
    pub work: &'static str,
    /// Its share of the busy time, 0 to 1.
    pub share: Figure,
    /// The same in cores.
    pub cores: Figure,
    /// Whether it counts into P.
    pub in_p: bool,
}

/// Processes of one name that count into P.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Named {
    /// The name, as the kernel cuts it off.
    pub name: String,
    /// The kind of work that it is counted as.
    pub work: &'static str,
    /// How many processes had it.
    pub processes: usize,
    /// Their share of the busy time, 0 to 1.
    pub share: Figure,
}

/// How far P may be off, each as a share of the busy time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Uncertainty {
    /// Every counter is cut off to whole ticks: one tick a counter, root of the sum of squares.
    pub tick_resolution: Figure,
    /// A kernel that samples at ticks draws from the busy time: two standard errors of a share of so many ticks.
    pub sampling: Figure,
    /// Time that may stand both in the softirq column and in a program that was interrupted; it can only lower P.
    pub overlap: Figure,
    /// P if no softirq time were the network's.
    pub p_if_no_softirq_is_network: Figure,
    /// P if all softirq time were the network's.
    pub p_if_all_softirq_is_network: Figure,
}

/// P of this machine over an interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Length of the interval, seconds.
    pub interval: Figure,
    /// Processors online.
    pub cpus: Figure,
    /// Cores' worth of work that was done.
    pub busy_cores: Figure,
    /// Share of all processor time that was busy, 0 to 1.
    pub utilisation: Figure,
    /// Share of the busy time spent for guests, 0 to 1; what they do for the network is not seen.
    pub guest: Figure,
    /// P: network and cryptographic work's share of the busy time, 0 to 1.
    pub p: Figure,
    /// The least P within the error bar.
    pub p_low: Figure,
    /// The greatest P within the error bar.
    pub p_high: Figure,
    /// The part of P that moves packets.
    pub p_network: Figure,
    /// The part of P that encrypts.
    pub p_crypto: Figure,
    /// Where the busy time went.
    pub breakdown: Vec<Part>,
    /// The programs and kernel threads that count into P, the busiest first.
    pub programs: Vec<Named>,
    /// How far P may be off.
    pub uncertainty: Uncertainty,
    /// What was odd about these two snapshots.
    pub notes: Vec<String>,
    /// What /proc cannot show.
    pub unseen: Vec<&'static str>,
}

/// What /proc cannot show of network work.
const UNSEEN: [&str; 8] = [
    "the network stack's time within system calls (send, receive, copies, checksums) of programs that are not named: it is \
     part of their system time, so the true P is larger",
    "encryption inside programs that are not named (TLS in a server, SSH)",
    "other work of named programs: all of their time counts, so a proxy that also computes makes P too large",
    "what processes that ended within the interval did",
    "network work inside virtual machines, which is guest time",
    "vhost workers from Linux 6.4 on, which are threads of their virtual machine's process and count as its time",
    "processes that are hidden (hidepid) or outside this PID namespace, while /proc/stat counts the whole machine",
    "waiting in busy loops (DPDK, busy polling), which counts as work",
];

/// P from two snapshots of /proc that lie `interval_s` seconds apart. `clock_ticks_per_s` is `sysconf(_SC_CLK_TCK)`, `extra`
/// are names of further programs that do network work.
///
/// # Errors
/// Invalid for an interval or tick rate that is not positive, for texts without processor times, for too many processes
/// or names, and if the processors did nothing in the interval.
pub fn measure(
    before: &Snapshot,
    after: &Snapshot,
    interval_s: f64,
    clock_ticks_per_s: f64,
    extra: &[String],
) -> Result<Measured> {
    super::check("interval in seconds", interval_s, 1e-6, 1e9)?;
    super::check("clock ticks per second", clock_ticks_per_s, 1.0, 1e9)?;
    check_extra(extra)?;
    let first = procfs::cpu_stat(&before.stat).map_err(|e| e.within("first snapshot"))?;
    let second = procfs::cpu_stat(&after.stat).map_err(|e| e.within("second snapshot"))?;
    let earlier = procfs::processes(&before.processes).map_err(|e| e.within("first snapshot"))?;
    let later = procfs::processes(&after.processes).map_err(|e| e.within("second snapshot"))?;

    let mut backwards = Backwards::default();
    let spent = delta::spent(&first.all, &second.all, &mut backwards);
    if spent.busy() < 1.0 {
        return Err(
            Problem::invalid("the processors did nothing in the interval")
                .at("/proc/stat")
                .limit("at least one clock tick of busy time")
                .found(format!("{} ticks", spent.busy()))
                .remedy("measure for longer, or under the load in question"),
        );
    }
    let network_softirqs = delta::network_softirqs(
        &procfs::softirqs(&before.softirqs),
        &procfs::softirqs(&after.softirqs),
        &mut backwards,
    );
    let ticks = interval_s * clock_ticks_per_s;
    // One tick of slack at either end, as counters are read one after the other.
    let most = (ticks * second.cpus as f64).ceil() + 2.0;
    let attributed = delta::attribute(&earlier, &later, extra, most, &mut backwards);
    let work = Work::new(spent, network_softirqs, &attributed);
    let mut notes = notes(&work, &attributed, &backwards, network_softirqs);
    notes.extend(coverage(&spent, &second, ticks));
    let unreadable = earlier.unreadable.max(later.unreadable);
    if unreadable > 0 {
        notes.push(format!(
            "{unreadable} texts of processes could not be read; such processes may have ended"
        ));
    }
    Ok(report(
        &work,
        &attributed,
        interval_s,
        ticks,
        &second,
        notes,
    ))
}

fn check_extra(extra: &[String]) -> Result<()> {
    if extra.len() > MAX_EXTRA {
        return Err(Problem::invalid("too many names of programs")
            .at("names of programs")
            .limit(format!("at most {MAX_EXTRA}"))
            .found(extra.len()));
    }
    for name in extra {
        if name.is_empty() || name.len() > MAX_EXTRA_NAME {
            return Err(Problem::invalid("this is no name of a program")
                .at("names of programs")
                .limit(format!("1 to {MAX_EXTRA_NAME} bytes"))
                .found(format!("{} bytes", name.len())));
        }
    }
    Ok(())
}

/// One of [`Figure`]'s constructors.
type MakeFigure = fn(f64, &str, &str) -> Figure;

fn breakdown(work: &Work, attributed: &Attributed, ticks: f64) -> Vec<Part> {
    let spent = &work.spent;
    let counted = work.processes(false) + work.processes(true);
    let part = |name, time: f64, in_p, figure: MakeFigure, how: &str| Part {
        work: name,
        share: figure(work.share(time), "", how),
        cores: figure(time / ticks, "cores", how),
        in_p,
    };
    let split = "softirq column of /proc/stat × NET_RX and NET_TX's share of the counts of /proc/softirqs, as if each took equally long";
    let model = Figure::modelled;
    let mut parts = vec![
        part("network softirqs", work.network_softirq, true, model, split),
        part(
            "other softirqs",
            spent.softirq - work.network_softirq,
            false,
            model,
            split,
        ),
        part(
            "hard interrupts",
            spent.irq,
            false,
            Figure::measured,
            "irq column of /proc/stat; whose devices' is not told",
        ),
    ];
    for (class, time) in work.classes {
        let scaled = work.fit < 1.0;
        let by_queue =
            attributed.workers && matches!(class, Class::NetworkThread | Class::CryptoThread);
        let (figure, how): (MakeFigure, &str) = if scaled {
            (
                model,
                "utime + stime of /proc/PID/stat, reduced to fit /proc/stat",
            )
        } else if by_queue {
            (
                model,
                "utime + stime of /proc/PID/stat; kworkers by the queue that both snapshots name",
            )
        } else {
            (Figure::measured, "utime + stime of /proc/PID/stat, by name")
        };
        parts.push(part(label(class), time, true, figure, how));
    }
    let rest = (spent.ordinary - counted).max(0.0);
    let how = "user + nice + system of /proc/stat less the processes above";
    parts.push(part("everything else", rest, false, Figure::measured, how));
    parts
}

fn programs(work: &Work, attributed: &Attributed) -> Vec<Named> {
    let mut programs: Vec<Named> = attributed
        .time
        .iter()
        .map(|((class, name), time)| Named {
            name: name.clone(),
            work: label(*class),
            processes: time.processes,
            share: Figure::measured(
                work.share(work.fit * (time.user + time.system)),
                "",
                "utime + stime of /proc/PID/stat / busy time of /proc/stat",
            ),
        })
        .collect();
    programs.sort_by(|a, b| b.share.value.total_cmp(&a.share.value));
    programs.truncate(MAX_NAMED);
    programs
}

fn uncertainty(work: &Work, p: f64) -> Uncertainty {
    let busy = work.spent.busy();
    let model = Figure::modelled;
    let processes = work.processes(false) + work.processes(true);
    let overlap = work.system.min(work.spent.softirq + work.spent.irq);
    // The softirq column and two counters a process above the line, five columns below it.
    let resolution = (1.0 + work.counters + 5.0 * p * p).sqrt() / busy;
    Uncertainty {
        tick_resolution: model(
            resolution.min(1.0),
            "",
            "one tick for each counter, root of the sum of squares",
        ),
        sampling: model(
            2.0 * (p * (1.0 - p) / busy).max(0.0).sqrt(),
            "",
            "two standard errors of the share P of the busy ticks",
        ),
        overlap: model(
            work.share(overlap),
            "",
            "the lesser of the processes' system time and the interrupts' time",
        ),
        p_if_no_softirq_is_network: model(work.share(processes), "", "threads and programs alone"),
        p_if_all_softirq_is_network: model(
            work.share(processes + work.spent.softirq),
            "",
            "threads, programs and the whole softirq column",
        ),
    }
}

fn report(
    work: &Work,
    attributed: &Attributed,
    interval_s: f64,
    ticks: f64,
    stat: &CpuStat,
    notes: Vec<String>,
) -> Measured {
    let busy = work.spent.busy();
    let network = work.network_softirq + work.processes(false);
    let p = work.share(network + work.processes(true));
    let uncertainty = uncertainty(work, p);
    let bar = uncertainty
        .tick_resolution
        .value
        .hypot(uncertainty.sampling.value);
    let model = Figure::modelled;
    let columns = "user + nice + system + irq + softirq of /proc/stat";
    Measured {
        interval: Figure::measured(interval_s, "s", "by the caller's clock"),
        cpus: Figure::measured(stat.cpus as f64, "cpus", "/proc/stat"),
        busy_cores: Figure::measured(
            busy / ticks,
            "cores",
            &format!("{columns} over the interval"),
        ),
        utilisation: Figure::measured(
            busy / (busy + work.spent.not_ours),
            "",
            &format!("{columns} / all columns"),
        ),
        guest: Figure::measured(
            work.share(work.spent.guest),
            "",
            "guest + guest_nice of /proc/stat, which user and nice hold",
        ),
        p: model(
            p,
            "",
            "network softirqs, kernel threads and named programs of /proc / busy time; the split of softirqs is by count",
        ),
        p_low: model(
            (p - bar - uncertainty.overlap.value).max(0.0),
            "",
            "P less resolution and sampling (root of the sum of squares) and less the overlap",
        ),
        p_high: model(
            (p + bar).min(1.0),
            "",
            "P plus resolution and sampling (root of the sum of squares)",
        ),
        p_network: model(work.share(network), "", "the part of P that moves packets"),
        p_crypto: model(
            work.share(work.processes(true)),
            "",
            "the part of P that encrypts",
        ),
        breakdown: breakdown(work, attributed, ticks),
        programs: programs(work, attributed),
        uncertainty,
        notes,
        unseen: UNSEEN.to_vec(),
    }
}

fn notes(
    work: &Work,
    attributed: &Attributed,
    backwards: &Backwards,
    network_softirqs: Option<f64>,
) -> Vec<String> {
    let mut notes = Vec::new();
    if backwards.count > 0 {
        notes.push(format!(
            "{} counters were smaller in the second snapshot and count as 0: {}",
            backwards.count,
            backwards.names.join(", ")
        ));
    }
    if network_softirqs.is_none() && work.spent.softirq > 0.0 {
        notes.push("no counts of softirqs: none of their time counts as the network's".into());
    }
    if work.fit < 1.0 {
        notes.push(format!(
            "the named processes have more time than /proc/stat; theirs is multiplied by {:.3}",
            work.fit
        ));
    }
    for (count, what) in [
        (
            attributed.unpaired,
            "were missing from the first snapshot though they ran then",
        ),
        (attributed.ended, "ended within the interval"),
        (
            attributed.renamed,
            "changed their name to or from a known one",
        ),
    ] {
        if count > 0 {
            notes.push(format!(
                "{count} network or crypto processes {what}; their time is not counted"
            ));
        }
    }
    notes
}

/// A note if /proc/stat counts clearly more or less time than the interval had.
fn coverage(spent: &Spent, stat: &CpuStat, ticks: f64) -> Option<String> {
    let expected = ticks * stat.cpus as f64;
    let counted = spent.busy() + spent.not_ours;
    // Ten columns, each cut off, and the time that reading takes.
    let slack = 0.1 * expected + 10.0;
    ((counted - expected).abs() > slack).then(|| {
        format!(
            "/proc/stat counts {counted:.0} ticks where the interval had {expected:.0}: the interval, the tick rate or the \
             number of processors is not this machine's, or it slept"
        )
    })
}
