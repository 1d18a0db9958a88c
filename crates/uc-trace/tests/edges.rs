//! Programs that make tracing hard: threads under signals, daemons, storms of processes, other conventions of calls, filters of
//! their own, privileges. They are built on the spot.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use uc_trace::{Options, Trace, Wish, trace};

/// A program of C, and the directory that it goes with.
struct Program {
    file: PathBuf,
    directory: tempfile::TempDir,
}

/// Builds a program; `None`, with the reason printed, where there is no compiler.
fn built(source: &str) -> Option<Program> {
    let directory = tempfile::tempdir().expect("a directory");
    let (code, file) = (
        directory.path().join("main.c"),
        directory.path().join("main"),
    );
    std::fs::write(&code, format!("#define _GNU_SOURCE\n{source}")).expect("written");
    let built = Command::new("cc")
        .args(["-w", "-o"])
        .args([&file, &code])
        .arg("-pthread")
        .status();
    match built {
        Ok(status) if status.success() => Some(Program { file, directory }),
        _ => {
            println!("skipped: cc cannot build the program");
            None
        }
    }
}

fn run(file: &Path, arguments: &[&str], options: &Options) -> Trace {
    let mut command = Command::new(file);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    trace(command, options, &|| Wish::GoOn).expect("traced")
}

fn count(trace: &Trace, call: &str) -> u64 {
    trace
        .footprint
        .calls
        .get(call)
        .map_or(0, |usage| usage.count)
}

#[test]
fn threads_that_signals_interrupt_lose_no_call() {
    let Some(program) = built(
        "#include <pthread.h>\n#include <signal.h>\n#include <sys/time.h>\n#include <unistd.h>\n#include <sys/syscall.h>
        static void tick(int s) {}
        static void *work(void *p) { for (int i = 0; i < 5000; i++) syscall(SYS_getppid); return 0; }
        int main() {
            struct sigaction a = {.sa_handler = tick, .sa_flags = SA_RESTART}; sigaction(SIGALRM, &a, 0);
            struct itimerval t = {{0, 500}, {0, 500}}; setitimer(ITIMER_REAL, &t, 0);
            pthread_t th[4]; for (int i = 0; i < 4; i++) pthread_create(&th[i], 0, work, 0);
            for (int i = 0; i < 4; i++) pthread_join(th[i], 0); return 5; }",
    ) else {
        return;
    };
    let trace = run(&program.file, &[], &Options::default());
    assert_eq!((trace.status.code(), trace.threads), (Some(5), 5));
    assert_eq!(count(&trace, "getppid"), 20_000);
}

#[test]
fn a_daemon_is_followed_to_its_end() {
    let Some(program) = built(
        "#include <unistd.h>\n#include <stdlib.h>\n#include <sys/types.h>
        int main() { if (fork()) _exit(0); setsid(); if (fork()) _exit(0);
            usleep(400000); getpgid(0); return 9; }",
    ) else {
        return;
    };
    let trace = run(&program.file, &[], &Options::default());
    assert_eq!(trace.status.code(), Some(0));
    assert_eq!((count(&trace, "getpgid"), trace.threads), (1, 3));
    assert!(trace.duration > Duration::from_millis(400));
}

#[test]
fn who_does_not_end_is_ended() {
    let Some(program) = built(
        "#include <signal.h>\n#include <unistd.h>
        int main() { signal(SIGTERM, SIG_IGN); if (!fork()) setsid(); for (;;) pause(); }",
    ) else {
        return;
    };
    let options = Options {
        longest: Some(Duration::from_millis(200)),
        grace: Duration::from_millis(200),
        ..Options::default()
    };
    let began = Instant::now();
    let trace = run(&program.file, &[], &options);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(trace.footprint.gaps.len(), 1, "{:?}", trace.footprint.gaps);
    assert_eq!(count(&trace, "setsid"), 1);
}

