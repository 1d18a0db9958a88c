//! What a person reads: help, refusals with their remedies, completions and manual pages, each as a snapshot.
//! `INSTA_UPDATE=always cargo test --package uc-cli --test words` takes over what has changed.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use support::{Ended, Host};

/// What was printed, with the test's own directory as `HERE`.
fn words(host: &Host, ended: &Ended) -> String {
    let here = host.path().to_string_lossy();
    let text = format!("exit code {}\n{}{}", ended.code, ended.stdout, ended.stderr);
    text.replace(&*here, "HERE")
}

#[test]
fn help() {
    let Some(host) = Host::new() else { return };
    let commands = [
        &[][..],
        &["run"],
        &["explain"],
        &["doctor"],
        &["compat"],
        &["ps"],
        &["logs"],
        &["stats"],
        &["pause"],
        &["resume"],
        &["stop"],
        &["rm"],
        &["image"],
        &["image", "pull"],
        &["image", "push"],
        &["image", "copy"],
        &["image", "ls"],
        &["image", "inspect"],
        &["image", "rm"],
        &["sbom"],
        &["sbom", "scan"],
        &["plan"],
        &["plan", "supply-chain"],
        &["energy"],
        &["offload"],
        &["watch"],
        &["foresight"],
        &["foresight", "train"],
        &["foresight", "evaluate"],
        &["foresight", "replay"],
        &["bench"],
        &["completions"],
        &["man"],
    ];
    for command in commands {
        let arguments = [command, &["--help"]].concat();
        let name = format!("help_{}", command.join("_"));
        insta::assert_snapshot!(name, words(&host, &host.run(&arguments)));
    }
}

/// A Pod with one container of these fields.
fn container(fields: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: case\nspec:\n  containers:\n    - name: main\n{}",
        fields
            .lines()
            .map(|line| format!("      {line}\n"))
            .collect::<String>()
    )
}

#[test]
fn refusals_of_manifests() {
    let Some(host) = Host::new() else { return };
    let busybox = "image: oci:busybox:latest";
    let cases = [
        (
            "malformed",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: x\nspec:\n".to_owned(),
        ),
        (
            "unknown_field",
            container(&format!("{busybox}\ncomand: [true]")),
        ),
        (
            "unknown_kind",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n".to_owned(),
        ),
        (
            "unsupported_field",
            container(&format!(
                "{busybox}\nvolumeMounts:\n  - {{name: a, mountPath: /a, mountPropagation: Bidirectional}}"
            )),
        ),
        (
            "privileged",
            container(&format!("{busybox}\nsecurityContext: {{privileged: true}}")),
        ),
        (
            "capability",
            container(&format!(
                "{busybox}\nsecurityContext: {{capabilities: {{add: [NET_ADMIN]}}}}"
            )),
        ),
        (
            "number",
            container(&format!(
                "{busybox}\nresources: {{limits: {{memory: lots}}}}"
            )),
        ),
        ("no_such_layout", container("image: oci:nowhere:latest")),
        ("no_such_tag", container("image: oci:busybox:newest")),
        ("no_such_module", container("image: ./none.wasm")),
        (
            "no_such_program",
            container(&format!("{busybox}\ncommand: [no-such-program]")),
        ),
        (
            "root_against_the_word",
            container(&format!(
                "{busybox}\nsecurityContext: {{runAsNonRoot: true}}"
            )),
        ),
        (
            "no_such_volume",
            container(&format!(
                "{busybox}\nvolumeMounts: [{{name: a, mountPath: /a}}]"
            )),
        ),
        ("terminal", container(&format!("{busybox}\ntty: true"))),
    ];
    for (name, manifest) in cases {
        host.file("pod.yaml", &manifest);
        let ended = host.run(&["run", "pod.yaml"]);
        insta::assert_snapshot!(format!("refused_{name}"), words(&host, &ended));
        host.assert_nothing_left();
    }
}

