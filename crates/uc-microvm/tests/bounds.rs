//! Control groups of the host around a machine's monitor: made with it, bounding it, gone with it.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use support::{
    Busybox,
    world::{Setting, Spec, World, monitors, test},
};
use uc_linux::cgroup::{Controller, Layout, Version};
use uc_microvm::{MicrovmDriver, Settings};
use uc_model::{MilliCpu, workload::Network};
use uc_sandbox::Driver as _;

const SERVE: &str = "echo ready; exec sleep 1000000";

/// The directories of a process's groups that can be made here, by their controllers.
fn groups(pid: u32) -> BTreeSet<PathBuf> {
    let layout = Layout::of_this_host();
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("there");
    let names: Vec<&str> = own
        .lines()
        .filter_map(|line| line.rsplit('/').next())
        .filter(|name| name.starts_with("undercurrent-"))
        .collect();
    Controller::ALL
        .into_iter()
        .filter_map(|controller| layout.place(controller))
        .flat_map(|place| names.iter().map(|name| place.parent.join(name)))
        .filter(|group| members(group).contains(&pid))
        .collect()
}

fn members(group: &Path) -> Vec<u32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// The group of a process for a controller, and the controller's version.
fn group_of(pid: u32, controller: Controller) -> (Version, PathBuf) {
    let place = Layout::of_this_host();
    let place = place.place(controller).expect("checked before");
    let found = groups(pid);
    let group = found
        .iter()
        .find(|group| group.parent() == Some(&place.parent));
    (place.version, group.expect("in a group").clone())
}

fn number(group: &Path, file: &str) -> u64 {
    let text = fs::read_to_string(group.join(file)).expect("there");
    text.trim().parse().expect("a number")
}

fn memory_limit(pid: u32) -> u64 {
    let (version, group) = group_of(pid, Controller::Memory);
    match version {
        Version::V1 => number(&group, "memory.limit_in_bytes"),
        Version::V2 => number(&group, "memory.max"),
    }
}

/// The thousandths of a processor that a process may use, or `None` where it is not bounded.
fn cpu_limit(pid: u32) -> Option<u64> {
    let (version, group) = group_of(pid, Controller::Cpu);
    let (quota, period) = match version {
        Version::V1 => {
            let read = |file| fs::read_to_string(group.join(file)).expect("there");
            (read("cpu.cfs_quota_us"), read("cpu.cfs_period_us"))
        }
        Version::V2 => {
            let text = fs::read_to_string(group.join("cpu.max")).expect("there");
            let (quota, period) = text.split_once(' ').expect("two numbers");
            (quota.to_owned(), period.to_owned())
        }
    };
    let quota: u64 = quota.trim().parse().ok()?;
    let period: u64 = period.trim().parse().expect("a number");
    Some(quota * 1000 / period)
}

