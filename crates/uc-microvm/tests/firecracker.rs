//! Firecracker itself, driven by its API and by its configuration: the program that `UC_FIRECRACKER` names, the kernel that
//! `UC_FIRECRACKER_KERNEL` names (or the smallest thing that loads), the jailer that `UC_JAILER` names.
//!
//! `UC_FIRECRACKER_KVM` names another device than `/dev/kvm`, for users who cannot open that.
//!
//! None of it needs the guest to come far: hosts whose KVM runs only guests made for it take part.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says with them what it expected and found"
)]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use uc_microvm::firecracker::{
    api::{
        Action, BackendType, InstanceState, MemoryBackend, SnapshotCreate, SnapshotLoad,
        SnapshotType, VmState,
    },
    configuration::{
        BootSource, Configuration, Drive, Entropy, MachineConfiguration, NetworkInterface, Vsock,
    },
    jailer::Jailer,
    launch::{Confinement, GivenFile, Launch, VSOCK, VmmUser},
    machine::Machine,
    process::Process,
    snapshot::Snapshot,
};
use uc_model::ProblemKind;

/// What a test has: the program, a directory, a kernel and a disk.
struct Bench {
    firecracker: PathBuf,
    scratch: tempfile::TempDir,
}

impl Bench {
    fn new() -> Option<Self> {
        let Some(firecracker) = std::env::var_os("UC_FIRECRACKER") else {
            println!("skipped: UC_FIRECRACKER names no Firecracker");
            return None;
        };
        let scratch = tempfile::tempdir().expect("a directory");
        let bench = Self {
            firecracker: firecracker.into(),
            scratch,
        };
        match std::env::var_os("UC_FIRECRACKER_KERNEL") {
            Some(kernel) => drop(fs::copy(kernel, bench.path("vmlinux")).expect("copied")),
            None => fs::write(bench.path("vmlinux"), tiny_kernel()).expect("written"),
        }
        fs::write(bench.path("disk"), vec![0; 1 << 20]).expect("written");
        Some(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// A start of a microVM that is given the kernel and the disk.
    fn launch(&self, id: &str) -> Launch {
        Launch {
            files: vec![
                GivenFile::read_only("kernel", self.path("vmlinux")),
                GivenFile::read_only("disk", self.path("disk")),
            ],
            kvm: std::env::var_os("UC_FIRECRACKER_KVM").map_or("/dev/kvm".into(), PathBuf::from),
            ..Launch::new(&self.firecracker, id, self.path(id))
        }
    }
}

/// The value of a line of a process's status.
fn status(pid: u32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.strip_prefix(':'));
    value.expect("a line of this name").trim().to_owned()
}

/// An ELF file that a 64-bit loader accepts: one segment at 16 MiB that halts.
fn tiny_kernel() -> Vec<u8> {
    const ENTRY: u64 = 16 << 20;
    let code = [0xfau8, 0xf4, 0xeb, 0xfd];
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2u16, 62].map(u16::to_le_bytes).concat());
    file.extend(1u32.to_le_bytes());
    file.extend([ENTRY, 64, 0].map(u64::to_le_bytes).concat());
    file.extend(0u32.to_le_bytes());
    file.extend([64u16, 56, 1, 0, 0, 0].map(u16::to_le_bytes).concat());
    file.extend([1u32, 5].map(u32::to_le_bytes).concat());
    let length = code.len() as u64;
    file.extend(
        [120, ENTRY, ENTRY, length, length, 0x1000]
            .map(u64::to_le_bytes)
            .concat(),
    );
    file.extend(code);
    file
}

fn boot_source() -> BootSource {
    BootSource {
        kernel_image_path: "/files/kernel".to_owned(),
        initrd_path: None,
        boot_args: Some("console=ttyS0 reboot=k panic=1".to_owned()),
    }
}

fn disk() -> Drive {
    Drive {
        drive_id: "root".to_owned(),
        is_root_device: true,
        partuuid: None,
        cache_type: None,
        is_read_only: Some(true),
        path_on_host: Some("/files/disk".to_owned()),
        rate_limiter: None,
        io_engine: None,
    }
}

fn machine() -> MachineConfiguration {
    MachineConfiguration {
        vcpu_count: 1,
        mem_size_mib: 64,
        smt: false,
        track_dirty_pages: false,
        huge_pages: None,
    }
}

