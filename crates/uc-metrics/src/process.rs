//! The memory of single processes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use uc_foresight::Sample;
use uc_model::{Problem, Result};

use crate::{
    cgroup::MemoryHierarchy,
    kernel_file::{keyed, read, read_if_present, unreadable},
};

/// The kernel keeps this many bytes of a program's name.
const NAME_BYTES: usize = 15;
/// Entries of /proc looked at: the kernel's own bound on process ids.
const PROCESSES: usize = 1 << 22;
/// The flag of the kernel's own threads (PF_KTHREAD).
const KERNEL_THREAD: u32 = 0x0020_0000;
/// How often a process whose number is given anew while it is read is tried again.
const ATTEMPTS: usize = 3;

/// What /proc/PID/stat tells of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStat<'a> {
    /// The program's name, cut by the kernel.
    pub name: &'a str,
    /// The state's letter.
    pub state: char,
    /// Whether it is a thread of the kernel, which has no memory of its own.
    pub is_kernel: bool,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
}

/// Reads the text of /proc/PID/stat. The name is whatever the program likes, blanks and parentheses included, so it ends at the
/// last parenthesis.
pub fn parse_stat(text: &str) -> Option<ProcessStat<'_>> {
    let open = text.find('(')?;
    let close = text.rfind(')')?;
    let name = text.get(open + 1..close)?;
    let mut fields = text.get(close + 1..)?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    // The state is field 3, the flags are field 9, the start field 22 (proc(5)).
    let flags: u32 = fields.nth(5)?.parse().ok()?;
    let start_ticks = fields.nth(12)?.parse().ok()?;
    Some(ProcessStat {
        name,
        state,
        is_kernel: flags & KERNEL_THREAD != 0,
        start_ticks,
    })
}

/// Anonymous resident memory in bytes, out of the text of /proc/PID/status; nothing for a thread of the kernel.
pub fn parse_rss_anon(status: &str) -> Option<u64> {
    keyed(status, "RssAnon:")?.checked_mul(1024)
}

/// All memory of the host in bytes, out of the text of /proc/meminfo.
pub fn parse_mem_total(meminfo: &str) -> Option<u64> {
    keyed(meminfo, "MemTotal:")?.checked_mul(1024)
}

/// What tells a process from others that had its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    start_ticks: u64,
    is_kernel: bool,
}

/// The processes of a host.
#[derive(Debug, Clone)]
pub struct Processes {
    proc: PathBuf,
    hierarchy: Option<MemoryHierarchy>,
}

impl Processes {
    /// Those of this host.
    ///
    /// # Errors
    /// Where the mounts cannot be read.
    pub fn of_this_host() -> Result<Self> {
        Ok(Self::new("/proc", MemoryHierarchy::find()?))
    }

    /// Those of a /proc, whose control groups are in a hierarchy.
    pub fn new(proc: impl Into<PathBuf>, hierarchy: Option<MemoryHierarchy>) -> Self {
        Self {
            proc: proc.into(),
            hierarchy,
        }
    }

    /// What a process is now; nothing once it has ended. `life` is when it started, since numbers are given anew.
    ///
    /// The limit is that of its control group, where there is one, else all memory of the host: there the kernel kills as well.
    /// A group may hold more processes, whose memory counts too.
    ///
    /// # Errors
    /// Invalid for a thread of the kernel, which has no memory of its own; host where the process cannot be read.
    pub fn read(&self, pid: u32, now_s: f64) -> Result<Option<Sample>> {
        for _ in 0..ATTEMPTS {
            let Some(before) = self.identity(pid)? else {
                return Ok(None);
            };
            if before.is_kernel {
                return Err(Problem::invalid("the process has no memory of its own")
                    .at(format!("process {pid}"))
                    .found("a thread of the kernel"));
            }
            let status = read_if_present(&self.file(pid, "status"))?;
            let limit_bytes = self.limit_bytes(pid)?;
            if self.identity(pid)? != Some(before) {
                continue;
            }
            // One that is ending gives back its memory before its state tells.
            let Some(rss_bytes) = status.as_deref().and_then(parse_rss_anon) else {
                return Ok(None);
            };
            return Ok(Some(Sample {
                life: before.start_ticks,
                ..Sample::new(now_s, rss_bytes, limit_bytes)
            }));
        }
        Err(
            Problem::host("the process's number is given anew all the time")
                .at(format!("process {pid}")),
        )
    }

