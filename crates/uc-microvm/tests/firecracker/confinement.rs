//! What Firecracker can reach, and what is left when its owner dies or gives it up.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use uc_linux::cgroup::{Cgroup, Layout};
use uc_microvm::firecracker::{
    configuration::NetworkInterface,
    launch::{Confinement, Launch, TAP, VmmUser},
    machine::Machine,
    process::Process,
};
use uc_model::Bytes;
use uc_sandbox::Limits;

use crate::bench::{Bench, configuration, refused};

/// The value of a line of a process's status.
fn status(pid: u32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.strip_prefix(':'));
    value.expect("a line of this name").trim().to_owned()
}

#[tokio::test]
async fn it_is_shut_in_without_rights() {
    let Some(bench) = Bench::new() else { return };
    let process = Process::start(bench.launch("shut-in"))
        .await
        .expect("starts");
    let pid = process.pid();
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(pid, set), "0000000000000000", "{set}");
    }
    assert_eq!(status(pid, "NoNewPrivs"), "1");
    let uid = process.user().uid;
    assert_ne!(uid, 0);
    let ids = status(pid, "Uid");
    assert!(
        ids.split_whitespace().all(|id| id == uid.to_string()),
        "{ids}"
    );
    for namespace in ["mnt", "pid", "net", "ipc", "uts"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{namespace}")).ok();
        assert_ne!(of(&pid.to_string()), of("self"), "{namespace}");
    }
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("it runs");
    let writable: Vec<&str> = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|fields| fields[5].split(',').any(|option| option == "rw"))
        .map(|fields| fields[4])
        .collect();
    let mut expected = vec!["/run"];
    if uid == rustix::process::getuid().as_raw() {
        expected.push("/dev/kvm");
    }
    assert_eq!(writable, expected, "{mounts}");
    assert_eq!(
        fs::read_dir(process.run_path()).expect("readable").count(),
        1
    );
}

#[tokio::test]
async fn it_is_in_the_control_groups_that_it_is_given() {
    let Some(bench) = Bench::new() else { return };
    let limits = Limits {
        memory: Some(Bytes::mib(512)),
        ..Limits::default()
    };
    let name = format!("uc-test-microvm-{}", std::process::id());
    let layout = Layout::of_this_host();
    let Ok((groups, _)) = Cgroup::plan(&layout, &name, &limits, false) else {
        println!("skipped: no control group can bound memory here");
        return;
    };
    let Ok(entrances) = groups.make(bench.scratch.path()) else {
        println!("skipped: no control group can be made here");
        return;
    };
    let launch = Launch {
        groups: entrances,
        ..bench.launch("grouped")
    };
    let process = Process::start(launch).await.expect("starts");
    let path = format!("/proc/{}/cgroup", process.pid());
    let text = fs::read_to_string(path).expect("it runs");
    process.remove().await.expect("removed");
    groups.remove();
    assert!(text.contains(&name), "{text}");
}

/// A tap device, gone at the end.
struct Tap(String);

impl Tap {
    fn new(uid: u32) -> Option<Self> {
        let tap = Self(format!("uct{}", std::process::id()));
        tap.ip(&[
            "tuntap",
            "add",
            "mode",
            "tap",
            "user",
            &uid.to_string(),
            "dev",
        ])
        .then_some(tap)
    }

    fn ip(&self, arguments: &[&str]) -> bool {
        let mut command = std::process::Command::new("ip");
        let status = command.args(arguments).arg(&self.0).status();
        status.is_ok_and(|status| status.success())
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.ip(&["link", "delete"]);
    }
}

