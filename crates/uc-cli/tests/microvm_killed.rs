//! Monitors of machines, `uc` itself and the monitors of detached workloads are killed at any moment, a hundred times in all:
//! no process, namespace, mount, control group, network interface, socket or file is left.
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
    path::{Path, PathBuf},
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
    /// Names given to namespaces, which would outlive their processes.
    kept_namespaces: usize,
    groups: BTreeSet<PathBuf>,
    sockets: BTreeSet<PathBuf>,
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
            kept_namespaces: mounts
                .lines()
                .filter(|line| line.contains(" - nsfs "))
                .count(),
            groups: found(Path::new("/sys/fs/cgroup"), |path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.contains(&victim())
            }),
            sockets: found(host.path(), |path| {
                use std::os::unix::fs::FileTypeExt as _;
                fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
            }),
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

/// The name of the workloads of this process: other tests run beside it, and one for each thread of it.
fn victim() -> String {
    let thread = format!("{:?}", std::thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    format!("victim-{}-{number}", std::process::id())
}

/// What of a kind is below a directory.
fn found(directory: &Path, is_one: impl Fn(&Path) -> bool + Copy) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if is_one(&path) {
            all.insert(path.clone());
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.extend(found(&path, is_one));
        }
    }
    all
}

/// Namespaces, as the kernel calls them.
type Namespaces = BTreeSet<PathBuf>;

/// The namespaces that a process is in, other than this one's.
fn namespaces_of(pid: &str) -> Namespaces {
    let of = |process: &str| -> Namespaces {
        let entries = fs::read_dir(format!("/proc/{process}/ns"));
        let links = entries.into_iter().flatten().flatten();
        links
            .filter_map(|link| fs::read_link(link.path()).ok())
            .collect()
    };
    of(pid).difference(&of("self")).cloned().collect()
}

fn all_processes() -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("there").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .collect()
}

/// The namespaces of a process and of all that it started.
fn namespaces_below(pid: u32) -> Namespaces {
    let parent = |pid: &String| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        Some((pid.clone(), parent.trim().to_owned()))
    };
    let parents: Vec<(String, String)> = all_processes().iter().filter_map(parent).collect();
    let mut family = BTreeSet::from([pid.to_string()]);
    loop {
        let children = parents.iter().filter(|(_, parent)| family.contains(parent));
        let children: Vec<String> = children.map(|(pid, _)| pid.clone()).collect();
        let before = family.len();
        family.extend(children);
        if family.len() == before {
            return family.iter().flat_map(|pid| namespaces_of(pid)).collect();
        }
    }
}

/// When a process began, in the kernel's ticks since the host's start.
fn began(pid: &str) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(19)?.parse().ok()
}

/// Now, in the same ticks.
fn now() -> u64 {
    let mut child = Command::new("true").spawn().expect("starts");
    let ticks = began(&child.id().to_string());
    child.wait().expect("ends");
    ticks.expect("known")
}

/// Processes in one of these namespaces that were there by then: what others make later may get a number that is free again.
fn members(namespaces: &Namespaces, by: u64) -> Vec<String> {
    let mut all = all_processes();
    all.retain(|pid| {
        began(pid).is_some_and(|began| began <= by) && !namespaces.is_disjoint(&namespaces_of(pid))
    });
    all
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

fn assert_all_ends(host: &MicrovmHost, namespaces: &Namespaces, moment: Duration) {
    let until = Instant::now() + Duration::from_secs(10);
    let killed = now();
    loop {
        let left = (
            host.monitors(),
            processes(host),
            members(namespaces, killed),
        );
        if left.0.is_empty() && left.1.is_empty() && left.2.is_empty() {
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
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {}, annotations: {{undercurrent.dev/network: {network}}}}}\nspec:\n  containers:\n    - name: main\n      \
             image: oci:busybox:latest\n      command: [sleep, \"1000\"]\n",
            victim()
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
    assert_all_ends(host, &Namespaces::new(), Duration::ZERO);
}

#[test]
fn uc_killed_at_any_moment_takes_its_machine_along() {
    let Some(host) = warm_host() else { return };
    let before = Traces::now(&host);
    let mut moments = Moments::new();
    let has_network = ["/usr/bin/pasta", "/usr/local/bin/pasta"]
        .iter()
        .any(|file| fs::exists(file).is_ok_and(|there| there));
    let mut seen = Namespaces::new();
    for round in 0..ROUNDS[0] {
        let network = match round % 3 {
            0 if has_network => "user",
            _ => "none",
        };
        let moment = moments.next();
        let mut child = start(&host, network);
        std::thread::sleep(moment);
        let namespaces = namespaces_below(child.id());
        child.kill().expect("killed");
        child.wait().expect("killed");
        assert_all_ends(&host, &namespaces, moment);
        seen.extend(namespaces);
    }
    assert!(!seen.is_empty(), "no kill met a machine");
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
        let namespaces = namespaces_below(child.id());
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
        assert_all_ends(&host, &namespaces, moment);
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
        &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {}}}\nspec:\n  containers:\n    - name: main\n      \
             image: oci:busybox:latest\n      command: [sleep, \"1000\"]\n",
            victim()
        ),
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
        let namespaces = namespaces_below(owner as u32);
        assert!(!namespaces.is_empty(), "it runs");
        kill(owner as u32);
        assert_all_ends(&host, &namespaces, moment);
        assert_all_are_lost(&host);
        let removed = host.run(&["rm", &victim()]);
        assert_eq!(removed.code, 0, "{removed}");
    }
    assert_nothing_is_left(&host, &before);
}
