//! Programs built on the spot, where their compilers are there.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use uc_select::Architecture;

use super::{compare, scanned};

const HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";
/// Calls through `syscall`, whose number is a parameter.
const BY_NUMBER: &str = "
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/socket.h>
#include <unistd.h>
__attribute__((noinline)) static long twice(long number) { syscall(number); return syscall(number); }
int main(int count, char **words) {
    twice(SYS_getpriority);
    syscall(count > 1 ? SYS_getppid : SYS_getpgrp);
    return (int)syscall(SYS_umask, 18);
}
";
const GO: &str = r#"package main

import (
	"fmt"
	"syscall"
)

func main() {
	number, _, _ := syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0)
	_, _, problem := syscall.Syscall(syscall.SYS_SYNC, 0, 0, 0)
	fmt.Println(number > 0, problem)
}
"#;

/// Writes a source file and runs a compiler on it; nothing where that is not there or cannot.
fn built(
    folder: &Path,
    source: &str,
    name: &str,
    words: &[&str],
    environment: &[(&str, &str)],
) -> Option<PathBuf> {
    let file = folder.join(name);
    std::fs::write(&file, source).expect("writes");
    let program = folder.join("program");
    let status = Command::new(words[0])
        .args(&words[1..])
        .arg("-o")
        .arg(&program)
        .arg(&file)
        .envs(environment.iter().copied())
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if status.is_ok_and(|status| status.success()) {
        return Some(program);
    }
    println!(
        "skipped: `{}` is not there or builds nothing",
        words.join(" ")
    );
    None
}

#[test]
fn programs_in_c_are_read_however_they_are_linked() {
    let zig = [
        "python3",
        "-m",
        "ziglang",
        "cc",
        "-O2",
        "-target",
        "x86_64-linux-musl",
    ];
    let ways: [(&str, Vec<&str>); 6] = [
        ("dynamic", vec!["gcc", "-O2"]),
        ("static", vec!["gcc", "-O2", "-static"]),
        ("static-pie", vec!["gcc", "-O2", "-static-pie"]),
        ("static, stripped", vec!["gcc", "-O2", "-static", "-s"]),
        ("musl", zig.to_vec()),
        ("musl, stripped", [&zig[..], &["-s"]].concat()),
    ];
    for (name, words) in ways {
        let folder = tempfile::tempdir().expect("a folder");
        let Some(program) = built(folder.path(), HELLO, "hello.c", &words, &[]) else {
            continue;
        };
        compare(name, &program, &[&program.display().to_string()], 20);
        let calls = scanned(&program).footprint.calls;
        assert!(
            calls.contains_key("exit_group"),
            "{name}: {:?}",
            calls.keys()
        );
        assert!(calls.len() < 60, "{name}: {:?}", calls.keys());
        assert!(!calls.contains_key("umask"), "{name}");
    }
}

#[test]
fn numbers_given_to_a_function_are_found_where_it_is_called() {
    for words in [
        vec!["gcc", "-O2"],
        vec!["gcc", "-O0"],
        vec!["gcc", "-O2", "-static"],
        vec!["gcc", "-O2", "-fno-plt"],
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let Some(program) = built(folder.path(), BY_NUMBER, "numbers.c", &words, &[]) else {
            return;
        };
        let report = scanned(&program);
        let calls = &report.footprint.calls;
        for call in ["getpriority", "umask"] {
            assert!(
                calls.contains_key(call),
                "{words:?}: {call}: {:?}",
                report.footprint
            );
        }
        // The compiler may make one number from the other; then this is a place with a computed number.
        let is_told = report
            .footprint
            .gaps
            .iter()
            .any(|gap| gap.contains("computed number"));
        let are_found = ["getppid", "getpgrp"]
            .iter()
            .all(|call| calls.contains_key(*call));
        assert!(are_found || is_told, "{words:?}: {:?}", report.footprint);
    }
}

#[test]
fn programs_in_go_are_read_with_and_without_symbols() {
    for (machine, architecture) in [
        ("amd64", Architecture::X86_64),
        ("arm64", Architecture::Aarch64),
    ] {
        for flags in ["", "-s -w"] {
            let folder = tempfile::tempdir().expect("a folder");
            let cache = std::env::temp_dir().join("uc-trace-go-cache");
            let cache = cache.display().to_string();
            let words = ["go", "build", "-ldflags", flags];
            let environment = [
                ("GOARCH", machine),
                ("CGO_ENABLED", "0"),
                ("GOCACHE", cache.as_str()),
                ("GOFLAGS", ""),
            ];
            let Some(program) = built(folder.path(), GO, "main.go", &words, &environment) else {
                return;
            };
            let report = scanned(&program);
            assert_eq!(report.footprint.architecture, architecture);
            let calls = &report.footprint.calls;
            for call in [
                "getppid",
                "sync",
                "futex",
                "epoll_pwait",
                "openat",
                "exit_group",
            ] {
                assert!(
                    calls.contains_key(call),
                    "{machine} {flags}: {call}: {:?}",
                    calls.keys()
                );
            }
            println!(
                "go {machine} {flags}: {} calls, {:?}",
                calls.len(),
                report.footprint.gaps
            );
            if architecture.name() == std::env::consts::ARCH {
                compare("go", &program, &[&program.display().to_string()], 20);
            }
        }
    }
}

#[test]
fn programs_for_arm_are_read() {
    for flags in [&["-O2"][..], &["-O2", "-s"], &["-O0"]] {
        let words = [
            &[
                "python3",
                "-m",
                "ziglang",
                "cc",
                "-target",
                "aarch64-linux-musl",
            ][..],
            flags,
        ]
        .concat();
        for (source, calls) in [
            (HELLO, &["writev", "exit_group"][..]),
            (BY_NUMBER, &["getpriority", "umask"][..]),
        ] {
            let source = source.replace("SYS_getpgrp", "SYS_getpid");
            let folder = tempfile::tempdir().expect("a folder");
            let Some(program) = built(folder.path(), &source, "program.c", &words, &[]) else {
                return;
            };
            let report = scanned(&program);
            assert_eq!(report.footprint.architecture, Architecture::Aarch64);
            for call in calls {
                assert!(
                    report.footprint.calls.contains_key(*call),
                    "{flags:?}: {call}: {:?}",
                    report.footprint
                );
            }
            println!(
                "arm {flags:?}: {} calls, {:?}",
                report.footprint.calls.len(),
                report.footprint.gaps
            );
        }
    }
}
