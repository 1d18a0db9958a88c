//! What goes wrong, and that the reason is told.

use std::{fs, path::Path};

use uc_microvm::firecracker::{
    api::{Action, BackendType, MemoryBackend, SnapshotLoad, VmState},
    configuration::Vsock,
    launch::{GivenFile, Launch},
    machine::Machine,
    process::Process,
};
use uc_model::ProblemKind;

use crate::bench::{Bench, boot_source, configuration, disk, refused, tiny_kernel};

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
            "not a kernel that can be booted",
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
    whole: &Path,
    change: impl Fn(&Path),
) -> uc_model::Problem {
    let mut launch = bench.launch(id);
    let copy = bench.path(&format!("{id}-snapshot"));
    fs::create_dir(&copy).expect("made");
    for name in ["state", "memory"] {
        let target = copy.join(name);
        fs::write(&target, fs::read(whole.join(name)).expect("readable")).expect("written");
        launch.files.push(GivenFile::read_only(name, target));
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
async fn a_damaged_snapshot_is_refused_with_the_reason() {
    let Some(bench) = Bench::new() else { return };
    let launch = Launch {
        configuration: Some(configuration()),
        ..bench.launch("whole")
    };
    let machine = Machine::boot(launch).await.expect("boots");
    machine.pause().await.expect("paused");
    let whole = bench.kept(&machine).await;
    let state = fs::metadata(whole.join("state")).expect("written").len();
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
            damaged(&bench, "half", &whole, cut("state", state / 2)).await,
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
}