#[test]
fn refusals_of_the_command_line() {
    let Some(host) = Host::new() else { return };
    host.file(
        "sockets.wat",
        r#"(component (import "wasi:sockets/tcp-create-socket@0.2.0" (instance)))"#,
    );
    host.file("no.wat", "(module (func (export \"f\") unreachable");
    host.file("text.wasm", "not a module");
    let cases: [(&str, &[&str]); 11] = [
        ("no_file", &["run", "none.yaml"]),
        ("empty", &["run", ""]),
        ("runtime", &["run", "--runtime", "vm", "oci:busybox:latest"]),
        (
            "no_driver",
            &["run", "--runtime", "microvm", "oci:busybox:latest"],
        ),
        (
            "wrong_format",
            &["run", "--runtime", "wasm", "oci:busybox:latest"],
        ),
        ("sockets", &["run", "sockets.wat"]),
        ("broken_text", &["run", "no.wat"]),
        ("no_module", &["run", "text.wasm"]),
        ("no_workload", &["stop", "nobody"]),
        ("option", &["run", "--detatch", "x"]),
        ("reference", &["image", "pull", "UPPER/case:x y"]),
    ];
    for (name, arguments) in cases {
        let ended = host.run(arguments);
        insta::assert_snapshot!(format!("refused_{name}"), words(&host, &ended));
        host.assert_nothing_left();
    }
}

#[test]
fn damaged_images_are_refused_and_leave_nothing() {
    let Some(host) = Host::new() else { return };
    let blobs = host.path().join("busybox/blobs/sha256");
    let mut largest: Vec<_> = std::fs::read_dir(&blobs)
        .expect("listed")
        .flatten()
        .collect();
    largest.sort_by_key(|entry| entry.metadata().map_or(0, |metadata| metadata.len()));
    let layer = largest.pop().expect("a layer").path();
    let whole = std::fs::read(&layer).expect("read");
    let mut flipped = whole.clone();
    if let Some(byte) = flipped.last_mut() {
        *byte ^= 1;
    }
    for (name, bytes) in [
        ("flipped", &flipped[..]),
        ("truncated", &whole[..whole.len() / 2]),
    ] {
        std::fs::write(&layer, bytes).expect("written");
        let ended = host.run(&["run", "oci:busybox:latest", "--", "true"]);
        // Digests and sizes depend on the busybox of the host.
        ended.refuses(65, &["layer", "entry", "help: "]);
        let layers = host.path().join("home/data/layers");
        let unpacked = std::fs::read_dir(&layers).map_or(0, |mappings| {
            mappings
                .flatten()
                .filter_map(|mapping| std::fs::read_dir(mapping.path()).ok())
                .flatten()
                .flatten()
                .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
                .count()
        });
        assert_eq!(unpacked, 0, "{name}: a layer was kept");
        host.assert_nothing_left();
    }
}

#[test]
fn completions_and_manual_pages_come_from_the_same_definitions() {
    let Some(host) = Host::new() else { return };
    for shell in ["bash", "zsh", "fish"] {
        let ended = host.run(&["completions", shell]);
        assert_eq!(ended.code, 0, "{ended}");
        for word in ["explain", "--detach", "--timings"]
            .iter()
            .map(|word| match shell {
                // fish names options without their dashes.
                "fish" => word.trim_start_matches('-'),
                _ => word,
            })
        {
            assert!(ended.stdout.contains(word), "{shell}: no {word}");
        }
    }
    let pages = host.path().join("man");
    std::fs::create_dir(&pages).expect("made");
    let ended = host.run(&["man", &pages.to_string_lossy()]);
    assert_eq!(ended.code, 0, "{ended}");
    let page = std::fs::read_to_string(pages.join("uc-run.1")).expect("a page");
    assert!(
        page.contains("timings") && page.contains("Examples"),
        "{page}"
    );
}