/// Runs a test where groups for all controllers can be made.
fn test_with_groups(case: impl AsyncFnOnce(MicrovmDriver, &'static Busybox)) {
    let layout = Layout::of_this_host();
    let mut all = Controller::ALL.into_iter();
    if let Some(lacking) = all.find(|controller| layout.place(*controller).is_none()) {
        println!("skipped: no groups for {lacking:?} can be made here");
        return;
    }
    test(case);
}

fn monitor(container_mib: u64) -> u32 {
    let found = monitors(container_mib + 96);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

fn assert_gone(groups: &BTreeSet<PathBuf>) {
    assert!(!groups.is_empty());
    let left: Vec<_> = groups.iter().filter(|group| group.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_monitor_is_bounded_from_its_start_and_its_groups_go_with_it() {
    test_with_groups(async |driver, busybox| {
        // Booted, and then restored.
        for _ in 0..2 {
            let world = World::new(&driver).await;
            let mut spec = Spec::shell(busybox, SERVE).memory(321);
            spec.limits.cpu = Some(MilliCpu(500));
            let outputs = world.create(spec).await.expect("created");
            let pid = monitor(321);
            let found = groups(pid);
            let guest = (321 + 96) << 20;
            assert!(memory_limit(pid) > guest && memory_limit(pid) < 2 * guest);
            let (_, pids) = group_of(pid, Controller::Pids);
            assert!((64..1000).contains(&number(&pids, "pids.max")));
            assert_eq!(cpu_limit(pid), None, "a start does not wait for its turn");
            world.begin("main").await;
            let cpu = cpu_limit(pid).expect("bounded");
            assert!((500..1000).contains(&cpu), "{cpu}");
            world.destroy().await;
            outputs.read().await;
            assert_gone(&found);
        }
    });
}

#[test]
fn whoever_links_its_network_is_bounded_as_well() {
    test_with_groups(async |driver, busybox| {
        if !uc_linux::network::link_program().is_some_and(|_| Path::new("/dev/net/tun").exists()) {
            println!("skipped: no program that links networks");
            return;
        }
        let setting = Setting {
            network: Network::User,
            ..Setting::default()
        };
        let world = World::with(&driver, setting).await;
        let outputs = world.start(Spec::shell(busybox, SERVE).memory(322)).await;
        let (_, memory) = group_of(monitor(322), Controller::Memory);
        let names: BTreeSet<String> = members(&memory)
            .iter()
            .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok())
            .collect();
        assert!(
            names
                .iter()
                .any(|name| name.starts_with("pas") || name.starts_with("slirp4netns")),
            "{names:?}"
        );
        world.destroy().await;
        outputs.read().await;
    });
}

#[test]
fn a_monitor_beyond_its_memory_is_killed_and_that_is_said() {
    test_with_groups(async |driver, busybox| {
        let world = World::new(&driver).await;
        // What a guest that has taken over its monitor would do, by a bound that is made too tight.
        let script = "read go; x=0123456789abcdef; while :; do x=$x$x; done";
        let mut spec = Spec::shell(busybox, script).memory(323);
        let (stdin, mut tell) = std::io::pipe().expect("a pipe");
        let (mut stdio, outputs) = support::world::stdio(None);
        stdio.stdin = Some(stdin.into());
        spec.stdin = None;
        world.create_with(spec, stdio).await.expect("created");
        world.begin("main").await;
        let (version, memory) = group_of(monitor(323), Controller::Memory);
        let (usage, limits) = match version {
            Version::V1 => (
                "memory.usage_in_bytes",
                vec!["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
            ),
            Version::V2 => ("memory.current", vec!["memory.max"]),
        };
        let tight = number(&memory, usage) + (8 << 20);
        for limit in limits {
            // There is none for swap where it is not counted.
            if memory.join(limit).exists() {
                fs::write(memory.join(limit), tight.to_string()).expect("set");
            }
        }
        use std::io::Write as _;
        tell.write_all(b"go\n").expect("told");
        let said = world.wait("main").await.expect_err("no end of the program");
        let said = said.to_string();
        assert!(said.contains("took more memory than it may"), "{said}");
        outputs.read().await;
        world.destroy().await;
    });
}

#[test]
fn a_machine_of_the_pool_is_bounded_before_it_has_a_sandbox_and_after() {
    test_with_groups(async |_, busybox| {
        let cache = tempfile::tempdir().expect("a directory");
        let settings = support::settings_in(cache.path()).expect("there a moment ago");
        let driver = MicrovmDriver::new(Settings {
            pool: 1,
            ..settings
        });
        let spec = || {
            let mut spec = Spec::shell(busybox, SERVE).memory(324);
            spec.limits.cpu = Some(MilliCpu(700));
            spec
        };
        // The first leaves a snapshot, the second has one made ready from it.
        for _ in 0..2 {
            let world = World::new(&driver).await;
            world.start(spec()).await;
            world.destroy().await;
        }
        while driver.ready_machines() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let pid = monitor(324);
        let found = groups(pid);
        assert!(memory_limit(pid) > 324 << 20);
        assert_eq!(cpu_limit(pid), None);
        let claimed = World::new(&driver).await;
        claimed.start(spec()).await;
        assert!(monitors(324 + 96).contains(&pid), "from the pool");
        assert_eq!(groups(pid), found);
        let cpu = cpu_limit(pid).expect("bounded");
        assert!((700..1400).contains(&cpu), "{cpu}");
        claimed.destroy().await;
        assert_gone(&found);
        drop(driver);
    });
}

/// Set for a process that is in a group with one processor.
const IN_ONE: &str = "UC_TEST_IN_ONE_PROCESSOR";

/// A group with one processor. It goes with this value.
struct One(PathBuf);

impl One {
    /// `None`, with the reason printed, where groups of version 1 cannot be made: version 2 takes any quota.
    fn make() -> Option<Self> {
        let layout = Layout::of_this_host();
        let place = layout.place(Controller::Cpu);
        let Some(place) = place.filter(|place| place.version == Version::V1) else {
            println!("skipped: no group of version 1 bounds processors here");
            return None;
        };
        let name = format!("undercurrent-one-{}", std::process::id());
        let one = Self(place.parent.join(name));
        fs::create_dir(&one.0).expect("made");
        fs::write(one.0.join("cpu.cfs_quota_us"), "100000").expect("bounded");
        Some(one)
    }
}

impl Drop for One {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// The warnings at a creation with this limit of processors, and the monitor's own limit from its start on.
async fn limited(driver: &MicrovmDriver, busybox: &Busybox, milli: u64) -> (String, Option<u64>) {
    let world = World::new(driver).await;
    let mut spec = Spec::shell(busybox, SERVE).memory(325);
    spec.limits.cpu = Some(MilliCpu(milli));
    let (stdio, outputs) = support::world::stdio(None);
    let created = world.create_with(spec, stdio).await.expect("created");
    let pid = monitor(325);
    assert_eq!(cpu_limit(pid), None, "a start does not wait for its turn");
    world.begin("main").await;
    let limit = cpu_limit(pid);
    world.destroy().await;
    outputs.read().await;
    (created.warnings.join("\n"), limit)
}

#[test]
fn a_machine_starts_where_a_group_around_it_has_no_more_than_its_containers_limit() {
    if std::env::var_os(IN_ONE).is_some() {
        test_with_groups(async |driver, busybox| {
            let (warnings, limit) = limited(&driver, busybox, 500).await;
            assert_eq!(limit, Some(750), "{warnings}");
            let (warnings, limit) = limited(&driver, busybox, 1000).await;
            assert_eq!(limit, Some(1000), "{warnings}");
            assert!(!warnings.contains("CPU time"), "{warnings}");
            let (warnings, limit) = limited(&driver, busybox, 1500).await;
            assert_eq!(limit, None, "{warnings}");
            assert!(warnings.contains("less than their 1500m"), "{warnings}");
        });
        return;
    }
    let Some(one) = One::make() else { return };
    let script = "echo $$ > \"$1/tasks\" && shift && exec \"$@\"";
    let ended = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(&one.0)
        .arg(std::env::current_exe().expect("known"))
        .args(["--exact", "--nocapture"])
        .arg("a_machine_starts_where_a_group_around_it_has_no_more_than_its_containers_limit")
        .env(IN_ONE, "1")
        .output()
        .expect("runs");
    let said = [ended.stdout, ended.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn groups_that_an_owner_left_are_reclaimed() {
    test_with_groups(async |driver, _| {
        let layout = Layout::of_this_host();
        let directory = tempfile::tempdir().expect("a directory");
        let name = format!("undercurrent-left-{}.microvm", std::process::id());
        let planned = uc_linux::cgroup::Cgroup::plan(&layout, &name, &Default::default(), true);
        let (left, _) = planned.expect("planned");
        left.make(directory.path()).expect("made");
        let place = layout.place(Controller::Memory).expect("checked before");
        assert!(place.parent.join(&name).exists());
        driver.reclaim(directory.path()).expect("reclaimed");
        assert!(!place.parent.join(&name).exists());
    });
}
