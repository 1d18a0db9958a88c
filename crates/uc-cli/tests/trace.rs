//! `uc trace`: what it says, leaves and passes on; its profiles and Pods run.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it was skipped"
)]

mod support;

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use support::Host;

fn json(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).expect("written");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn the_program_keeps_its_output_and_exit_code() {
    let Some(host) = Host::new() else { return };
    let traced = host.run(&[
        "trace",
        "--output",
        "calls.json",
        "--",
        "/bin/busybox",
        "sh",
        "-c",
        "echo hi; exit 7",
    ]);
    traced.expect(7, "hi\n");
    for word in [
        "traced: ",
        "exit code 7",
        "RUNTIME",
        "gvisor",
        "in this run",
    ] {
        assert!(traced.stderr.contains(word), "{word}: {traced}");
    }
    let calls = json(&host.path().join("calls.json"));
    assert_eq!(calls["method"], "traced");
    assert_eq!(calls["calls"]["write"]["count"], 1);
    let traced = host.run(&[
        "--format",
        "json",
        "trace",
        "--",
        "/bin/busybox",
        "sh",
        "-c",
        "echo hi; kill -9 $$",
    ]);
    assert_eq!(
        (traced.code, traced.stderr.as_str()),
        (137, "hi\n"),
        "{traced}"
    );
    let found: Value = serde_json::from_str(&traced.stdout).expect("JSON");
    assert_eq!(found["exit_code"], 137);
    assert_eq!(found["coverage"].as_array().map(Vec::len), Some(5));
}

#[test]
fn what_cannot_be_traced_is_told_as_a_shell_does() {
    let Some(host) = Host::new() else { return };
    host.run(&["trace", "--", "/no/such/program"])
        .expect(127, "");
    host.run(&["trace", "--", "/etc/passwd"]).expect(126, "");
    let nested = host.run(&[
        "trace",
        "--",
        env!("CARGO_BIN_EXE_uc"),
        "trace",
        "--",
        "/bin/true",
    ]);
    assert_eq!(nested.code, 78, "{nested}");
    assert!(nested.stderr.contains("already reported"), "{nested}");
    let pod = host.run(&[
        "trace",
        "--pod",
        "a/pod.yaml",
        "--seccomp",
        "b.json",
        "--image",
        "x",
        "--",
        "/bin/true",
    ]);
    assert_eq!(pod.code, 65, "{pod}");
}

