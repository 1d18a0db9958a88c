//! `uc run --runtime microvm` and `--runtime fused`: whole Pods, functions, the life of a detached one, bad input.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

#[path = "support/microvms.rs"]
mod microvms;
mod support;

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use microvms::MicrovmHost;
use support::{Ended, Host};

/// A Pod of two images: everything that both runtimes are to do alike.
const POD: &str = r#"apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: s3cret}
---
apiVersion: v1
kind: Pod
metadata: {name: case}
spec:
  restartPolicy: Never
  initContainers:
    - name: first
      image: oci:other:latest
      command: [sh, -c, "cat /etc/hosts > /dev/null; cat /mark; echo shared > /work/file"]
      volumeMounts: [{name: work, mountPath: /work}]
  containers:
    - name: main
      image: oci:busybox:latest
      command: [sh, -c]
      args: ["cat /work/file /etc/conf/colour /etc/keys/token; echo; echo $TOKEN $(id -u) $(hostname); ls /mark; stat -Lc %a /etc/keys/token; exit 9"]
      env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: token}}}]
      volumeMounts:
        - {name: work, mountPath: /work}
        - {name: conf, mountPath: /etc/conf}
        - {name: keys, mountPath: /etc/keys}
  volumes:
    - {name: work, emptyDir: {}}
    - {name: conf, configMap: {name: settings}}
    - {name: keys, secret: {secretName: keys, defaultMode: 0400}}
"#;

fn two_images(host: &Host) {
    let mark = host.file("mark", "another image\n");
    host.image("other", &[("/mark", &mark, 0o644)]);
}

#[test]
fn a_pod_of_two_images_is_the_same_in_a_container_and_in_a_microvm() {
    let Some(host) = MicrovmHost::new() else {
        return;
    };
    two_images(&host);
    let sorted = |ended: &Ended| {
        let mut lines: Vec<String> = ended.stdout.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let container = host.pod("container", POD);
    let microvm = host.pod("microvm", POD);
    let again = host.pod("microvm", POD);
    assert_eq!(container.code, 9, "{container}");
    assert!(container.stdout.contains("shared"), "{container}");
    assert!(container.stdout.contains("another image"), "{container}");
    for other in [microvm, again] {
        assert_eq!(other.code, 9, "{other}");
        assert_eq!(sorted(&other), sorted(&container), "{other}");
    }
}

#[test]
fn codes_streams_and_input_are_the_programs_own() {
    let Some(host) = MicrovmHost::new() else {
        return;
    };
    for runtime in ["microvm", "fused"] {
        let image = ["run", "--runtime", runtime, "oci:busybox:latest", "--"];
        let shell = |script| [&image[..], &["sh", "-c", script]].concat();
        let ended = host.run(&shell("echo out; echo err >&2; exit 42"));
        ended.expect(42, "out\n");
        assert!(ended.stderr.contains("err\n"), "{ended}");
        let killed = host.run(&shell("sleep 1000 & kill -9 $!; wait $!"));
        assert_eq!(killed.code, 137, "{killed}");
        let missing = host.run(&[&image[..], &["no-such-program"]].concat());
        assert_eq!(missing.code, 127, "{missing}");
    }
    host.assert_nothing_left();
    assert_eq!(host.monitors(), Vec::<u32>::new());
}

/// A module that writes 16 random bytes as 32 letters, then what comes on its standard input, and exits with 7.
const FUNCTION: &str = r#"(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $letter (param $to i32) (param $value i32)
    (i32.store8 (local.get $to) (i32.add (i32.const 97) (local.get $value))))
  (func $letters (param $from i32) (param $to i32) (local $i i32) (local $byte i32)
    (loop $next
      (local.set $byte (i32.load8_u (i32.add (local.get $from) (local.get $i))))
      (call $letter (local.get $to) (i32.shr_u (local.get $byte) (i32.const 4)))
      (call $letter (i32.add (local.get $to) (i32.const 1)) (i32.and (local.get $byte) (i32.const 15)))
      (local.set $to (i32.add (local.get $to) (i32.const 2)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 16)))))
  (func (export "_start")
    (drop (call $environ (i32.const 8000) (i32.const 9000)))
    (drop (call $args (i32.const 12000) (i32.const 13000)))
    (drop (call $random (i32.const 100) (i32.const 16)))
    (call $letters (i32.const 100) (i32.const 200))
    (i32.store (i32.const 0) (i32.const 200))
    (i32.store (i32.const 4) (i32.const 32))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
    (i32.store (i32.const 0) (i32.const 1000))
    (i32.store (i32.const 4) (i32.const 1000))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
    (call $exit (i32.const 7))))"#;

/// A Pod with that module, an argument and a variable.
fn function_pod(argument: &str, variable: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: function}}\nspec:\n  restartPolicy: Never\n  containers:\n    - name: main\n      \
         image: ./function.wat\n      stdin: true\n      args: [\"{argument}\"]\n      env: [{{name: SECRET, value: \"{variable}\"}}]\n"
    )
}

