//! What `uc-select` expects of programs under gVisor is what happens to them there: a dozen of those that
//! `cargo xtask compare-gvisor` compares.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it was skipped"
)]

mod support;

use support::Host;
use uc_model::ProblemKind;
use xtask::compare_gvisor::{Comparison, Happened, programs};

/// Servers, interpreters and tools that need nothing, and such that need what gVisor lacks.
const NAMES: [&str; 16] = [
    "bash",
    "busybox",
    "curl",
    "fanotify",
    "git",
    "jq",
    "node-http",
    "openssl",
    "perf-stat",
    "perl",
    "python-http",
    "python-multiprocessing",
    "python-sqlite",
    "sqlite3",
    "userfaultfd",
    "vsock",
];

#[test]
fn programs_run_or_fail_under_gvisor_as_expected() {
    let Some(host) = Host::new() else { return };
    let Some(uc) = host.uc_with("runsc") else {
        return;
    };
    let runsc = uc
        .get_envs()
        .find_map(|(name, value)| value.filter(|_| name == "UC_RUNSC"))
        .expect("named");
    let comparison = Comparison::new(env!("CARGO_BIN_EXE_uc").into(), runsc.into(), host.path())
        .expect("prepared");
    let all = programs().expect("there");
    for name in NAMES {
        let program = all.iter().find(|one| one.name == name).expect(name);
        let row = match comparison.compare(program) {
            Ok(row) => row,
            Err(problem) if problem.kind() == ProblemKind::Host => {
                println!("skipped: {problem}");
                return;
            }
            Err(problem) => panic!("{name}: {problem}"),
        };
        match &row.happened {
            Happened::Skipped(why) | Happened::NotComparable(why) => {
                println!("skipped: {name}: {why}");
            }
            _ => assert_eq!(row.agrees(), Some(true), "{}", row.summary()),
        }
    }
}
