//! `uc pause` and `uc resume`, with every kind of sandbox: what stands still, what is told of it, and how it ends.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it expects"
)]

#[path = "support/microvms.rs"]
mod microvms;
mod support;

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use microvms::MicrovmHost;
use serde_json::Value;
use support::{Ended, Host};

/// Longer than a running program of these tests takes for a line.
const SILENCE: Duration = Duration::from_millis(600);

/// How many times what was on its way when a program was paused may still arrive.
const STRAGGLERS_MAX: u32 = 5;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Pod that writes line after line, and a process for each.
const COUNTER: &str = "apiVersion: v1
kind: Pod
metadata: {name: counter}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: oci:busybox:latest
      command: [sh, -c, 'trap \"exit 3\" TERM; while :; do busybox sleep 0.02; echo counted; done']
";

/// A WebAssembly program that computes and writes line after line.
const COUNTER_WAT: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\08\00\00\00")
  (data (i32.const 16) "counted\0a")
  (func (export "_start") (local $left i32)
    (loop $for_ever
      (local.set $left (i32.const 5000000))
      (loop $count
        (br_if $count (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))
      (br $for_ever))))
"#;

fn webassembly_pod() -> String {
    COUNTER
        .replace("oci:busybox:latest", "./counter.wat")
        .replace("      command", "      # command")
}

/// A user at one host, with one way to call the command.
struct User<'a> {
    host: &'a Host,
    uc: &'a dyn Fn() -> Command,
}

