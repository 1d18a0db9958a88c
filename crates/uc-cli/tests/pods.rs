//! Manifests of the kinds that the documentation promises, run for real: what each prints, and how it ends.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use support::{Ended, Host};

/// A Pod with this `spec`, each line of it indented by two.
fn pod(spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: case, labels: {{tier: test}}}}\nspec:\n{spec}"
    )
}

/// A container of busybox that runs a shell script.
fn shell(script: &str) -> String {
    format!("image: oci:busybox:latest\n    command: [sh, -c]\n    args: [{script:?}]")
}

fn wasm_hello(host: &Host) {
    host.file(
        "hello.wat",
        r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "hello\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 6))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
    (call $exit (i32.const 7))))"#,
    );
}

#[test]
fn init_containers_and_containers_share_volumes() {
    let Some(host) = Host::new() else { return };
    let spec = format!(
        "restartPolicy: Never
initContainers:
  - name: first
    {}
    volumeMounts: [{{name: work, mountPath: /work}}]
  - name: second
    {}
    volumeMounts: [{{name: work, mountPath: /work}}]
containers:
  - name: main
    {}
    volumeMounts: [{{name: work, mountPath: /data, readOnly: true}}]
volumes:
  - name: work
    emptyDir: {{}}",
        shell("echo one > /work/file"),
        shell("echo two >> /work/file"),
        shell("cat /data/file; touch /data/new || echo read-only"),
    );
    let ended = host.pod(&pod(&spec));
    assert_eq!(
        (ended.code, &*ended.stdout),
        (0, "main | one\nmain | two\nmain | read-only\n"),
        "{ended}"
    );
}

