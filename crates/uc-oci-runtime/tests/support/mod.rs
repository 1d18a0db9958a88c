//! Drivers for the runtimes found on this host.
#![allow(
    dead_code,
    clippy::expect_used,
    reason = "not every test uses everything, and each says what it expects"
)]

use std::{
    env,
    io::Read as _,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use uc_model::{Problem, workload::Network};
use uc_oci_runtime::{Flavour, OciRuntimeDriver};
use uc_sandbox::{
    CreateRequest, DestroyRequest, Driver as _, Exit, Limits, Payload, PrepareRequest, Process,
    StartRequest, Stdio, User, WaitRequest,
};
use uc_testkit::busybox::Busybox;

/// The driver of a runtime, or why there is none.
pub(crate) fn driver(flavour: Flavour, busybox: &Busybox) -> Result<OciRuntimeDriver, String> {
    let program = find(flavour.program())
        .ok_or_else(|| format!("{flavour} is not installed (apt install {flavour})"))?;
    Ok(OciRuntimeDriver::new(
        flavour,
        PathBuf::from(env!("CARGO_BIN_EXE_uc-supervisor")),
        busybox.directory.path().join("mount-points"),
    )
    .with_program(program))
}

/// Runs a program of a layer to its end, under a name that no other case has: how it ended, and what it said.
pub(crate) fn run(
    driver: &OciRuntimeDriver,
    busybox: &Busybox,
    case: &str,
    argv: Vec<String>,
    seccomp_profile: Option<&str>,
) -> (Exit, String) {
    let (exit, output) = try_to_run(driver, busybox, case, argv, seccomp_profile);
    (exit.expect("ended"), output)
}

/// The same for what may not come to a program.
pub(crate) fn try_to_run(
    driver: &OciRuntimeDriver,
    busybox: &Busybox,
    case: &str,
    argv: Vec<String>,
    seccomp_profile: Option<&str>,
) -> (Result<Exit, Problem>, String) {
    let name = || "main".to_owned();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let writer = OwnedFd::from(writer);
    let request = CreateRequest {
        container: name(),
        payload: Payload::Rootfs {
            layers: vec![busybox.layer.clone()],
        },
        process: Process {
            argv,
            env: vec![("PATH".to_owned(), "/bin".to_owned())],
            cwd: "/".into(),
            user: User::default(),
        },
        stdio: Stdio {
            stdin: None,
            stdout: writer.try_clone().expect("a copy"),
            stderr: writer,
            owned: true,
        },
        mounts: Vec::new(),
        read_only_root: false,
        limits: Limits::default(),
        seccomp_profile: seccomp_profile.map(|profile| profile.as_bytes().to_vec()),
        call_listener: None,
    };
    let output = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    let ran = async {
        let prepare = PrepareRequest {
            id: format!("uc-{case}-{}-{}", driver.flavour(), std::process::id()),
            hostname: name(),
            network: Network::None,
            ports: Vec::new(),
            directory: busybox.directory.path().join("sandbox"),
            storage: busybox.directory.path().join("storage"),
            ignore_unenforceable_limits: true,
            containers: Vec::new(),
        };
        let sandbox = driver.prepare(prepare).await.expect("prepared");
        let exit = async {
            sandbox.create(request).await?;
            let container = name();
            sandbox.start(StartRequest { container }).await?;
            let container = name();
            sandbox.wait(WaitRequest { container }).await
        }
        .await;
        sandbox.destroy(DestroyRequest {}).await.expect("removed");
        exit
    };
    let exit = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(ran);
    (exit, output.join().expect("read").expect("text"))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), peers()])
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Where the set-up puts programs of later releases.
fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers")
}
