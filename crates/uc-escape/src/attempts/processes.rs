//! Reaching processes outside: by signal, by ptrace, through their memory or their descriptors.

use std::{fs, os::unix::process::parent_id, process};

use crate::{
    attempt::{Attempt, Outcome},
    errno::{EACCES, ENOSYS, EPERM, ESRCH, Errno},
    syscall::{Arg, call, read_memory_of},
};

/// The numbers that are tried.
const PIDS: std::ops::RangeInclusive<i32> = 2..=4096;
const PTRACE_SEIZE: i64 = 0x4206;

/// No process has that number here. EPERM would mean that one has.
const NOBODY: &[Errno] = &[ESRCH, ENOSYS];
const REFUSED: &[Errno] = &[EPERM, ENOSYS, ESRCH, EACCES];

pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt::new("signal-outside", NOBODY, signal_outside),
    Attempt::new("pidfd-outside", REFUSED, pidfd_outside),
    Attempt::new("ptrace-outside", REFUSED, ptrace_outside),
    Attempt::new("ptrace-pid-1", REFUSED, || ptrace(1)),
    Attempt::new("read-memory-outside", REFUSED, read_memory_outside),
    Attempt::new("descriptors-of-pid-1", REFUSED, descriptors_of_pid_1),
    Attempt::new("compare-with-pid-1", REFUSED, compare_with_pid_1),
    Attempt::new("processes-in-proc", &[], processes_in_proc),
    Attempt::new("kill-everyone", &[ESRCH, EPERM, ENOSYS], kill_everyone),
];

/// Numbers that are not of this program: its first process, and this attempt's.
fn others() -> impl Iterator<Item = i32> {
    let own = [process::id() as i32, parent_id() as i32];
    PIDS.filter(move |pid| !own.contains(pid))
}

/// The first number for which `reach` does not answer "no such process", or that answer. A call that is refused whatever
/// the number is answers so for the first.
fn first_reached(reach: impl Fn(i32) -> Result<i64, Errno>) -> Outcome {
    for pid in others() {
        match reach(pid) {
            Err(ESRCH) => {}
            Err(errno) => return Outcome::Denied(errno),
            Ok(_) => return Outcome::Succeeded(format!("process {pid} was reached")),
        }
    }
    Outcome::Denied(ESRCH)
}

/// Signal 0 is sent to nobody; the kernel only says whether it could be.
fn signal_outside() -> Outcome {
    first_reached(|pid| call(libc::SYS_kill, &[pid.into(), Arg::Int(0)]))
}

fn pidfd_outside() -> Outcome {
    first_reached(|pid| call(libc::SYS_pidfd_open, &[pid.into(), Arg::Int(0)]))
}

fn ptrace_outside() -> Outcome {
    first_reached(seize)
}

fn ptrace(pid: i32) -> Outcome {
    Outcome::of(seize(pid), "it can be traced")
}

/// Unlike attaching, seizing does not stop the process; the trace ends with this attempt.
fn seize(pid: i32) -> Result<i64, Errno> {
    call(
        libc::SYS_ptrace,
        &[PTRACE_SEIZE.into(), pid.into(), Arg::Null, Arg::Null],
    )
}

fn read_memory_outside() -> Outcome {
    first_reached(read_memory_of)
}

fn descriptors_of_pid_1() -> Outcome {
    match call(libc::SYS_pidfd_open, &[Arg::Int(1), Arg::Int(0)]) {
        Err(errno) => Outcome::Denied(errno),
        Ok(pidfd) => {
            let result = call(
                libc::SYS_pidfd_getfd,
                &[pidfd.into(), Arg::Int(0), Arg::Int(0)],
            );
            Outcome::of(result, "a descriptor of process 1 was copied")
        }
    }
}

fn compare_with_pid_1() -> Outcome {
    const KCMP_VM: i64 = 1;
    let own = i64::from(process::id());
    let arguments = [
        own.into(),
        Arg::Int(1),
        KCMP_VM.into(),
        Arg::Int(0),
        Arg::Int(0),
    ];
    Outcome::of(
        call(libc::SYS_kcmp, &arguments),
        "kernel addresses were compared",
    )
}

/// More than process 1, this program's first and this attempt's are not of the container that the suite makes.
fn processes_in_proc() -> Outcome {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Outcome::Skipped("/proc cannot be listed".into());
    };
    let foreign: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != 1 && others().any(|other| other == *pid) || *pid > *PIDS.end())
        .collect();
    match foreign.first() {
        None => Outcome::Contained("only the own ones".into()),
        Some(pid) => Outcome::Succeeded(format!("{} others, such as {pid}", foreign.len())),
    }
}

/// Really ends every process that can be reached: the suite looks whether those of the host still run. It is only done
/// where this program is process 1, so that there is a namespace around it, and process 1 and this one are spared.
fn kill_everyone() -> Outcome {
    let is_program = |path: &str| fs::read_link(path).ok();
    let is_first = parent_id() == 1 && is_program("/proc/1/exe") == is_program("/proc/self/exe");
    if !is_first || is_program("/proc/self/exe").is_none() {
        return Outcome::Skipped("this program is not process 1".into());
    }
    match call(libc::SYS_kill, &[Arg::Int(-1), libc::SIGKILL.into()]) {
        Err(errno) => Outcome::Denied(errno),
        Ok(_) => Outcome::Contained("what could be reached has ended".into()),
    }
}