#[test]
fn config_maps_secrets_and_the_pod_itself_become_files_and_variables() {
    let Some(host) = Host::new() else { return };
    let data = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: blue, size: \"7\"}\n---\n\
                apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {token: s3cret}\n---\n";
    let spec = format!(
        "containers:
  - name: main
    {}
    env:
      - {{name: COLOUR, valueFrom: {{configMapKeyRef: {{name: settings, key: colour}}}}}}
      - {{name: POD, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
    envFrom: [{{secretRef: {{name: keys}}, prefix: KEY_}}]
    volumeMounts: [{{name: all, mountPath: /etc/all}}]
volumes:
  - name: all
    projected:
      defaultMode: 0440
      sources:
        - configMap: {{name: settings, items: [{{key: size, path: sub/size}}]}}
        - secret: {{name: keys}}
        - downwardAPI: {{items: [{{path: labels, fieldRef: {{fieldPath: metadata.labels}}}}]}}",
        shell(
            "echo $COLOUR $POD $KEY_token; cat /etc/all/sub/size; echo; cat /etc/all/token; echo; cat /etc/all/labels; echo; stat -Lc %a /etc/all/token"
        ),
    );
    host.pod(&format!("{data}{}", pod(&spec)))
        .expect(0, "blue case s3cret\n7\ns3cret\ntier=\"test\"\n440\n");
}

#[test]
fn the_security_context_decides_who_the_program_is() {
    let Some(host) = Host::new() else { return };
    let spec = format!(
        "securityContext: {{runAsUser: 1000, runAsGroup: 2000, runAsNonRoot: true, fsGroup: 3000, supplementalGroups: [4000]}}
containers:
  - name: main
    {}
    securityContext: {{readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
    volumeMounts: [{{name: shared, mountPath: /shared}}, {{name: files, mountPath: /files}}]
volumes:
  - {{name: shared, emptyDir: {{}}}}
  - name: files
    downwardAPI: {{defaultMode: 0400, items: [{{path: name, fieldRef: {{fieldPath: metadata.name}}}}]}}",
        shell("id -u; id -g; id -G; touch /x 2>/dev/null || echo read-only; stat -c '%g %a' /shared; touch /shared/new; \
               stat -c %g /shared/new; cat /files/name; echo; stat -Lc '%g %a' /files/name; grep -E 'CapEff|NoNewPrivs' /proc/self/status"),
    );
    host.pod(&pod(&spec)).expect(
        0,
        "1000\n2000\n2000 3000 4000\nread-only\n3000 2777\n3000\ncase\n3000 440\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n",
    );
}

#[test]
fn any_user_can_open_the_standard_streams_by_their_names() {
    let Some(host) = Host::new() else { return };
    let script =
        "echo to-stdout > /dev/stdout; echo to-fd > /proc/self/fd/1; echo to-stderr > /dev/stderr";
    for security in ["{}", "{runAsUser: 1000, runAsGroup: 2000}"] {
        let spec = format!(
            "securityContext: {security}\ncontainers:\n  - name: main\n    {}",
            shell(script)
        );
        let ended = host.pod(&pod(&spec));
        ended.expect(0, "to-stdout\nto-fd\n");
        assert_eq!(ended.stderr, "to-stderr\n", "{ended}");
    }
}

#[test]
fn host_paths_are_read_only_unless_the_mount_says_otherwise() {
    let Some(host) = Host::new() else { return };
    std::fs::create_dir(host.path().join("shared")).expect("made");
    host.file("shared/input", "given\n");
    let spec = format!(
        "containers:
  - name: main
    {}
    volumeMounts: [{{name: host, mountPath: /host}}]
volumes:
  - {{name: host, hostPath: {{path: ./shared, type: Directory}}}}",
        shell("cat /host/input; touch /host/new 2>/dev/null || echo read-only"),
    );
    host.pod(&pod(&spec)).expect(0, "given\nread-only\n");
    assert!(!host.path().join("shared/new").exists());
}

#[test]
fn failures_are_restarted_and_deadlines_end() {
    let Some(host) = Host::new() else { return };
    let again = format!(
        "restartPolicy: OnFailure
containers:
  - name: main
    {}
    volumeMounts: [{{name: work, mountPath: /work}}]
volumes: [{{name: work, emptyDir: {{}}}}]",
        shell("echo try; test -e /work/seen && exit 0; touch /work/seen; exit 3"),
    );
    host.pod(&pod(&again)).expect(0, "try\ntry\n");
    let late = format!(
        "activeDeadlineSeconds: 1\nterminationGracePeriodSeconds: 1\ncontainers:\n  - name: main\n    {}",
        shell("echo on; exec sleep 1000000"),
    );
    let ended = host.pod(&pod(&late));
    ended.expect(124, "on\n");
    assert!(ended.stderr.contains("activeDeadlineSeconds"), "{ended}");
}

#[test]
fn probes_restart_what_is_ill() {
    let Some(host) = Host::new() else { return };
    let spec = format!(
        "restartPolicy: OnFailure
terminationGracePeriodSeconds: 0
containers:
  - name: main
    {}
    livenessProbe: {{exec: {{command: [test, -e, /tmp/alive]}}, periodSeconds: 1, failureThreshold: 1}}
    volumeMounts: [{{name: work, mountPath: /work}}]
volumes: [{{name: work, emptyDir: {{}}}}]",
        shell("test -e /work/seen && exit 0; touch /work/seen; exec sleep 1000000"),
    );
    let ended = host.pod(&pod(&spec));
    ended.expect(0, "");
    assert!(ended.stderr.contains("liveness probe failed"), "{ended}");
}

#[test]
fn what_a_probe_has_ended_says_which_and_why() {
    let Some(host) = Host::new() else { return };
    for (probe, command, words) in [
        (
            "startupProbe",
            "[sleep, \"5\"]",
            "startup probe failed: the command took longer than timeoutSeconds: 1",
        ),
        (
            "livenessProbe",
            "[sh, -c, exit 3]",
            "liveness probe failed: the command's exit code was 3",
        ),
    ] {
        let spec = format!(
            "restartPolicy: Never
terminationGracePeriodSeconds: 0
containers:
  - name: main
    {}
    {probe}: {{exec: {{command: {command}}}, timeoutSeconds: 1, periodSeconds: 1, failureThreshold: 1}}",
            shell("exec sleep 1000000"),
        );
        let ended = host.pod(&pod(&spec));
        assert_eq!(ended.code, 137, "{ended}");
        let told = ended.stderr.lines().last().unwrap_or_default();
        assert!(
            told.ends_with(&format!("stopped, since its {words}")),
            "{ended}"
        );
    }
}

#[test]
fn a_webassembly_pod_gets_arguments_directories_and_its_exit_code() {
    let Some(host) = Host::new() else { return };
    wasm_hello(&host);
    let spec = "containers:
  - name: main
    image: ./hello.wat
    args: [a, b]
    volumeMounts: [{name: work, mountPath: /work}]
    resources: {limits: {memory: 8Mi, cpu: 500m}}
volumes: [{name: work, emptyDir: {}}]";
    host.pod(&pod(spec)).expect(7, "hello\n");
    // One file, two Pods, two sandboxes.
    let both = format!(
        "{}---\n{}",
        pod(spec),
        pod(&format!(
            "containers:\n  - name: other\n    {}",
            shell("echo linux")
        ))
        .replace("case", "second")
    );
    let ended = host.pod(&both);
    assert_eq!(ended.code, 7, "{ended}");
    for line in ["main | hello\n", "other | linux\n"] {
        assert!(ended.stdout.contains(line), "{ended}");
    }
}

#[test]
fn a_container_has_at_most_4096_processes_unless_it_says_otherwise() {
    let Some(host) = Host::new() else { return };
    let Some(limit) = pids_limit(&host, "") else {
        println!("skipped: no pids controller here");
        return;
    };
    assert_eq!(limit, "4096");
    let annotated = "annotations: {undercurrent.dev/pids-limit: \"77\"}";
    assert_eq!(pids_limit(&host, annotated).as_deref(), Some("77"));
}

/// The limit of a running container's control group.
fn pids_limit(host: &Host, metadata: &str) -> Option<String> {
    let spec = format!(
        "containers:\n  - name: main\n    {}",
        shell("exec sleep 1000000")
    );
    let text = pod(&spec).replace("labels: {tier: test}", metadata);
    host.file("pod.yaml", &text.replace(", }", "}"));
    let started = host.run(&["run", "--detach", "--name", "counted", "pod.yaml"]);
    assert_eq!(started.code, 0, "{started}");
    let group = format!("undercurrent-{}-main", started.stdout.trim());
    let found = find_group(Path::new("/sys/fs/cgroup"), &group, 6);
    let limit = found.and_then(|group| std::fs::read_to_string(group.join("pids.max")).ok());
    assert_eq!(host.run(&["rm", "--force", "counted"]).code, 0);
    limit.map(|text| text.trim().to_owned())
}

/// A control group of this name that limits processes.
fn find_group(below: &Path, name: &str, depth: usize) -> Option<PathBuf> {
    let here = below.join(name);
    if here.join("pids.max").exists() {
        return Some(here);
    }
    let entries = std::fs::read_dir(below).ok().filter(|_| depth > 0)?;
    let mut directories = entries.flatten().filter(|entry| entry.path().is_dir());
    directories.find_map(|entry| find_group(&entry.path(), name, depth - 1))
}

#[test]
fn a_seccomp_profile_beyond_one_mebibyte_is_refused() {
    let Some(host) = Host::new() else { return };
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#;
    let spec = format!(
        "containers:\n  - name: main\n    {}\n    securityContext: {{seccompProfile: {{type: Localhost, localhostProfile: large.json}}}}",
        shell("echo ran"),
    );
    let padded = |bytes: usize| format!("{profile}{}", " ".repeat(bytes - profile.len()));
    host.file("large.json", &padded(1 << 20));
    host.pod(&pod(&spec)).expect(0, "ran\n");
    host.file("large.json", &padded((1 << 20) + 1));
    host.pod(&pod(&spec)).refuses(
        77,
        &["large.json: the seccomp profile is too large", "1 MiB"],
    );
}

#[test]
fn a_seccomp_profile_that_cannot_be_used_is_named_with_the_reason() {
    let Some(host) = Host::new() else { return };
    let spec = format!(
        "containers:\n  - name: main\n    {}\n    securityContext: {{seccompProfile: {{type: Localhost, localhostProfile: mine.json}}}}",
        shell("echo ran"),
    );
    host.file("mine.json", "{\n\"defaultAction\"\n}");
    host.pod(&pod(&spec)).refuses(
        65,
        &[
            "container main",
            "mine.json: line 3",
            "not an OCI seccomp profile",
        ],
    );
    host.file("mine.json", r#"{"defaultAction": "SCMP_ACT_KILL"}"#);
    host.pod(&pod(&spec))
        .refuses(65, &["the seccomp profile forbids", "SIGSYS"]);
}

#[test]
fn a_local_seccomp_profile_narrows_the_built_in_one() {
    let Some(host) = Host::new() else { return };
    host.file(
        "no-hostname.json",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}"#,
    );
    let spec = format!(
        "containers:
  - name: main
    {}
    securityContext: {{seccompProfile: {{type: Localhost, localhostProfile: no-hostname.json}}}}",
        shell("mkdir /tmp/x 2>/dev/null || echo refused; touch /tmp/y && echo fine")
            .replace("mkdir /tmp/x", "busybox mkdir /tmp/x"),
    );
    host.pod(&pod(&spec)).expect(0, "refused\nfine\n");
}

/// A run in the foreground whose first line has been read.
fn running(host: &Host, arguments: &[&str], line: &str) -> Child {
    let mut child = host
        .uc()
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut first = String::new();
    let stdout = child.stdout.as_mut().expect("a pipe");
    BufReader::new(stdout)
        .read_line(&mut first)
        .expect("output");
    assert_eq!(first, line);
    child
}

#[test]
fn an_interrupt_stops_gracefully_and_a_second_one_at_once() {
    let Some(host) = Host::new() else { return };
    let interrupt = |child: &Child| {
        let pid = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signalled");
    };
    let script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let child = running(
        &host,
        &["run", "oci:busybox:latest", "--", "sh", "-c", script],
        "ready\n",
    );
    interrupt(&child);
    let ended = Ended::of(&child.wait_with_output().expect("ends"));
    assert_eq!(ended.code, 5, "{ended}");
    host.assert_nothing_left();
    let stubborn = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let child = running(
        &host,
        &["run", "oci:busybox:latest", "--", "sh", "-c", stubborn],
        "ready\n",
    );
    let begun = Instant::now();
    interrupt(&child);
    std::thread::sleep(Duration::from_millis(100));
    interrupt(&child);
    let ended = Ended::of(&child.wait_with_output().expect("ends"));
    assert_eq!(ended.code, 137, "{ended}");
    let told = ended.stderr.matches("a second signal ends it at once");
    assert_eq!(told.count(), 1, "{ended}");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "it waited for the grace period"
    );
    host.assert_nothing_left();
}

#[test]
fn a_detached_workload_is_followed_measured_and_stopped() {
    let Some(host) = Host::new() else { return };
    let spec = format!(
        "containers:\n  - name: main\n    {}\n    ports: [{{containerPort: 8080}}]\n    resources: {{limits: {{memory: 64Mi}}}}",
        shell("for i in 1 2 3; do echo line $i; done; echo problem >&2; exec sleep 1000000"),
    );
    host.file("pod.yaml", &pod(&spec));
    let started = host.run(&["run", "--detach", "--name", "web", "pod.yaml"]);
    assert_eq!(started.code, 0, "{started}");
    let id = started.stdout.trim().to_owned();
    assert!(id.starts_with("web-"), "{id}");
    let mut follower = running(&host, &["logs", "--follow", "web"], "line 1\n");
    let listed = host.run(&["ps"]);
    assert!(
        listed.stdout.contains(&id) && listed.stdout.contains("running"),
        "{listed}"
    );
    let stats = host.run(&["stats", "web", "--format", "json"]);
    assert!(stats.stdout.contains("memory_bytes"), "{stats}");
    assert_eq!(host.run(&["stop", "--now", &id]).code, 0);
    host.run(&["stats", "web"])
        .refuses(66, &["does not run", "exited", "uc ps"]);
    // Whoever follows is let go when there is nothing more to come.
    let end = follower.wait().expect("ends");
    assert!(end.success(), "{end}");
    let logs = host.run(&["logs", "web"]);
    assert_eq!(logs.stdout, "line 1\nline 2\nline 3\n", "{logs}");
    assert!(logs.stderr.contains("problem"), "{logs}");
    assert_eq!(host.run(&["rm", "web"]).code, 0);
    host.assert_nothing_left();
    host.run(&["logs", "web"])
        .refuses(66, &["no such workload", "uc ps"]);
}

#[test]
fn every_signal_of_a_terminal_stops_a_run_and_leaves_nothing() {
    use rustix::process::Signal;
    let Some(host) = Host::new() else { return };
    let script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        let arguments = ["run", "oci:busybox:latest", "--", "sh", "-c", script];
        let child = running(&host, &arguments, "ready\n");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).expect("signalled");
        let ended = Ended::of(&child.wait_with_output().expect("ends"));
        assert_eq!(ended.code, 5, "{signal:?}: {ended}");
        host.assert_nothing_left();
    }
}

#[test]
fn a_port_of_the_host_that_is_in_use_is_named_with_whoever_has_it() {
    let Some(host) = Host::new() else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = taken.local_addr().expect("known").port();
    let spec = format!(
        "containers:\n  - name: main\n    {}\n    ports: [{{containerPort: 8080, hostPort: {port}}}]",
        shell("exec sleep 1000000")
    );
    let in_use = format!("hostPort {port} (TCP, 127.0.0.1): the port of the host is in use");
    let ended = host.pod(&pod(&spec));
    if ended.stderr.contains("undercurrent.dev/network") || ended.stderr.contains("pasta") {
        println!("skipped: no user-mode network here: {ended}");
        return;
    }
    ended.refuses(78, &[&in_use, "another program"]);
    assert!(!ended.stderr.contains("syslog"), "{ended}");
    drop(taken);
    let started = host.run(&["run", "--detach", "pod.yaml"]);
    assert_eq!(started.code, 0, "{started}");
    let id = started.stdout.trim();
    let second = host.run(&["run", "--name", "second", "pod.yaml"]);
    second.refuses(78, &[&in_use, &format!("workload {id} has it")]);
    assert_eq!(host.run(&["rm", "--force", id]).code, 0);
    host.assert_nothing_left();
}

#[test]
fn the_image_says_which_signal_asks_its_program_to_end() {
    let Some(host) = Host::new() else { return };
    let script = "trap 'echo quit; exit 4' QUIT; trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    for (signal, code) in [("SIGQUIT", 4), ("", 5)] {
        host.configured_image(
            "signalled",
            &serde_json::json!({ "config": { "StopSignal": signal } }),
        );
        let arguments = ["run", "oci:signalled:latest", "--", "sh", "-c", script];
        let child = running(&host, &arguments, "ready\n");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signalled");
        let ended = Ended::of(&child.wait_with_output().expect("ends"));
        assert_eq!(ended.code, code, "{ended}");
    }
    host.configured_image(
        "signalled",
        &serde_json::json!({ "config": { "StopSignal": "SIGNOTHING" } }),
    );
    host.run(&["run", "oci:signalled:latest"])
        .refuses(65, &["StopSignal", "SIGNOTHING"]);
}

