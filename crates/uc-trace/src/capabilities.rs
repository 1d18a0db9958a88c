//! Which capabilities a program uses, as the kernel itself tells (tracepoint `capability:cap_capable`, Linux 6.14).
//!
//! The kernel also asks where nothing depends on the answer (a mapping may use memory reserved for administrators), so what is
//! seen are candidates: only a run without one shows whether it is needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uc_model::{Problem, Result};

const EVENT: &str = "events/capability/cap_capable";
const ROOTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Room for what one processor reports, in KiB: some 60000 checks.
const BUFFER: u32 = 8192;

/// Largest report that is read, in bytes.
const MAX_REPORT: u64 = 256 << 20;

/// The names of capabilities by number.
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What was asked and granted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// How often the kernel found each capability in the program's possession, by number.
    pub granted: BTreeMap<u32, u64>,
    /// How many checks were not seen; above 0 the rest is not complete.
    pub lost: u64,
}

impl Capabilities {
    /// The names of what was granted.
    pub fn names(&self) -> Vec<String> {
        self.granted
            .keys()
            .map(|capability| name(*capability))
            .collect()
    }
}

/// The name of a capability, or its number.
pub fn name(capability: u32) -> String {
    let known = usize::try_from(capability)
        .ok()
        .and_then(|at| NAMES.get(at));
    known.map_or_else(
        || format!("capability {capability}"),
        |name| (*name).to_owned(),
    )
}

/// A private buffer of the kernel's tracing, removed at the end.
pub(crate) struct Observer {
    instance: PathBuf,
}

impl Observer {
    /// Begins to observe a thread and whatever it will start; `None` where this kernel does not report checks or this user
    /// may not see them.
    pub(crate) fn start(thread: u32) -> Option<Self> {
        let root = ROOTS
            .into_iter()
            .map(Path::new)
            .find(|root| root.join(EVENT).exists())?;
        let instance = root.join(format!(
            "instances/uc-trace-{}-{thread}",
            std::process::id()
        ));
        fs::create_dir(&instance).ok()?;
        let observer = Self { instance };
        let settings = [
            ("buffer_size_kb", BUFFER.to_string()),
            ("options/event-fork", "1".into()),
            ("set_event_pid", thread.to_string()),
            (&*format!("{EVENT}/filter"), "ret == 0".into()),
            (&*format!("{EVENT}/enable"), "1".into()),
        ]
        .map(|(file, value)| fs::write(observer.instance.join(file), value));
        settings.iter().all(|set| set.is_ok()).then_some(observer)
    }

    /// What was seen of all threads but the one that started the program.
    pub(crate) fn finish(self, launcher: u32) -> Result<Capabilities> {
        let _ = fs::write(self.instance.join(EVENT).join("enable"), "0");
        let mut found = Capabilities::default();
        let failed =
            |error| Problem::host("cannot read which capabilities were used").caused_by(error);
        let report = fs::File::open(self.instance.join("trace")).map_err(failed)?;
        let mut lines = std::io::BufReader::new(std::io::Read::take(report, MAX_REPORT));
        let mut line = String::new();
        while std::io::BufRead::read_line(&mut lines, &mut line).map_err(failed)? > 0 {
            if let Some((thread, capability)) = check(&line)
                && thread != launcher
            {
                *found.granted.entry(capability).or_default() += 1;
            }
            line.clear();
        }
        found.lost = self.lost();
        Ok(found)
    }

    fn lost(&self) -> u64 {
        let buffers = fs::read_dir(self.instance.join("per_cpu")).ok();
        let statistics = buffers
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|buffer| fs::read_to_string(buffer.path().join("stats")).ok());
        statistics.map(|text| overrun(&text)).sum()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let _ = fs::write(self.instance.join("events/enable"), "0");
        let _ = fs::remove_dir(&self.instance);
    }
}

/// The thread and the capability of a line such as `dd-123 [001] ..... 1.5: cap_capable: cred …, cap 21, ret 0`.
fn check(line: &str) -> Option<(u32, u32)> {
    let (before, after) = line.split_once(": cap_capable: ")?;
    let (task, _) = before.rsplit_once('[')?;
    let (_, thread) = task.trim_end().rsplit_once('-')?;
    let (_, capability) = after.rsplit_once("cap ")?;
    let (capability, _) = capability.split_once(',')?;
    Some((thread.trim().parse().ok()?, capability.trim().parse().ok()?))
}

fn overrun(statistics: &str) -> u64 {
    let lines = statistics.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(name, _)| matches!(*name, "overrun" | "dropped events" | "commit overrun"))
        .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
        .sum()
}

/// Capabilities that the calls of a footprint suggest, where the kernel cannot be asked: candidates at best.
pub fn suggested(footprint: &uc_select::Footprint, deeds: &crate::Deeds) -> BTreeSet<u32> {
    const BY_CALL: [(&[&str], u32); 15] = [
        (&["chown", "fchown", "lchown", "fchownat"], 0),
        (&["setgid", "setregid", "setresgid", "setgroups"], 6),
        (&["setuid", "setreuid", "setresuid"], 7),
        (&["mlock", "mlock2", "mlockall"], 14),
        (&["init_module", "finit_module", "delete_module"], 16),
        (&["iopl", "ioperm"], 17),
        (&["chroot"], 18),
        (&["ptrace", "process_vm_readv", "process_vm_writev"], 19),
        (
            &[
                "mount",
                "umount2",
                "pivot_root",
                "setns",
                "unshare",
                "swapon",
                "sethostname",
            ],
            21,
        ),
        (&["reboot", "kexec_load"], 22),
        (&["setpriority", "sched_setscheduler"], 23),
        (&["settimeofday", "clock_settime", "adjtimex"], 25),
        (&["mknod", "mknodat"], 27),
        (&["syslog"], 34),
        (&["bpf"], 39),
    ];
    let calls = &footprint.calls;
    let mut found: BTreeSet<u32> = BY_CALL
        .iter()
        .filter(|(names, _)| names.iter().any(|name| calls.contains_key(*name)))
        .map(|(_, capability)| *capability)
        .collect();
    if deeds.bound.iter().any(|port| (1..1024).contains(port)) {
        found.insert(10);
    }
    let raw = |variant: &String| {
        variant.contains("SOCK_RAW") && !variant.starts_with("AF_NETLINK")
            || variant.starts_with("AF_PACKET")
    };
    if calls
        .get("socket")
        .is_some_and(|usage| usage.variants.keys().any(raw))
    {
        found.insert(13);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = " my-prog [x]-1234    [001] .....  99.1: cap_capable: cred 00, target_ns 0, capable_ns 0, cap 21, ret 0\n";
        assert_eq!(check(line), Some((1234, 21)));
        for wrong in [
            "",
            "# tracer: nop",
            "a-1 [0]: cap_capable: cap x, ret 0",
            ": cap_capable: cap 1, ret 0",
        ] {
            assert_eq!(check(wrong), None, "{wrong}");
        }
        assert_eq!(overrun("entries: 5\noverrun: 7\ndropped events: 1\n"), 8);
    }
}
