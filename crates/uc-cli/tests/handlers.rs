//! WebAssembly components that handle HTTP requests: refused where nobody could reach them, served in process and in a microVM.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed expectation is how a test speaks"
)]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use support::{Ended, Host};

/// The component.
fn handler() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../uc-wasm/tests/fixtures/handler.wat")
}

/// A pod of the handler.
fn pod(network: &str, ports: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  name: handler
  annotations: {{undercurrent.dev/network: {network}}}
spec:
  terminationGracePeriodSeconds: 20
  containers:
    - name: handler
      image: {}
      args: [handler]
      ports: [{ports}]
      resources: {{limits: {{memory: 128Mi}}}}
",
        handler().display()
    )
}

fn run(uc: &mut Command, arguments: &[&str]) -> Ended {
    Ended::of(&uc.args(arguments).output().expect("runs"))
}

/// The command where microVMs can be made; `None`, with the reason printed, elsewhere.
fn uc(host: &Host) -> Option<Command> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in ["qemu-system-x86_64", "pasta"] {
        if !std::env::split_paths(&path).any(|directory| directory.join(program).is_file()) {
            println!("skipped: {program} is missing (make setup-tests brings it)");
            return None;
        }
    }
    let kernel = std::env::var_os("UC_KERNEL")
        .map_or_else(|| target.join("peers/libkrunfw.so"), PathBuf::from);
    let guest =
        std::env::var_os("UC_GUEST_PROGRAMS").map_or_else(|| target.join("guest"), PathBuf::from);
    for file in [&kernel, &guest.join("uc-guest"), &guest.join("uc-function")] {
        if !file.is_file() {
            println!(
                "skipped: {} is missing (make setup-tests, make guest)",
                file.display()
            );
            return None;
        }
    }
    let mut command = host.uc();
    command
        .env_remove("UC_QEMU")
        .env("UC_KERNEL", kernel)
        .env("UC_GUEST_PROGRAMS", guest);
    Some(command)
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Asks until somebody answers; the moment of the answer is left out.
fn ask(port: u16, target: &str, body: &str) -> String {
    let begin = Instant::now();
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    while begin.elapsed() < Duration::from_secs(60) {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let mut answer = String::new();
            let asked = stream.write_all(request.as_bytes());
            if asked
                .and_then(|()| stream.read_to_string(&mut answer))
                .is_ok()
                && !answer.is_empty()
            {
                let lines = answer.split_inclusive('\n');
                return lines.filter(|line| !line.starts_with("date:")).collect();
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("nobody answers");
}

#[test]
fn a_handler_that_nobody_could_reach_is_refused() {
    let Some(host) = Host::new() else { return };
    let mut runtimes = vec!["auto", "wasm"];
    runtimes.extend(uc(&host).map(|_| "fused"));
    for runtime in runtimes {
        for (network, ports, words) in [
            ("none", "", "hostPort"),
            ("http", "{containerPort: 8080}", "hostPort"),
            ("user", "", "name a containerPort"),
        ] {
            host.file("pod.yaml", &pod(network, ports));
            let mut uc = uc(&host).unwrap_or_else(|| host.uc());
            let ended = run(&mut uc, &["run", "--runtime", runtime, "pod.yaml"]);
            ended.refuses(
                77,
                &[match (runtime, network) {
                    ("wasm", "user") => "have a hostPort",
                    // No machine has it.
                    ("fused", "http") => "network",
                    _ => words,
                }],
            );
            host.assert_nothing_left();
        }
    }
}

#[test]
fn one_without_a_pod_is_told_that_it_needs_one() {
    let Some(host) = Host::new() else { return };
    let component = handler().display().to_string();
    host.run(&["run", &component])
        .refuses(77, &["has no network", "kind: Pod"]);
    host.assert_nothing_left();
}

#[test]
fn without_a_command_it_is_called_by_its_file() {
    let Some(host) = Host::new() else { return };
    let mut runtimes = vec!["wasm"];
    runtimes.extend(uc(&host).iter().flat_map(|_| ["fused", "fused"]));
    for runtime in runtimes {
        let port = free_port();
        let ports = format!("{{containerPort: 8080, hostPort: {port}}}");
        let pod = pod("user", &ports).replace("      args: [handler]\n", "");
        host.file("pod.yaml", &pod);
        let mut uc = uc(&host).unwrap_or_else(|| host.uc());
        let started = run(&mut uc, &["run", "--runtime", runtime, "-d", "pod.yaml"]);
        assert_eq!(started.code, 0, "{started}");
        let answer = ask(port, "/", "");
        assert!(answer.contains("handler.wat"), "{runtime}: {answer}");
        end(&host, started.stdout.trim());
    }
}

#[test]
fn one_that_reaches_out_is_served_in_process_with_the_hosts_network_alone() {
    let Some(host) = Host::new() else { return };
    let text = std::fs::read_to_string(handler()).expect("a fixture");
    let import = "(component\n  (import \"wasi:sockets/instance-network@0.2.0\" (instance))";
    host.file("sockets.wat", &text.replacen("(component", import, 1));
    let port = free_port();
    let forwarded = format!("{{containerPort: 8080, hostPort: {port}}}");
    let direct = format!("{{containerPort: {port}}}");
    for (network, ports, code) in [("user", &forwarded, 77), ("host", &direct, 0)] {
        let pod = pod(network, ports);
        let pod = pod.replace(&handler().display().to_string(), "./sockets.wat");
        host.file("pod.yaml", &pod);
        let explained = host.run(&["explain", "--runtime", "wasm", "pod.yaml"]);
        assert_eq!(explained.code, code, "{explained}");
        let told = explained.stdout.contains("import no sockets");
        assert_eq!(told, code != 0, "{explained}");
    }
}

#[test]
fn one_that_others_wait_for_is_refused() {
    let Some(host) = Host::new() else { return };
    let port = free_port();
    let pod = pod("host", &format!("{{containerPort: {port}}}"));
    let last = "  containers: [{name: last, image: 'oci:busybox:latest', command: ['true']}]\n";
    host.file(
        "pod.yaml",
        &(pod.replace("  containers:\n", "  initContainers:\n") + last),
    );
    host.run(&["run", "pod.yaml"])
        .refuses(77, &["does not end", "containers"]);
    host.assert_nothing_left();
}

#[test]
fn a_port_that_cannot_be_had_is_refused() {
    let Some(host) = Host::new() else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let forwarded = format!("{{containerPort: 8080, hostPort: {port}}}");
    let direct = format!("{{containerPort: {port}}}");
    for (network, ports) in [("user", &forwarded), ("host", &direct)] {
        host.file("pod.yaml", &pod(network, ports));
        let ended = host.run(&["run", "--runtime", "wasm", "pod.yaml"]);
        ended.refuses(78, &["listen", "another"]);
        host.assert_nothing_left();
        // Whoever only asks may ask about what runs.
        let explained = host.run(&["explain", "--runtime", "wasm", "pod.yaml"]);
        assert_eq!(explained.code, 0, "{explained}");
    }
}

#[test]
fn a_port_below_1024_takes_privileges() {
    const STRANGER: u32 = 54_321;
    let Some(host) = Host::new() else { return };
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if first.is_ok_and(|first| first.trim().parse() != Ok(1024)) {
        println!("skipped: this host lets everybody listen on other ports");
        return;
    }
    let home = host.path().join("stranger");
    std::fs::create_dir(&home).expect("made");
    if std::os::unix::fs::chown(&home, Some(STRANGER), Some(STRANGER)).is_err() {
        println!("skipped: giving files away takes root");
        return;
    }
    std::fs::set_permissions(host.path(), PermissionsExt::from_mode(0o755)).expect("set");
    let program = host.path().join("uc");
    std::fs::copy(env!("CARGO_BIN_EXE_uc"), &program).expect("copied");
    let component = host.path().join("handler.wat");
    std::fs::copy(handler(), &component).expect("copied");
    for (network, ports) in [
        ("user", "{containerPort: 8080, hostPort: 1023}"),
        ("host", "{containerPort: 1023}"),
    ] {
        let pod = pod(network, ports);
        let pod = pod.replace(&handler().display().to_string(), "./handler.wat");
        host.file("pod.yaml", &pod);
        let mut uc = Command::new("setpriv");
        let id = STRANGER.to_string();
        uc.args(["--reuid", &id, "--regid", &id, "--clear-groups"])
            .args(["env", "--ignore-environment", "PATH=/usr/bin:/bin"])
            .arg(format!("UC_HOME={}", home.display()))
            .arg(&program)
            .current_dir(host.path());
        let ended = run(&mut uc, &["run", "--runtime", "wasm", "pod.yaml"]);
        ended.refuses(78, &["1023", "1024 or above"]);
    }
}

#[test]
fn two_handlers_of_a_pod_need_two_ports() {
    let Some(host) = Host::new() else { return };
    let container = |name: &str, port: u16| {
        let image = handler().display().to_string();
        format!(
            "    - {{name: {name}, image: {image}, command: [{name}], ports: [{{containerPort: {port}}}]}}\n"
        )
    };
    let pod = |second: u16, first: u16| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: both}}\nspec:\n  hostNetwork: true\n  containers:\n{}{}",
            container("first", first),
            container("second", second),
        )
    };
    let (first, second) = (free_port(), free_port());
    host.file("pod.yaml", &pod(first, first));
    host.run(&["run", "pod.yaml"])
        .refuses(77, &["at one port", "containerPort"]);
    host.file("pod.yaml", &pod(second, first));
    let started = host.run(&["run", "-d", "pod.yaml"]);
    assert_eq!(started.code, 0, "{started}");
    for (port, name) in [(first, "first"), (second, "second")] {
        let answer = ask(port, "/", "");
        assert!(answer.contains(name), "{answer}");
    }
    end(&host, started.stdout.trim());
}