#[test]
fn a_storm_of_processes_loses_no_call() {
    let Some(program) = built(
        "#include <unistd.h>\n#include <sys/wait.h>\n#include <sys/syscall.h>
        int main() { for (int i = 0; i < 300; i++) { int v = i % 2 ? vfork() : fork();
            if (!v) { if (i % 2) execl(\"/proc/self/exe\", \"x\", (char *)0); syscall(SYS_getppid); _exit(0); } }
            while (wait(0) > 0); return 0; }"
            .replace("int main() {", "int main(int c, char **v0) { if (v0[0][0] == 'x') { syscall(SYS_getppid); return 0; }")
            .as_str(),
    ) else {
        return;
    };
    let trace = run(&program.file, &[], &Options::default());
    assert_eq!(trace.status.code(), Some(0));
    assert_eq!((count(&trace, "getppid"), trace.threads), (300, 301));
    assert_eq!(count(&trace, "execve"), 151);
}

#[test]
fn the_flags_of_clone3_are_read() {
    let Some(program) = built(
        "#include <linux/sched.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n#include <sys/wait.h>\n#include <signal.h>
        int main() { struct clone_args a = {.flags = CLONE_NEWUTS | CLONE_NEWUSER, .exit_signal = SIGCHLD};
            long p = syscall(SYS_clone3, &a, sizeof a); if (!p) _exit(0); wait(0); return 0; }",
    ) else {
        return;
    };
    let trace = run(&program.file, &[], &Options::default());
    let seen = &trace.footprint.calls["clone3"].variants;
    assert!(seen.contains_key("CLONE_NEWUTS|CLONE_NEWUSER"), "{seen:?}");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn other_conventions_are_told_as_gaps() {
    let Some(program) = built(
        "#include <unistd.h>\n#include <sys/syscall.h>
        int main() { long r; __asm__ volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(20) : \"memory\");
            syscall(0x40000000 | 39); return 0; }",
    ) else {
        return;
    };
    let gaps = run(&program.file, &[], &Options::default())
        .footprint
        .gaps
        .join("\n");
    assert!(
        gaps.contains("32-bit x86") && gaps.contains("x32"),
        "{gaps}"
    );
}

#[test]
fn a_filter_of_the_programs_own_is_a_gap() {
    let Some(program) = built(
        "#include <linux/seccomp.h>\n#include <linux/filter.h>\n#include <linux/audit.h>\n#include <sys/prctl.h>\n#include <sys/syscall.h>\n#include <stddef.h>\n#include <unistd.h>
        int main() { struct sock_filter f[] = { {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0}, {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_getppid},
            {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | 1}, {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW} };
            struct sock_fprog p = {4, f}; prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            if (prctl(PR_SET_SECCOMP, 2, &p)) return 1; syscall(SYS_getppid); getpgid(0); return 0; }",
    ) else {
        return;
    };
    let trace = run(&program.file, &[], &Options::default());
    assert_eq!(trace.status.code(), Some(0));
    assert_eq!((count(&trace, "getppid"), count(&trace, "getpgid")), (0, 1));
    assert!(
        trace.footprint.gaps[0].contains("filter of its own"),
        "{:?}",
        trace.footprint.gaps
    );
}

#[test]
fn root_traces_programs_that_gain_privileges() {
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/bin/setpriv").exists() {
        println!("skipped: needs root and setpriv");
        return;
    }
    let Some(program) = built("#include <unistd.h>\nint main() { return geteuid(); }") else {
        return;
    };
    use std::os::unix::fs::PermissionsExt as _;
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    set(program.directory.path(), 0o755);
    set(&program.file, 0o4755);
    let file = program.file.to_str().expect("a name");
    let arguments = ["--reuid", "1234", "--clear-groups", file];
    let trace = run(
        Path::new("/usr/bin/setpriv"),
        &arguments,
        &Options::default(),
    );
    assert_eq!(trace.status.code(), Some(0), "still gains root");
    assert!(
        trace.deeds.executed.contains(&program.file),
        "{:?}",
        trace.deeds
    );
}
