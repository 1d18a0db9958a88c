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

/// The newest workload of a name, as `uc ps` shows it.
fn named(host: &Host, name: &str) -> Value {
    let ended = host.run(&["ps", "--format", "json"]);
    let listed: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let all = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["workload"]);
    let of_name = all.filter(|one| one["name"] == name);
    of_name
        .max_by_key(|one| one["created_ms"].as_u64())
        .cloned()
        .unwrap_or_default()
}

/// Starts workloads detached; `false`, with the reason printed, where memory cannot be limited.
fn start(host: &Host, files: &[&str]) -> bool {
    for file in files {
        let started = host.run(&["run", "--detach", file]);
        if started.code == 77 || started.code == 78 {
            println!("skipped: this host cannot limit memory: {}", started.stderr);
            return false;
        }
        assert_eq!(started.code, 0, "{}", started.stderr);
    }
    true
}

/// Waits until a condition holds; tells what the guard told if it never does.
fn wait(guard: Guard, what: &str, mut holds: impl FnMut() -> bool) -> Guard {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", guard.kill());
        thread::sleep(Duration::from_millis(500));
    }
    guard
}

fn names<'a>(told: &'a [(String, String)], action: &str) -> Vec<&'a str> {
    let of_it = told.iter().filter(|(told, _)| told == action);
    of_it.map(|(_, name)| name.as_str()).collect()
}

#[test]
fn a_leak_ends_in_order_before_its_limit_while_a_neighbour_that_levels_off_lives() {
    let Some(host) = Host::new() else { return };
    host.file("leaky.yaml", &pod("leaky", 1_000));
    host.file("steady.yaml", &pod("steady", 110));
    host.file("watch.toml", "restart = false\n");
    if !start(&host, &["leaky.yaml", "steady.yaml"]) {
        return;
    }
    let watch = || Guard::start(&host, &["--interval", "1", "--config", "watch.toml"]);
    let guard = wait(watch(), "the leak was never stopped", || {
        named(&host, "leaky")["phase"] == "exited"
    });
    let told = guard.kill();
    assert_eq!(names(&told, "stop"), ["leaky/main"], "{told:?}");
    let leaky = named(&host, "leaky");
    assert_eq!(leaky["exit_code"], 0, "{leaky}");
    assert_eq!(
        leaky["containers"]["main"]["restarts"], 0,
        "the kernel was quicker: {leaky}"
    );
    assert!(
        host.run(&["logs", "leaky"])
            .stdout
            .contains("leaky ends in order")
    );

    // The guard was killed; whoever takes over knows what was done, and does it no second time.
    let again = watch();
    thread::sleep(Duration::from_secs(4));
    let told = again.kill();
    assert!(names(&told, "stop").is_empty(), "{told:?}");
    assert_eq!(named(&host, "steady")["alive"], true);
    assert_eq!(host.run(&["stop", "steady"]).code, 0);
}

#[test]
fn a_detached_workload_that_was_stopped_for_its_leak_starts_again() {
    let Some(host) = Host::new() else { return };
    host.file("leaky.yaml", &pod("leaky", 1_000));
    if !start(&host, &["leaky.yaml"]) {
        return;
    }
    let first = named(&host, "leaky")["id"].clone();
    let guard = Guard::start(&host, &["--interval", "1"]);
    let guard = wait(guard, "it never started again", || {
        let now = named(&host, "leaky");
        now["id"] != first && now["phase"] == "running"
    });
    let told = guard.kill();
    assert_eq!(names(&told, "stop"), ["leaky/main"], "{told:?}");
    assert_eq!(names(&told, "restart"), ["leaky/main"], "{told:?}");
    assert_eq!(host.run(&["stop", "leaky"]).code, 0);
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
