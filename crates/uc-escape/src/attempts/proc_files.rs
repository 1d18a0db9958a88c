//! Files of /proc and /sys that reach the kernel or the host. They are opened for writing, never written.

use std::{
    fs::{self, File, OpenOptions},
    io::Read as _,
};

use crate::{
    attempt::{Attempt, Outcome},
    errno::{EACCES, EIO, ENOENT, ENOTDIR, EPERM, EROFS, ETXTBSY, Errno},
};

const NOT_OPENED: &[Errno] = &[EACCES, EIO, ENOENT, ENOTDIR, EPERM, EROFS, ETXTBSY];
/// As much of a file as is looked at.
const BYTES_LIMIT: u64 = 64 << 10;

macro_rules! writes {
    ($($name:literal: $path:literal),* $(,)?) => {
        [$(Attempt::new($name, NOT_OPENED, || open_for_writing($path))),*]
    };
}
macro_rules! reads {
    ($($name:literal: $path:literal),* $(,)?) => {
        [$(Attempt::new($name, NOT_OPENED, || read($path))),*]
    };
}

const WRITES: [Attempt; 24] = writes! {
    "write-core-pattern": "/proc/sys/kernel/core_pattern",
    "write-kernel-hostname": "/proc/sys/kernel/hostname",
    "write-modprobe-path": "/proc/sys/kernel/modprobe",
    "write-kernel-hotplug": "/proc/sys/kernel/hotplug",
    "write-randomize-va-space": "/proc/sys/kernel/randomize_va_space",
    "write-ns-last-pid": "/proc/sys/kernel/ns_last_pid",
    "write-panic": "/proc/sys/kernel/panic",
    "write-ip-forward": "/proc/sys/net/ipv4/ip_forward",
    "write-overcommit-memory": "/proc/sys/vm/overcommit_memory",
    "write-drop-caches": "/proc/sys/vm/drop_caches",
    "write-file-max": "/proc/sys/fs/file-max",
    "write-binfmt-misc": "/proc/sys/fs/binfmt_misc/register",
    "write-sysrq-trigger": "/proc/sysrq-trigger",
    "write-irq-affinity": "/proc/irq/default_smp_affinity",
    "write-mtrr": "/proc/mtrr",
    "write-own-program": "/proc/self/exe",
    "write-program-of-pid-1": "/proc/1/exe",
    "write-power-state": "/sys/power/state",
    "write-uevent-helper": "/sys/kernel/uevent_helper",
    "write-transparent-hugepages": "/sys/kernel/mm/transparent_hugepage/enabled",
    "write-cgroup-processes": "/sys/fs/cgroup/cgroup.procs",
    "write-cgroup-memory-max": "/sys/fs/cgroup/memory.max",
    "write-cgroup1-release-agent": "/sys/fs/cgroup/memory/release_agent",
    "write-cgroup1-memory-limit": "/sys/fs/cgroup/memory/memory.limit_in_bytes",
};

const READS: [Attempt; 15] = reads! {
    "read-kcore": "/proc/kcore",
    "read-kmsg": "/proc/kmsg",
    "read-keys": "/proc/keys",
    "read-timer-list": "/proc/timer_list",
    "read-sched-debug": "/proc/sched_debug",
    "read-latency-stats": "/proc/latency_stats",
    "read-kpagecount": "/proc/kpagecount",
    "read-vmallocinfo": "/proc/vmallocinfo",
    "read-slabinfo": "/proc/slabinfo",
    "read-acpi": "/proc/acpi",
    "read-scsi": "/proc/scsi",
    "read-asound": "/proc/asound",
    "read-firmware": "/sys/firmware",
    "read-debugfs": "/sys/kernel/debug",
    "read-tracefs": "/sys/kernel/tracing",
};

const KALLSYMS: Attempt = Attempt::new("read-kernel-addresses", NOT_OPENED, kernel_addresses);
const OOM_SCORE: Attempt = Attempt::new("write-oom-score", NOT_OPENED, oom_score);

pub(super) const ATTEMPTS: &[Attempt] = &{
    let mut all = [KALLSYMS; WRITES.len() + READS.len() + 2];
    let mut index = 0;
    while index < WRITES.len() {
        all[index] = WRITES[index];
        index += 1;
    }
    while index < WRITES.len() + READS.len() {
        all[index] = READS[index - WRITES.len()];
        index += 1;
    }
    all[index] = OOM_SCORE;
    all
};

fn open_for_writing(path: &str) -> Outcome {
    let result = OpenOptions::new().write(true).open(path);
    Outcome::of(result, &format!("{path} is open for writing"))
}

/// A masked file is empty, and so is a masked folder.
fn read(path: &str) -> Outcome {
    let masked = || Outcome::Contained(format!("{path} is empty"));
    match fs::metadata(path) {
        Err(error) => Outcome::Denied(error.into()),
        Ok(found) if found.is_dir() => match fs::read_dir(path) {
            Err(error) => Outcome::Denied(error.into()),
            Ok(mut entries) => match entries.next() {
                None => masked(),
                Some(_) => Outcome::Succeeded(format!("{path} has entries")),
            },
        },
        Ok(_) => {
            let mut byte = [0_u8; 1];
            match File::open(path).and_then(|mut file| file.read(&mut byte)) {
                Err(error) => Outcome::Denied(error.into()),
                Ok(0) => masked(),
                Ok(_) => Outcome::Succeeded(format!("{path} can be read")),
            }
        }
    }
}

/// Without the right to see them, the kernel shows every address as zero.
fn kernel_addresses() -> Outcome {
    let mut text = String::new();
    let read = File::open("/proc/kallsyms")
        .and_then(|file| file.take(BYTES_LIMIT).read_to_string(&mut text));
    if let Err(error) = read {
        return Outcome::Denied(error.into());
    }
    let is_zero = |line: &str| {
        let address = line.split(' ').next().unwrap_or_default();
        address.bytes().all(|digit| digit == b'0')
    };
    match text.lines().find(|line| !is_zero(line)) {
        None => Outcome::Contained("every address is zero".into()),
        Some(line) => Outcome::Succeeded(line.into()),
    }
}

/// Less likely to be killed than anything of the host. This one is written: it concerns this process alone.
fn oom_score() -> Outcome {
    let result = fs::write("/proc/self/oom_score_adj", "-1000");
    Outcome::of(result, "this process cannot be killed for want of memory")
}
