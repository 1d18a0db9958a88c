//! `uc watch` beside real programs under real limits.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{
    io::Read as _,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::Host;

/// How long the whole may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(240);

/// A program that keeps half a megabyte each third of a second, up to `most` times, and says so when it is told to end.
fn pod(name: &str, most: u32) -> String {
    format!(
        r#"apiVersion: v1
kind: Pod
metadata:
  name: {name}
spec:
  containers:
    - name: main
      image: oci:busybox
      command: ["sh", "-c"]
      args:
        - |
          trap 'echo "{name} ends in order"; exit 0' TERM
          part=$(yes aaaaaaa | head -c 500000)
          i=0
          while true; do
            if [ $i -lt {most} ]; then eval "kept$i=\$part\$i"; i=$((i+1)); fi
            sleep 0.3 & wait $!
          done
      resources:
        limits: {{ memory: 96Mi }}
"#
    )
}

/// Kills the guard however the test ends.
struct Guard(Child);

impl Guard {
    fn start(host: &Host, arguments: &[&str]) -> Self {
        let child = host
            .uc()
            .args(["watch", "--format", "json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn();
        Self(child.expect("starts"))
    }

    /// Kills it without a chance to clean up; what it told, by action and workload.
    fn kill(mut self) -> Vec<(String, String)> {
        self.0.kill().expect("killed");
        let mut text = String::new();
        let output = self.0.stdout.as_mut().expect("piped");
        output.read_to_string(&mut text).expect("UTF-8");
        let told = text.lines().map(|line| {
            let event: Value = serde_json::from_str(line).expect("JSON");
            let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            (word("action"), word("workload"))
        });
        told.collect()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The workloads of a name, oldest first.
fn named(host: &Host, name: &str) -> Vec<Value> {
    let listed: Value =
        serde_json::from_str(&host.run(&["ps", "--format", "json"]).stdout).expect("JSON");
    let all = listed.as_array().expect("a list").iter();
    let mut found: Vec<Value> = all.filter(|one| one["name"] == name).cloned().collect();
    found.sort_by_key(|one| one["created_ms"].as_u64());
    found
}

#[test]
fn a_leak_ends_in_order_before_its_limit_and_starts_again_while_a_neighbour_that_levels_off_lives()
{
    let Some(host) = Host::new() else { return };
    host.file("leaky.yaml", &pod("leaky", 1_000));
    host.file("steady.yaml", &pod("steady", 110));
    for file in ["leaky.yaml", "steady.yaml"] {
        let started = host.run(&["run", "--detach", file]);
        if started.code == 77 || started.code == 78 {
            println!("skipped: this host cannot limit memory: {}", started.stderr);
            return;
        }
        assert_eq!(started.code, 0, "{}", started.stderr);
    }
    let guard = Guard::start(&host, &["--interval", "1"]);
    let begun = Instant::now();
    while named(&host, "leaky").len() < 2 {
        assert!(
            begun.elapsed() < PATIENCE,
            "the leak was never stopped and started again: {:?}",
            guard.kill()
        );
        thread::sleep(Duration::from_secs(1));
    }
    let told = guard.kill();
    let told_of = |action: &str| {
        told.iter()
            .filter(|(told, _)| told == action)
            .map(|(_, name)| name.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(told_of("stop"), ["leaky/main"], "{told:?}");
    assert_eq!(told_of("restart"), ["leaky/main"], "{told:?}");
    let first = named(&host, "leaky").remove(0);
    let id = first["id"].as_str().expect("an id");
    assert_eq!(first["exit_code"], 0, "{first}");
    assert_eq!(
        first["containers"]["main"]["restarts"], 0,
        "the kernel was quicker: {first}"
    );
    assert!(
        host.run(&["logs", id])
            .stdout
            .contains("leaky ends in order")
    );
    assert_eq!(named(&host, "steady").len(), 1);
    assert_eq!(named(&host, "steady")[0]["alive"], true);

    // It was killed; whoever takes over knows what was done, and does it no second time.
    let again = Guard::start(&host, &["--interval", "1"]);
    thread::sleep(Duration::from_secs(4));
    let told = again.kill();
    assert!(
        told.iter()
            .all(|(action, _)| action != "stop" && action != "restart"),
        "{told:?}"
    );
    assert_eq!(named(&host, "leaky").len(), 2);
    for name in ["leaky", "steady"] {
        assert_eq!(host.run(&["stop", name]).code, 0);
    }
}

#[test]
fn what_is_not_ours_is_watched_and_never_stopped_unless_allowed() {
    let Some(host) = Host::new() else { return };
    let mut sleeper = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .expect("starts");
    let pid = sleeper.id().to_string();
    let ended = host.run(&[
        "watch",
        "--pid",
        &pid,
        "--for",
        "1",
        "--interval",
        "1",
        "--format",
        "json",
    ]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (0, ""),
        "{}",
        ended.stderr
    );
    assert!(sleeper.try_wait().expect("asked").is_none());
    sleeper.kill().expect("killed");
    sleeper.wait().expect("reaped");
}

#[test]
fn a_second_guard_and_a_malformed_configuration_are_told_clearly() {
    let Some(host) = Host::new() else { return };
    let guard = Guard::start(&host, &["--for", "60"]);
    let history = host.path().join("home/state/watch/history.redb");
    let begun = Instant::now();
    while !history.exists() && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
    }
    let ended = host.run(&["watch", "--for", "1"]);
    assert_ne!(ended.code, 0);
    assert!(
        ended.stderr.contains("in use by another process"),
        "{}",
        ended.stderr
    );
    drop(guard);
    host.file("watch.toml", "[policy]\nfindings_needed = 0\n");
    let ended = host.run(&["watch", "--config", "watch.toml", "--for", "1"]);
    assert_eq!(ended.code, 65, "{}", ended.stderr);
    assert!(ended.stderr.contains("findings_needed"), "{}", ended.stderr);
}