/// Calls the function `count` times at once.
fn call_at_once(host: &MicrovmHost, count: usize, input: &str) -> Vec<Ended> {
    let children: Vec<_> = (0..count)
        .map(|_| {
            let mut child = host
                .uc()
                .args(["run", "--runtime", "fused", "pod.yaml"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("starts");
            let mut stdin = child.stdin.take().expect("piped");
            stdin.write_all(input.as_bytes()).expect("sent");
            child
        })
        .collect();
    children
        .into_iter()
        .map(|child| Ended::of(&child.wait_with_output().expect("ends")))
        .collect()
}

#[test]
fn calls_of_a_function_draw_other_random_numbers_and_leave_no_secret_in_its_snapshot() {
    let Some(host) = MicrovmHost::new() else {
        return;
    };
    host.file("function.wat", FUNCTION);
    // Made here, so that these words are in no other memory.
    let marker = |purpose: &str| format!("m4rker-{}-{purpose}", std::process::id());
    host.file(
        "pod.yaml",
        &function_pod(&marker("argument"), &marker("variable")),
    );
    let mut seen = BTreeSet::new();
    for count in [1, 1, 4, 4] {
        for ended in call_at_once(&host, count, &marker("input")) {
            let (random, input) = ended.stdout.split_at_checked(32).expect("32 letters");
            assert_eq!((ended.code, input), (7, &*marker("input")), "{ended}");
            assert!(seen.insert(random.to_owned()), "{random} twice");
        }
    }
    let snapshots = files_below(&host.path().join("home/cache"), "memory");
    assert_eq!(snapshots.len(), 2, "one with the function, one without");
    for file in files_below(&host.path().join("home/cache"), "") {
        let bytes = fs::read(&file).expect("read");
        for purpose in ["argument", "variable", "input"] {
            let word = marker(purpose);
            assert!(
                memchr::memmem::find(&bytes, word.as_bytes()).is_none(),
                "{word} in {}",
                file.display()
            );
        }
    }
    host.assert_nothing_left();
}

#[test]
fn a_function_leaves_its_snapshot_though_its_machine_came_from_one() {
    let Some(host) = MicrovmHost::new() else {
        return;
    };
    host.file("function.wat", FUNCTION);
    let marker = |purpose: &str| format!("m4rker-{}-{purpose}", std::process::id());
    let call = |name: &str| {
        let pod = function_pod(&marker("argument"), &marker("variable"));
        host.file(
            "pod.yaml",
            &pod.replace("name: function", &format!("name: {name}")),
        );
        host.run(&["run", "--runtime", "fused", "--timings", "pod.yaml"])
    };
    let mut seen = BTreeSet::new();
    // Under another name it needs a function snapshot of its own, but not another machine.
    for (name, snapshots, source, container) in [
        ("first", 2, "booted", "made in the guest"),
        ("second", 3, "restored", "made in the guest"),
        ("second", 3, "restored", "in the snapshot"),
        ("second", 3, "restored", "in the snapshot"),
        ("first", 3, "restored", "in the snapshot"),
    ] {
        let ended = call(name);
        assert_eq!(ended.code, 7, "{ended}");
        let random = ended.stdout.get(..32).expect("32 letters").to_owned();
        assert!(seen.insert(random), "{ended}");
        for words in [source, container] {
            assert!(ended.stderr.contains(words), "{name}, {words}: {ended}");
        }
        let files = files_below(&host.path().join("home/cache"), "memory");
        assert_eq!(files.len(), snapshots, "{name}: {ended}");
    }
    for file in files_below(&host.path().join("home/cache"), "") {
        let bytes = fs::read(&file).expect("read");
        for purpose in ["argument", "variable"] {
            let found = memchr::memmem::find(&bytes, marker(purpose).as_bytes());
            assert!(found.is_none(), "{purpose} in {}", file.display());
        }
    }
    host.assert_nothing_left();
}

/// Files of a name (or of any, where it is empty) in a directory and below.
fn files_below(directory: &Path, name: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files_below(&path, name)),
            false if name.is_empty() || path.ends_with(name) => found.push(path),
            false => {}
        }
    }
    found
}

