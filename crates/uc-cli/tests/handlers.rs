//! WebAssembly components that handle HTTP requests: refused where nothing serves them, served in a microVM.

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
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use support::{Ended, Host};

/// A pod of the handler.
fn pod(network: &str, ports: &str) -> String {
    let handler =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../uc-wasm/tests/fixtures/handler.wat");
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
        handler.display()
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

/// Asks until somebody answers.
fn ask(port: u16, target: &str) -> String {
    let begin = Instant::now();
    let request = format!("GET {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    while begin.elapsed() < Duration::from_secs(60) {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let mut answer = String::new();
            let asked = stream.write_all(request.as_bytes());
            if asked
                .and_then(|()| stream.read_to_string(&mut answer))
                .is_ok()
                && !answer.is_empty()
            {
                return answer;
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("nobody answers");
}

#[test]
fn a_handler_that_nobody_could_reach_is_refused() {
    let Some(host) = Host::new() else { return };
    for (runtime, network, ports, words) in [
        ("wasm", "none", "", "--runtime fused"),
        ("fused", "none", "", "undercurrent.dev/network: user"),
        ("fused", "user", "", "name a containerPort"),
    ] {
        let Some(mut uc) = uc(&host) else { return };
        host.file("pod.yaml", &pod(network, ports));
        let ended = run(&mut uc, &["run", "--runtime", runtime, "pod.yaml"]);
        ended.refuses(77, &["handles HTTP requests", words]);
        host.assert_nothing_left();
    }
}

#[test]
fn a_handler_answers_at_the_hosts_port() {
    let Some(host) = Host::new() else { return };
    // The second time it comes from the snapshot. Ports below 1024 are no different.
    for container_port in [8080, 8080, 80, 80] {
        let port = free_port();
        host.file(
            "pod.yaml",
            &pod(
                "user",
                &format!("{{containerPort: {container_port}, hostPort: {port}}}"),
            ),
        );
        let Some(mut starting) = uc(&host) else {
            return;
        };
        let started = run(
            &mut starting,
            &["run", "--runtime", "fused", "-d", "pod.yaml"],
        );
        assert_eq!(started.code, 0, "{started}");
        let id = started.stdout.trim().to_owned();
        for _ in 0..5 {
            let answer = ask(port, "/");
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(answer.contains("request 1 of "), "{answer}");
        }
        let answer = ask(port, "/trap");
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(ask(port, "/").contains("request 1 of "));
        let begin = Instant::now();
        let stopped = host.run(&["stop", &id]);
        assert_eq!(stopped.code, 0, "{stopped}");
        assert!(
            begin.elapsed() < Duration::from_secs(15),
            "{:?}",
            begin.elapsed()
        );
        let logs = host.run(&["logs", &id]);
        assert!(
            logs.stdout.contains("wasm trap") || logs.stderr.contains("wasm trap"),
            "{logs}"
        );
        let removed = host.run(&["rm", &id]);
        assert_eq!(removed.code, 0, "{removed}");
        host.assert_nothing_left();
    }
}