    /// The processes of a name, as `comm` or the last part of the path of their program, in ascending order. Threads of the
    /// kernel are none.
    ///
    /// # Errors
    /// Where /proc cannot be listed; processes that end meanwhile are left out.
    pub fn find_by_name(&self, name: &str) -> Result<Vec<u32>> {
        let entries = fs::read_dir(&self.proc).map_err(|error| unreadable(&self.proc, error))?;
        let mut found: Vec<u32> = entries
            .take(PROCESSES)
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| self.has_name(*pid, name))
            .collect();
        found.sort_unstable();
        Ok(found)
    }

    fn has_name(&self, pid: u32, name: &str) -> bool {
        let Ok(text) = read(&self.file(pid, "stat")) else {
            return false;
        };
        let stat = parse_stat(&text).filter(|stat| !is_dead(stat.state) && !stat.is_kernel);
        let Some(stat) = stat else {
            return false;
        };
        if stat.name == name {
            return true;
        }
        // A script's `comm` is its own name, and its `exe` the interpreter's: so either will do. The link cannot be read for
        // other users' processes; then a cut name must not pass for the whole.
        let program = fs::read_link(self.file(pid, "exe")).ok();
        let last = program.as_deref().and_then(Path::file_name);
        if last.is_some_and(|last| last == name) {
            return true;
        }
        name.len() > NAME_BYTES
            && name.as_bytes().starts_with(stat.name.as_bytes())
            && self.is_first_argument(pid, name)
    }

    fn is_first_argument(&self, pid: u32, name: &str) -> bool {
        read(&self.file(pid, "cmdline")).is_ok_and(|text| {
            let mut arguments = text.split('\0').take(2);
            arguments.any(|argument| {
                Path::new(argument)
                    .file_name()
                    .is_some_and(|last| last == name)
            })
        })
    }

    /// Which process a number stands for; nothing where it has ended, waited for or not.
    fn identity(&self, pid: u32) -> Result<Option<Identity>> {
        let path = self.file(pid, "stat");
        let Some(text) = read_if_present(&path)? else {
            return Ok(None);
        };
        let stat = parse_stat(&text).ok_or_else(|| {
            Problem::host("the kernel tells of a process in a form unknown here")
                .at(path.display())
                .limit("the fields that proc(5) lists")
        })?;
        Ok((!is_dead(stat.state)).then_some(Identity {
            start_ticks: stat.start_ticks,
            is_kernel: stat.is_kernel,
        }))
    }

    fn limit_bytes(&self, pid: u32) -> Result<Option<u64>> {
        if let Some(limit) = self.group_limit(pid)? {
            return Ok(Some(limit));
        }
        let text = read_if_present(&self.proc.join("meminfo"))?;
        Ok(text.as_deref().and_then(parse_mem_total))
    }

    fn group_limit(&self, pid: u32) -> Result<Option<u64>> {
        let Some(hierarchy) = &self.hierarchy else {
            return Ok(None);
        };
        let text = read_if_present(&self.file(pid, "cgroup"))?;
        let path = text
            .as_deref()
            .and_then(|text| hierarchy.path_of_process(text));
        // A group that cannot be seen from here, or has just vanished, tells no limit.
        match path.map(|path| hierarchy.open(path)) {
            Some(Ok(group)) => group.limit_bytes(),
            _ => Ok(None),
        }
    }

    fn file(&self, pid: u32, name: &str) -> PathBuf {
        self.proc.join(pid.to_string()).join(name)
    }
}

/// Zombies and what is being removed: their memory has been given back.
fn is_dead(state: char) -> bool {
    matches!(state, 'Z' | 'X' | 'x')
}

#[cfg(test)]
mod tests {
    use std::process;

    use proptest::prelude::*;

    use super::*;

    fn stat_text(pid: u32, name: &str, state: char, start: u64) -> String {
        format!(
            "{pid} ({name}) {state} 1 1 1 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 {start} 2998272 383"
        )
    }

