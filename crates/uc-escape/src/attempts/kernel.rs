//! Calls that program, replace or inspect the kernel, or set what belongs to the whole machine.
//!
//! Those that could do harm get arguments that the kernel refuses only after it has checked the rights: an errno other
//! than those expected means that the rights were there.

use crate::{
    attempt::{Attempt, Outcome},
    errno::{EACCES, ENOSYS, EPERM, Errno},
    syscall::{Arg, call},
};

const REFUSED: &[Errno] = &[EPERM, ENOSYS];
const NOWHERE: &str = "/no/such/file";

pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt::new("bpf-map", REFUSED, bpf_map),
    Attempt::new("perf-event", &[EPERM, ENOSYS, EACCES], perf_event),
    Attempt::new("userfaultfd", REFUSED, || {
        attempt(libc::SYS_userfaultfd, &[libc::O_CLOEXEC.into()])
    }),
    Attempt::new("io-uring", REFUSED, || {
        attempt(libc::SYS_io_uring_setup, &[Arg::Int(1), Arg::Bytes(&[])])
    }),
    Attempt::new("init-module", REFUSED, || {
        attempt(
            libc::SYS_init_module,
            &[Arg::Bytes(&[]), Arg::Int(0), "".into()],
        )
    }),
    Attempt::new("finit-module", REFUSED, || {
        attempt(
            libc::SYS_finit_module,
            &[Arg::Int(-1), "".into(), Arg::Int(0)],
        )
    }),
    Attempt::new("delete-module", REFUSED, || {
        attempt(
            libc::SYS_delete_module,
            &["uc_no_such_module".into(), libc::O_NONBLOCK.into()],
        )
    }),
    Attempt::new("kexec-load", REFUSED, kexec_load),
    Attempt::new("kexec-file-load", REFUSED, || {
        attempt(
            libc::SYS_kexec_file_load,
            &[
                Arg::Int(-1),
                Arg::Int(-1),
                Arg::Int(0),
                Arg::Null,
                Arg::Int(0xffff),
            ],
        )
    }),
    Attempt::new("reboot", REFUSED, reboot),
    Attempt::new("swapon", REFUSED, || {
        attempt(libc::SYS_swapon, &[NOWHERE.into(), Arg::Int(0)])
    }),
    Attempt::new("swapoff", REFUSED, || {
        attempt(libc::SYS_swapoff, &[NOWHERE.into()])
    }),
    Attempt::new("process-accounting", REFUSED, || {
        attempt(libc::SYS_acct, &[NOWHERE.into()])
    }),
    Attempt::new("set-time-zone", REFUSED, set_time_zone),
    Attempt::new("adjust-clock", REFUSED, adjust_clock),
    Attempt::new("set-host-name", REFUSED, || {
        attempt(libc::SYS_sethostname, &["x".into(), Arg::Int(65)])
    }),
    Attempt::new("set-domain-name", REFUSED, || {
        attempt(libc::SYS_setdomainname, &["x".into(), Arg::Int(65)])
    }),
    Attempt::new("kernel-log", REFUSED, || {
        const READ_ALL: i64 = 3;
        attempt(
            libc::SYS_syslog,
            &[READ_ALL.into(), Arg::Bytes(&[]), Arg::Int(1024)],
        )
    }),
    Attempt::new("add-key", REFUSED, || {
        const THREAD_KEYRING: i64 = -1;
        attempt(
            libc::SYS_add_key,
            &[
                "user".into(),
                "uc-escape".into(),
                "x".into(),
                Arg::Int(1),
                THREAD_KEYRING.into(),
            ],
        )
    }),
    Attempt::new("request-key", REFUSED, || {
        attempt(
            libc::SYS_request_key,
            &["user".into(), "uc-escape".into(), Arg::Null, Arg::Int(0)],
        )
    }),
    Attempt::new("session-keyring", REFUSED, || {
        const GET_KEYRING_ID: i64 = 0;
        const SESSION_KEYRING: i64 = -3;
        attempt(
            libc::SYS_keyctl,
            &[GET_KEYRING_ID.into(), SESSION_KEYRING.into(), Arg::Int(0)],
        )
    }),
    Attempt::new("personality", REFUSED, || {
        attempt(libc::SYS_personality, &[libc::ADDR_NO_RANDOMIZE.into()])
    }),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("io-ports", REFUSED, || {
        attempt(libc::SYS_iopl, &[Arg::Int(3)])
    }),
    #[cfg(target_arch = "x86_64")]
    Attempt::new("io-port-permissions", REFUSED, || {
        attempt(
            libc::SYS_ioperm,
            &[Arg::Int(0x80), Arg::Int(1), Arg::Int(1)],
        )
    }),
];

fn attempt(number: libc::c_long, arguments: &[Arg<'_>]) -> Outcome {
    Outcome::of(call(number, arguments), "the call was made")
}

/// `BPF_MAP_CREATE` of an array `{ type 2, key 4, value 4, entries 1 }`.
fn bpf_map() -> Outcome {
    let attributes: Vec<u8> = [2_u32, 4, 4, 1]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    attempt(
        libc::SYS_bpf,
        &[Arg::Int(0), Arg::Bytes(&attributes), Arg::Int(16)],
    )
}

/// `struct perf_event_attr` for the CPU clock of the whole of processor 0, kernel included.
fn perf_event() -> Outcome {
    const SIZE: u32 = 64;
    let attributes: Vec<u8> = [1_u32, SIZE]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    let arguments = [
        Arg::Bytes(&attributes),
        Arg::Int(-1),
        Arg::Int(0),
        Arg::Int(-1),
        Arg::Int(8),
    ];
    attempt(libc::SYS_perf_event_open, &arguments)
}

/// Flags that no kernel knows.
fn kexec_load() -> Outcome {
    attempt(
        libc::SYS_kexec_load,
        &[Arg::Int(0), Arg::Int(0), Arg::Null, Arg::Int(0xffff)],
    )
}

/// Without the magic numbers.
fn reboot() -> Outcome {
    attempt(
        libc::SYS_reboot,
        &[Arg::Int(0), Arg::Int(0), Arg::Int(0), Arg::Null],
    )
}

/// A zone that is further from Greenwich than the kernel takes.
fn set_time_zone() -> Outcome {
    let zone: Vec<u8> = [10_000_i32, 0]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    attempt(libc::SYS_settimeofday, &[Arg::Null, Arg::Bytes(&zone)])
}

/// `struct timex { modes: ADJ_TICK, … tick: 0 }`: a tick of no length.
fn adjust_clock() -> Outcome {
    const ADJ_TICK: u32 = 0x4000;
    attempt(libc::SYS_adjtimex, &[Arg::Bytes(&ADJ_TICK.to_ne_bytes())])
}
