//! What programs ask of a kernel: recorded by `uc run --trace`, and used in the choice.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it was skipped"
)]

mod support;

use support::{Ended, Host};

/// A traced run behaves as any other, and the next choice knows what it did.
#[test]
fn a_traced_run_is_remembered_for_its_image() {
    let Some(host) = Host::new() else { return };
    let image = "oci:busybox:latest";
    let before = host.run(&["explain", image]);
    assert!(before.stdout.contains("system calls: a guess"), "{before}");
    let script = "echo hi; ls /bin > /dev/null; exit 3";
    let traced = host.run(&["run", "--trace", image, "--", "sh", "-c", script]);
    traced.expect(3, "hi\n");
    assert!(
        traced.stderr.contains("gvisor is expected to run it"),
        "{traced}"
    );
    let after = host.run(&["explain", image]);
    assert!(
        after.stdout.contains("seen in a run are answered in full"),
        "{after}"
    );
    let again = host.run(&["run", "--trace", "--format", "json", image, "--", "date"]);
    let report: serde_json::Value = serde_json::from_str(&again.stdout).expect("JSON");
    let calls = &report[0]["footprints"]["main"]["calls"];
    assert_eq!(calls["execve"]["count"], 1, "{again}");
    assert!(calls.get("getdents64").is_none(), "{again}");
    host.assert_nothing_left();
}

/// A file of several Pods is traced where there are system calls to trace.
#[test]
fn webassembly_is_left_out_of_a_trace() {
    let Some(host) = Host::new() else { return };
    host.file(
        "hello.wat",
        r#"(module (memory (export "memory") 1) (func (export "_start")))"#,
    );
    host.run(&["run", "--trace", "hello.wat"]).expect(0, "");
}

/// What a program was seen to need keeps it from a runtime that has it not, unless that is asked for by name.
#[test]
fn a_footprint_keeps_a_program_from_gvisor() {
    let Some(host) = Host::new() else { return };
    let architecture = std::env::consts::ARCH;
    host.file(
        "footprint.json",
        &format!(
            r#"{{"architecture":"{architecture}","method":"traced","calls":{{"read":{{"count":1}},"bpf":{{"count":2}}}}}}"#
        ),
    );
    host.file(
        "pod.yaml",
        "apiVersion: v1
kind: Pod
metadata:
  name: tool
  annotations: {undercurrent.dev/isolation: user-kernel}
spec:
  restartPolicy: Never
  containers:
    - name: tool
      image: oci:busybox:latest
      command: ['true']\n",
    );
    let explain = |runtime: &str| {
        let mut uc = host.uc_with("runsc")?;
        uc.args([
            "explain",
            "pod.yaml",
            "--footprint",
            "footprint.json",
            "--runtime",
            runtime,
        ]);
        Some(Ended::of(&uc.output().expect("runs")))
    };
    let Some(refused) = explain("auto") else {
        return;
    };
    assert_eq!(refused.code, 77, "{refused}");
    assert!(
        refused.stdout.contains("the program was seen to need bpf"),
        "{refused}"
    );
    let by_name = explain("gvisor").expect("found before");
    assert_eq!(by_name.code, 0, "{by_name}");
    assert!(
        by_name.stdout.contains("expected to fail; it needs bpf"),
        "{by_name}"
    );
}

#[test]
fn what_is_no_footprint_is_told() {
    let Some(host) = Host::new() else { return };
    host.file("noise.json", "{\"calls\": 3");
    for (file, code, words) in [
        ("noise.json", 65, "not a footprint"),
        ("none.json", 66, "cannot read a footprint"),
    ] {
        host.run(&["explain", "oci:busybox:latest", "--footprint", file])
            .refuses(code, &[words]);
    }
}