    #[test]
    fn names_may_hold_blanks_and_parentheses() {
        for name in ["head", "a b", "x) S 1 (y", ")", "", "(("] {
            let text = stat_text(7, name, 'S', 2_286_834);
            let stat = parse_stat(&text).expect("is a stat");
            assert_eq!(
                (stat.name, stat.state, stat.start_ticks),
                (name, 'S', 2_286_834)
            );
        }
        for text in ["", "1", "1 (a", "1 a)", ")(", "1 (a) S 1 1", "1 (a)"] {
            assert_eq!(parse_stat(text), None, "{text:?}");
        }
    }

    #[test]
    fn memory_is_told_in_bytes() {
        assert_eq!(
            parse_rss_anon("VmRSS:\t 9 kB\nRssAnon:\t    4 kB\n"),
            Some(4096)
        );
        assert_eq!(parse_rss_anon("Name:\tkthreadd\n"), None);
        assert_eq!(parse_rss_anon("RssAnon:\t18446744073709551615 kB"), None);
        assert_eq!(parse_mem_total("MemTotal:       2 kB\n"), Some(2048));
    }

    #[test]
    fn this_very_process_is_read() {
        let processes = Processes::of_this_host().expect("found");
        let ballast = vec![1_u8; 30 << 20];
        let sample = processes.read(process::id(), 9.0).expect("readable");
        let sample = sample.expect("alive");
        assert!(sample.rss_bytes >= 30 << 20, "{sample:?}");
        assert!(sample.limit_bytes.is_some_and(|limit| limit > 30 << 20));
        assert!(sample.life > 0 && ballast.len() == 30 << 20);
        let own = fs::read_link("/proc/self/exe").expect("a link");
        let own = own.file_name().and_then(|name| name.to_str());
        let found = processes
            .find_by_name(own.expect("a name"))
            .expect("listed");
        assert!(found.contains(&process::id()));
    }

    #[test]
    fn an_ended_process_is_nothing_and_a_kernel_thread_a_problem() {
        let proc = tempfile::tempdir().expect("a directory");
        let put = |file: &str, text: &str| {
            let file = proc.path().join(file);
            fs::create_dir_all(file.parent().expect("has a parent")).expect("made");
            fs::write(file, text).expect("written");
        };
        let kernel = stat_text(2, "kthreadd", 'S', 1).replace("4194304", "2129984");
        put("2/stat", &kernel);
        put("2/status", "Name:\tkthreadd\n");
        put("3/stat", &stat_text(3, "dead", 'Z', 1));
        put("4/stat", "garbage");
        put("5/stat", &stat_text(5, "own", 'R', 77));
        put("5/status", "RssAnon:\t1 kB\n");
        put("meminfo", "MemTotal: 100 kB\n");
        let processes = Processes::new(proc.path(), None);
        assert!(processes.read(1, 0.0).expect("no problem").is_none());
        assert!(processes.read(2, 0.0).is_err());
        assert!(processes.read(3, 0.0).expect("no problem").is_none());
        assert!(processes.read(4, 0.0).is_err());
        let sample = processes.read(5, 0.0).expect("readable").expect("alive");
        assert_eq!((sample.rss_bytes, sample.life), (1024, 77));
        assert_eq!(sample.limit_bytes, Some(102_400));
        assert_eq!(processes.find_by_name("own").expect("listed"), [5]);
        for name in ["dead", "kthreadd"] {
            assert!(processes.find_by_name(name).expect("listed").is_empty());
        }
    }

    #[test]
    fn a_long_name_is_found_by_its_first_argument() {
        let proc = tempfile::tempdir().expect("a directory");
        let directory = proc.path().join("8");
        fs::create_dir(&directory).expect("made");
        fs::write(
            directory.join("stat"),
            stat_text(8, "containerd-shim", 'S', 1),
        )
        .expect("written");
        fs::write(
            directory.join("cmdline"),
            "/usr/bin/containerd-shim-runc-v2\0-id\0",
        )
        .expect("written");
        let processes = Processes::new(proc.path(), None);
        let find = |name| processes.find_by_name(name).expect("listed");
        assert_eq!(find("containerd-shim-runc-v2"), [8]);
        assert!(find("containerd-shim-runc-v1").is_empty());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*", odd in r"[0-9() é\t]{0,80}") {
            for text in [&text, &odd] {
                parse_stat(text);
                parse_rss_anon(text);
                parse_mem_total(text);
            }
        }
    }
}
