//! Owners and containers are killed at any moment: `uc ps` tells the truth afterwards, and `uc rm` leaves nothing.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;
use support::Host;

/// How many times a foreground run is killed, each at another moment of its start.
const ROUNDS: u64 = 30;

fn ps(host: &Host) -> Vec<Value> {
    let ended = host.run(&["ps", "--format", "json"]);
    assert_eq!(ended.code, 0, "{ended}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

/// Waits until the only workload is in a state; shows the list if it never is.
fn wait_for(host: &Host, state: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let list = ps(host);
        if let Some(found) = list.iter().find(|workload| workload["state"] == state) {
            return found.clone();
        }
        assert!(Instant::now() < deadline, "never {state}: {list:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn kill(pid: u64) {
    let killed = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status()
        .expect("runs");
    assert!(killed.success(), "cannot kill {pid}");
}

/// Processes whose command line holds a marker that only this test's containers have.
fn processes_with(marker: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("there").flatten();
    let lines = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| line.contains(marker) && line.contains("sleep"))
        .filter(|line| !line.contains("run"))
        .collect()
}

fn assert_nothing_is_left(host: &Host, marker: &str) {
    let removed = host.run(&["rm", "--ended"]);
    assert_eq!(removed.code, 0, "{removed}");
    host.assert_nothing_left();
    assert_eq!(processes_with(marker), Vec::<String>::new());
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("there");
    assert!(
        !mounts.contains(&*host.path().to_string_lossy()),
        "{mounts}"
    );
}

fn pod(marker: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: victim}}\nspec:\n  containers:\n    - name: main\n      image: oci:busybox:latest\n      \
         command: [sleep, \"{marker}\"]\n"
    )
}

#[test]
fn a_killed_monitor_shows_as_lost_and_takes_its_container_along() {
    let Some(host) = Host::new() else { return };
    host.file("pod.yaml", &pod("700001"));
    assert_eq!(host.run(&["run", "--detach", "pod.yaml"]).code, 0);
    let running = wait_for(&host, "running");
    assert_eq!(processes_with("700001").len(), 1);
    kill(running["workload"]["owner"].as_u64().expect("a process id"));
    wait_for(&host, "lost");
    assert_nothing_is_left(&host, "700001");
}

#[test]
fn a_killed_container_is_seen_and_restarted() {
    let Some(host) = Host::new() else { return };
    host.file("pod.yaml", &pod("700002"));
    assert_eq!(host.run(&["run", "--detach", "pod.yaml"]).code, 0);
    let running = wait_for(&host, "running");
    kill(
        running["workload"]["containers"]["main"]["pid"]
            .as_u64()
            .expect("a process id"),
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    while wait_for(&host, "running")["workload"]["containers"]["main"]["restarts"] == 0 {
        assert!(Instant::now() < deadline, "never restarted");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(host.run(&["stop", "--now", "victim"]).code, 0);
    wait_for(&host, "exited");
    assert_nothing_is_left(&host, "700002");
}

#[test]
fn a_run_killed_at_any_moment_of_its_start_leaves_what_rm_can_remove() {
    let Some(host) = Host::new() else { return };
    // Unpacked once, so that the moments fall into the start of the container.
    assert_eq!(
        host.run(&["run", "oci:busybox:latest", "--", "true"]).code,
        0
    );
    let seed = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos().into());
    println!("seed {seed}");
    let mut chance: u64 = seed;
    for _ in 0..ROUNDS {
        // A linear congruential generator (Knuth's MMIX constants): moments need variety, not quality.
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_micros((chance >> 33) % 60_000);
        let mut child = host
            .uc()
            .args(["run", "oci:busybox:latest", "--", "sleep", "700003"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        std::thread::sleep(moment);
        child
            .kill()
            .and_then(|()| child.wait().map(drop))
            .expect("killed");
        for workload in ps(&host) {
            assert_eq!(workload["state"], "lost", "after {moment:?}: {workload:#?}");
        }
        // The kernel takes a moment to end what died with its parent.
        let deadline = Instant::now() + Duration::from_secs(5);
        while !processes_with("700003").is_empty() {
            assert!(
                Instant::now() < deadline,
                "after {moment:?} a container lives on"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert_nothing_is_left(&host, "700003");
}

#[test]
fn two_of_a_name_and_removal_of_the_living_are_refused() {
    let Some(host) = Host::new() else { return };
    host.file("pod.yaml", &pod("700004"));
    assert_eq!(host.run(&["run", "--detach", "pod.yaml"]).code, 0);
    host.run(&["run", "--detach", "pod.yaml"])
        .refuses(65, &["runs already"]);
    host.run(&["rm", "victim"]).refuses(77, &["still runs"]);
    assert_eq!(host.run(&["rm", "--force", "victim"]).code, 0);
    assert_nothing_is_left(&host, "700004");
}

#[test]
fn of_many_that_want_one_name_at_once_one_gets_it() {
    let Some(host) = Host::new() else { return };
    host.file("pod.yaml", &pod("700005"));
    let start = || {
        host.uc()
            .args(["run", "--detach", "--name", "only", "pod.yaml"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts")
    };
    // Unpacked once, so that all reach the name at about the same time.
    assert_eq!(
        host.run(&["run", "oci:busybox:latest", "--", "true"]).code,
        0
    );
    let children: Vec<_> = (0..6).map(|_| start()).collect();
    let codes: Vec<_> = children
        .into_iter()
        .map(|mut child| child.wait().expect("ends").code())
        .collect();
    let count = |code| codes.iter().filter(|found| **found == Some(code)).count();
    assert_eq!((count(0), count(65)), (1, 5), "{codes:?}");
    // Two that remove it at once get on with each other.
    let mut removals: Vec<_> = (0..2)
        .map(|_| {
            host.uc()
                .args(["rm", "--force", "only"])
                .stderr(Stdio::null())
                .spawn()
                .expect("starts")
        })
        .collect();
    let ended: Vec<_> = removals
        .iter_mut()
        .map(|child| child.wait().expect("ends").code())
        .collect();
    assert!(ended.contains(&Some(0)), "{ended:?}");
    assert_nothing_is_left(&host, "700005");
}

#[test]
fn a_killed_webassembly_workload_shows_as_lost_and_can_be_removed() {
    let Some(host) = Host::new() else { return };
    host.file(
        "spin.wat",
        "(module (memory (export \"memory\") 1) (func (export \"_start\") (loop (br 0))))",
    );
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: spin}\nspec:\n  containers: [{name: main, image: ./spin.wat, \
                    volumeMounts: [{name: work, mountPath: /work}]}]\n  volumes: [{name: work, emptyDir: {medium: Memory}}]\n";
    host.file("pod.yaml", manifest);
    let started = host.run(&["run", "--detach", "pod.yaml"]);
    assert_eq!(started.code, 0, "{started}");
    let running = wait_for(&host, "running");
    kill(running["workload"]["owner"].as_u64().expect("a process id"));
    wait_for(&host, "lost");
    assert_nothing_is_left(&host, "spin.wat");
}
