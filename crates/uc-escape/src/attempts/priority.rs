//! Taking more of the machine than others get.

use crate::{
    attempt::{Attempt, Outcome},
    errno::{EACCES, EAGAIN, EINVAL, ENOMEM, ENOSYS, EPERM, Errno},
    syscall::{Arg, call, limits_of},
};

const REFUSED: &[Errno] = &[EPERM, EACCES, ENOSYS];

pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt::new("raise-priority", REFUSED, raise_priority),
    Attempt::new("real-time-scheduler", REFUSED, real_time_scheduler),
    Attempt::new(
        "deadline-scheduler",
        &[EPERM, EACCES, ENOSYS, EINVAL],
        deadline_scheduler,
    ),
    Attempt::new("real-time-io", REFUSED, real_time_io),
    Attempt::new("lock-memory", &[EPERM, ENOMEM, EAGAIN, ENOSYS], lock_memory),
    Attempt::new("raise-limit-of-files", REFUSED, || {
        raise_limit(libc::RLIMIT_NOFILE)
    }),
    Attempt::new("raise-limit-of-locked-memory", REFUSED, || {
        raise_limit(libc::RLIMIT_MEMLOCK)
    }),
    Attempt::new("raise-limit-of-nice", REFUSED, || {
        raise_limit(libc::RLIMIT_NICE)
    }),
    Attempt::new("raise-limit-of-real-time", REFUSED, || {
        raise_limit(libc::RLIMIT_RTPRIO)
    }),
];

fn raise_priority() -> Outcome {
    let arguments = [
        Arg::Int(libc::PRIO_PROCESS.into()),
        Arg::Int(0),
        Arg::Int(-20),
    ];
    Outcome::of(
        call(libc::SYS_setpriority, &arguments),
        "the nice value is -20",
    )
}

fn real_time_scheduler() -> Outcome {
    let priority = 1_i32.to_ne_bytes();
    let arguments = [Arg::Int(0), libc::SCHED_FIFO.into(), Arg::Bytes(&priority)];
    Outcome::of(
        call(libc::SYS_sched_setscheduler, &arguments),
        "the scheduler is SCHED_FIFO",
    )
}

/// `struct sched_attr { size 48, policy, flags: u64, nice, priority, runtime: u64, deadline: u64, period: u64 }`.
fn deadline_scheduler() -> Outcome {
    const MILLISECOND_NS: u64 = 1_000_000;
    let mut attributes = [0_u8; 48];
    attributes[..4].copy_from_slice(&48_u32.to_ne_bytes());
    attributes[4..8].copy_from_slice(&6_u32.to_ne_bytes());
    for (at, time_ns) in [
        (24, MILLISECOND_NS),
        (32, 10 * MILLISECOND_NS),
        (40, 10 * MILLISECOND_NS),
    ] {
        attributes[at..at + 8].copy_from_slice(&time_ns.to_ne_bytes());
    }
    let arguments = [Arg::Int(0), Arg::Bytes(&attributes), Arg::Int(0)];
    Outcome::of(
        call(libc::SYS_sched_setattr, &arguments),
        "the scheduler is SCHED_DEADLINE",
    )
}

fn real_time_io() -> Outcome {
    const WHO_PROCESS: i64 = 1;
    const REAL_TIME_HIGHEST: i64 = 1 << 13;
    let arguments = [
        Arg::Int(WHO_PROCESS),
        Arg::Int(0),
        Arg::Int(REAL_TIME_HIGHEST),
    ];
    Outcome::of(
        call(libc::SYS_ioprio_set, &arguments),
        "the I/O class is real-time",
    )
}

/// One MiB more than is allowed.
fn lock_memory() -> Outcome {
    const LARGEST_BYTES: u64 = 256 << 20;
    match limits_of(libc::RLIMIT_MEMLOCK) {
        Err(errno) => Outcome::Denied(errno),
        Ok((soft, _)) if soft > LARGEST_BYTES => Outcome::Contained(format!(
            "the limit is {soft} bytes: memory is bounded by the cgroup"
        )),
        Ok((soft, _)) => {
            let area = vec![0_u8; (soft as usize) + (1 << 20)];
            let arguments = [Arg::Int(area.as_ptr() as i64), Arg::Int(area.len() as i64)];
            Outcome::of(
                call(libc::SYS_mlock, &arguments),
                "more is locked than the limit",
            )
        }
    }
}

fn raise_limit(resource: libc::__rlimit_resource_t) -> Outcome {
    match limits_of(resource) {
        Err(errno) => Outcome::Denied(errno),
        Ok((_, libc::RLIM_INFINITY)) => Outcome::Contained("it has no limit to raise".into()),
        Ok((soft, hard)) => {
            let limits = [soft.to_ne_bytes(), (hard + 1).to_ne_bytes()].concat();
            let arguments = [
                Arg::Int(0),
                Arg::Int(i64::from(resource)),
                Arg::Bytes(&limits),
                Arg::Null,
            ];
            Outcome::of(
                call(libc::SYS_prlimit64, &arguments),
                "the hard limit was raised",
            )
        }
    }
}
