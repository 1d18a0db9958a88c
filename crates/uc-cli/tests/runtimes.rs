//! Sandboxes by OCI runtimes, as a user starts them: gVisor's runsc, crun, runc (mission M2.1, M2.4).
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it was skipped"
)]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use support::{Ended, Host};
use uc_image::layout::LayoutWriter;
use uc_linux::processes::descendants;

/// A program that says what it is given and reads a file: the same source for every sandbox.
const SOURCE: &str = r#"package main

import (
	"fmt"
	"os"
)

func main() {
	greeting, err := os.ReadFile("/data/greeting")
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	fmt.Printf("%s, %s of %s\n", greeting, os.Args[1], os.Getenv("PLACE"))
	os.Exit(7)
}
"#;

/// M2.4: one Pod file, three sandboxes, the same output and exit code.
#[test]
fn one_pod_runs_the_same_in_wasm_container_and_gvisor() {
    let Some(host) = Host::new() else { return };
    let (Some(native), Some(wasm)) = (
        compile(&host, "linux", go_architecture()),
        compile(&host, "wasip1", "wasm"),
    ) else {
        return;
    };
    two_builds(&host, &native, &wasm);
    host.file(
        "pod.yaml",
        "apiVersion: v1
kind: Pod
metadata:
  name: same
spec:
  restartPolicy: Never
  containers:
    - name: greeter
      image: oci:./both:latest
      command: [/hello, world]
      env: [{name: PLACE, value: everywhere}]
      volumeMounts: [{name: data, mountPath: /data}]
  volumes:
    - name: data
      configMap: {name: data}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: data
data:
  greeting: good day
",
    );
    let Some(mut gvisor) = host.uc_with("runsc") else {
        return;
    };
    for (runtime, mut uc) in [
        ("wasm", host.uc()),
        ("container", host.uc()),
        ("gvisor", {
            gvisor.env("PLACE", "not this one");
            gvisor
        }),
    ] {
        let output = uc.args(["run", "pod.yaml", "--runtime", runtime]).output();
        let ended = Ended::of(&output.expect("runs"));
        println!("{runtime}: {ended}");
        ended.expect(7, "good day, world of everywhere\n");
    }
    host.assert_nothing_left();
}

fn go_architecture() -> &'static str {
    uc_image::image::architecture()
}

fn compile(host: &Host, system: &str, architecture: &str) -> Option<std::path::PathBuf> {
    host.file("hello.go", SOURCE);
    let program = host.path().join(format!("hello-{system}"));
    let built = Command::new("go")
        .args(["build", "-ldflags=-s -w", "-o"])
        .arg(&program)
        .arg("hello.go")
        .current_dir(host.path())
        .envs([
            ("GOOS", system),
            ("GOARCH", architecture),
            ("CGO_ENABLED", "0"),
        ])
        .output();
    match built {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => panic!("go: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            println!("skipped: go is not installed: {error}");
            None
        }
    }
}

/// An image with a build for this processor and one in WebAssembly, as the OCI layout `both:latest`.
fn two_builds(host: &Host, native: &Path, wasm: &Path) {
    let writer = LayoutWriter::open(&host.path().join("both")).expect("opens");
    let builds: Vec<_> = [
        (native, "linux", go_architecture()),
        (wasm, "wasip1", "wasm"),
    ]
    .into_iter()
    .map(|(program, os, architecture)| {
        let root = host.path().join(format!("{os}-root"));
        fs::create_dir_all(&root).expect("made");
        fs::copy(program, root.join("hello")).expect("copied");
        fs::set_permissions(root.join("hello"), fs::Permissions::from_mode(0o755)).expect("set");
        let layer = writer.add_layer_from_directory(&root).expect("packs");
        let config = json!({
            "architecture": architecture, "os": os, "config": {"Entrypoint": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        });
        let config = writer
            .add_blob(
                "application/vnd.oci.image.config.v1+json",
                config.to_string().as_bytes(),
            )
            .expect("writes");
        let manifest =
            json!({"schemaVersion": 2, "config": config, "layers": [layer.descriptor()]});
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = writer
            .add_blob(media_type, manifest.to_string().as_bytes())
            .expect("writes");
        let mut described = serde_json::to_value(manifest).expect("JSON");
        described["platform"] = json!({"os": os, "architecture": architecture});
        described
    })
    .collect();
    let index = json!({"schemaVersion": 2, "manifests": builds});
    let index = writer
        .add_blob(
            "application/vnd.oci.image.index.v1+json",
            index.to_string().as_bytes(),
        )
        .expect("writes");
    writer.name("latest", index).expect("writes");
}

fn pod(body: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  name: guest
  annotations: {{undercurrent.dev/isolation: user-kernel}}
spec:
  restartPolicy: Never
  containers:
    - name: guest
      image: oci:busybox:latest
{body}"
    )
}

