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

#[test]
fn what_is_no_manifest_is_told_for_what_it_is() {
    let Some(host) = Host::new() else { return };
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    for (name, content, words) in [
        (
            "module",
            &b"\0asm\x01\0\0\0"[..],
            ["a WebAssembly file", ".wasm"],
        ),
        (
            "program",
            b"\x7fELF\x02",
            ["a program of the host", "into an image"],
        ),
        (
            "script.sh",
            b"#!/bin/sh\necho hi\n",
            ["a script", "interpreter"],
        ),
        ("image.tar", &tar, ["an archive", "oci-archive:image.tar"]),
        ("noise", b"\xff\xfe\x00", ["not UTF-8", "oci:DIR"]),
        (
            "notes.txt",
            b"hello world\n",
            ["kind is missing", "kind: Pod"],
        ),
    ] {
        std::fs::write(host.path().join(name), content).expect("written");
        host.run(&["run", name]).refuses(65, &words);
    }
}

#[test]
fn pruning_frees_unpacked_layers_but_those_of_what_runs() {
    let Some(host) = Host::new() else { return };
    let layers = || {
        let of_mapping = std::fs::read_dir(host.path().join("home/data/layers")).expect("there");
        of_mapping
            .flatten()
            .flat_map(|mapping| std::fs::read_dir(mapping.path()).expect("listed"))
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .count()
    };
    let sleep = ["oci:busybox:latest", "--", "sh", "-c", "exec sleep 1000000"];
    let started = host.run(&[&["run", "--detach", "--name", "user"][..], &sleep].concat());
    assert_eq!(started.code, 0, "{started}");
    assert_eq!(layers(), 1);
    let ended = host.run(&["image", "prune", "--format", "json"]);
    ended.expect(0, "{\n  \"freed_bytes\": 0\n}\n");
    assert_eq!(layers(), 1, "the root of a running container is gone");
    assert_eq!(host.run(&["rm", "--force", "user"]).code, 0);
    let ended = host.run(&["image", "prune"]);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(
        ended.stderr.starts_with("freed ") && !ended.stderr.starts_with("freed 0"),
        "{ended}"
    );
    assert_eq!(layers(), 0);
    host.run(&["run", "oci:busybox:latest", "--", "echo", "again"])
        .expect(0, "again\n");
}
