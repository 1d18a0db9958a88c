//! The tables are held against every list of system calls that the machine has.

use std::fs;

use super::*;

const BOTH: [Architecture; 2] = [Architecture::X86_64, Architecture::Aarch64];

#[test]
fn every_line_of_the_tables_is_read() {
    for (text, architecture, count) in [
        (X86_64, Architecture::X86_64, 383),
        (AARCH64, Architecture::Aarch64, 325),
    ] {
        let mut names = 0;
        let mut next = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split(' ');
            let first: u64 = words.next().and_then(|n| n.parse().ok()).expect(line);
            assert!(first >= next, "numbers rise: {line}");
            let rest: Vec<&str> = words.collect();
            assert!(
                !rest.is_empty() && rest.iter().all(|name| !name.is_empty()),
                "{line}"
            );
            next = first + rest.len() as u64;
            names += rest.len();
        }
        let table = table(architecture);
        assert_eq!(
            (names, table.by_number.len(), table.by_name.len()),
            (count, count, count)
        );
    }
}

#[test]
fn names_and_numbers_are_each_other() {
    for architecture in BOTH {
        for name in syscall_names(architecture) {
            let number = syscall_number(architecture, name).expect(name);
            assert_eq!(syscall_name(architecture, number), Some(name));
        }
        assert_eq!(syscall_name(architecture, 470), None);
        assert_eq!(syscall_name(architecture, 0x4000_0000), None, "x32");
        assert_eq!(syscall_number(architecture, "no_such_call"), None);
    }
}

/// From 424 on, a call has one number on all processors.
#[test]
fn new_calls_have_one_number() {
    for number in 424..470 {
        let [intel, arm] = BOTH.map(|architecture| syscall_name(architecture, number));
        assert_eq!(intel, arm, "call {number}");
        assert!(intel.is_some(), "call {number}");
    }
}

/// `#define __NR_read 63` and `#define __NR_read __NR3264_read`.
fn header(path: &str) -> Option<Vec<(String, u64)>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("skipped: {path}: {error}");
            return None;
        }
    };
    let defines = || {
        text.lines().filter_map(|line| {
            let mut words = line.strip_prefix("#define __NR")?.split_ascii_whitespace();
            Some((words.next()?, words.next()?))
        })
    };
    let number = |value: &str| value.parse().ok();
    let calls = defines().filter_map(|(name, value)| {
        let value = match value.strip_prefix("__NR") {
            Some(other) => defines()
                .find(|(name, _)| *name == other)
                .and_then(|(_, value)| number(value))?,
            None => number(value)?,
        };
        Some((name.strip_prefix('_')?.to_owned(), value))
    });
    Some(calls.collect())
}

#[test]
fn the_tables_agree_with_the_headers_of_the_kernel() {
    if let Some(calls) = header("/usr/include/x86_64-linux-gnu/asm/unistd_64.h") {
        assert!(calls.len() > 350, "{}", calls.len());
        for (name, number) in calls {
            assert_eq!(
                syscall_name(Architecture::X86_64, number),
                Some(name.as_str())
            );
        }
    }
    if let Some(calls) = header("/usr/include/asm-generic/unistd.h") {
        // Names of other processors, and of the table itself.
        let foreign = [
            "syscalls",
            "arch_specific_syscall",
            "sync_file_range2",
            "fstat64",
            "fstatat64",
        ];
        let foreign = |name: &str| foreign.contains(&name) || name.ends_with("time64");
        let mut checked = 0;
        for (name, number) in calls.into_iter().filter(|(name, _)| !foreign(name)) {
            if let Some(known) = syscall_number(Architecture::Aarch64, &name) {
                assert_eq!(known, number, "{name}");
                checked += 1;
            } else {
                // A 32-bit name of a number that has another name here.
                assert!(
                    name.ends_with("64")
                        || name.starts_with("llseek")
                        || name == "mmap2"
                        || name == "_llseek",
                    "{name} {number}"
                );
            }
        }
        assert!(checked > 290, "{checked}");
    }
}

macro_rules! agree_with_libc {
    ($($name:ident)*) => { [$((stringify!($name), libc::$name)),*] };
}

/// The C library's constants are those of the processor that runs the test.
#[test]
fn the_tables_agree_with_the_c_library() {
    let Ok(architecture) = std::env::consts::ARCH.parse::<Architecture>() else {
        eprintln!("skipped: no table for {}", std::env::consts::ARCH);
        return;
    };
    for (name, number) in agree_with_libc![
        SYS_read SYS_openat SYS_mmap SYS_clone SYS_execve SYS_ioctl SYS_newfstatat SYS_prlimit64 SYS_getrandom SYS_statx
        SYS_rseq SYS_clone3 SYS_faccessat2 SYS_io_uring_setup SYS_landlock_create_ruleset SYS_futex_waitv
        SYS_fchmodat2 SYS_mseal
    ] {
        let name = name.trim_start_matches("SYS_");
        assert_eq!(
            syscall_number(architecture, name),
            u64::try_from(number).ok(),
            "{name}"
        );
    }
}
