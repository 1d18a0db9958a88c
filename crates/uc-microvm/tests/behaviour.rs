//! What containers in microVMs do and see: programs, volumes, users, networks, images, sizes.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

mod support;

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use support::{
    Busybox,
    world::{Ended, Setting, Spec, World, run_alone, stdio, test},
};
use uc_microvm::MicrovmDriver;
use uc_model::{Bytes, MilliCpu, Problem, ProblemKind, workload::Network, workload::Protocol};
use uc_sandbox::{
    ExecRequest, Exit, ExitReason, Mount, MountSource, PortForward, StatsRequest,
    TcpConnectRequest, User,
};

/// A program runs until it is stopped, after it has said so.
const SERVE: &str = "echo ready; exec sleep 1000000";

async fn exec(
    world: &World,
    script: &str,
    timeout: Duration,
    stdin: Option<Vec<u8>>,
) -> (Result<Exit, Problem>, String, String) {
    let (stdio, outputs) = stdio(stdin);
    let request = ExecRequest {
        container: "main".into(),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        timeout,
        stdio: Some(stdio),
    };
    let exit = world.sandbox.exec(request).await;
    let (stdout, stderr) = outputs.read().await;
    (exit, stdout, stderr)
}

#[test]
fn exec_has_streams_a_code_and_a_deadline() {
    test(async |driver, busybox| {
        let world = World::new(&driver).await;
        let _main = world.start(Spec::shell(busybox, SERVE)).await;
        let long = Duration::from_secs(60);
        let script = "cat; echo err >&2; exit 7";
        let (exit, out, err) = exec(&world, script, long, Some(b"given".to_vec())).await;
        assert_eq!(exit.expect("an end"), Exit::with_code(7));
        assert_eq!((out.as_str(), err.as_str()), ("given", "err\n"));
        let much = "head -c 3000000 /dev/zero";
        let (exit, out, _) = exec(&world, much, long, None).await;
        assert_eq!((exit.expect("an end").code, out.len()), (0, 3_000_000));
        let begun = Instant::now();
        let script = "echo before; sleep 1000";
        let (exit, out, _) = exec(&world, script, Duration::from_secs(1), None).await;
        assert_eq!(exit.expect("an end").reason, ExitReason::Deadline);
        assert_eq!(out, "before\n");
        assert!(begun.elapsed() < Duration::from_secs(10));
        // What it leaves behind does not hold up its caller.
        let (exit, out, _) = exec(&world, "sleep 1000 & echo done; exit 3", long, None).await;
        assert_eq!((exit.expect("an end").code, out.as_str()), (3, "done\n"));
        let missing = ExecRequest {
            container: "main".into(),
            command: vec!["no-such-program".into()],
            timeout: long,
            stdio: None,
        };
        let problem = world.sandbox.exec(missing).await;
        let said = format!("{problem:?}");
        assert!(
            problem.is_err_and(|problem| problem.kind() == ProblemKind::CommandNotFound),
            "{said}"
        );
        world.destroy().await;
    });
}

#[test]
fn ports_are_probed_inside_the_machine() {
    test(async |driver, busybox| {
        let world = World::new(&driver).await;
        let _main = world
            .start(Spec::shell(busybox, "nc -l -p 8080; exec sleep 1000000"))
            .await;
        let connect = |port| {
            let timeout = Duration::from_secs(2);
            world
                .sandbox
                .tcp_connect(TcpConnectRequest { port, timeout })
        };
        let until = Instant::now() + Duration::from_secs(20);
        while let Err(problem) = connect(8080).await {
            assert!(Instant::now() < until, "{problem}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        connect(8081).await.expect_err("nobody listens");
        world.destroy().await;
    });
}

#[test]
fn a_directory_of_the_host_is_copied_as_it_is() {
    test(async |driver, busybox| {
        let host = tempfile::tempdir().expect("a directory");
        let path = |name: &str| host.path().join(name);
        fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).expect("set");
        fs::create_dir_all(path("a/b/c")).expect("made");
        fs::write(path("a/b/c/deep"), "deep\n").expect("written");
        fs::write(path("empty"), "").expect("written");
        fs::write(path("big"), vec![b'x'; 5_000_001]).expect("written");
        fs::write(path("tool"), "#!/bin/sh\necho tool\n").expect("written");
        fs::set_permissions(path("tool"), fs::Permissions::from_mode(0o4755)).expect("set");
        fs::write(path("öffentlich und lang"), "name\n").expect("written");
        std::os::unix::fs::symlink("a/b/c/deep", path("link")).expect("linked");
        std::os::unix::fs::symlink("/etc/shadow", path("out")).expect("linked");
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).expect("bound");
        let script = "cd /data; cat a/b/c/deep link 'öffentlich und lang'; stat -c %s empty big; \
                      readlink out; cat out 2>/dev/null; ./tool; stat -c %a tool a; \
                      ls socket 2>/dev/null; touch x 2>/dev/null || echo read-only";
        let ended = run_alone(
            &driver,
            Spec::shell(busybox, script).mount(host.path(), "/data"),
        )
        .await;
        let expected = "deep\ndeep\nname\n0\n5000001\n/etc/shadow\ntool\n4755\n755\nread-only\n";
        assert_eq!(ended.stdout, expected, "{ended:?}");
        assert!(!path("x").exists());
    });
}