fn run(uc: &mut Command, arguments: &[&str]) -> Ended {
    Ended::of(&uc.args(arguments).output().expect("runs"))
}

/// Who wants a kernel of its own gets gVisor without naming it.
#[test]
fn the_wish_for_a_kernel_of_its_own_chooses_gvisor() {
    let Some(host) = Host::new() else { return };
    let Some(mut uc) = host.uc_with("runsc") else {
        return;
    };
    host.file(
        "pod.yaml",
        &pod("      command: [sh, -c, 'dmesg 2>/dev/null | grep -c gVisor; cat /proc/version; grep CapEff /proc/self/status']
      securityContext: {readOnlyRootFilesystem: true, runAsUser: 1000}\n"),
    );
    let ended = run(&mut uc, &["run", "pod.yaml"]);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.stdout.contains("Linux version 4.4.0"), "{ended}");
    assert!(
        ended.stdout.contains("CapEff:\t0000000000000000"),
        "{ended}"
    );
    host.assert_nothing_left();
}

/// Memory runs out inside: it is told as such, and nothing is left.
#[test]
fn a_hog_within_gvisor_ends_for_want_of_memory() {
    let Some(host) = Host::new() else { return };
    let Some(mut uc) = host.uc_with("runsc") else {
        return;
    };
    host.file(
        "pod.yaml",
        &pod(
            "      command: [sh, -c, 'x=0123456789abcdef; while :; do x=$x$x; done']
      resources: {limits: {memory: 96Mi}}\n",
        ),
    );
    let ended = run(&mut uc, &["run", "pod.yaml"]);
    ended.refuses(137, &["memory"]);
    host.assert_nothing_left();
}

/// A readiness probe by command works in each runtime.
#[test]
fn probes_run_inside() {
    for runtime in ["runsc", "crun", "runc"] {
        let Some(host) = Host::new() else { return };
        let Some(mut uc) = host.uc_with(runtime) else {
            continue;
        };
        let manifest = pod("      command: [sh, -c, 'sleep 2; touch /tmp/up; sleep 3; exit 5']
      livenessProbe: {exec: {command: [test, -d, /tmp]}, periodSeconds: 1}
      startupProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 20}\n");
        let manifest = match runtime {
            "runsc" => manifest,
            _ => manifest.replace("user-kernel", "shared-kernel"),
        };
        host.file("pod.yaml", &manifest);
        let ended = run(&mut uc, &["run", "pod.yaml"]);
        assert_eq!(ended.code, 5, "{runtime}: {ended}");
        host.assert_nothing_left();
    }
}

/// Other runtimes keep the rules of the built-in launcher: no host root, no capability, a filter of system calls.
#[test]
fn other_runtimes_keep_the_rules() {
    let Some(host) = Host::new() else { return };
    let script = "cat /proc/self/uid_map; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status";
    let rules = |uc: &mut Command| {
        let ended = run(uc, &["run", "oci:busybox:latest", "--", "sh", "-c", script]);
        assert_eq!(ended.code, 0, "{ended}");
        ended.stdout
    };
    let built_in = rules(&mut host.uc());
    assert!(built_in.contains("CapBnd:\t0000000000000000"), "{built_in}");
    for runtime in ["crun", "runc"] {
        let Some(mut uc) = host.uc_with(runtime) else {
            continue;
        };
        assert_eq!(rules(&mut uc), built_in, "{runtime}");
    }
    host.assert_nothing_left();
}

