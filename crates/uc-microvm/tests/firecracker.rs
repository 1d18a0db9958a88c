//! Firecracker itself, driven by its API and by its configuration: the program that `UC_FIRECRACKER` names, the kernel that
//! `UC_FIRECRACKER_KERNEL` names (or the smallest thing that loads), the jailer that `UC_JAILER` names.
//!
//! None of it needs the guest to come far: hosts whose KVM runs only guests made for it take part.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says with them what it expected and found"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use uc_microvm::firecracker::{
    api::{
        Action, BackendType, InstanceState, MemoryBackend, SnapshotCreate, SnapshotLoad,
        SnapshotType, VmState,
    },
    configuration::{BootSource, Configuration, Drive, Entropy, MachineConfiguration, Vsock},
    jailer::Jailer,
    launch::{Confinement, GivenFile, Launch, VSOCK},
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
            ..Launch::new(&self.firecracker, id, self.path(id))
        }
    }
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
    let long = |launch: &mut Launch| {
        let vsock = launch.configuration.as_mut().and_then(|c| c.vsock.as_mut());
        vsock.expect("one").uds_path = format!("/run/{}", "v".repeat(110));
    };
    type Change<'a> = &'a dyn Fn(&mut Launch);
    let cases: [(Change<'_>, &str); 9] = [
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