#[test]
fn one_volume_is_shared_by_the_containers_of_a_pod_and_ends_with_it() {
    test(async |driver, busybox| {
        let host = tempfile::tempdir().expect("a directory");
        let spec = |name: &str, script: &str| {
            Spec::shell(busybox, script)
                .named(name)
                .own_volume(host.path(), "/shared")
        };
        // As a secret is that only its user may read.
        let secret = host.path().join("secret");
        fs::write(&secret, "secret\n").expect("written");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o400)).expect("set");
        let writer = spec("writer", "cat /shared/secret; echo written > /shared/file");
        let reader = spec(
            "reader",
            "cat /shared/file; echo more >> /shared/file; cat /shared/file",
        );
        let setting = Setting {
            containers: vec![writer.expected(), reader.expected()],
            ..Setting::default()
        };
        let world = World::with(&driver, setting).await;
        let first = world.run(writer).await;
        assert_eq!(first.exit, Exit::with_code(0), "{first:?}");
        assert_eq!(first.stdout, "secret\n");
        let second = world.run(reader).await;
        assert_eq!(second.stdout, "written\nwritten\nmore\n", "{second:?}");
        world.destroy().await;
    });
}

#[test]
fn a_file_is_mounted_over_a_file_and_alone() {
    test(async |driver, _| {
        let host = tempfile::tempdir().expect("a directory");
        let file = host.path().join("configuration");
        fs::write(&file, "key: value\n").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("set");
        let image = Busybox::another();
        fs::write(image.layer.join("default"), "key: default\n").expect("written");
        let script = "cat /etc/app/configuration /default; echo x > /default || echo refused";
        let spec = Spec::shell(&image, script)
            .mount(&file, "/etc/app/configuration")
            .mount(&file, "/default");
        let ended = run_alone(&driver, spec).await;
        assert_eq!(
            ended.stdout, "key: value\nkey: value\nrefused\n",
            "{ended:?}"
        );
    });
}

#[test]
fn volumes_that_a_microvm_cannot_have_are_refused_with_their_figures() {
    test(async |driver, busybox| {
        let host = tempfile::tempdir().expect("a directory");
        let large = fs::File::create(host.path().join("large")).expect("made");
        large.set_len((256 << 20) + 1).expect("set");
        let world = World::new(&driver).await;
        let refusal = async |spec: Spec| {
            let problem = world.create(spec).await.err().expect("refused");
            assert_eq!(problem.kind(), ProblemKind::Refused, "{problem}");
            assert!(problem.remedy_text().is_some(), "{problem}");
            problem.to_string()
        };
        let spec = || Spec::shell(busybox, "true");
        let said = refusal(spec().mount(host.path(), "/data")).await;
        assert!(
            said.contains("too large") && said.contains("256 MiB"),
            "{said}"
        );
        let said = refusal(spec().mount("/dev/null", "/data")).await;
        assert!(said.contains("device"), "{said}");
        let mut writable = spec().mount(host.path(), "/data");
        writable
            .mounts
            .iter_mut()
            .for_each(|mount| mount.read_only = false);
        let said = refusal(writable).await;
        assert!(
            said.contains("cannot write to a directory of the host"),
            "{said}"
        );
        // It is not worse off for that.
        let ended = world
            .run(Spec::shell(busybox, "echo fine").named("next"))
            .await;
        assert_eq!(ended.stdout, "fine\n");
        world.destroy().await;
    });
}

