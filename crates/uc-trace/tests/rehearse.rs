//! Real programs under refusals: under their own profile they behave as before, under another runtime's they fail where it
//! would.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

use std::{
    path::Path,
    process::{Command, Stdio},
};

use uc_select::Interface;
use uc_trace::{Conditions, Options, Profile, Refusals, Rehearsal, Trace, Wish, rehearse, trace};

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .stdin(Stdio::null())
        .env_remove("PYTHONHASHSEED");
    command
}

fn traced(words: &[&str]) -> Trace {
    let mut command = command(words);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    trace(command, &Options::default(), &|| Wish::GoOn).expect("traced")
}

fn under(words: &[&str], refusals: Option<Refusals>) -> Rehearsal {
    let conditions = Conditions {
        refusals,
        ..Conditions::default()
    };
    rehearse(command(words), &conditions).expect("ran")
}

#[test]
fn every_program_runs_under_its_own_profile() {
    let programs: [&[&str]; 9] = [
        &["/bin/true"],
        &["/bin/ls", "-l", "/usr"],
        &[
            "/bin/sh",
            "-c",
            "ls /usr | wc -l; (cd /tmp; pwd) & wait; exit 3",
        ],
        &[
            "/usr/bin/python3",
            "-c",
            "import threading, subprocess; print(subprocess.run(['/bin/echo', 'x'])); t = threading.Thread(target=print); t.start(); t.join()",
        ],
        &[
            "/usr/bin/python3",
            "-c",
            "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); c = socket.create_connection(s.getsockname()); print(c.getpeername()[0])",
        ],
        &[
            "/usr/bin/sqlite3",
            ":memory:",
            "create table t(a); insert into t values (1); select * from t",
        ],
        &["/usr/bin/git", "--version"],
        &["/usr/bin/node", "-e", "console.log(1 + 1)"],
        &["/usr/bin/redis-server", "--version"],
    ];
    for words in programs {
        if !Path::new(words[0]).exists() {
            println!("skipped: {} is not here", words[0]);
            continue;
        }
        let footprint = traced(words).footprint;
        let refusals = Refusals::of_profile(&Profile::of(&footprint), footprint.architecture);
        let (before, after) = (
            under(words, None),
            under(words, Some(refusals.expect("compiles"))),
        );
        assert_eq!(before, after, "{words:?}");
    }
}

#[test]
fn what_a_profile_leaves_out_fails() {
    let footprint = traced(&["/bin/true"]).footprint;
    let refusals = Refusals::of_profile(&Profile::of(&footprint), footprint.architecture);
    let run = under(
        &["/bin/mkdir", "/tmp/uc-trace-never"],
        Some(refusals.expect("compiles")),
    );
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.error_tail.contains("not implemented"), "{run:?}");
}

#[test]
fn gvisors_gaps_are_felt() {
    let words = [
        "/usr/bin/python3",
        "-c",
        "import os; os.pidfd_open(os.getpid())",
    ];
    if !Path::new(words[0]).exists() {
        println!("skipped: {} is not here", words[0]);
        return;
    }
    let footprint = traced(&words).footprint;
    let refusals = Refusals::of_runtime(Interface::Gvisor, &footprint).expect("compiles");
    assert!(
        refusals.refused.contains(&"pidfd_open".into()),
        "{refusals:?}"
    );
    let run = under(&words, Some(refusals));
    assert_eq!(run.code, Some(1));
    assert!(run.error_tail.contains("Errno 38"), "{run:?}");
    Refusals::of_runtime(Interface::WasiP2, &footprint).expect_err("no system calls there");
}

#[test]
fn a_program_that_does_not_end_is_ended() {
    let conditions = Conditions {
        longest: Some(std::time::Duration::from_millis(200)),
        ..Conditions::default()
    };
    let run = rehearse(
        command(&["/bin/sh", "-c", "echo a; sleep 100"]),
        &conditions,
    )
    .expect("ran");
    assert!(run.timed_out && run.output_bytes == 2, "{run:?}");
}

#[test]
fn capabilities_are_seen_and_can_be_taken_away() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root has capabilities");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("written");
    let words = ["/bin/chown", "1234", file.to_str().expect("a name")];
    let options = Options {
        capabilities: true,
        ..Options::default()
    };
    match trace(command(&words), &options, &|| Wish::GoOn)
        .expect("traced")
        .capabilities
    {
        Some(found) => assert!(
            found.granted.contains_key(&0) && found.lost == 0,
            "{found:?}"
        ),
        None => println!("skipped: this kernel does not tell which capabilities are used"),
    }
    let with = |kept: &[u32]| {
        let conditions = Conditions {
            capabilities: Some(kept.to_vec()),
            ..Conditions::default()
        };
        rehearse(command(&["/bin/chown", "4321", words[2]]), &conditions)
            .expect("ran")
            .code
    };
    assert_eq!((with(&[0]), with(&[1])), (Some(0), Some(1)));
}
