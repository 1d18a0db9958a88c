//! What real processes can reach.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

use std::process::{Child, Command, Stdio};

fn sleeper() -> Child {
    Command::new("sleep")
        .arg("1000")
        .stdin(Stdio::null())
        .spawn()
        .expect("starts")
}

#[test]
fn a_process_without_filters_reaches_everything() {
    let mut child = sleeper();
    let reach = uc_trace::reach::reach(child.id());
    child.kill().expect("killed");
    child.wait().expect("reaped");
    let reach = match reach {
        Ok(reach) => reach,
        Err(problem) => {
            println!("skipped: {problem}");
            return;
        }
    };
    // Within another sandbox the test itself may have filters.
    if reach.filters == 0 {
        assert!(reach.calls.len() > 300, "{}", reach.calls.len());
        assert!(reach.calls.contains("mount") && reach.calls.contains("read"));
    }
}

#[test]
fn a_process_that_is_not_there_is_told() {
    let mut child = sleeper();
    child.kill().expect("killed");
    child.wait().expect("reaped");
    uc_trace::reach::reach(child.id()).expect_err("gone");
}