#[test]
fn the_pod_runs_under_its_profile() {
    let Some(host) = Host::new() else { return };
    let script = "echo made > /tmp/file; cat /tmp/file; id -u > /dev/null";
    host.run(&[
        "trace",
        "--pod",
        "pod.yaml",
        "--image",
        "oci:busybox:latest",
        "--",
        "busybox",
        "sh",
        "-c",
        script,
    ])
    .expect(0, "made\n");
    host.run(&["run", "pod.yaml"]).expect(0, "made\n");
    let text = std::fs::read_to_string(host.path().join("pod.yaml")).expect("written");
    for line in [
        "readOnlyRootFilesystem: true",
        "undercurrent.dev/network: none",
        "mountPath: /tmp",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // What was not seen is refused.
    let other = text.replace("cat /tmp/file", "ln -s a /tmp/link");
    host.file("other.yaml", &other);
    let refused = host.run(&["run", "other.yaml"]);
    assert!(refused.stderr.contains("not implemented"), "{refused}");
    host.assert_nothing_left();
}

#[test]
fn rehearsals_tell_whether_a_program_behaves_as_before() {
    let Some(host) = Host::new() else { return };
    let words = [
        "trace",
        "--rehearse",
        "profile",
        "--rehearse",
        "gvisor",
        "--",
        "/bin/busybox",
        "ls",
        "/bin",
    ];
    let traced = host.run(&words);
    assert_eq!(traced.code, 0, "{traced}");
    for line in [
        "rehearsed under profile: behaves as before",
        "rehearsed under gvisor: behaves as before",
    ] {
        assert!(traced.stderr.contains(line), "{traced}");
    }
    let settled = host.run(&["trace", "--settle", "--", "/bin/busybox", "true"]);
    assert!(
        settled.stderr.contains("note: nothing to settle"),
        "{settled}"
    );
    let endless = host.run(&[
        "trace",
        "--for",
        "0.2",
        "--rehearse",
        "wasm",
        "--",
        "/bin/true",
    ]);
    assert_eq!(endless.code, 2, "{endless}");
}

/// A program that copies by `copy_file_range` and does not do without, or does.
fn copier(host: &Host, does_without: bool) -> bool {
    host.file(
        "copy.c",
        &format!(
            r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>
int main(void) {{
    FILE *from = tmpfile(), *to = tmpfile();
    fputs("text", from);
    fflush(from);
    rewind(from);
    int copied = copy_file_range(fileno(from), 0, fileno(to), 0, 4, 0) == 4;
    puts("done");
    return !copied && !{};
}}"#,
            i32::from(does_without)
        ),
    );
    let built = Command::new("cc")
        .args(["-static", "-w", "-o", "copy", "copy.c"])
        .current_dir(host.path())
        .status();
    let is_built = built.is_ok_and(|status| status.success());
    if !is_built {
        println!("skipped: cc cannot build a static program");
    }
    is_built
}

/// What the calls leave open is settled by running it, and what comes of it is kept and used.
#[test]
fn doubt_is_settled_by_a_rehearsal() {
    let Some(host) = Host::new() else { return };
    for (does_without, expected, words) in [
        (true, "runs, rehearsed", "it did as before without"),
        (false, "fails, rehearsed", "it did otherwise without"),
    ] {
        if !copier(&host, does_without) {
            return;
        }
        let hinted = host.run(&["trace", "--", "./copy"]);
        hinted.expect(0, "done\n");
        for hint in ["gvisor refuses ", "copy_file_range", "--settle finds out"] {
            assert!(hinted.stderr.contains(hint), "{hint}: {hinted}");
        }
        let settled = host.run(&["trace", "--settle", "--output", "kept.json", "--", "./copy"]);
        settled.expect(0, "done\n");
        let line = settled
            .stderr
            .lines()
            .find(|line| line.starts_with("gvisor "))
            .expect("a row");
        assert!(line.contains(expected) && line.contains(words), "{settled}");
        assert!(!settled.stderr.contains("--settle"), "{settled}");
        let kept = json(&host.path().join("kept.json"));
        assert_eq!(kept["rehearsals"]["gvisor"]["alike"], does_without);
        let data = host.run(&["--format", "json", "trace", "--settle", "--", "./copy"]);
        let data: Value = serde_json::from_str(&data.stdout).expect("JSON");
        let coverage = data["coverage"].as_array().expect("a list");
        let gvisor = coverage.iter().find(|one| one["interface"] == "gvisor");
        let gvisor = gvisor.expect("there");
        assert_eq!(gvisor["basis"], "rehearsal", "{gvisor}");
        assert_eq!(
            gvisor["prediction"],
            if does_without { "runs" } else { "fails" }
        );
        let image = "oci:busybox:latest";
        let explained = host.run(&["explain", image, "--footprint", "kept.json"]);
        assert!(explained.stdout.contains("seen in a run"), "{explained}");
    }
    host.assert_nothing_left();
}

/// A second run that ends otherwise already proves nothing, and one that does not end is told; what was recorded stays.
#[test]
fn a_rehearsal_that_is_no_second_run_settles_nothing() {
    let Some(host) = Host::new() else { return };
    if !copier(&host, true) {
        return;
    }
    let script = "mkdir once && ./copy";
    let words = ["--", "/bin/busybox", "sh", "-c", script];
    let traced = host.run(&[&["trace", "--settle", "--output", "kept.json"], &words[..]].concat());
    traced.expect(0, "done\n");
    assert!(
        traced
            .stderr
            .contains("that says nothing of the traced run"),
        "{traced}"
    );
    let kept = json(&host.path().join("kept.json"));
    assert!(kept.get("rehearsals").is_none(), "{kept}");
    let script = "./copy; sleep 100";
    let words = ["--", "/bin/busybox", "sh", "-c", script];
    let options = ["trace", "--for", "0.3", "--settle", "--output", "for.json"];
    let endless = host.run(&[&options[..], &words].concat());
    assert_eq!(endless.code, 65, "{endless}");
    assert!(
        endless.stderr.contains("does not end by itself"),
        "{endless}"
    );
    assert_eq!(json(&host.path().join("for.json"))["method"], "traced");
}

/// The processes whose command line holds a word.
fn processes(word: &str) -> usize {
    let entries = std::fs::read_dir("/proc").expect("there").flatten();
    entries
        .filter(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(word)
        })
        .count()
}

#[test]
fn a_killed_tracer_takes_its_program_along() {
    let Some(host) = Host::new() else { return };
    let mark = format!("mark-of-{}", std::process::id());
    let script = format!(
        ": {mark}; while :; do read -t 0.05 x < /dev/zero; done & while :; do sleep 0.05; done & exec sleep 1000"
    );
    let mut tracer = host
        .uc()
        .args(["trace", "--", "/bin/busybox", "sh", "-c", &script])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    std::thread::sleep(Duration::from_millis(500));
    // The tracer, its guardian, the shell and its child.
    assert!(processes(&mark) >= 4, "{}", processes(&mark));
    tracer.kill().expect("killed");
    tracer.wait().expect("reaped");
    let since = Instant::now();
    while processes(&mark) > 0 {
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "{} are left",
            processes(&mark)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_interrupt_ends_the_program_and_keeps_its_footprint() {
    let Some(host) = Host::new() else { return };
    let tracer = host
        .uc()
        .args(["trace", "--", "/bin/busybox", "sleep", "100"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    std::thread::sleep(Duration::from_millis(400));
    let killed = Command::new("kill")
        .args(["-TERM", &tracer.id().to_string()])
        .status();
    assert!(killed.expect("ran").success());
    let output = tracer.wait_with_output().expect("ended");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{stderr}");
    assert!(
        stderr.contains("gap: the program was asked to end"),
        "{stderr}"
    );
}

#[test]
fn a_user_without_privileges_can_trace() {
    let Some(host) = Host::new() else { return };
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/bin/setpriv").exists() {
        println!("skipped: needs root, to become another user, and setpriv");
        return;
    }
    let words = [
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        env!("CARGO_BIN_EXE_uc"),
        "trace",
        "--",
        "/bin/busybox",
        "id",
        "-u",
    ];
    let output = Command::new("/usr/bin/setpriv")
        .args(words)
        .current_dir("/")
        .output()
        .expect("ran");
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("Permission denied") && output.status.code() == Some(127) {
        println!("skipped: another user cannot reach the program built here");
        return;
    }
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "65534\n",
        "{stderr}"
    );
    assert!(stderr.contains("traced: "), "{stderr}");
    drop(host);
}
