//! Seccomp profiles of users, put in force by the runtimes found here on top of the allow-list.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use support::driver;
use uc_oci_runtime::{Flavour, OciRuntimeDriver};
use uc_testkit::busybox::Busybox;

/// A runtime, where it is here.
fn runtime(flavour: Flavour) -> Option<(OciRuntimeDriver, Busybox)> {
    let made = Busybox::new().and_then(|busybox| Ok((driver(flavour, &busybox)?, busybox)));
    made.inspect_err(|reason| println!("skipped: {reason}"))
        .ok()
}

/// What a shell script prints under a runtime and a profile; `None` where the runtime is not here.
fn output(flavour: Flavour, case: &str, profile: &str, script: &str) -> Option<String> {
    let (driver, busybox) = runtime(flavour)?;
    let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    let (_, text) = support::run(&driver, &busybox, case, argv, Some(profile));
    Some(text)
}

/// Links are refused, and one mode of files; so is what the allow-list refuses, even where the profile allows it. Everything
/// else works.
fn refuses_what_either_refuses(flavour: Flavour) {
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28,
         "args": [{"index": 1, "value": 448, "op": "SCMP_CMP_EQ"}]},
        {"names": ["fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28,
         "args": [{"index": 2, "value": 448, "op": "SCMP_CMP_EQ"}]},
        {"names": ["symlink", "symlinkat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
        {"names": ["unshare", "mount"], "action": "SCMP_ACT_ALLOW"}]}"#;
    let script =
        "touch /a && busybox chmod 600 /a && echo fine; busybox chmod 700 /a; busybox ln -s x /b
        busybox unshare -U true; busybox stat -c %a /a; ls /b";
    let Some(output) = output(flavour, "either", profile, script) else {
        return;
    };
    assert_eq!(
        output,
        "fine
chmod: /a: No space left on device
ln: /b: Input/output error
unshare: unshare(0x10000000): Operation not permitted
600
ls: /b: No such file or directory
",
        "{flavour}"
    );
}

/// A profile that lists what is allowed, with a condition that needs many rules.
fn allows_what_both_allow(flavour: Flavour) {
    let profile = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["accept4", "access", "arch_prctl", "brk", "capget", "chdir", "clock_gettime", "clone", "close", "close_range", "dup",
            "dup2", "dup3", "epoll_create1", "epoll_ctl", "epoll_pwait", "eventfd2", "execve", "execveat", "exit", "exit_group",
            "faccessat", "faccessat2", "fchdir", "fcntl", "fork", "fstat", "fstatfs", "fsync", "futex", "getcwd",
            "getdents64", "getegid", "geteuid", "getgid", "getpgrp", "getpid", "getppid", "getrandom", "gettid", "getuid",
            "ioctl", "lseek", "lstat", "madvise", "mkdir", "mmap", "mprotect", "munmap", "nanosleep", "newfstatat", "open",
            "openat", "openat2", "pipe", "pipe2", "poll", "ppoll", "prctl", "pread64", "prlimit64", "read", "readlink",
            "readlinkat", "recvfrom", "recvmsg", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_getaffinity", "sched_yield",
            "seccomp", "sendto", "shutdown",
            "sendmsg", "set_robust_list", "set_tid_address", "setgid", "setgroups", "setresgid", "setresuid", "setuid",
            "sigaltstack", "stat", "statx", "tgkill", "uname", "unlink", "unlinkat", "utimensat", "vfork", "wait4", "write",
            "writev"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["umask"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_NE"}]},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}"#;
    let script = "umask 022; umask; umask 007; umask; busybox mkdir /a && echo made
        busybox chmod 700 /a || echo refused; echo end";
    let Some(output) = output(flavour, "both", profile, script) else {
        return;
    };
    assert!(output.ends_with("refused\nend\n"), "{flavour}: {output}");
    assert!(
        output.starts_with("0022\n0022\nmade\n"),
        "{flavour}: {output}"
    );
}

/// runc would wait for its killed process for ever.
#[test]
fn a_profile_that_kills_runc_s_start_is_named_as_the_cause() {
    let Some((driver, busybox)) = runtime(Flavour::Runc) else {
        return;
    };
    let argv = vec!["true".to_owned()];
    let profile = r#"{"defaultAction": "SCMP_ACT_KILL"}"#;
    let (exit, _) = support::try_to_run(&driver, &busybox, "kills", argv, Some(profile));
    let said = exit.expect_err("killed").to_string();
    assert!(said.contains("seccomp profile forbids"), "{said}");
}

#[test]
fn crun_refuses_what_either_refuses() {
    refuses_what_either_refuses(Flavour::Crun);
}

#[test]
fn runc_refuses_what_either_refuses() {
    refuses_what_either_refuses(Flavour::Runc);
}

#[test]
fn crun_allows_what_both_allow() {
    allows_what_both_allow(Flavour::Crun);
}

#[test]
fn runc_allows_what_both_allow() {
    allows_what_both_allow(Flavour::Runc);
}

#[test]
fn youki_refuses_what_either_refuses() {
    refuses_what_either_refuses(Flavour::Youki);
}

#[test]
fn youki_allows_what_both_allow() {
    allows_what_both_allow(Flavour::Youki);
}