/// Stops a workload and removes it; gives what it said.
fn end(host: &Host, id: &str) -> String {
    let stopped = host.run(&["stop", id]);
    assert_eq!(stopped.code, 0, "{stopped}");
    let logs = host.run(&["logs", id]);
    let removed = host.run(&["rm", id]);
    assert_eq!(removed.code, 0, "{removed}");
    host.assert_nothing_left();
    logs.stdout + &logs.stderr
}

#[test]
fn the_same_pod_answers_alike_in_process_and_in_a_microvm() {
    let Some(host) = Host::new() else { return };
    let mut runtimes = vec![("auto", 8080), ("wasm", 80)];
    // The second time it comes from the snapshot. Ports below 1024 are no different.
    let fused = [8080, 8080, 80, 80].map(|port| ("fused", port));
    runtimes.extend(uc(&host).iter().flat_map(|_| fused));
    let requests = [
        ("/", ""),
        ("/echo", "what comes"),
        ("/trap", ""),
        ("/none", ""),
        ("/memory", ""),
        ("/", ""),
    ];
    let mut seen: Option<Vec<String>> = None;
    for (runtime, container_port) in runtimes {
        let port = free_port();
        host.file(
            "pod.yaml",
            &pod(
                "user",
                &format!("{{containerPort: {container_port}, hostPort: {port}}}"),
            ),
        );
        let mut starting = uc(&host).unwrap_or_else(|| host.uc());
        let started = run(
            &mut starting,
            &["run", "--runtime", runtime, "-d", "pod.yaml"],
        );
        assert_eq!(started.code, 0, "{started}");
        let id = started.stdout.trim().to_owned();
        let ps = host.run(&["ps"]);
        let kind = if runtime == "auto" { "wasm" } else { runtime };
        assert!(ps.stdout.contains(kind), "{ps}");
        let answers: Vec<String> = requests
            .iter()
            .map(|(target, body)| ask(port, target, body))
            .collect();
        assert!(answers[0].starts_with("HTTP/1.1 200 "), "{answers:?}");
        assert!(answers[0].contains("request 1 of "), "{answers:?}");
        assert!(answers[2].starts_with("HTTP/1.1 500 "), "{answers:?}");
        assert_eq!(answers[0], answers[5], "an instance for each request");
        assert_eq!(
            &answers,
            seen.get_or_insert_with(|| answers.clone()),
            "{runtime}"
        );
        let logs = end(&host, &id);
        for words in ["POST /trap: wasm trap", "POST /memory: out of memory"] {
            assert!(logs.contains(words), "{runtime}: {logs}");
        }
    }
}