fn vsock() -> Vsock {
    Vsock {
        guest_cid: 3,
        uds_path: VSOCK.to_owned(),
    }
}

fn configuration() -> Configuration {
    Configuration {
        boot_source: boot_source(),
        drives: vec![disk()],
        machine_config: machine(),
        network_interfaces: Vec::new(),
        vsock: Some(vsock()),
        entropy: Some(Entropy::default()),
        logger: None,
    }
}

/// Runs a step and prints how long it took.
async fn timed<T>(what: &str, step: impl Future<Output = uc_model::Result<T>>) -> T {
    let before = Instant::now();
    let value = step
        .await
        .unwrap_or_else(|problem| panic!("{what}: {problem:?}"));
    println!("{what}: {:.1} ms", before.elapsed().as_secs_f64() * 1000.0);
    value
}

#[tokio::test]
async fn the_api_from_start_to_snapshot_and_back() {
    let Some(bench) = Bench::new() else { return };
    let process = timed("start", Process::start(bench.launch("first"))).await;
    let api = process.api();
    let version = timed("version", api.version()).await;
    let instance = api.instance().await.expect("answered");
    assert_eq!(instance.id, "first");
    assert_eq!(instance.state, InstanceState::NotStarted);
    assert_eq!(instance.vmm_version, version);
    timed("machine-config", api.set_machine(&machine())).await;
    assert_eq!(api.machine().await.expect("answered").mem_size_mib, 64);
    timed("boot-source", api.set_boot_source(&boot_source())).await;
    timed("drive", api.set_drive(&disk())).await;
    timed("vsock", api.set_vsock(&vsock())).await;
    timed("entropy", api.set_entropy(&Entropy::default())).await;
    timed("InstanceStart", api.act(Action::InstanceStart)).await;
    timed("pause", api.set_state(VmState::Paused)).await;
    let state = api.instance().await.expect("answered").state;
    assert_eq!(state, InstanceState::Paused);
    let create = SnapshotCreate {
        snapshot_type: SnapshotType::Full,
        snapshot_path: "/run/state".to_owned(),
        mem_file_path: "/run/memory".to_owned(),
    };
    timed("snapshot/create", api.create_snapshot(&create)).await;
    timed("resume", api.set_state(VmState::Resumed)).await;
    let memory = fs::metadata(process.run_path().join("memory")).expect("written");
    assert_eq!(memory.len(), 64 << 20);

    let mut launch = bench.launch("second");
    for name in ["state", "memory"] {
        fs::copy(process.run_path().join(name), bench.path(name)).expect("copied");
        launch
            .files
            .push(GivenFile::read_only(name, bench.path(name)));
    }
    let second = timed("start again", Process::start(launch)).await;
    let load = SnapshotLoad {
        snapshot_path: "/files/state".to_owned(),
        mem_backend: MemoryBackend {
            backend_type: BackendType::File,
            backend_path: "/files/memory".to_owned(),
        },
        resume_vm: true,
        network_overrides: Vec::new(),
        vsock_override: None,
    };
    timed("snapshot/load", second.api().load_snapshot(&load)).await;
    let state = second.api().instance().await.expect("answered").state;
    assert_eq!(state, InstanceState::Running);
    let directory = bench.path("second");
    timed("remove", second.remove()).await;
    assert!(!directory.exists());
}

