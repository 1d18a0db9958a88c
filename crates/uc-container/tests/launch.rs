//! Real containers from a real root file system (Debian's static busybox).
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

use std::{
    fs,
    io::Read as _,
    os::fd::OwnedFd,
    path::Path,
    time::{Duration, Instant},
};

use uc_container::ContainerDriver;
use uc_linux::IdMapping;
use uc_model::{ProblemKind, workload::Network};
use uc_sandbox::{
    CreateRequest, DestroyRequest, Driver, ExecRequest, Exit, ExitReason, Limits, Payload,
    PrepareRequest, Process, Sandbox, StartRequest, Stdio, StopRequest, User, WaitRequest,
};

fn layer(directory: &Path) -> Option<std::path::PathBuf> {
    let busybox = Path::new("/bin/busybox");
    if !busybox.is_file() {
        println!("skipped: /bin/busybox is missing (apt install busybox-static)");
        return None;
    }
    let layer = directory.join("layer");
    fs::create_dir_all(layer.join("bin")).expect("made");
    fs::copy(busybox, layer.join("bin/busybox")).expect("copied");
    for name in [
        "sh", "true", "cat", "id", "sleep", "echo", "hostname", "ls", "touch",
    ] {
        std::os::unix::fs::symlink("busybox", layer.join("bin").join(name)).expect("linked");
    }
    let mapping = IdMapping::for_caller().expect("ids");
    for path in ["", "bin", "bin/busybox"] {
        std::os::unix::fs::chown(layer.join(path), mapping.host_uid(0), mapping.host_gid(0))
            .expect("owned");
    }
    Some(layer)
}

async fn sandbox(directory: &Path) -> Box<dyn Sandbox> {
    ContainerDriver::new(directory.join("mount-points"))
        .prepare(PrepareRequest {
            id: format!("test-{}", std::process::id()),
            hostname: "inside".into(),
            network: Network::None,
            ports: Vec::new(),
            directory: directory.join("sandbox"),
            storage: directory.join("storage"),
            ignore_unenforceable_limits: true,
            containers: Vec::new(),
        })
        .await
        .expect("prepared")
}

fn request(container: &str, layer: &Path, argv: &[&str]) -> (CreateRequest, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let request = CreateRequest {
        container: container.into(),
        payload: Payload::Rootfs {
            layers: vec![layer.to_owned()],
        },
        process: Process {
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
            env: vec![("PATH".into(), "/bin".into())],
            cwd: "/".into(),
            user: User::default(),
        },
        stdio: Stdio {
            stdin: None,
            stdout: writer.try_clone().map(OwnedFd::from).expect("a copy"),
            stderr: writer.into(),
            owned: true,
        },
        mounts: Vec::new(),
        read_only_root: false,
        limits: Limits::default(),
        seccomp_profile: None,
        call_listener: None,
    };
    (request, reader)
}

async fn run(
    sandbox: &dyn Sandbox,
    container: &str,
    layer: &Path,
    argv: &[&str],
) -> (Exit, String) {
    let (request, mut reader) = request(container, layer, argv);
    sandbox.create(request).await.expect("created");
    sandbox
        .start(StartRequest {
            container: container.into(),
        })
        .await
        .expect("started");
    let exit = sandbox
        .wait(WaitRequest {
            container: container.into(),
        })
        .await
        .expect("ended");
    let mut output = String::new();
    reader.read_to_string(&mut output).expect("read");
    (exit, output)
}

#[tokio::test]
async fn a_shell_runs_as_an_unprivileged_host_user() {
    let temporary = tempfile::tempdir().expect("a directory");
    let Some(layer) = layer(temporary.path()) else {
        return;
    };
    let sandbox = sandbox(temporary.path()).await;
    let script = "id -u; hostname; cat /proc/self/uid_map; grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status; ls /";
    let (exit, output) = run(&*sandbox, "one", &layer, &["busybox", "sh", "-c", script]).await;
    println!("{output}");
    assert_eq!(exit, Exit::with_code(0), "{output}");
    assert!(output.starts_with("0\ninside\n"), "{output}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(
            output.contains(&format!("{set}:\t0000000000000000")),
            "{output}"
        );
    }
    assert!(
        output.contains("NoNewPrivs:\t1") && output.contains("Seccomp:\t2"),
        "{output}"
    );
    // A second container of the sandbox shares its namespaces.
    let (exit, output) = run(&*sandbox, "two", &layer, &["hostname"]).await;
    assert_eq!((exit, output.as_str()), (Exit::with_code(0), "inside\n"));
    sandbox.destroy(DestroyRequest {}).await.expect("destroyed");
    assert!(!temporary.path().join("containers").exists());
}

#[tokio::test]
async fn stop_exec_and_missing_programs() {
    let temporary = tempfile::tempdir().expect("a directory");
    let Some(layer) = layer(temporary.path()) else {
        return;
    };
    let sandbox = sandbox(temporary.path()).await;
    let (missing, _reader) = request("missing", &layer, &["no-such-program"]);
    let problem = sandbox.create(missing).await.expect_err("refused");
    assert_eq!(problem.kind(), uc_model::ProblemKind::CommandNotFound);

    let (sleeper, _reader) = request(
        "sleeper",
        &layer,
        &[
            "sh",
            "-c",
            "trap 'exit 7' TERM; while :; do sleep 0.01; done",
        ],
    );
    sandbox.create(sleeper).await.expect("created");
    sandbox
        .start(StartRequest {
            container: "sleeper".into(),
        })
        .await
        .expect("started");
    let exec = |command: &[&str], timeout: u64| ExecRequest {
        container: "sleeper".into(),
        command: command.iter().map(|&part| part.to_owned()).collect(),
        timeout: Duration::from_millis(timeout),
        stdio: None,
    };
    assert_eq!(
        sandbox
            .exec(exec(&["sh", "-c", "exit 3"], 5000))
            .await
            .expect("ran")
            .code,
        3
    );
    assert_eq!(
        sandbox
            .exec(exec(&["sleep", "60"], 50))
            .await
            .expect("ran")
            .reason,
        ExitReason::Deadline
    );
    let begun = Instant::now();
    let stop = StopRequest {
        container: "sleeper".into(),
        grace: Duration::from_secs(10),
        signal: rustix::process::Signal::TERM.as_raw(),
    };
    let exit = sandbox.stop(stop).await.expect("stopped");
    assert_eq!((exit.code, exit.reason), (7, ExitReason::Stopped));
    assert!(begun.elapsed() < Duration::from_secs(5));
    sandbox.destroy(DestroyRequest {}).await.expect("destroyed");
}

#[tokio::test]
async fn a_profile_that_kills_the_start_is_named_as_the_cause() {
    let temporary = tempfile::tempdir().expect("a directory");
    let Some(layer) = layer(temporary.path()) else {
        return;
    };
    let sandbox = sandbox(temporary.path()).await;
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS"] {
        let (mut request, _reader) = request("main", &layer, &["busybox", "true"]);
        request.seccomp_profile = Some(format!(r#"{{"defaultAction": "{action}"}}"#).into_bytes());
        let problem = sandbox.create(request).await.expect_err("killed");
        assert_eq!(problem.kind(), ProblemKind::Invalid);
        let said = problem.to_string();
        assert!(said.contains("seccomp profile forbids"), "{said}");
    }
    sandbox.destroy(DestroyRequest {}).await.expect("destroyed");
}