#[test]
fn an_init_container_of_another_kind_leaves_the_port_to_the_handler() {
    let Some(host) = Host::new() else { return };
    let doctor = host.run(&["doctor", "--format", "json"]);
    if !doctor.stdout.contains("pasta") {
        println!("skipped: pasta is missing (apt install passt)");
        return;
    }
    let port = free_port();
    let ports = format!("{{containerPort: 8080, hostPort: {port}, hostIP: 0.0.0.0}}");
    let init = "  initContainers:
    - {name: first, image: 'oci:busybox:latest', command: [echo, made]}
  containers:
";
    host.file(
        "pod.yaml",
        &pod("user", &ports).replace("  containers:\n", init),
    );
    let started = host.run(&["run", "-d", "pod.yaml"]);
    assert_eq!(started.code, 0, "{started}");
    assert!(ask(port, "/", "").contains("request 1 of "));
    let logs = end(&host, started.stdout.trim());
    assert!(logs.contains("made"), "{logs}");
}

#[test]
fn a_handler_in_process_is_ready_when_its_port_answers() {
    let Some(host) = Host::new() else { return };
    let port = free_port();
    let ports = format!("{{containerPort: 8080, hostPort: {port}}}");
    let probe = "{tcpSocket: {port: 8080}, periodSeconds: 1}";
    let probed = pod("user", &ports).replace(
        "      resources:",
        &format!("      readinessProbe: {probe}\n      livenessProbe: {probe}\n      resources:"),
    );
    host.file("pod.yaml", &probed);
    let explained = host.run(&["explain", "pod.yaml"]);
    assert_eq!(explained.code, 0, "{explained}");
    let place = format!("answers HTTP requests at 127.0.0.1:{port}");
    assert!(explained.stdout.contains(&place), "{explained}");
    let started = host.run(&["run", "-d", "pod.yaml"]);
    assert_eq!(started.code, 0, "{started}");
    let id = started.stdout.trim();
    let begin = Instant::now();
    loop {
        let ps = host.run(&["ps", "--format", "json"]);
        let list: serde_json::Value = serde_json::from_str(&ps.stdout).expect("JSON");
        if list.to_string().contains("\"ready\":true") {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{ps}");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(ask(port, "/", "").contains("request 1 of "));
    let stats = host.run(&["stats", id]);
    assert_eq!(stats.code, 0, "{stats}");
    end(&host, id);
}
