//! Programs that try to get out of a container, for real (`crates/uc-escape`). Each must fail as expected and leave the
//! host as it was.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;
use support::Host;

/// The escape program, linked statically so that it runs in any root file system.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .expect("a parent")
            .join("escape");
        let built = Command::new(env!("CARGO"))
            .args([
                "rustc",
                "--quiet",
                "--package",
                "uc-escape",
                "--bin",
                "uc-escape",
                "--target",
                &triple,
                "--target-dir",
            ])
            .arg(&target)
            .args(["--", "-C", "target-feature=+crt-static"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo runs");
        assert!(built.success(), "uc-escape does not build");
        target.join(triple).join("debug/uc-escape")
    })
}

/// A host with an image that holds the program and a set-user-id copy. (File capabilities never get into a layer's
/// directory: unpacking drops them.)
fn host() -> Option<Host> {
    let host = Host::new()?;
    host.image(
        "escape",
        &[
            ("/bin/uc-escape", program(), 0o755),
            ("/bin/setuid", program(), 0o4755),
        ],
    );
    Some(host)
}

fn pod(arguments: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: escape}}\nspec:\n  restartPolicy: Never\n  containers:\n    - name: main\n      \
         image: oci:escape:latest\n      command: [/bin/uc-escape, {arguments}]\n      env:\n        - {{name: UC_ESCAPE_INSIDE, \
         value: \"1\"}}\n        - {{name: UC_ESCAPE_SETUID_FILE, value: /bin/setuid}}\n{more}"
    )
}

/// What of the host an escape could change.
fn host_state() -> Vec<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut groups = BTreeSet::new();
    find_groups(Path::new("/sys/fs/cgroup"), &mut groups);
    vec![
        read("/proc/self/mountinfo"),
        read("/proc/sys/kernel/hostname"),
        read("/proc/sys/kernel/core_pattern"),
        read("/proc/sys/net/ipv4/ip_forward"),
        read("/proc/sys/kernel/domainname"),
        format!("{groups:?}"),
    ]
}

/// Control groups of the workload that makes all attempts, anywhere; other tests run beside it.
fn find_groups(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry
                .file_name()
                .to_string_lossy()
                .contains("undercurrent-all-escapes")
            {
                found.insert(path.clone());
            }
            find_groups(&path, found);
        }
    }
}

#[test]
fn every_attempt_fails_as_expected_and_the_host_stays_as_it_was() {
    let Some(host) = host() else { return };
    let mut bystander = Command::new("sleep").arg("300").spawn().expect("starts");
    let before = host_state();
    for more in [
        "",
        "      securityContext: {readOnlyRootFilesystem: true}\n",
        "      securityContext: {runAsUser: 1000, runAsGroup: 1000}\n",
    ] {
        host.file(
            "pod.yaml",
            &pod("all", more).replace("{name: escape}", "{name: all-escapes}"),
        );
        let ended = support::Ended::of(
            &host
                .uc()
                .env("UC_ESCAPE_SENTINEL", "host")
                .args(["run", "pod.yaml"])
                .output()
                .expect("runs"),
        );
        let attempts: Vec<Value> = ended
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let wrong: Vec<&Value> = attempts
            .iter()
            .filter(|attempt| attempt["as_expected"] != true)
            .collect();
        assert!(wrong.is_empty(), "with {more:?}: {wrong:#?}");
        assert_eq!(ended.code, 0, "{ended}");
        assert!(
            attempts.len() > 150,
            "only {} attempts were made",
            attempts.len()
        );
        host.assert_nothing_left();
    }
    assert_eq!(
        bystander.try_wait().expect("asks"),
        None,
        "a process of the host was killed"
    );
    assert_eq!(before, host_state());
    bystander
        .kill()
        .and_then(|()| bystander.wait().map(drop))
        .expect("ended");
}

