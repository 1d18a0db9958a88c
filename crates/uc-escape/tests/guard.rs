//! Outside a container the program attempts nothing.

#![allow(
    clippy::expect_used,
    reason = "clippy allows it in test functions, not in what they share"
)]

use std::process::{Command, Output};

fn escape(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_uc-escape"))
        .args(arguments)
        .env_remove("UC_ESCAPE_INSIDE")
        .output()
        .expect("the program runs")
}

#[test]
fn nothing_is_attempted_without_the_guard() {
    for arguments in [
        ["all"].as_slice(),
        &["mount-tmpfs"],
        &["fork-bomb"],
        &["memory-hog", "1"],
    ] {
        let output = escape(arguments);
        assert_eq!(output.status.code(), Some(77), "{arguments:?}");
        assert!(
            output.stdout.is_empty(),
            "{arguments:?} attempted something"
        );
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(words.contains("UC_ESCAPE_INSIDE=1"), "{words}");
    }
}

#[test]
fn unknown_attempts_are_refused_by_name() {
    let output = escape(&["no-such-attempt"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-attempt"));
}

#[test]
fn the_list_and_the_identity_need_no_guard() {
    let list = escape(&["list"]);
    assert!(list.status.success());
    assert!(
        String::from_utf8_lossy(&list.stdout)
            .lines()
            .any(|name| name == "pivot-root")
    );
    let identity = escape(&["identity"]);
    let identity: serde_json::Value = serde_json::from_slice(&identity.stdout).expect("is JSON");
    assert_eq!(
        identity["status"]["NoNewPrivs"].as_str().map(str::len),
        Some(1)
    );
}
