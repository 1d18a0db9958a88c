//! Monitors of machines, `uc` itself and the monitors of detached workloads are killed at any moment, a hundred times in all:
//! no process, mount, network interface or file is left.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

#[path = "support/microvms.rs"]
mod microvms;
mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use microvms::MicrovmHost;
use serde_json::Value;

/// Rounds in which `uc` is killed, its machine's monitor is, and a detached workload's owner is.
const ROUNDS: [u32; 3] = [45, 45, 10];

/// The latest moment of a kill: a start takes less.
const LATEST: Duration = Duration::from_millis(700);

/// A linear congruential generator (Knuth's MMIX constants): moments need variety, not quality.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seed = now.map_or(0, |since| since.subsec_nanos().into());
        println!("seed {seed}");
        Self(seed)
    }

    fn next(&mut self) -> Duration {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Duration::from_micros((self.0 >> 33) % LATEST.as_micros() as u64)
    }
}

fn kill(pid: u32) {
    // It may have ended by itself.
    let _ = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// What a killed start could leave on this host, as far as it can be told from what others do.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    mounts: usize,
    interfaces: BTreeSet<String>,
    temporary: BTreeSet<PathBuf>,
}

impl Traces {
    fn now(host: &MicrovmHost) -> Self {
        let home = host.path().to_string_lossy().into_owned();
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("there");
        let names = |place: &str| {
            let entries = fs::read_dir(place).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        Self {
            mounts: mounts.lines().filter(|line| line.contains(&home)).count(),
            interfaces: names("/sys/class/net")
                .iter()
                .map(|path| path.to_string_lossy().into_owned())
                .filter(|name| name.contains("tap"))
                .collect(),
            // Half-made disks and snapshots.
            temporary: ["images", "snapshots", "kernels"]
                .iter()
                .flat_map(|place| names(&format!("{home}/home/cache/microvm/{place}")))
                .filter(|path| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    name.starts_with('.')
                })
                .collect(),
        }
    }
}

/// Processes whose command line or environment names this home.
fn processes(host: &MicrovmHost) -> Vec<String> {
    let home = host.path().to_string_lossy().into_owned();
    let entries = fs::read_dir("/proc").expect("there").flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let all = [read("cmdline"), read("environ")].concat();
            let line = String::from_utf8_lossy(&read("cmdline")).into_owned();
            (pid != std::process::id() && memchr::memmem::find(&all, home.as_bytes()).is_some())
                .then(|| format!("{pid} {line}"))
        })
        .collect()
}

fn assert_all_ends(host: &MicrovmHost, moment: Duration) {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let left = (host.monitors(), processes(host));
        if left.0.is_empty() && left.1.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "after {moment:?}: {left:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn start(host: &MicrovmHost, network: &str) -> Child {
    host.file(
        "start.yaml",
        &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: victim, annotations: {{undercurrent.dev/network: {network}}}}}\nspec:\n  containers:\n    - name: main\n      \
             image: oci:busybox:latest\n      command: [sleep, \"1000\"]\n"
        ),
    );
    host.uc()
        .args(["run", "--runtime", "microvm", "start.yaml"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts")
}

fn list(host: &MicrovmHost) -> Vec<Value> {
    let ended = host.run(&["ps", "--format", "json"]);
    assert_eq!(ended.code, 0, "{ended}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

/// A killed process gives up its memory, and with it the command line that `processes` looks for, a moment before the
/// lock of its workload.
fn assert_all_are_lost(host: &MicrovmHost) {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let workloads = list(host);
        if workloads.iter().all(|workload| workload["state"] == "lost") {
            return;
        }
        assert!(Instant::now() < until, "{workloads:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A host on which everything has been made once, so that moments fall into starts.
fn warm_host() -> Option<MicrovmHost> {
    let host = MicrovmHost::new()?;
    let run = [
        "run",
        "--runtime",
        "microvm",
        "oci:busybox:latest",
        "--",
        "true",
    ];
    let ended = host.run(&run);
    assert_eq!(ended.code, 0, "{ended}");
    Some(host)
}

fn assert_nothing_is_left(host: &MicrovmHost, before: &Traces) {
    let removed = host.run(&["rm", "--ended"]);
    assert_eq!(removed.code, 0, "{removed}");
    host.assert_nothing_left();
    assert_eq!(Traces::now(host), *before);
    // It still works, from the same snapshots.
    let run = [
        "run",
        "--runtime",
        "microvm",
        "oci:busybox:latest",
        "--",
        "echo",
        "fine",
    ];
    host.run(&run).expect(0, "fine\n");
    assert_all_ends(host, Duration::ZERO);
}

#[test]
fn uc_killed_at_any_moment_takes_its_machine_along() {
    let Some(host) = warm_host() else { return };
    let before = Traces::now(&host);
    let mut moments = Moments::new();
    let has_network = ["/usr/bin/pasta", "/usr/local/bin/pasta"]
        .iter()
        .any(|file| fs::exists(file).is_ok_and(|there| there));
    for round in 0..ROUNDS[0] {
        let network = match round % 3 {
            0 if has_network => "user",
            _ => "none",
        };
        let moment = moments.next();
        let mut child = start(&host, network);
        std::thread::sleep(moment);
        child.kill().expect("killed");
        child.wait().expect("killed");
        assert_all_ends(&host, moment);
    }
    assert_all_are_lost(&host);
    assert_nothing_is_left(&host, &before);
}

#[test]
fn a_machine_killed_at_any_moment_ends_its_run_with_an_explanation() {
    let Some(host) = warm_host() else { return };
    let before = Traces::now(&host);
    let mut moments = Moments::new();
    for _ in 0..ROUNDS[1] {
        let moment = moments.next();
        let mut child = start(&host, "none");
        let until = Instant::now() + Duration::from_secs(20);
        let monitor = loop {
            if let Some(monitor) = host.monitors().first() {
                break *monitor;
            }
            assert!(Instant::now() < until, "no machine");
            std::thread::sleep(Duration::from_millis(1));
        };
        std::thread::sleep(moment);
        kill(monitor);
        // A start from a snapshot that fails is followed by a cold one, which is killed as well.
        let ended = loop {
            if let Some(ended) = child.try_wait().expect("known") {
                break ended;
            }
            host.monitors().into_iter().for_each(kill);
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(ended.code(), Some(78), "after {moment:?}");
        assert_all_ends(&host, moment);
    }
    assert_eq!(list(&host), Vec::<Value>::new());
    assert_nothing_is_left(&host, &before);
}

#[test]
fn a_killed_owner_of_a_detached_machine_shows_as_lost() {
    let Some(host) = warm_host() else { return };
    let before = Traces::now(&host);
    host.file(
        "pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: victim}\nspec:\n  containers:\n    - name: main\n      image: oci:busybox:latest\n      \
         command: [sleep, \"1000\"]\n",
    );
    let mut moments = Moments::new();
    for _ in 0..ROUNDS[2] {
        let moment = moments.next();
        let detached = host.run(&["run", "--detach", "--runtime", "microvm", "pod.yaml"]);
        assert_eq!(detached.code, 0, "{detached}");
        std::thread::sleep(moment);
        let owner = list(&host)[0]["workload"]["owner"]
            .as_u64()
            .expect("a process id");
        kill(owner as u32);
        assert_all_ends(&host, moment);
        assert_all_are_lost(&host);
        let removed = host.run(&["rm", "victim"]);
        assert_eq!(removed.code, 0, "{removed}");
    }
    assert_nothing_is_left(&host, &before);
}