impl User<'_> {
    fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&(self.uc)().args(arguments).output().expect("runs"))
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
        ended.stdout
    }

    fn starts(&self, arguments: &[&str]) {
        self.succeeds(&[&["run", "--detach"], arguments].concat());
        self.waits_for("running");
        self.goes_on();
    }

    fn only(&self) -> Value {
        let list: Value =
            serde_json::from_str(&self.succeeds(&["ps", "--format", "json"])).expect("JSON");
        assert_eq!(list.as_array().map(Vec::len), Some(1), "{list:#}");
        list[0].clone()
    }

    fn waits_for(&self, state: &str) -> Value {
        let begun = Instant::now();
        loop {
            let only = self.only();
            if only["state"] == state {
                return only;
            }
            assert!(begun.elapsed() < PATIENCE, "never {state}: {only:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn written(&self) -> usize {
        self.succeeds(&["logs", "counter"]).len()
    }

    fn lines(&self, line: &str) -> usize {
        let log = self.succeeds(&["logs", "counter"]);
        log.lines().filter(|written| *written == line).count()
    }

    fn waits_for_lines(&self, line: &str, count: usize) {
        let begun = Instant::now();
        while self.lines(line) < count {
            assert!(begun.elapsed() < PATIENCE, "never {count} times {line}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn goes_on(&self) {
        let (begun, before) = (Instant::now(), self.written());
        while self.written() <= before {
            assert!(begun.elapsed() < PATIENCE, "it stands still");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn stands_still(&self) {
        for _ in 0..STRAGGLERS_MAX {
            let before = self.written();
            std::thread::sleep(SILENCE);
            if self.written() == before {
                return;
            }
        }
        panic!("it goes on although it is paused");
    }
}

/// A workload that runs as `counter` is paused, looked at, resumed, paused again and stopped.
fn is_held_and_let_go(user: &User<'_>, arguments: &[&str]) {
    user.starts(arguments);
    user.run(&["resume", "counter"])
        .refuses(65, &["the workload is not paused"]);
    let id = user.succeeds(&["pause", "counter"]);
    assert!(id.starts_with("counter-"), "{id}");
    user.stands_still();
    assert_eq!(user.only()["state"], "paused");
    let table = user.succeeds(&["ps"]);
    assert!(table.contains("paused") && table.contains("0/1"), "{table}");
    let stats: Value =
        serde_json::from_str(&user.succeeds(&["stats", "counter", "--format", "json"]))
            .expect("JSON");
    assert!(stats[0]["memory_bytes"].as_u64() > Some(0), "{stats:#}");
    user.run(&["pause", "counter"])
        .refuses(65, &["paused already", "uc resume"]);
    let resumed: Value =
        serde_json::from_str(&user.succeeds(&["resume", "counter", "--format", "json"]))
            .expect("JSON");
    assert_eq!(resumed["resumed"][0], id.trim());
    user.goes_on();
    assert_eq!(user.only()["state"], "running");
    user.succeeds(&["pause", "counter"]);
    user.succeeds(&["stop", "counter"]);
    user.waits_for("exited");
    user.run(&["pause", "counter"])
        .refuses(66, &["does not run", "exited"]);
    user.succeeds(&["rm", "counter"]);
    // A paused one is removed by force.
    user.starts(arguments);
    user.succeeds(&["pause", "counter"]);
    user.run(&["rm", "counter"]).refuses(77, &["still runs"]);
    user.succeeds(&["rm", "--force", "counter"]);
    user.host.assert_nothing_left();
}

#[test]
fn a_container_is_held_and_let_go() {
    let Some(host) = Host::new() else { return };
    host.file("pod.yaml", COUNTER);
    let user = User {
        host: &host,
        uc: &|| host.uc(),
    };
    is_held_and_let_go(&user, &["pod.yaml"]);
}

#[test]
fn containers_of_other_runtimes_are_held_and_let_go() {
    let Some(host) = Host::new() else { return };
    host.file("pod.yaml", COUNTER);
    for (runtime, kind) in [
        ("runsc", "gvisor"),
        ("crun", "container"),
        ("runc", "container"),
    ] {
        if host.uc_with(runtime).is_none() {
            continue;
        }
        let user = User {
            host: &host,
            uc: &|| host.uc_with(runtime).expect("found before"),
        };
        is_held_and_let_go(&user, &["--runtime", kind, "pod.yaml"]);
    }
}

#[test]
fn a_webassembly_program_is_held_and_let_go() {
    let Some(host) = Host::new() else { return };
    host.file("counter.wat", COUNTER_WAT);
    host.file("pod.yaml", &webassembly_pod());
    let user = User {
        host: &host,
        uc: &|| host.uc(),
    };
    is_held_and_let_go(&user, &["pod.yaml"]);
}

#[test]
fn a_container_and_a_function_in_a_microvm_are_held_and_let_go() {
    let Some(host) = MicrovmHost::new() else {
        return;
    };
    host.file("pod.yaml", COUNTER);
    let user = User {
        host: &host,
        uc: &|| host.uc(),
    };
    is_held_and_let_go(&user, &["--runtime", "microvm", "pod.yaml"]);
    host.file("counter.wat", COUNTER_WAT);
    host.file("pod.yaml", &webassembly_pod());
    is_held_and_let_go(&user, &["--runtime", "fused", "pod.yaml"]);
}

/// Without the hierarchy of version 2 the freezer of version 1 is used, which holds even what has been killed.
#[test]
fn the_freezer_of_version_1_is_enough() {
    let Some(host) = Host::new() else { return };
    host.file("pod.yaml", COUNTER);
    let hybrid = "/sys/fs/cgroup/unified";
    let without_version_2 = || {
        let mut command = Command::new("unshare");
        let uc = host.uc();
        let script = format!("umount {hybrid} && exec \"$0\" \"$@\"");
        command
            .args(["--mount", "sh", "-c", &script])
            .arg(uc.get_program());
        command.current_dir(host.path());
        command.envs(
            uc.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        command
    };
    if !fs::exists(hybrid).unwrap_or(false) || !rustix::process::geteuid().is_root() {
        println!("skipped: this host has no hierarchy of version 1 beside that of version 2");
        return;
    }
    let user = User {
        host: &host,
        uc: &without_version_2,
    };
    is_held_and_let_go(&user, &["pod.yaml"]);
    a_killed_owner_leaves_nothing(&user);
    is_not_unhealthy(&user);
}

#[test]
fn a_killed_owner_of_a_paused_workload_leaves_nothing() {
    let Some(host) = Host::new() else { return };
    host.file("pod.yaml", COUNTER);
    let user = User {
        host: &host,
        uc: &|| host.uc(),
    };
    a_killed_owner_leaves_nothing(&user);
}

fn a_killed_owner_leaves_nothing(user: &User<'_>) {
    user.starts(&["pod.yaml"]);
    user.succeeds(&["pause", "counter"]);
    let paused = user.waits_for("paused");
    let number = |value: &Value| value.as_u64().expect("a process id");
    let owner = number(&paused["workload"]["owner"]);
    let program = number(&paused["workload"]["containers"]["main"]["pid"]);
    let id = paused["workload"]["id"].as_str().expect("an id").to_owned();
    let killed = Command::new("kill")
        .args(["-KILL", &owner.to_string()])
        .status();
    assert!(killed.expect("runs").success());
    user.waits_for("lost");
    user.succeeds(&["rm", "--ended"]);
    user.host.assert_nothing_left();
    // A dead one that nobody has reaped yet has no command line.
    let line = fs::read(format!("/proc/{program}/cmdline")).unwrap_or_default();
    assert!(line.is_empty(), "it lives");
    let groups = Command::new("find")
        .args(["/sys/fs/cgroup", "-name", &format!("*{id}*")])
        .output();
    assert_eq!(String::from_utf8_lossy(&groups.expect("runs").stdout), "");
}

/// A workload whose liveness probe would fail while it is paused, or is in the middle of it, is not restarted for it.
#[test]
fn a_paused_workload_is_not_unhealthy() {
    let Some(host) = Host::new() else { return };
    let user = User {
        host: &host,
        uc: &|| host.uc(),
    };
    is_not_unhealthy(&user);
}

fn is_not_unhealthy(user: &User<'_>) {
    // It says in the log where it is: what it writes goes to the program's output.
    let probe = "      livenessProbe:
        exec: {command: [sh, -c, 'echo probing > /proc/1/fd/1; busybox sleep 1; echo probed > /proc/1/fd/1']}
        periodSeconds: 1
        timeoutSeconds: 10
        failureThreshold: 1
";
    user.host.file("pod.yaml", &format!("{COUNTER}{probe}"));
    user.starts(&["pod.yaml"]);
    user.waits_for_lines("probing", 1);
    user.succeeds(&["pause", "counter"]);
    // Longer than the period and the timeout together.
    std::thread::sleep(Duration::from_secs(12));
    let probed = user.lines("probed");
    user.succeeds(&["resume", "counter"]);
    // The one that was held, and another: what the first one said has been acted on by then.
    user.waits_for_lines("probed", probed + 2);
    assert_eq!(user.only()["workload"]["containers"]["main"]["restarts"], 0);
    user.succeeds(&["rm", "--force", "counter"]);
    user.host.assert_nothing_left();
}

#[test]
fn nothing_is_done_where_one_of_several_names_is_unknown() {
    let Some(host) = Host::new() else { return };
    host.file("counter.wat", COUNTER_WAT);
    host.file("pod.yaml", &webassembly_pod());
    let user = User {
        host: &host,
        uc: &|| host.uc(),
    };
    user.starts(&["pod.yaml"]);
    for command in ["pause", "stop", "rm"] {
        user.run(&[command, "counter", "nobody"])
            .refuses(66, &["nobody"]);
        assert_eq!(user.only()["state"], "running", "{command}");
    }
    let paused = user.succeeds(&["pause", "counter", "counter"]);
    assert_eq!(paused.lines().count(), 1, "{paused}");
    user.run(&["resume", "counter", "nobody"])
        .refuses(66, &["nobody"]);
    assert_eq!(user.only()["state"], "paused");
    user.succeeds(&["unpause", "counter"]);
    assert_eq!(user.only()["state"], "running");
    user.succeeds(&["stop", "--now", "counter", "counter"]);
    user.succeeds(&["rm", "counter"]);
    host.assert_nothing_left();
}
