//! Hosts that lack something: room, a disk that can be written, ids for a user, a home.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use support::{Ended, Host};
use uc_image::layout::{ConfigDraft, LayoutWriter};

const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\06\00\00\00hello\n")
  (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"#;

/// A user that no host gives subordinate ids.
const STRANGER: u32 = 54_321;

/// A file system of one mebibyte, gone at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn below(host: &Host) -> Option<Self> {
        let path = host.path().join("small");
        fs::create_dir(&path).expect("made");
        let mounted = mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], &path);
        if !mounted {
            println!("skipped: a small file system cannot be mounted (it takes root)");
        }
        mounted.then_some(Self(path))
    }

    fn fill(&self) {
        // It ends with an error, for want of room.
        let _ = fs::write(self.0.join("filling"), vec![0; 2 << 20]);
    }

    fn run(&self, host: &Host, arguments: &[&str]) -> Ended {
        let mut uc = host.uc();
        uc.env("UC_HOME", &self.0).args(arguments);
        Ended::of(&uc.output().expect("runs"))
    }

    /// Files that are not there for good: all but locks.
    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.0.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("listed").flatten() {
                if entry.path().is_dir() {
                    directories.push(entry.path());
                } else if entry.file_name() != ".lock" && entry.file_name() != "filling" {
                    found.push(entry.path());
                }
            }
        }
        found
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn mount(options: &[&str], path: &Path) -> bool {
    let mut mount = Command::new("mount");
    mount.args(options).arg(path);
    mount.output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_disk_is_told_and_nothing_half_made_stays() {
    let Some(host) = Host::new() else { return };
    let Some(disk) = SmallDisk::below(&host) else {
        return;
    };
    host.file("hello.wat", HELLO);
    // busybox is larger than the disk.
    disk.run(&host, &["run", "oci:busybox:latest", "--", "true"])
        .refuses(73, &["the disk is full", "0 B free", "uc image rm"]);
    disk.fill();
    for arguments in [&["run", "hello.wat"][..], &["run", "--detach", "hello.wat"]] {
        disk.run(&host, arguments)
            .refuses(73, &["cannot write", "No space left", "free some space"]);
    }
    let ended = disk.run(&host, &["ps", "--format", "json"]);
    ended.expect(0, "[]\n");
    fs::remove_file(disk.0.join("filling")).expect("removed");
    assert_eq!(disk.files(), Vec::<PathBuf>::new());
    disk.run(&host, &["run", "hello.wat"]).expect(0, "hello\n");
}

#[test]
fn a_home_that_cannot_be_written_is_told() {
    let Some(host) = Host::new() else { return };
    let Some(disk) = SmallDisk::below(&host) else {
        return;
    };
    host.file("hello.wat", HELLO);
    assert!(mount(&["-o", "remount,ro"], &disk.0));
    for target in ["hello.wat", "oci:busybox:latest"] {
        disk.run(&host, &["run", target])
            .refuses(73, &["Read-only file system", "help: "]);
    }
    let ended = disk.run(&host, &["ps", "--format", "json"]);
    ended.expect(0, "[]\n");
    let ended = disk.run(&host, &["doctor"]);
    assert_eq!(ended.code, 78, "{ended}");
    let missing = |line: &str| line.starts_with("a place for files") && line.contains("missing");
    assert!(ended.stdout.lines().any(missing), "{ended}");
    let remedy = "a place for files: set UC_HOME to a directory that can be written";
    assert!(ended.stdout.contains(remedy), "{ended}");
}

#[test]
fn a_user_mode_network_counts_as_found_where_its_device_can_be_opened() {
    let Some(host) = Host::new() else { return };
    let home = host.path().join("doctored");
    fs::create_dir(&home).expect("made");
    let Some(mode) = fs::metadata("/dev/net/tun")
        .ok()
        .map(|device| device.permissions().mode())
    else {
        println!("skipped: there is no /dev/net/tun");
        return;
    };
    if std::os::unix::fs::chown(&home, Some(STRANGER), Some(STRANGER)).is_err() {
        println!("skipped: giving files away takes root");
        return;
    }
    let home = format!("UC_HOME={}", home.display());
    let Some(ended) = as_stranger(&host, &home, &["doctor"]) else {
        return;
    };
    let line = ended
        .stdout
        .lines()
        .find(|line| line.starts_with("user-mode network"));
    let line = line.expect("there");
    if line.contains("neither pasta nor slirp4netns") {
        println!("skipped: {line}");
        return;
    }
    let open_to_all = mode & 0o006 == 0o006;
    assert_eq!(line.contains("missing"), !open_to_all, "{mode:o}: {ended}");
    if !open_to_all {
        assert!(ended.stdout.contains("chmod 666 /dev/net/tun"), "{ended}");
    }
}

/// The command as a user without subordinate ids, or `None` where this test cannot become one.
fn as_stranger(host: &Host, home: &str, arguments: &[&str]) -> Option<Ended> {
    as_user(STRANGER, host, home, arguments)
}

fn as_user(id: u32, host: &Host, home: &str, arguments: &[&str]) -> Option<Ended> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: becoming another user takes root");
        return None;
    }
    let id = id.to_string();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
        .args(["env", "--ignore-environment", "PATH=/usr/bin:/bin"])
        .args(home.split_whitespace())
        .arg(program(host))
        .args(arguments)
        .current_dir(host.path());
    Some(Ended::of(&command.output().expect("setpriv runs")))
}

