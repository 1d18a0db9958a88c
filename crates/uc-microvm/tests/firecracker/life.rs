//! From the start to the snapshot and back, and how long it takes.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use uc_microvm::firecracker::{
    api::{
        Action, BackendType, InstanceState, MemoryBackend, SnapshotCreate, SnapshotLoad,
        SnapshotType, VmState,
    },
    configuration::Entropy,
    launch::{Confinement, GivenFile, Launch},
    machine::Machine,
    process::Process,
};
use uc_model::ProblemKind;

use crate::bench::{Bench, boot_source, configuration, disk, machine, timed, vsock};

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
    fs::create_dir(&kept).expect("made");
    timed("snapshot", machine.snapshot(&kept)).await;
    timed("destroy", machine.destroy()).await;
    for number in 0..3 {
        let launch = bench.launch(&format!("restored-{number}"));
        let machine = timed("restore", Machine::restore(launch, &kept, Vec::new())).await;
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

#[tokio::test]
async fn fifty_are_restored_at_once() {
    let Some(bench) = Bench::new() else { return };
    let launch = Launch {
        configuration: Some(configuration()),
        ..bench.launch("first")
    };
    let machine = Machine::boot(launch).await.expect("boots");
    machine.pause().await.expect("paused");
    let kept = bench.kept(&machine).await;
    machine.destroy().await.expect("destroyed");
    let before = Instant::now();
    let mut restoring = tokio::task::JoinSet::new();
    for number in 0..50 {
        let launch = bench.launch(&format!("clone-{number}"));
        let kept = kept.clone();
        restoring.spawn(async move { Machine::restore(launch, &kept, Vec::new()).await });
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
        fs::create_dir(&kept).expect("made");
        machine.snapshot(&kept).await.expect("kept");
        note("4 snapshot of 64 MiB", before);
        machine.destroy().await.expect("destroyed");
        let before = Instant::now();
        let machine = Machine::restore(bench.launch("restored"), &kept, Vec::new()).await;
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
    let mut configuration = configuration();
    // Those of the source document's example (M1.3).
    configuration.machine_config.vcpu_count = 2;
    configuration.machine_config.mem_size_mib = 512;
    let launch = Launch {
        configuration: Some(configuration),
        ..bench.launch("by-file")
    };
    let process = timed("start by file", Process::start(launch)).await;
    let state = process.api().instance().await.expect("answered").state;
    assert_eq!(state, InstanceState::Running);
    let machine = process.api().machine().await.expect("answered");
    assert_eq!((machine.vcpu_count, machine.mem_size_mib), (2, 512));
    process.remove().await.expect("removed");
}

#[tokio::test]
async fn a_jailer_gives_the_same() {
    let Some(bench) = Bench::new() else { return };
    let Some(jailer) = bench.jailer() else { return };
    let jailed = |launch: Launch| Launch {
        confinement: Confinement::Jailer(jailer.clone()),
        ..launch
    };
    let launch = Launch {
        configuration: Some(configuration()),
        ..jailed(bench.launch("jailed"))
    };
    let machine = timed("boot by the jailer", Machine::boot(launch)).await;
    machine.pause().await.expect("paused");
    let kept = bench.kept(&machine).await;
    timed("destroy", machine.destroy()).await;
    let launch = jailed(bench.launch("jailed-again"));
    let machine = timed("restore", Machine::restore(launch, &kept, Vec::new())).await;
    timed("destroy", machine.destroy()).await;
}
