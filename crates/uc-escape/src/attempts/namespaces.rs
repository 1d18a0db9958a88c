//! Making and entering namespaces.

use std::{fs::File, os::fd::AsRawFd as _};

use libc::c_int;

use crate::{
    attempt::{Attempt, Outcome},
    errno::{EACCES, EINVAL, ENOENT, ENOSPC, ENOSYS, EPERM, EUSERS, Errno},
    syscall::{Arg, call, call_that_forks},
};

/// ENOSPC and EUSERS: the limit on namespaces is zero.
const REFUSED: &[Errno] = &[EPERM, ENOSYS, ENOSPC, EUSERS];
/// EINVAL: it is the own user namespace, which cannot be entered again.
const NOT_ENTERED: &[Errno] = &[EPERM, ENOSYS, EACCES, ENOENT, EINVAL];
const CLONE_NEWTIME: c_int = 0x80;

pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt::new("unshare-user", REFUSED, || unshare(libc::CLONE_NEWUSER)),
    Attempt::new("unshare-user-and-mount", REFUSED, || {
        unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)
    }),
    Attempt::new("unshare-mount", REFUSED, || unshare(libc::CLONE_NEWNS)),
    Attempt::new("unshare-net", REFUSED, || unshare(libc::CLONE_NEWNET)),
    Attempt::new("unshare-pid", REFUSED, || unshare(libc::CLONE_NEWPID)),
    Attempt::new("unshare-ipc", REFUSED, || unshare(libc::CLONE_NEWIPC)),
    Attempt::new("unshare-uts", REFUSED, || unshare(libc::CLONE_NEWUTS)),
    Attempt::new("unshare-cgroup", REFUSED, || unshare(libc::CLONE_NEWCGROUP)),
    Attempt::new("unshare-time", &[EPERM, ENOSYS, ENOSPC, EINVAL], || {
        unshare(CLONE_NEWTIME)
    }),
    Attempt::new("clone-user", REFUSED, || clone(libc::CLONE_NEWUSER)),
    Attempt::new("clone-mount", REFUSED, || clone(libc::CLONE_NEWNS)),
    Attempt::new("clone3-user", REFUSED, clone3_user),
    Attempt::new("setns-user", NOT_ENTERED, || {
        setns("user", libc::CLONE_NEWUSER)
    }),
    Attempt::new("setns-mount", NOT_ENTERED, || {
        setns("mnt", libc::CLONE_NEWNS)
    }),
    Attempt::new("setns-net", NOT_ENTERED, || {
        setns("net", libc::CLONE_NEWNET)
    }),
    Attempt::new("setns-pid", NOT_ENTERED, || {
        setns("pid", libc::CLONE_NEWPID)
    }),
    Attempt::new("setns-uts", NOT_ENTERED, || {
        setns("uts", libc::CLONE_NEWUTS)
    }),
    Attempt::new("setns-cgroup", NOT_ENTERED, || {
        setns("cgroup", libc::CLONE_NEWCGROUP)
    }),
    Attempt::new("unshare-user-x32", REFUSED, unshare_user_x32),
    I386,
];

#[cfg(target_arch = "x86_64")]
const I386: Attempt = Attempt {
    // Where the kernel has no 32-bit entry, the instruction itself is a fault.
    deadly: &[libc::SIGSYS, libc::SIGSEGV],
    ..Attempt::new("unshare-user-i386", REFUSED, unshare_user_i386)
};
#[cfg(not(target_arch = "x86_64"))]
const I386: Attempt = Attempt::new("unshare-user-i386", REFUSED, || {
    Outcome::Skipped("this processor has no 32-bit x86 entry".into())
});

fn unshare(flags: c_int) -> Outcome {
    Outcome::of(
        call(libc::SYS_unshare, &[flags.into()]),
        "a new namespace was made",
    )
}

fn clone(flags: c_int) -> Outcome {
    let flags = flags | libc::SIGCHLD;
    let arguments = [flags.into(), Arg::Null, Arg::Null, Arg::Null, Arg::Null];
    Outcome::of(
        call_that_forks(libc::SYS_clone, &arguments),
        "a new namespace was made",
    )
}

/// `struct clone_args`: flags first, the exit signal as its fifth of eight words. A filter cannot read it, so a sound
/// one answers ENOSYS.
fn clone3_user() -> Outcome {
    let mut arguments = [0_u8; 64];
    arguments[..8].copy_from_slice(&(libc::CLONE_NEWUSER as u64).to_ne_bytes());
    arguments[32..40].copy_from_slice(&(libc::SIGCHLD as u64).to_ne_bytes());
    let size = arguments.len() as i64;
    let result = call_that_forks(libc::SYS_clone3, &[Arg::Bytes(&arguments), size.into()]);
    Outcome::of(result, "a new namespace was made")
}

fn setns(name: &str, kind: c_int) -> Outcome {
    match File::open(format!("/proc/1/ns/{name}")) {
        Err(error) => Outcome::Denied(error.into()),
        Ok(file) => {
            let result = call(libc::SYS_setns, &[file.as_raw_fd().into(), kind.into()]);
            Outcome::of(result, "the namespace of process 1 was entered")
        }
    }
}

/// A filter that compares numbers without their x32 bit lets the same call through under another number.
fn unshare_user_x32() -> Outcome {
    const X32_BIT: i64 = 0x4000_0000;
    let result = call(libc::SYS_unshare | X32_BIT, &[libc::CLONE_NEWUSER.into()]);
    Outcome::of(result, "the x32 entry is not filtered")
}

/// A filter that does not look at the architecture takes the number for another call's.
#[cfg(target_arch = "x86_64")]
fn unshare_user_i386() -> Outcome {
    const UNSHARE: i32 = 310;
    let result = crate::syscall::call_i386(UNSHARE, libc::CLONE_NEWUSER);
    Outcome::of(result, "the 32-bit entry is not filtered")
}