#[test]
fn a_volume_in_memory_ends_at_its_limit() {
    test(async |driver, busybox| {
        let mut spec = Spec::shell(
            busybox,
            "head -c 2000000 /dev/zero > /scratch/a && echo fits; head -c 9000000 /dev/zero > /scratch/b || echo full; \
             stat -c %s /scratch/a",
        );
        spec.mounts.push(Mount {
            source: MountSource::Memory {
                size_limit: Some(Bytes::mib(8)),
            },
            target: "/scratch".into(),
            read_only: false,
        });
        let ended = run_alone(&driver, spec).await;
        assert_eq!(ended.stdout, "fits\nfull\n2000000\n", "{ended:?}");
    });
}

#[test]
fn users_and_groups_are_the_containers_own() {
    test(async |driver, busybox| {
        let host = tempfile::tempdir().expect("a directory");
        fs::set_permissions(host.path(), fs::Permissions::from_mode(0o777)).expect("set");
        let mut spec = Spec::shell(
            busybox,
            "id -u; id -g; id -G; touch /volume/mine && stat -c '%u %g' /volume/mine; touch /bin/x || echo refused; grep CapEff /proc/self/status",
        )
        .own_volume(host.path(), "/volume");
        spec.user = User {
            uid: 1000,
            gid: 2000,
            groups: vec![3000],
        };
        let ended = run_alone(&driver, spec).await;
        let expected = "1000\n2000\n2000 3000\n1000 2000\nrefused\nCapEff:\t0000000000000000\n";
        assert_eq!(ended.stdout, expected, "{ended:?}");
    });
}

#[test]
fn a_read_only_root_refuses_writes() {
    test(async |driver, busybox| {
        let mut spec = Spec::shell(busybox, "touch /x || echo refused; touch /tmp2 || echo too");
        spec.read_only_root = true;
        let ended = run_alone(&driver, spec).await;
        assert_eq!(ended.stdout, "refused\ntoo\n", "{ended:?}");
        let ended = run_alone(&driver, Spec::shell(busybox, "touch /x && ls /x")).await;
        assert_eq!(ended.stdout, "/x\n", "{ended:?}");
    });
}

#[test]
fn secrets_in_an_environment_are_in_no_problem_and_no_command_line() {
    test(async |driver, busybox| {
        let secret = "s3cret-in-environment";
        let world = World::new(&driver).await;
        let mut spec = Spec::shell(busybox, SERVE).memory(301);
        spec.env.push(("PASSWORD".into(), secret.into()));
        let mut missing = spec.clone().named("missing");
        missing.argv = vec!["no-such-program".into()];
        let _main = world.start(spec).await;
        for pid in support::world::monitors(301 + 96) {
            let line = fs::read(format!("/proc/{pid}/cmdline")).expect("there");
            assert!(!String::from_utf8_lossy(&line).contains(secret));
        }
        assert!(!support::world::monitors(301 + 96).is_empty());
        let container = missing.container.clone();
        let problem = match world.create(missing).await {
            Err(problem) => problem,
            Ok(_) => world
                .sandbox
                .start(uc_sandbox::StartRequest { container })
                .await
                .expect_err("it is not there"),
        };
        assert!(!format!("{problem:?} {problem}").contains(secret));
        world.destroy().await;
    });
}

#[test]
fn there_is_no_network_by_default() {
    test(async |driver, busybox| {
        let script = "grep -c : /proc/net/dev; grep -o lo: /proc/net/dev; nc -w 1 10.0.2.2 80 || echo unreachable";
        let ended = run_alone(&driver, Spec::shell(busybox, script)).await;
        assert_eq!(ended.stdout, "1\nlo:\nunreachable\n", "{ended:?}");
    });
}

/// A port that nobody has.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn ask(port: u16) -> std::io::Result<String> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"question\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_server_is_reached_by_its_forwarded_port_alone() {
    if uc_linux::network::link_program().is_none() {
        println!("skipped: neither pasta nor slirp4netns is installed (apt install passt)");
        return;
    }
    test(async |driver, busybox| {
        // A port that only root may listen at elsewhere, by root and by another.
        for uid in [0, 1000] {
            reach_by_port_80(&driver, busybox, uid).await;
        }
    });
}