/// `kill -9` of the owner ends the runtime and everything that it started.
#[test]
fn nothing_outlives_a_killed_owner() {
    for runtime in ["runsc", "crun", "runc"] {
        let Some(host) = Host::new() else { return };
        let Some(mut uc) = host.uc_with(runtime) else {
            continue;
        };
        let marker = format!("{}", 1_000_000 + std::process::id());
        let kind = if runtime == "runsc" {
            "gvisor"
        } else {
            "container"
        };
        let mut child = uc
            .args([
                "run",
                "--runtime",
                kind,
                "oci:busybox:latest",
                "--",
                "sh",
                "-c",
            ])
            .arg(format!("echo up; exec sleep {marker}"))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("started");
        let mut line = [0; 3];
        std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut line)
            .expect("output");
        let id = child.id();
        assert!(!descendants(id).is_empty(), "{runtime}");
        let family = descendants(id);
        child.kill().expect("killed");
        child.wait().expect("reaped");
        let start = Instant::now();
        while family
            .iter()
            .any(|pid| Path::new(&format!("/proc/{pid}")).exists())
        {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{runtime}: {family:?} live on"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        // What is left on disk is found and removed.
        run(&mut host.uc(), &["rm", "--ended"]);
        host.assert_nothing_left();
    }
}

/// A runtime that is not what it says, or not there, is told before anything starts.
#[test]
fn broken_runtimes_are_told() {
    let Some(host) = Host::new() else { return };
    for (script, words) in [
        ("#!/bin/sh\nexit 1\n", "fails when asked"),
        ("#!/bin/sh\necho nothing of use\n", "not runsc"),
        (
            "#!/bin/sh\ncase \"$*\" in *--version*) echo runsc version 1.0;; *) exit 9;; esac\n",
            "could not run",
        ),
    ] {
        let runsc = host.file("runsc", script);
        fs::set_permissions(&runsc, fs::Permissions::from_mode(0o755)).expect("set");
        let mut uc = host.uc();
        uc.env("UC_RUNSC", &runsc);
        let arguments = [
            "run",
            "--runtime",
            "gvisor",
            "oci:busybox:latest",
            "--",
            "true",
        ];
        run(&mut uc, &arguments).refuses(77, &[words]);
    }
    let mut uc = host.uc();
    uc.env("UC_CONTAINER_RUNTIME", "docker");
    run(&mut uc, &["run", "oci:busybox:latest", "--", "true"])
        .refuses(65, &["crun, runc or youki"]);
    // It is not replaced by another sandbox in silence.
    let mut uc = host.uc();
    uc.env("UC_CONTAINER_RUNTIME", "/no/such/youki");
    run(&mut uc, &["run", "oci:busybox:latest", "--", "true"])
        .refuses(66, &["UC_CONTAINER_RUNTIME", "no such program"]);
    let mut uc = host.uc();
    uc.env("UC_CONTAINER_RUNTIME", "youki")
        .env("PATH", "/nowhere");
    run(&mut uc, &["run", "oci:busybox:latest", "--", "true"])
        .refuses(78, &["UC_CONTAINER_RUNTIME", "youki is not on PATH"]);
    let mut uc = host.uc();
    uc.env("UC_GVISOR_PLATFORM", "magic");
    run(&mut uc, &["doctor"]).refuses(65, &["systrap, ptrace or kvm"]);
    host.assert_nothing_left();
}

/// A program on a volume is found there, whatever the image has in its place.
#[test]
fn a_program_on_a_volume_runs() {
    for runtime in ["runsc", "crun", "runc"] {
        let Some(host) = Host::new() else { return };
        let Some(mut uc) = host.uc_with(runtime) else {
            continue;
        };
        let tools = host.path().join("tools");
        fs::create_dir(&tools).expect("made");
        fs::copy("/bin/busybox", tools.join("echo")).expect("copied");
        for path in [tools.clone(), tools.join("echo")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set");
        }
        fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).expect("set");
        let kind = if runtime == "runsc" {
            "gvisor"
        } else {
            "container"
        };
        host.file(
            "pod.yaml",
            &format!(
                "apiVersion: v1
kind: Pod
metadata: {{name: volume}}
spec:
  restartPolicy: Never
  containers:
    - name: volume
      image: oci:busybox:latest
      command: [/opt/tools/echo, found]
      volumeMounts: [{{name: tools, mountPath: /opt/tools}}]
  volumes:
    - name: tools
      hostPath: {{path: {}}}\n",
                tools.display()
            ),
        );
        run(&mut uc, &["run", "--runtime", kind, "pod.yaml"]).expect(0, "found\n");
        host.assert_nothing_left();
    }
}
