//! Reading the texts of /proc: processor times, softirq counts, processes.
//!
//! Whatever the text, reading it ends in a value or a problem. Times are in clock ticks.

use std::collections::BTreeMap;

use uc_model::{Problem, Result};

/// The most processes in one snapshot: eight times Linux's usual `pid_max`.
pub const MAX_PROCESSES: usize = 262_144;

/// The longest text of /proc/PID/stat that is read; the kernel's have a few hundred bytes.
pub const MAX_PROCESS_TEXT: usize = 4096;

/// The most processors of one machine that are told apart (Linux's own limit).
pub const MAX_CPUS: usize = 8192;

/// The most kinds of softirq; Linux has ten.
const MAX_SOFTIRQS: usize = 64;

/// What one processor or all of them did, in clock ticks since boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Programs, including `guest`.
    pub user: u64,
    /// Programs of low priority, including `guest_nice`.
    pub nice: u64,
    /// The kernel on behalf of programs and its own threads.
    pub system: u64,
    /// Nothing to do.
    pub idle: u64,
    /// Nothing to do but wait for a disk.
    pub iowait: u64,
    /// Hard interrupts.
    pub irq: u64,
    /// Soft interrupts, including those that ksoftirqd serves.
    pub softirq: u64,
    /// Taken by the hypervisor.
    pub steal: u64,
    /// Virtual processors of guests; already in `user`.
    pub guest: u64,
    /// The same at low priority; already in `nice`.
    pub guest_nice: u64,
}

/// What is read of /proc/stat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuStat {
    /// All processors together.
    pub all: Times,
    /// How many processors are online.
    pub cpus: usize,
}

/// Reads /proc/stat.
///
/// # Errors
/// Invalid if the line `cpu` is missing, has fewer than the four oldest columns or has one that is no number.
pub fn cpu_stat(text: &str) -> Result<CpuStat> {
    let mut all = None;
    let mut cpus = 0;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("cpu") if all.is_none() => all = Some(times(words)?),
            Some(word) if is_one_cpu(word) => cpus = (cpus + 1).min(MAX_CPUS),
            _ => {}
        }
    }
    let all = all.ok_or_else(|| {
        Problem::invalid("the text has no processor times")
            .at("/proc/stat")
            .limit("a line that begins with \"cpu\"")
            .found(format!("{} lines without one", text.lines().count()))
    })?;
    Ok(CpuStat {
        all,
        cpus: cpus.max(1),
    })
}

fn is_one_cpu(word: &str) -> bool {
    word.strip_prefix("cpu").is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn times<'a>(words: impl Iterator<Item = &'a str>) -> Result<Times> {
    let mut columns = [0_u64; 10];
    let mut seen = 0;
    for (column, word) in columns.iter_mut().zip(words) {
        *column = word.parse().map_err(|_| {
            Problem::invalid("a processor time is no number")
                .at(format!("/proc/stat: cpu: column {}", seen + 1))
                .limit("clock ticks as a decimal number")
                .found(excerpt(word))
        })?;
        seen += 1;
    }
    if seen < 4 {
        return Err(Problem::invalid("the processor times are cut off")
            .at("/proc/stat: cpu")
            .limit("at least 4 columns")
            .found(seen));
    }
    let [
        user,
        nice,
        system,
        idle,
        iowait,
        irq,
        softirq,
        steal,
        guest,
        guest_nice,
    ] = columns;
    Ok(Times {
        user,
        nice,
        system,
        idle,
        iowait,
        irq,
        softirq,
        steal,
        guest,
        guest_nice,
    })
}

/// The counts of /proc/softirqs: one list a kind, one count a processor.
pub type Softirqs = BTreeMap<String, Vec<u64>>;

/// Reads /proc/softirqs; lines of another form are passed over, and a text without any gives no kinds.
pub fn softirqs(text: &str) -> Softirqs {
    let mut kinds = Softirqs::new();
    for line in text.lines() {
        let Some((name, counts)) = line.split_once(':') else {
            continue;
        };
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            continue;
        }
        let counts: Result<Vec<u64>, _> = counts
            .split_ascii_whitespace()
            .take(MAX_CPUS)
            .map(str::parse)
            .collect();
        if let Ok(counts) = counts
            && kinds.len() < MAX_SOFTIRQS
        {
            kinds.insert(name.to_owned(), counts);
        }
    }
    kinds
}

/// What is read of one /proc/PID/stat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u64,
    /// Its name, as the kernel cuts it off, without the parentheses around it.
    pub comm: String,
    /// Whether it is a thread of the kernel.
    pub kernel: bool,
    /// Ticks in the program, all threads together.
    pub utime: u64,
    /// Ticks in the kernel on its behalf.
    pub stime: u64,
    /// When it started, in ticks after boot: with the number it names a process for good.
    pub starttime: u64,
}

/// `PF_KTHREAD` of the kernel's `include/linux/sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Reads one /proc/PID/stat; none if the text is not of that form (a process may end while it is read).
pub fn process(text: &str) -> Option<Process> {
    if text.len() > MAX_PROCESS_TEXT {
        return None;
    }
    // The name may hold spaces and parentheses itself, so it ends at the last parenthesis of the text.
    let (pid, rest) = text.split_once('(')?;
    let (comm, rest) = rest.rsplit_once(')')?;
    // The first of these is field 3, the state.
    let mut fields = [""; 20];
    let mut words = rest.split_ascii_whitespace();
    for field in &mut fields {
        *field = words.next()?;
    }
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Process {
        pid: pid.trim().parse().ok()?,
        comm: comm.to_owned(),
        kernel: number(9)? & KERNEL_THREAD != 0,
        utime: number(14)?,
        stime: number(15)?,
        starttime: number(22)?,
    })
}

/// The processes of a snapshot by number and start, and how many texts were none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processes {
    /// By number and start.
    pub by_identity: BTreeMap<(u64, u64), Process>,
    /// Texts that are not of the form of /proc/PID/stat.
    pub unreadable: usize,
}

/// Reads all texts of /proc/PID/stat of a snapshot.
///
/// # Errors
/// Invalid for more than [`MAX_PROCESSES`].
pub fn processes(texts: &[String]) -> Result<Processes> {
    if texts.len() > MAX_PROCESSES {
        return Err(Problem::invalid("too many processes")
            .at("/proc/PID/stat")
            .limit(format!("at most {MAX_PROCESSES}"))
            .found(texts.len()));
    }
    let mut read = Processes::default();
    for text in texts {
        match process(text) {
            // The same process twice is the same process.
            Some(process) => {
                let identity = (process.pid, process.starttime);
                read.by_identity.insert(identity, process);
            }
            None => read.unreadable += 1,
        }
    }
    Ok(read)
}

/// The beginning of a foreign word, for a message.
fn excerpt(word: &str) -> String {
    word.chars().take(40).collect()
}