async fn reach_by_port_80(driver: &MicrovmDriver, busybox: &Busybox, uid: u32) {
    let port = free_port();
    let setting = Setting {
        network: Network::User,
        ports: vec![PortForward {
            host_ip: std::net::Ipv4Addr::LOCALHOST.into(),
            host_port: port,
            container_port: 80,
            protocol: Protocol::Tcp,
        }],
        ..Setting::default()
    };
    let world = World::with(driver, setting).await;
    let script = "echo ready; while :; do echo answer | nc -l -p 80; done";
    let mut spec = Spec::shell(busybox, script);
    spec.user.uid = uid;
    let _main = world.start(spec).await;
    let until = Instant::now() + Duration::from_secs(30);
    let answer = loop {
        let asked = tokio::task::spawn_blocking(move || ask(port)).await;
        match asked.expect("no panic") {
            Ok(answer) if !answer.is_empty() => break answer,
            other => assert!(Instant::now() < until, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(answer, "answer\n");
    // What listens on the host's own loopback is not the guest's to reach.
    let secret = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let hidden = secret.local_addr().expect("an address").port();
    let script = format!(
        "for to in 127.0.0.1 10.0.2.2; do nc -w 2 $to {hidden} </dev/null && echo reached $to; done; grep -c eth0 /proc/net/dev"
    );
    let (_, out, _) = exec(&world, &script, Duration::from_secs(30), None).await;
    assert_eq!(out, "1\n");
    world.destroy().await;
    ask(port).expect_err("nobody listens any more");
}

#[test]
fn images_that_were_named_run_in_one_machine_and_others_are_refused() {
    test(async |driver, busybox| {
        let other = Busybox::another();
        fs::write(other.layer.join("other"), "another image\n").expect("written");
        let spec = Spec::shell(busybox, "ls /other 2>/dev/null || echo the first image");
        let second = Spec::shell(&other, "cat /other").named("second");
        let setting = Setting {
            containers: vec![spec.expected(), second.expected()],
            ..Setting::default()
        };
        let world = World::with(&driver, setting).await;
        assert_eq!(world.run(spec).await.stdout, "the first image\n");
        assert_eq!(world.run(second).await.stdout, "another image\n");
        let third = Busybox::another();
        fs::write(third.layer.join("third"), "a third image\n").expect("written");
        let unannounced = Spec::shell(&third, "true").named("third");
        let problem = world.create(unannounced).await.err().expect("refused");
        assert_eq!(problem.kind(), ProblemKind::Refused, "{problem}");
        assert!(problem.remedy_text().is_some(), "{problem}");
        world.destroy().await;
    });
}

fn number(ended: &Ended) -> u64 {
    let digits = ended.stdout.split_whitespace().nth(1);
    digits.expect("two words").parse().expect("a number")
}

#[test]
fn limits_decide_the_size_of_a_machine() {
    test(async |driver, busybox| {
        let memory = |mib| Spec::shell(busybox, "grep MemTotal /proc/meminfo").memory(mib);
        let small = number(&run_alone(&driver, memory(128)).await) >> 10;
        let large = number(&run_alone(&driver, memory(640)).await) >> 10;
        assert!((128..=224).contains(&small), "{small} MiB");
        assert!((640..=736).contains(&large), "{large} MiB");
        let mut spec = Spec::shell(busybox, "echo cpus $(grep -c ^processor /proc/cpuinfo)");
        spec.limits.cpu = Some(MilliCpu(1500));
        let host = std::thread::available_parallelism().map_or(1, usize::from);
        let cpus = number(&run_alone(&driver, spec).await);
        assert_eq!(cpus, 2.min(host as u64));
    });
}

#[test]
fn a_full_disk_is_an_error_of_the_program_and_not_the_machines_end() {
    test(async |driver, busybox| {
        let world = World::new(&driver).await;
        let script = "yes > /fill; echo code $?; echo more > /more || echo still full; echo fine; exec sleep 1000000";
        let spec = Spec::shell(busybox, script);
        let outputs = world.start(spec).await;
        let until = Instant::now() + Duration::from_secs(240);
        loop {
            let (_, size, _) =
                exec(&world, "ls -s /fill /more", Duration::from_secs(30), None).await;
            if size.contains("/more") {
                break;
            }
            assert!(Instant::now() < until, "{size}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let container = "main".to_owned();
        let stats = world.sandbox.stats(StatsRequest { container }).await;
        stats.expect("it still answers");
        world.stop("main").await.expect("an end");
        let (stdout, _) = outputs.read().await;
        assert!(stdout.contains("code 1"), "{stdout}");
        world.destroy().await;
    });
}