#[tokio::test]
async fn a_tap_device_of_the_host_is_reached_where_that_is_allowed() {
    let Some(bench) = Bench::new() else { return };
    let uid = VmmUser::of_caller().expect("ids").uid;
    let Some(tap) = Tap::new(uid) else {
        println!("skipped: no tap device can be made here");
        return;
    };
    let mut configuration = configuration();
    configuration.network_interfaces.push(NetworkInterface {
        iface_id: "eth0".to_owned(),
        host_dev_name: tap.0.clone(),
        guest_mac: None,
        mtu: None,
        rx_rate_limiter: None,
        tx_rate_limiter: None,
    });
    let launch = |id: &str, host_network| Launch {
        configuration: Some(configuration.clone()),
        host_network,
        ..bench.launch(id)
    };
    let problem = refused(launch("alone", false), false).await;
    assert_eq!(problem.what(), "the tap device cannot be opened");
    let machine = Machine::boot(launch("linked", true)).await.expect("boots");
    machine.destroy().await.expect("destroyed");
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing() {
    let Some(bench) = Bench::new() else { return };
    for micros in (0..40).map(|step| step * 500) {
        let launch = Launch {
            configuration: Some(configuration()),
            ..bench.launch("given-up")
        };
        let booting = tokio::time::timeout(Duration::from_micros(micros), Machine::boot(launch));
        if let Ok(machine) = booting.await {
            machine.expect("boots").destroy().await.expect("destroyed");
        }
        assert!(!bench.path("given-up").exists(), "{micros}");
        assert!(!runs("given-up"), "{micros}");
    }
}

#[tokio::test]
async fn a_directory_deep_down_makes_no_path_too_long() {
    let Some(bench) = Bench::new() else { return };
    let deep = bench.path(&"d".repeat(120)).join("e".repeat(120));
    fs::create_dir_all(&deep).expect("made");
    let launch = Launch {
        configuration: Some(configuration()),
        directory: deep.join("vm"),
        ..bench.launch("deep")
    };
    let machine = Machine::boot(launch).await.expect("boots");
    drop(machine.listen(4_294_967_295).expect("listens"));
    machine.destroy().await.expect("destroyed");
}

/// Where the owner that is to be killed has its directory.
const OWNED: &str = "UC_TEST_OWNED_DIRECTORY";

#[tokio::test]
async fn an_owner_that_is_killed_takes_it_along() {
    let Some(bench) = Bench::new() else { return };
    let confinements =
        std::iter::once(Confinement::Namespaces).chain(bench.jailer().map(Confinement::Jailer));
    if let Some(directory) = std::env::var_os(OWNED) {
        let (mut running, mut ids) = (Vec::new(), Vec::new());
        for (number, confinement) in confinements.enumerate() {
            let id = format!("owned-{}-{number}", std::process::id());
            let launch = Launch {
                configuration: Some(configuration()),
                confinement,
                ..bench.launch(&id)
            };
            running.push(Machine::boot(launch).await.expect("boots"));
            ids.push(id);
        }
        let directory = PathBuf::from(directory);
        fs::write(directory.join("ids.new"), ids.join(" ")).expect("written");
        fs::rename(directory.join("ids.new"), directory.join("ids")).expect("renamed");
        std::future::pending::<()>().await;
    }
    let mut owner = std::process::Command::new(std::env::current_exe().expect("known"))
        .args([
            "--exact",
            "confinement::an_owner_that_is_killed_takes_it_along",
        ])
        .env(OWNED, bench.scratch.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    let told = bench.path("ids");
    until("the owner has started", || told.exists()).await;
    let ids = fs::read_to_string(told).expect("readable");
    assert!(ids.split(' ').all(runs), "{ids}");
    owner.kill().expect("killed");
    owner.wait().expect("reaped");
    for id in ids.split(' ') {
        until("it has ended as well", || !runs(id)).await;
    }
}

/// Whether a process has this among its arguments.
fn runs(argument: &str) -> bool {
    let entries = fs::read_dir("/proc").expect("readable");
    entries
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .any(|line| {
            line.split(|byte| *byte == 0)
                .any(|one| String::from_utf8_lossy(one).ends_with(argument))
        })
}

/// Waits for something, ten seconds at most.
async fn until(what: &str, mut true_now: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if true_now() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}

#[tokio::test]
async fn a_network_of_its_own_has_a_tap_device_for_it_alone() {
    let Some(bench) = Bench::new() else { return };
    if !uc_linux::tap_link::has_program() || !Path::new("/dev/net/tun").exists() {
        println!("skipped: passt is missing (apt install passt), or tap devices are");
        return;
    }
    let mut configuration = configuration();
    configuration.network_interfaces.push(NetworkInterface {
        iface_id: "eth0".to_owned(),
        host_dev_name: TAP.to_owned(),
        guest_mac: Some("02:00:0a:00:02:0f".to_owned()),
        mtu: None,
        rx_rate_limiter: None,
        tx_rate_limiter: None,
    });
    let confinements =
        std::iter::once(Confinement::Namespaces).chain(bench.jailer().map(Confinement::Jailer));
    for (number, confinement) in confinements.enumerate() {
        let launch = |name: &str| Launch {
            confinement: confinement.clone(),
            ports: Some(Vec::new()),
            ..bench.launch(&format!("{name}-{number}"))
        };
        let kept = bench.path(&format!("kept-{number}"));
        fs::create_dir(&kept).expect("made");
        let machine = Machine::boot(Launch {
            configuration: Some(configuration.clone()),
            ..launch("boots")
        });
        let machine = machine.await.expect("boots");
        let taps = fs::read_to_string(format!("/proc/{}/net/dev", machine.process().pid()));
        assert!(taps.expect("there").contains(TAP));
        let here = fs::read_to_string("/proc/self/net/dev").expect("there");
        assert!(!here.contains("tap0:"), "{here}");
        machine.pause().await.expect("paused");
        machine.snapshot(&kept).await.expect("kept");
        machine.destroy().await.expect("destroyed");
        let restored = Machine::restore(launch("again"), &kept, Vec::new()).await;
        restored
            .expect("restored")
            .destroy()
            .await
            .expect("destroyed");
    }
}