#[test]
fn init_containers_do_not_count_as_ready() {
    let Some(host) = Host::new() else { return };
    let spec = format!(
        "initContainers:\n  - name: first\n    {}\ncontainers:\n  - name: main\n    {}",
        shell("true"),
        shell("exec sleep 1000000"),
    );
    host.file("pod.yaml", &pod(&spec));
    let started = host.run(&["run", "--detach", "--name", "counted", "pod.yaml"]);
    assert_eq!(started.code, 0, "{started}");
    let listed = host.run(&["ps"]);
    assert!(listed.stdout.contains(" 1/1 "), "{listed}");
    assert_eq!(host.run(&["rm", "--force", "counted"]).code, 0);
}

#[test]
fn an_exit_code_that_no_shell_can_show_is_a_failure_and_told() {
    let Some(host) = Host::new() else { return };
    host.file(
        "far.wat",
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 256))))"#,
    );
    host.run(&["run", "far.wat"])
        .refuses(1, &["own exit code was 256"]);
}

#[test]
fn the_list_says_why_a_detached_workload_has_ended() {
    let Some(host) = Host::new() else { return };
    let spec = format!(
        "activeDeadlineSeconds: 1\nterminationGracePeriodSeconds: 0\ncontainers:\n  - name: main\n    {}",
        shell("exec sleep 1000000")
    );
    host.file("pod.yaml", &pod(&spec));
    let started = host.run(&["run", "--detach", "--name", "late", "pod.yaml"]);
    assert_eq!(started.code, 0, "{started}");
    let begun = Instant::now();
    loop {
        let listed = host.run(&["ps"]);
        if listed.stdout.contains("exited (124)") {
            assert!(
                listed.stdout.contains("WHY")
                    && listed
                        .stdout
                        .contains("stopped after activeDeadlineSeconds: 1"),
                "{listed}"
            );
            break;
        }
        assert!(!listed.stdout.contains("WHY"), "{listed}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{listed}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(host.run(&["rm", "late"]).code, 0);
}

#[test]
fn timings_tell_init_containers_from_the_making_of_the_sandbox() {
    let Some(host) = Host::new() else { return };
    let spec = format!(
        "initContainers:\n  - name: first\n    {}\ncontainers:\n  - name: main\n    {}",
        shell("sleep 0.5"),
        shell("echo ran"),
    );
    host.file("pod.yaml", &pod(&spec));
    let ended = host.run(&["run", "--format", "json", "pod.yaml"]);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON alone");
    let stage = |name: &str| report[0]["timings_ms"][name].as_f64().expect("a number");
    assert!(
        stage("init") >= 500.0 && stage("create") < stage("init"),
        "{report}"
    );
    // A detached workload has nobody to tell.
    let ended = host.run(&["run", "--detach", "--timings", "pod.yaml"]);
    ended.refuses(2, &["--timings", "--detach"]);
}

#[test]
fn json_puts_one_document_on_standard_output() {
    let Some(host) = Host::new() else { return };
    wasm_hello(&host);
    let ended = host.run(&["run", "--format", "json", "hello.wat"]);
    assert_eq!(ended.code, 7, "{ended}");
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON alone");
    assert_eq!(report[0]["exit_code"], 7);
    assert!(report[0]["timings_ms"]["create"].is_number(), "{report}");
    assert!(ended.stderr.contains("hello"), "{ended}");
}

#[test]
fn a_problem_names_its_container_once() {
    let Some(host) = Host::new() else { return };
    wasm_hello(&host);
    host.file("single", "");
    host.file(
        "pod.yaml",
        &pod("containers:
  - {name: main, image: ./hello.wat, volumeMounts: [{name: v, mountPath: /v}]}
volumes: [{name: v, hostPath: {path: ./single}}]"),
    );
    let ended = host.run(&["run", "--runtime", "wasm", "pod.yaml"]);
    ended.refuses(77, &["container main: mount /v: ", "not single files"]);
    let named = ended.stderr.matches("container main").count();
    assert_eq!(named, 1, "{ended}");
}

/// A module that makes a file in its first directory.
const WRITER: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "made")
  (func (export "_start")
    (call $exit (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4)
      (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 0)))))"#;

