//! Profiles of traced programs under crun and runc, which apply them before or after they change the user.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use uc_trace::{Options, Profile, Wish, trace};

const BUSYBOX: &str = "/bin/busybox";
const SCRIPT: &str = "echo hello; ls / | wc -l > /dev/null";

fn found(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// A bundle whose container needs no control groups.
fn bundle(directory: &Path, profile: &Value, new_privileges: bool) {
    let bin = directory.join("rootfs/bin");
    fs::create_dir_all(&bin).expect("made");
    if !bin.join("busybox").exists() {
        fs::copy(BUSYBOX, bin.join("busybox")).expect("copied");
        for applet in ["sh", "ls", "wc"] {
            std::os::unix::fs::symlink("busybox", bin.join(applet)).expect("linked");
        }
        for mount_point in ["proc", "dev"] {
            fs::create_dir_all(directory.join("rootfs").join(mount_point)).expect("made");
        }
    }
    let capabilities = json!(["CAP_KILL"]);
    let config = json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {
            "user": {"uid": 7, "gid": 7}, "cwd": "/", "args": ["/bin/sh", "-c", SCRIPT], "env": ["PATH=/bin"],
            "noNewPrivileges": !new_privileges,
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        ],
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}],
            "seccomp": profile,
        },
    });
    fs::write(directory.join("config.json"), config.to_string()).expect("written");
}

#[test]
fn other_engines_run_programs_under_their_profiles() {
    if !rustix::process::geteuid().is_root() || !Path::new(BUSYBOX).exists() {
        println!("skipped: needs root and {BUSYBOX}");
        return;
    }
    let mut command = Command::new(BUSYBOX);
    command
        .args(["sh", "-c", SCRIPT])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let traced = trace(command, &Options::default(), &|| Wish::GoOn).expect("traced");
    let profile = serde_json::to_value(Profile::of(&traced.footprint)).expect("JSON");
    for engine in ["crun", "runc"] {
        let Some(program) = found(engine) else {
            println!("skipped: {engine} is not here");
            continue;
        };
        for new_privileges in [false, true] {
            let directory = tempfile::tempdir().expect("a directory");
            bundle(directory.path(), &profile, new_privileges);
            // crun refuses hosts that have both versions of control groups.
            let script =
                "umount /sys/fs/cgroup/unified 2> /dev/null; exec timeout -s KILL 60 \"$0\" \"$@\"";
            let options: &[&str] = if engine == "crun" {
                &["--cgroup-manager", "disabled"]
            } else {
                &[]
            };
            let output = Command::new("unshare")
                .args(["--mount", "sh", "-c", script])
                .arg(&program)
                .args(options)
                .args([
                    "run",
                    &format!("uc-trace-{}-{new_privileges}", std::process::id()),
                ])
                .current_dir(directory.path())
                .stdin(Stdio::null())
                .output()
                .expect("ran");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                "hello\n",
                "{engine} {new_privileges}: {stderr}"
            );
        }
    }
}
