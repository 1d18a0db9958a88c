//! Real control groups of version 1: a child in a group of its own, its memory, its limit, its end.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{self, Child, Command, Stdio},
};

use uc_metrics::{MemoryHierarchy, Processes, cgroup::Version};

const CHILD: &str = "UC_METRICS_TEST_ALLOCATES";
const BALLAST_BYTES: usize = 50 << 20;

/// A group that is removed when the test ends, whichever way.
struct OwnGroup {
    path: String,
    directory: PathBuf,
}

impl Drop for OwnGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.directory);
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn own_group(hierarchy: &MemoryHierarchy, name: &str) -> Option<OwnGroup> {
    let path = format!("/undercurrent-metrics-{name}-{}", process::id());
    let directory = hierarchy.mount_point().join(&path[1..]);
    if let Err(error) = fs::create_dir(&directory) {
        println!("skipped: no control group can be made here: {error}");
        return None;
    }
    Some(OwnGroup { path, directory })
}

fn version_1() -> Option<MemoryHierarchy> {
    let hierarchy = MemoryHierarchy::find().expect("mounts are readable");
    let hierarchy = hierarchy.filter(|found| found.version() == Version::V1);
    if hierarchy.is_none() {
        println!("skipped: no memory controller of version 1 here");
    }
    hierarchy
}

/// Not a test of its own: the child of the test below allocates here.
#[test]
fn allocate_in_a_child() {
    let Some(group) = env::var_os(CHILD) else {
        return;
    };
    fs::write(
        PathBuf::from(group).join("cgroup.procs"),
        process::id().to_string(),
    )
    .expect("enters its group");
    let ballast = vec![1_u8; BALLAST_BYTES];
    println!("\nallocated {}", ballast.len());
    std::thread::sleep(std::time::Duration::from_secs(60));
    assert_eq!(ballast.len(), BALLAST_BYTES);
}

#[test]
fn a_childs_memory_is_seen_through_its_group() {
    let Some(hierarchy) = version_1() else { return };
    let Some(own) = own_group(&hierarchy, "child") else {
        return;
    };
    fs::write(
        own.directory.join("memory.limit_in_bytes"),
        (256_u64 << 20).to_string(),
    )
    .expect("a limit is set");
    let mut child = Killed(
        Command::new(env::current_exe().expect("own path"))
            .args(["--exact", "allocate_in_a_child", "--nocapture"])
            .env(CHILD, &own.directory)
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts"),
    );
    let output = BufReader::new(child.0.stdout.take().expect("piped"));
    let told = output.lines().map_while(Result::ok);
    assert!(
        told.take(20).any(|line| line.contains("allocated")),
        "the child allocates"
    );

    let group = hierarchy.open(&own.path).expect("there");
    let sample = group.read(1.0).expect("readable").expect("alive");
    let range = (BALLAST_BYTES as u64)..(80 << 20);
    assert!(range.contains(&sample.rss_bytes), "{sample:?}");
    assert_eq!(sample.limit_bytes, Some(256 << 20));
    assert_eq!(sample.oom_kills, Some(0));
    assert_eq!(group.processes().expect("listed"), [child.0.id()]);
    let listed = hierarchy.groups(&own.path, 5).expect("listed");
    assert_eq!(listed.paths, std::slice::from_ref(&own.path));

    let processes = Processes::of_this_host().expect("found");
    let process = processes.read(child.0.id(), 1.0).expect("readable");
    let process = process.expect("alive");
    assert!(range.contains(&process.rss_bytes), "{process:?}");
    assert_eq!(process.limit_bytes, Some(256 << 20));

    child.0.kill().expect("killed");
    let zombie = processes.read(child.0.id(), 2.0).expect("no problem");
    assert!(zombie.is_none_or(|sample| sample.life == process.life));
    child.0.wait().expect("waited for");
    assert!(
        processes
            .read(child.0.id(), 2.0)
            .expect("no problem")
            .is_none()
    );
}

#[test]
fn a_group_made_anew_has_another_life() {
    let Some(hierarchy) = version_1() else { return };
    let Some(own) = own_group(&hierarchy, "anew") else {
        return;
    };
    let group = hierarchy.open(&own.path).expect("there");
    let first = group.read(1.0).expect("readable").expect("alive");
    fs::remove_dir(&own.directory).expect("removed");
    assert!(group.read(2.0).expect("no problem").is_none());
    fs::create_dir(&own.directory).expect("made anew");
    let second = group.read(3.0).expect("readable").expect("alive");
    assert_ne!(first.life, second.life);
    assert_eq!(first.rss_bytes, 0);
}

#[test]
fn this_hosts_groups_are_listed() {
    let Some(hierarchy) = MemoryHierarchy::find().expect("mounts are readable") else {
        println!("skipped: no memory controller here");
        return;
    };
    let groups = hierarchy.groups("/", 1000).expect("listed");
    for path in groups.paths.iter().take(50) {
        // One that vanished meanwhile is not found, or nothing.
        if let Ok(group) = hierarchy.open(path) {
            let _ = group.read(0.0).expect("readable");
        }
    }
}