#[test]
fn identity_is_unprivileged_in_every_respect() {
    let Some(host) = host() else { return };
    let ended = host.pod(&pod("identity", ""));
    let identity: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(identity["status"][set], "0000000000000000", "{set}");
    }
    assert_eq!(
        (
            &identity["status"]["NoNewPrivs"],
            &identity["status"]["Seccomp"]
        ),
        (&"1".into(), &"2".into())
    );
    assert_eq!(
        identity["descriptors"],
        serde_json::json!([]),
        "no descriptor is inherited"
    );
    for map in identity["uid_map"].as_array().expect("lines") {
        let fields: Vec<&str> = map.as_str().expect("text").split_whitespace().collect();
        assert_ne!(fields.get(1), Some(&"0"), "host user 0 is mapped: {map}");
    }
    for namespace in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        let own = fs::read_link(format!("/proc/self/ns/{namespace}")).expect("there");
        let inside = identity["namespaces"][namespace].to_string();
        assert!(
            !own.to_string_lossy().contains(&inside),
            "{namespace} is the host's"
        );
    }
}

#[test]
fn a_fork_bomb_and_a_memory_hog_hit_their_limits() {
    let Some(host) = host() else { return };
    let annotations =
        "metadata: {name: escape, annotations: {undercurrent.dev/pids-limit: \"64\"}}";
    let bomb = host.pod(&pod("fork-bomb", "").replace("metadata: {name: escape}", annotations));
    if bomb.stderr.contains("cannot enforce") {
        println!("skipped: no control groups here");
        return;
    }
    assert_eq!(bomb.code, 0, "{bomb}");
    let count: u64 = bomb
        .stdout
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .max()
        .expect("a count");
    assert!(count < 64, "{bomb}");
    let hog = host.pod(&pod(
        "memory-hog, \"268435456\"",
        "      resources: {limits: {memory: 64Mi}}\n",
    ));
    hog.refuses(137, &["out of memory"]);
}

#[test]
fn hostile_mount_points_lead_nowhere() {
    let Some(host) = host() else { return };
    // The image's /proc leads to its /etc: nothing may be mounted there.
    let root = host.path().join("busybox-root");
    std::os::unix::fs::symlink("etc", root.join("proc")).expect("linked");
    host.layout("hostile", &root);
    host.run(&["run", "oci:hostile:latest", "--", "true"])
        .refuses(77, &["symbolic link"]);
    fs::remove_file(root.join("proc")).expect("removed");
    // A mount point that leads out of the root by a link ends up inside it.
    std::os::unix::fs::symlink("../../../../../../tmp", root.join("outside")).expect("linked");
    host.layout("hostile", &root);
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: links}\nspec:\n  restartPolicy: Never\n  volumes: [{name: v, emptyDir: {}}]\n  \
        containers:\n    - name: main\n      image: oci:hostile:latest\n      command: [sh, -c, 'touch /outside/uc-was-here && ls /tmp']\n      \
        volumeMounts: [{name: v, mountPath: /outside}]\n";
    host.pod(manifest).expect(0, "uc-was-here\n");
    assert!(!Path::new("/tmp/uc-was-here").exists());
    // Through /proc, which is mounted by then, there is no way either.
    std::os::unix::fs::symlink("/proc/1/root", root.join("through")).expect("linked");
    host.layout("hostile", &root);
    host.pod(&manifest.replace("/outside", "/through"))
        .refuses(78, &["mount"]);
    host.assert_nothing_left();
}

#[test]
fn on_the_host_no_process_of_a_container_has_more_than_its_caller() {
    let Some(host) = host() else { return };
    let mut child = host
        .uc()
        .args(["run", "oci:busybox:latest", "--", "sleep", "1000"])
        .spawn()
        .expect("starts");
    let inside = (0..500).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let children =
            fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).ok()?;
        let pid = children.split_whitespace().next()?.to_owned();
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name == "sleep\n").then_some(pid)
    });
    let status =
        fs::read_to_string(format!("/proc/{}/status", inside.expect("it runs"))).expect("there");
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        field("Uid:").split_whitespace().all(|uid| uid != "0"),
        "{status}"
    );
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    child
        .kill()
        .and_then(|()| child.wait().map(drop))
        .expect("ended");
    assert_eq!(host.run(&["rm", "--ended"]).code, 0);
    host.assert_nothing_left();
}