#[test]
fn a_function_that_is_stopped_does_not_wait_out_its_grace() {
    const GRACE: Duration = Duration::from_secs(120);
    let Some(host) = MicrovmHost::new() else {
        return;
    };
    host.file(
        "loop.wat",
        "(module (memory (export \"memory\") 1) (func (export \"_start\") (loop $ever (br $ever))))",
    );
    // A port makes no server of it.
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: looping}}\nspec:\n  terminationGracePeriodSeconds: {}\n  containers:\n    \
         - {{name: main, image: ./loop.wat, ports: [{{containerPort: 8080}}]}}\n",
        GRACE.as_secs()
    );
    host.file("pod.yaml", &pod);
    let ends: Vec<String> = ["wasm", "fused"]
        .iter()
        .map(|runtime| {
            let started = host.run(&["run", "--detach", "--runtime", runtime, "pod.yaml"]);
            assert_eq!(started.code, 0, "{started}");
            let begin = Instant::now();
            let stopped = host.run(&["stop", "looping"]);
            assert_eq!(stopped.code, 0, "{stopped}");
            assert!(begin.elapsed() < GRACE, "{runtime}: it waited for the kill");
            let listed = host.run(&["ps", "--format", "json"]);
            let list: serde_json::Value = serde_json::from_str(&listed.stdout).expect("JSON");
            let removed = host.run(&["rm", "looping"]);
            assert_eq!(removed.code, 0, "{removed}");
            let end = &list[0]["workload"]["containers"]["main"]["last_exit"];
            assert!(end.to_string().contains("137"), "{list}");
            end.to_string()
        })
        .collect();
    assert_eq!(ends[0], ends[1], "they end alike");
}

#[test]
fn a_detached_microvm_is_followed_measured_stopped_and_removed() {
    let Some(host) = MicrovmHost::new() else {
        return;
    };
    host.file(
        "pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: served}\nspec:\n  containers:\n    - name: main\n      image: oci:busybox:latest\n      \
         command: [sh, -c, \"echo ready; exec sleep 1000000\"]\n",
    );
    let started = host.run(&["run", "--detach", "--runtime", "microvm", "pod.yaml"]);
    assert_eq!(started.code, 0, "{started}");
    let until = Instant::now() + Duration::from_secs(60);
    let wait_for = |arguments: &[&str], word: &str| loop {
        let ended = host.run(arguments);
        if ended.stdout.contains(word) {
            break ended;
        }
        assert!(Instant::now() < until, "never {word}: {ended}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let listed = wait_for(&["ps"], "running");
    assert!(listed.stdout.contains("microvm"), "{listed}");
    wait_for(&["logs", "served"], "ready");
    let stats = host.run(&["stats", "served", "--format", "json"]);
    assert!(
        stats.code == 0 && stats.stdout.contains("memory"),
        "{stats}"
    );
    assert_eq!(host.monitors().len(), 1);
    let stopped = host.run(&["stop", "--now", "served"]);
    assert_eq!(stopped.code, 0, "{stopped}");
    wait_for(&["ps"], "exited");
    assert_eq!(host.monitors(), Vec::<u32>::new());
    assert_eq!(host.run(&["rm", "served"]).code, 0);
    host.assert_nothing_left();
}

#[test]
fn what_is_missing_or_no_kernel_is_named_with_a_remedy() {
    let Some(host) = MicrovmHost::new() else {
        return;
    };
    let run = [
        "run",
        "--runtime",
        "microvm",
        "oci:busybox:latest",
        "--",
        "true",
    ];
    let with = |variable: &str, value: &str| {
        Ended::of(
            &host
                .uc()
                .args(run)
                .env(variable, value)
                .output()
                .expect("runs"),
        )
    };
    with("UC_QEMU", "/nowhere").refuses(78, &["/nowhere"]);
    with("UC_GUEST_PROGRAMS", "/nowhere").refuses(
        77,
        &["guest agent", "cargo xtask guest", "UC_GUEST_PROGRAMS"],
    );
    let kernel = |path: &Path| {
        let path = path.to_string_lossy();
        host.run(&[
            "run",
            "--runtime",
            "microvm",
            "--kernel",
            &path,
            "oci:busybox:latest",
            "--",
            "true",
        ])
    };
    let refused = |path: &Path, words: &[&str]| {
        let ended = kernel(path);
        ended.refuses(77, &["not available", "kernel", "help: "]);
        ended.refuses(77, words);
    };
    refused(Path::new("/nowhere/vmlinux"), &["/nowhere/vmlinux"]);
    refused(&host.file("text", "no kernel at all\n"), &["text"]);
    refused(&host.file("empty", ""), &["empty"]);
    refused(host.path(), &["not a regular file"]);
    let bytes = fs::read(host.kernel()).expect("read");
    let truncated = host.path().join("truncated");
    fs::write(&truncated, &bytes[..bytes.len() / 2]).expect("written");
    refused(&truncated, &["truncated"]);
    // The machine of an ELF file is at its bytes 18 and 19: 183 is AArch64.
    let mut foreign = bytes;
    foreign[18..20].copy_from_slice(&183_u16.to_le_bytes());
    let other = host.path().join("foreign");
    fs::write(&other, &foreign).expect("written");
    refused(&other, &["another processor", "64-bit Arm"]);
    host.assert_nothing_left();
    assert_eq!(host.monitors(), Vec::<u32>::new());
}
