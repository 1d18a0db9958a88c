//! Real programs under the recorder, held against strace.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test says what it expects, and why it cannot run"
)]

use std::{
    collections::BTreeSet,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use uc_trace::{Options, Trace, Wish, trace};

fn traced(words: &[&str]) -> Trace {
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    trace(command, &Options::default(), &|| Wish::GoOn).expect("traced")
}

/// Whether all of these programs are here.
fn has(programs: &[&str]) -> bool {
    let absent = programs.iter().find(|program| !Path::new(program).exists());
    if let Some(absent) = absent {
        println!("skipped: {absent} is not here");
    }
    absent.is_none()
}

/// The calls by strace.
fn by_strace(words: &[&str]) -> BTreeSet<String> {
    let output = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new("/usr/bin/strace")
        .args(["-f", "-qq", "-o"])
        .arg(output.path())
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let text = std::fs::read_to_string(output.path()).unwrap();
    let calls = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(' ')?;
        let rest = rest.trim_start();
        let (name, _) = rest.split_once('(')?;
        let is_name = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        is_name.then(|| match name {
            // strace's own spelling.
            "pread" => "pread64".to_owned(),
            name => name.to_owned(),
        })
    });
    calls.collect()
}

#[test]
fn what_strace_sees_is_seen() {
    if !has(&["/usr/bin/strace"]) {
        return;
    }
    let programs: [&[&str]; 6] = [
        &["/bin/true"],
        &["/bin/ls", "-l", "/"],
        &["/bin/sh", "-c", "ls / | wc -l; (cd /tmp; pwd) & wait"],
        &[
            "/usr/bin/python3",
            "-c",
            "import threading; t = threading.Thread(target=print); t.start(); t.join()",
        ],
        &[
            "/usr/bin/sqlite3",
            ":memory:",
            "create table t(a); insert into t values (1); select * from t",
        ],
        &["/usr/bin/git", "--version"],
    ];
    for words in programs.iter().filter(|words| has(&words[..1])) {
        let ours: BTreeSet<String> = traced(words).footprint.calls.into_keys().collect();
        assert_eq!(ours, by_strace(words), "{words:?}");
    }
}

#[test]
fn exit_codes_and_signals_are_passed_on() {
    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(traced(&["/bin/sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(
        traced(&["/bin/sh", "-c", "kill -9 $$"]).status.signal(),
        Some(9)
    );
}

#[test]
fn counts_are_exact() {
    let trace = traced(&[
        "/usr/bin/dd",
        "if=/dev/zero",
        "of=/dev/null",
        "bs=1",
        "count=5000",
        "status=none",
    ]);
    let write = trace.footprint.calls["write"].count;
    assert!((5000..5010).contains(&write), "{write}");
    assert_eq!(trace.footprint.calls["openat"].variants["/dev/zero"], 1);
    assert!(trace.peak_memory > 100 << 10, "{}", trace.peak_memory);
    assert!(
        trace.footprint.gaps.is_empty(),
        "{:?}",
        trace.footprint.gaps
    );
}

#[test]
fn a_program_that_is_not_there_is_a_problem() {
    use uc_model::ProblemKind;
    for (path, kind) in [
        ("/no/such/program", ProblemKind::CommandNotFound),
        ("/etc/passwd", ProblemKind::NotExecutable),
    ] {
        let problem =
            trace(Command::new(path), &Options::default(), &|| Wish::GoOn).expect_err("no program");
        assert_eq!(problem.kind(), kind);
    }
}

/// The command's own start is one, and what it executes in its place is another.
#[test]
fn every_program_executed_is_counted() {
    let count = |words: &[&str]| traced(words).footprint.calls["execve"].count;
    assert_eq!(count(&["/bin/true"]), 1);
    assert_eq!(count(&["/bin/sh", "-c", "exec /bin/true"]), 2);
}

/// Commands that prepare themselves are forked, with the allocator's locks held, which the recorder must not wait for.
#[test]
fn commands_that_prepare_themselves_are_traced() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // The more the allocator is in use, the likelier somebody waits for it.
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::black_box(vec![0_u8; 3000]);
                }
            });
        }
        for _ in 0..100 {
            let trace = trace(prepared("/bin/true"), &Options::default(), &|| Wish::GoOn);
            let footprint = trace.expect("traced").footprint;
            assert_eq!(footprint.calls["execve"].count, 1);
            assert!(
                !footprint.calls.contains_key("getpgid"),
                "not the program's"
            );
        }
        let absent = trace(prepared("/no/such/program"), &Options::default(), &|| {
            Wish::GoOn
        });
        let problem = absent.expect_err("no program");
        assert_eq!(problem.kind(), uc_model::ProblemKind::CommandNotFound);
        stop.store(true, Ordering::Relaxed);
    });
}

#[expect(unsafe_code, reason = "what runs between fork and exec")]
fn prepared(program: &str) -> Command {
    let mut command = Command::new(program);
    command.gid(rustix::process::getegid().as_raw());
    // SAFETY: it makes one system call and nothing else.
    unsafe { command.pre_exec(|| Ok(rustix::process::getpgid(None).map(drop)?)) };
    command
}