#[tokio::test]
async fn a_machine_boots_rests_and_comes_back() {
    let Some(bench) = Bench::new() else { return };
    let launch = Launch {
        configuration: Some(configuration()),
        ..bench.launch("boots")
    };
    let machine = timed("boot", Machine::boot(launch)).await;
    timed("pause", machine.pause()).await;
    let kept = bench.path("kept");
    let snapshot = timed("snapshot", machine.snapshot(&kept)).await;
    assert_eq!(Snapshot::open(&kept).expect("whole"), snapshot);
    timed("destroy", machine.destroy()).await;
    for number in 0..3 {
        let launch = bench.launch(&format!("restored-{number}"));
        let machine = timed("restore", Machine::restore(launch, &snapshot, Vec::new())).await;
        let problem = machine.connect(52, Duration::from_millis(300)).await;
        let problem = problem.expect_err("no guest listens");
        assert_eq!(problem.kind(), ProblemKind::Unavailable, "{problem}");
        drop(machine.listen(1024).expect("listens"));
        timed("destroy", machine.destroy()).await;
    }
    let left: Vec<_> = fs::read_dir(bench.scratch.path())
        .expect("readable")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

/// What goes wrong when this is booted, call by call or by a file.
async fn refused(launch: Launch, by_file: bool) -> uc_model::Problem {
    let directory = launch.directory.clone();
    let problem = if by_file {
        Process::start(launch).await.map(drop)
    } else {
        Machine::boot(launch).await.map(drop)
    };
    let problem = problem.expect_err("nothing to boot");
    println!(
        "{problem}\n  remedy: {}",
        problem.remedy_text().unwrap_or("-")
    );
    assert!(!directory.exists(), "{problem}");
    problem
}

#[tokio::test]
async fn what_cannot_boot_is_refused_with_the_reason() {
    let Some(bench) = Bench::new() else { return };
    let absent = bench.path("absent");
    let text = bench.path("text");
    fs::write(&text, "no kernel\n".repeat(1000)).expect("written");
    let cut = bench.path("cut");
    let mut kernel = tiny_kernel();
    kernel.truncate(kernel.len() - 3);
    fs::write(&cut, &kernel).expect("written");
    let foreign = bench.path("foreign");
    kernel[18] = 243;
    fs::write(&foreign, &kernel).expect("written");
    let long = |launch: &mut Launch| {
        let vsock = launch.configuration.as_mut().and_then(|c| c.vsock.as_mut());
        vsock.expect("one").uds_path = format!("/run/{}", "v".repeat(110));
    };
    type Change<'a> = &'a dyn Fn(&mut Launch);
    let cases: [(Change<'_>, &str); 11] = [
        (
            &|launch| launch.files[0].source.clone_from(&absent),
            "a file of a microVM is missing",
        ),
        (
            &|launch| drop(launch.files.remove(0)),
            "the kernel cannot be opened",
        ),
        (
            &|launch| launch.files[0].source.clone_from(&text),
            "this is no kernel that Firecracker boots",
        ),
        (
            &|launch| launch.files[0].source.clone_from(&cut),
            "PUT /actions: this is no kernel that Firecracker boots",
        ),
        (
            &|launch| launch.files[0].source.clone_from(&foreign),
            "the kernel is for another processor",
        ),
        (
            &|launch| drop(launch.files.remove(1)),
            "the file of a drive cannot be opened",
        ),
        (
            &|launch| launch.kvm = "/dev/null".into(),
            "KVM cannot be used",
        ),
        (
            &|launch| launch.kvm.clone_from(&absent),
            "this host has no KVM",
        ),
        (
            &|launch| launch.program.clone_from(&absent),
            "this is no program that can be executed",
        ),
        (
            &|launch| launch.program = "/bin/true".into(),
            "Firecracker ended",
        ),
        (&long, "expected: 96 bytes; found: 115 bytes"),
    ];
    for (number, (change, words)) in cases.iter().enumerate() {
        for by_file in [false, true] {
            let mut launch = bench.launch(&format!("refused-{number}"));
            launch.configuration = Some(configuration());
            change(&mut launch);
            let problem = refused(launch, by_file).await;
            // Only a call has a place.
            let words = if by_file {
                words.trim_start_matches("PUT /actions: ")
            } else {
                words
            };
            assert!(
                problem.to_string().contains(words),
                "{problem} lacks {words}"
            );
        }
    }
}

#[tokio::test]
async fn the_api_refuses_with_the_reason() {
    let Some(bench) = Bench::new() else { return };
    let process = Process::start(bench.launch("refuses"))
        .await
        .expect("starts");
    let api = process.api();
    let mut source = boot_source();
    source.kernel_image_path = "/files/none".to_owned();
    let problem = api.set_boot_source(&source).await.expect_err("missing");
    println!("{problem}");
    assert_eq!(problem.place(), Some("PUT /boot-source"));
    assert_eq!(problem.kind(), ProblemKind::NotFound);
    let problem = api.act(Action::InstanceStart).await.expect_err("no kernel");
    println!("{problem}");
    let problem = api
        .set_state(VmState::Paused)
        .await
        .expect_err("not started");
    println!("{problem}");
    let mut drive = disk();
    drive.path_on_host = Some("/files/none".to_owned());
    let problem = api.set_drive(&drive).await.expect_err("missing");
    println!("{problem}");
    assert_eq!(problem.kind(), ProblemKind::NotFound);
    let long = Vsock {
        guest_cid: 3,
        uds_path: "v".repeat(108),
    };
    let problem = api.set_vsock(&long).await.expect_err("too long");
    assert!(problem.to_string().contains("found: 108 bytes"));
}

/// A snapshot whose files were changed by `change` after they had been recorded anew.
async fn damaged(
    bench: &Bench,
    id: &str,
    whole: &Snapshot,
    change: impl Fn(&Path),
) -> uc_model::Problem {
    let mut launch = bench.launch(id);
    let copy = bench.path(&format!("{id}-snapshot"));
    fs::create_dir(&copy).expect("made");
    for file in whole.files() {
        let target = copy.join(&file.name);
        fs::write(&target, fs::read(&file.source).expect("readable")).expect("written");
        launch.files.push(GivenFile::read_only(file.name, target));
    }
    change(&copy);
    let process = Process::start(launch).await.expect("starts");
    let load = SnapshotLoad {
        snapshot_path: "/files/state".to_owned(),
        mem_backend: MemoryBackend {
            backend_type: BackendType::File,
            backend_path: "/files/memory".to_owned(),
        },
        resume_vm: false,
        network_overrides: Vec::new(),
        vsock_override: None,
    };
    let problem = process
        .api()
        .load_snapshot(&load)
        .await
        .expect_err("damaged");
    println!(
        "{id}: {problem}\n  remedy: {}",
        problem.remedy_text().unwrap_or("-")
    );
    problem
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
    let jailers = std::env::var_os("UC_JAILER").filter(|_| rustix::process::geteuid().is_root());
    let confinements = std::iter::once(Confinement::Namespaces)
        .chain(jailers.map(|jailer| Confinement::Jailer(Jailer::new(jailer))));
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
        .args(["--exact", "an_owner_that_is_killed_takes_it_along"])
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
async fn a_guest_that_is_killed_is_told_apart_from_silence() {
    let Some(bench) = Bench::new() else { return };
    let launch = Launch {
        configuration: Some(configuration()),
        ..bench.launch("killed")
    };
    let machine = Machine::boot(launch).await.expect("boots");
    machine.process().kill().await.expect("killed");
    let problem = machine.pause().await.expect_err("it is gone");
    println!("{problem}");
    assert_eq!(problem.what(), "Firecracker ended");
    assert!(problem.to_string().contains("exit code 137"), "{problem}");
}

#[tokio::test]
async fn fifty_are_restored_at_once() {
    let Some(bench) = Bench::new() else { return };
    let launch = Launch {
        configuration: Some(configuration()),
        ..bench.launch("first")
    };
    let machine = Machine::boot(launch).await.expect("boots");
    machine.pause().await.expect("paused");
    let snapshot = machine.snapshot(&bench.path("kept")).await.expect("kept");
    machine.destroy().await.expect("destroyed");
    let before = Instant::now();
    let mut restoring = tokio::task::JoinSet::new();
    for number in 0..50 {
        let launch = bench.launch(&format!("clone-{number}"));
        let snapshot = snapshot.clone();
        restoring.spawn(async move { Machine::restore(launch, &snapshot, Vec::new()).await });
    }
    let machines = restoring.join_all().await;
    println!(
        "50 restores: {:.0} ms",
        before.elapsed().as_secs_f64() * 1000.0
    );
    for machine in machines {
        let machine = machine.expect("restored");
        let instance = machine.process().api().instance().await.expect("answered");
        assert_eq!(instance.state, InstanceState::Running);
        machine.destroy().await.expect("destroyed");
    }
}

#[tokio::test]
#[ignore = "measures, for whoever asks for it"]
async fn medians_of_twenty() {
    let Some(bench) = Bench::new() else { return };
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut note = |what, before: Instant| {
        let times = times.entry(what).or_default();
        times.push(before.elapsed().as_secs_f64() * 1000.0);
    };
    for number in 0..20 {
        let before = Instant::now();
        let process = Process::start(bench.launch("started"))
            .await
            .expect("starts");
        process.api().version().await.expect("answered");
        note("1 start to an answer", before);
        process.remove().await.expect("removed");
        let launch = Launch {
            configuration: Some(configuration()),
            ..bench.launch("booted")
        };
        let before = Instant::now();
        let machine = Machine::boot(launch).await.expect("boots");
        note("2 boot", before);
        let before = Instant::now();
        machine.pause().await.expect("paused");
        note("3 pause", before);
        let before = Instant::now();
        let kept = bench.path(&format!("kept-{number}"));
        let snapshot = machine.snapshot(&kept).await.expect("kept");
        note("4 snapshot of 64 MiB", before);
        machine.destroy().await.expect("destroyed");
        let before = Instant::now();
        let snapshot = Snapshot::open(snapshot.directory()).expect("whole");
        let machine = Machine::restore(bench.launch("restored"), &snapshot, Vec::new()).await;
        note("5 restore", before);
        let before = Instant::now();
        machine
            .expect("restored")
            .destroy()
            .await
            .expect("destroyed");
        note("6 destroy", before);
        fs::remove_dir_all(kept).expect("removed");
    }
    for (what, mut times) in times {
        times.sort_by(f64::total_cmp);
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{what}: median {median:.1} ms, most {most:.1} ms");
    }
}

#[tokio::test]
async fn a_configuration_boots_by_file() {
    let Some(bench) = Bench::new() else { return };
    let launch = Launch {
        configuration: Some(configuration()),
        ..bench.launch("by-file")
    };
    let process = timed("start by file", Process::start(launch)).await;
    let state = process.api().instance().await.expect("answered").state;
    assert_eq!(state, InstanceState::Running);
    process.remove().await.expect("removed");
}

#[tokio::test]
async fn a_damaged_snapshot_is_refused_by_us_and_by_firecracker() {
    let Some(bench) = Bench::new() else { return };
    let launch = Launch {
        configuration: Some(configuration()),
        ..bench.launch("whole")
    };
    let machine = Machine::boot(launch).await.expect("boots");
    machine.pause().await.expect("paused");
    let whole = machine.snapshot(&bench.path("kept")).await.expect("kept");
    let cut = |name: &'static str, length: u64| {
        move |directory: &Path| {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(directory.join(name));
            file.expect("opens").set_len(length).expect("cut");
        }
    };
    let flip = |at: usize| {
        move |directory: &Path| {
            let path = directory.join("state");
            let mut bytes = fs::read(&path).expect("readable");
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 0x55;
            fs::write(path, bytes).expect("written");
        }
    };
    for (id, problem) in [
        (
            "empty",
            damaged(&bench, "empty", &whole, cut("state", 0)).await,
        ),
        (
            "short",
            damaged(&bench, "short", &whole, cut("state", 100)).await,
        ),
        (
            "half",
            damaged(
                &bench,
                "half",
                &whole,
                cut("state", whole.record().state_bytes / 2),
            )
            .await,
        ),
        (
            "sum",
            damaged(&bench, "sum", &whole, flip(usize::MAX)).await,
        ),
        ("magic", damaged(&bench, "magic", &whole, flip(0)).await),
        (
            "memory",
            damaged(&bench, "memory", &whole, cut("memory", 1 << 20)).await,
        ),
    ] {
        assert_ne!(problem.what(), "Firecracker refused", "{id}");
    }
    let memory = bench.path("kept").join("memory");
    fs::set_permissions(memory, fs::Permissions::from_mode(0o600)).expect("ours");
    cut("memory", 4096)(&bench.path("kept"));
    let problem = Snapshot::open(&bench.path("kept")).expect_err("cut off");
    println!("{problem}");
}

#[tokio::test]
async fn a_jailer_gives_the_same() {
    let Some(bench) = Bench::new() else { return };
    let (Some(jailer), true) = (
        std::env::var_os("UC_JAILER"),
        rustix::process::geteuid().is_root(),
    ) else {
        println!("skipped: UC_JAILER names no jailer, or this is not root");
        return;
    };
    let jailed = |launch: Launch| Launch {
        confinement: Confinement::Jailer(Jailer::new(&jailer)),
        ..launch
    };
    let launch = Launch {
        configuration: Some(configuration()),
        ..jailed(bench.launch("jailed"))
    };
    let machine = timed("boot by the jailer", Machine::boot(launch)).await;
    machine.pause().await.expect("paused");
    let snapshot = timed("snapshot", machine.snapshot(&bench.path("kept"))).await;
    timed("destroy", machine.destroy()).await;
    let launch = jailed(bench.launch("jailed-again"));
    let machine = timed("restore", Machine::restore(launch, &snapshot, Vec::new())).await;
    timed("destroy", machine.destroy()).await;
}
