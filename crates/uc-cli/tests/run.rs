//! `uc run` as a shell uses it.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it was skipped"
)]

use std::{
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// A program that writes for ever ends when its reader has gone, as it would without `uc` in between.
#[test]
fn output_that_nobody_reads_ends_the_program() {
    let layout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hello/busybox");
    if !layout.join("index.json").exists() {
        println!("skipped: {} is not made yet", layout.display());
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let uc = || {
        let mut uc = Command::new(env!("CARGO_BIN_EXE_uc"));
        uc.env("UC_HOME", home.path()).stdin(Stdio::null());
        uc.args(["run", &format!("oci:{}:latest", layout.display()), "--"]);
        uc
    };
    let probe = uc().arg("true").output().expect("started");
    if probe.status.code() == Some(78) {
        println!(
            "skipped: no container here: {}",
            String::from_utf8_lossy(&probe.stderr)
        );
        return;
    }
    let mut child = uc()
        .arg("yes")
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
