//! `uc run` as a shell uses it.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it was skipped"
)]

mod support;

use std::{
    io::Read as _,
    process::Stdio,
    time::{Duration, Instant},
};

use support::Host;

/// A program that writes for ever ends when its reader has gone, as it would without `uc` in between.
#[test]
fn output_that_nobody_reads_ends_the_program() {
    let Some(host) = Host::new() else { return };
    let mut child = host
        .uc()
        .args(["run", "oci:busybox:latest", "--", "yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut first = [0; 2];
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut first).expect("output");
    assert_eq!(&first, b"y\n");
    drop(stdout);
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break Some(status);
        }
        if start.elapsed() > Duration::from_secs(30) {
            child.kill().expect("killed");
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    // busybox reports the error (1); a program that leaves SIGPIPE alone is ended by it (141).
    let code = status.expect("uc ended").code();
    assert!(matches!(code, Some(1 | 141)), "exit code {code:?}");
}