/// A WebAssembly program has the rights of the user that a container's program would have: never those of root.
#[test]
fn a_webassembly_program_acts_as_its_user_and_never_as_root() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let Some(host) = Host::new() else { return };
    if !rustix::process::geteuid().is_root() {
        println!("skipped: acting as another user takes root");
        return;
    }
    host.file("writer.wat", WRITER);
    let shared = host.path().join("shared");
    let closed = host.path().join("closed");
    for (directory, mode) in [(&shared, 0o777), (&closed, 0o755)] {
        std::fs::create_dir(directory).expect("made");
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(mode)).expect("set");
    }
    let manifest = |directory: &str, security: &str| {
        pod(&format!(
            "containers:\n  - name: main\n    image: ./writer.wat\n    securityContext: {security}\n    \
             volumeMounts: [{{name: v, mountPath: /v, readOnly: false}}]\n\
             volumes: [{{name: v, hostPath: {{path: {directory}}}}}]"
        ))
    };
    let container_root = container_root(&host);
    for (security, inside) in [
        ("{}", 0),
        (
            "{runAsUser: 1000, runAsGroup: 2000, runAsNonRoot: true}",
            1000,
        ),
    ] {
        host.pod(&manifest("./shared", security)).expect(0, "");
        let made = std::fs::metadata(shared.join("made")).expect("made");
        assert_eq!(made.uid(), container_root + inside, "{security}");
        assert_ne!(made.gid(), 0, "{security}");
        std::fs::remove_file(shared.join("made")).expect("removed");
    }
    // WASI's number for a lack of permission.
    host.pod(&manifest("./closed", "{}")).expect(2, "");
}