/// The command where every user can execute it.
fn program(host: &Host) -> PathBuf {
    let program = host.path().join("uc");
    if !program.exists() {
        fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).expect("set");
        fs::copy(env!("CARGO_BIN_EXE_uc"), &program).expect("copied");
    }
    program
}

#[test]
fn a_user_without_a_range_of_ids_is_root_inside_and_nobody_else() {
    let Some(host) = Host::new() else { return };
    let home = host.path().join("stranger");
    fs::create_dir(&home).expect("made");
    if std::os::unix::fs::chown(&home, Some(STRANGER), Some(STRANGER)).is_err() {
        println!("skipped: giving files away takes root");
        return;
    }
    let home = format!("UC_HOME={}", home.display());
    let identity = "id -u; cat /proc/self/uid_map";
    let arguments = ["run", "oci:busybox:latest", "--", "sh", "-c", identity];
    let Some(ended) = as_stranger(&host, &home, &arguments) else {
        return;
    };
    let words: Vec<&str> = ended.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "54321", "1"], "{ended}");
    host.file(
        "pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: other}\nspec:\n  containers:\n    - name: main\n      image: oci:busybox:latest\n      \
         securityContext: {runAsUser: 1000}\n",
    );
    if let Some(ended) = as_stranger(&host, &home, &["run", "pod.yaml"]) {
        ended.refuses(78, &["no host id is set aside", "usermod --add-subuids"]);
    }
    if let Some(ended) = as_stranger(&host, &home, &["doctor"]) {
        assert_eq!(ended.code, 0, "{ended}");
        assert!(ended.stdout.contains("only your own id"), "{ended}");
    }
}

#[test]
fn an_image_for_another_machine_is_refused_before_anything_starts() {
    let Some(host) = Host::new() else { return };
    let own = uc_image::image::architecture();
    let other = if own == "arm64" { "amd64" } else { "arm64" };
    for (os, architecture) in [("linux", other), ("windows", own), ("", other)] {
        host.configured_image(
            "foreign",
            &serde_json::json!({ "os": os, "architecture": architecture }),
        );
        let ended = host.run(&["run", "oci:foreign:latest", "--", "echo", "ran"]);
        let found = format!("{}/{architecture}", if os.is_empty() { "?" } else { os });
        ended.refuses(66, &["not built for this machine", own, &found]);
        assert_eq!(ended.stdout, "", "{ended}");
    }
    host.configured_image(
        "unsaid",
        &serde_json::json!({ "os": "", "architecture": "" }),
    );
    host.run(&["run", "oci:unsaid:latest", "--", "echo", "ran"])
        .expect(0, "ran\n");
}

/// A user whom this host gives subordinate ids and the means to use them.
fn user_with_a_range() -> Option<u32> {
    let listed = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines()
            .any(|line| line.split(':').next() == Some(name))
    };
    let helper = Path::new("/usr/bin/newuidmap").is_file();
    fs::read_to_string("/etc/passwd")
        .ok()
        .filter(|_| helper)?
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let (name, id) = (fields.next()?, fields.nth(1)?.parse().ok()?);
            (id != 0 && listed("/etc/subuid", name) && listed("/etc/subgid", name)).then_some(id)
        })
}

#[test]
fn a_user_with_a_range_of_ids_keeps_the_owners_of_an_images_files() {
    let Some(host) = Host::new() else { return };
    let Some(user) = user_with_a_range() else {
        println!("skipped: no user here has entries in /etc/subuid and /etc/subgid, and newuidmap");
        return;
    };
    let home = host.path().join("ranged");
    fs::create_dir(&home).expect("made");
    if std::os::unix::fs::chown(&home, Some(user), Some(user)).is_err() {
        println!("skipped: giving files away takes root");
        return;
    }
    let packed = Command::new("tar")
        .args(["--owner=1000", "--group=1001", "--create", "."])
        .current_dir(host.path().join("busybox-root"))
        .output()
        .expect("tar runs");
    let writer = LayoutWriter::open(&host.path().join("owned")).expect("opens");
    let layer = writer.add_layer_from_tar(&*packed.stdout).expect("packs");
    writer
        .add_image("latest", &ConfigDraft::default(), &[layer])
        .expect("writes");
    let home = format!("UC_HOME={}", home.display());
    let look = ["stat", "-c", "%u %g", "/bin/busybox"];
    let arguments = [&["run", "oci:owned:latest", "--"][..], &look].concat();
    if let Some(ended) = as_user(user, &host, &home, &arguments) {
        ended.expect(0, "1000 1001\n");
    }
    host.file(
        "pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: other}\nspec:\n  securityContext: {runAsUser: 7, runAsGroup: 8}\n  containers:\n    \
         - {name: main, image: 'oci:busybox:latest', command: [sh, -c, 'id -u > /dev/stdout']}\n",
    );
    if let Some(ended) = as_user(user, &host, &home, &["run", "pod.yaml"]) {
        ended.expect(0, "7\n");
    }
}

#[test]
fn a_user_without_a_home_is_told_what_to_set() {
    let Some(host) = Host::new() else { return };
    host.file("hello.wat", HELLO);
    for (home, code, words) in [
        ("", 78, "set HOME or UC_HOME"),
        ("HOME=/proc/nowhere", 73, "help: "),
    ] {
        if let Some(ended) = as_stranger(&host, home, &["run", "hello.wat"]) {
            ended.refuses(code, &[words]);
        }
    }
}