/// The host's id of root in a container.
fn container_root(host: &Host) -> u32 {
    let arguments = [
        "run",
        "oci:busybox:latest",
        "--",
        "cat",
        "/proc/self/uid_map",
    ];
    let map = host.run(&arguments).stdout;
    let words: Vec<&str> = map.split_whitespace().collect();
    words[1].parse().expect("an id")
}

#[test]
fn a_volume_is_shared_by_programs_of_both_kinds() {
    let Some(host) = Host::new() else { return };
    host.file("writer.wat", WRITER);
    let spec = format!(
        "initContainers:
  - name: first
    {}
    volumeMounts: [{{name: work, mountPath: /work}}]
containers:
  - name: main
    image: ./writer.wat
    volumeMounts: [{{name: work, mountPath: /work}}]
volumes: [{{name: work, emptyDir: {{}}}}]",
        shell("mkdir /work/sub"),
    );
    host.pod(&pod(&spec)).expect(0, "");
}

/// What `uc run` refuses before it starts anything, `uc explain` does not approve of.
#[test]
fn an_explanation_says_what_would_keep_it_from_starting() {
    let Some(host) = Host::new() else { return };
    host.file(
        "unknown.wat",
        r#"(module (import "env" "magic" (func)) (func (export "_start")))"#,
    );
    host.file("library.wat", r#"(module (func (export "run_me")))"#);
    std::fs::write(host.path().join("a-file"), "x").expect("written");
    let with = |fields: &str, volumes: &str| {
        pod(&format!(
            "containers:\n  - name: main\n    {}\n{fields}{volumes}",
            shell("true")
        ))
    };
    let mount = "    volumeMounts: [{name: v, mountPath: /v}]\n";
    let manifests = [
        with(mount, "volumes: [{name: v, hostPath: {path: ./nothing}}]"),
        with(
            mount,
            "volumes: [{name: v, hostPath: {path: ./a-file, type: Directory}}]",
        ),
        with("    securityContext: {runAsUser: 70000}\n", ""),
        with(
            "    securityContext: {seccompProfile: {type: Localhost, localhostProfile: none.json}}\n",
            "",
        ),
    ];
    let mut targets = vec!["unknown.wat".to_owned(), "library.wat".to_owned()];
    for (index, manifest) in manifests.iter().enumerate() {
        let name = format!("case-{index}.yaml");
        host.file(&name, manifest);
        targets.push(name);
    }
    for target in targets {
        let run = host.run(&["run", &target]);
        let explained = host.run(&["explain", &target]);
        assert_ne!(run.code, 0, "{target}: {run}");
        assert_eq!(explained.code, run.code, "{target}:\n{run}\n{explained}");
        assert!(
            explained.stdout.contains("cannot start"),
            "{target}: {explained}"
        );
        host.assert_nothing_left();
    }
    host.file("fine.yaml", &with("", ""));
    let explained = host.run(&["explain", "fine.yaml"]);
    assert!(
        explained.code == 0 && !explained.stdout.contains("cannot start"),
        "{explained}"
    );
    host.assert_nothing_left();
}
