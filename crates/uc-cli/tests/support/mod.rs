//! What the tests of the command share: a home of their own, images made on the spot, the real binary.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use uc_image::layout::{ConfigDraft, LayoutWriter};

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 24] = [
    "cat", "chmod", "date", "df", "echo", "env", "false", "grep", "head", "hostname", "id", "ls",
    "mkdir", "nc", "printf", "pwd", "seq", "sh", "sleep", "stat", "test", "touch", "true", "yes",
];

/// A home of its own, removed at the end.
pub(crate) struct Host {
    pub(crate) directory: tempfile::TempDir,
}

impl Host {
    /// `None`, with the reason printed, where the tests cannot run.
    pub(crate) fn new() -> Option<Self> {
        if !Path::new(BUSYBOX).is_file() {
            println!("skipped: {BUSYBOX} is missing (apt install busybox-static)");
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let host = Self { directory };
        host.image("busybox", &[]);
        Some(host)
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Makes an OCI layout `NAME:latest` of busybox and further files, each with its mode.
    pub(crate) fn image(&self, name: &str, files: &[(&str, &Path, u32)]) {
        let root = self.path().join(format!("{name}-root"));
        fs::create_dir_all(root.join("bin")).expect("made");
        fs::create_dir_all(root.join("tmp")).expect("made");
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("set");
        fs::create_dir_all(root.join("etc")).expect("made");
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/sh\n",
        )
        .expect("written");
        fs::write(
            root.join("etc/group"),
            "root:x:0:\nweb:x:34:\nextra:x:77:web\n",
        )
        .expect("written");
        fs::copy(BUSYBOX, root.join("bin/busybox")).expect("copied");
        for applet in APPLETS {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("linked");
        }
        for (target, source, mode) in files {
            let target = root.join(target.trim_start_matches('/'));
            fs::copy(source, &target).expect("copied");
            fs::set_permissions(&target, fs::Permissions::from_mode(*mode)).expect("set");
        }
        self.layout(name, &root);
    }

    /// Packs a directory as the OCI layout `NAME:latest`.
    pub(crate) fn layout(&self, name: &str, root: &Path) {
        let writer = LayoutWriter::open(&self.path().join(name)).expect("opens");
        let layer = writer.add_layer_from_directory(root).expect("packs");
        writer
            .add_image("latest", &ConfigDraft::default(), &[layer])
            .expect("writes");
    }

    /// Makes an OCI layout `NAME:latest` of busybox whose configuration has these members instead of the usual ones.
    pub(crate) fn configured_image(&self, name: &str, members: &serde_json::Value) {
        let writer = LayoutWriter::open(&self.path().join(name)).expect("opens");
        let layer = writer
            .add_layer_from_directory(&self.path().join("busybox-root"))
            .expect("packs");
        let mut config = serde_json::json!({
            "architecture": uc_image::image::architecture(),
            "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
        });
        for (key, value) in members.as_object().expect("an object") {
            config[key] = value.clone();
        }
        let add = |media_type: &str, document: &serde_json::Value| {
            let bytes = serde_json::to_vec(document).expect("JSON");
            writer.add_blob(media_type, &bytes).expect("writes")
        };
        let config = add("application/vnd.oci.image.config.v1+json", &config);
        let manifest = serde_json::json!({
            "schemaVersion": 2, "config": config, "layers": [layer.descriptor()],
        });
        let manifest = add("application/vnd.oci.image.manifest.v1+json", &manifest);
        writer.name("latest", manifest).expect("writes");
    }

    /// Writes a file next to the images.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    /// The command, ready to be given arguments.
    pub(crate) fn uc(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_uc"));
        command
            .current_dir(self.path())
            .env("UC_HOME", self.path().join("home"))
            .env("RUST_BACKTRACE", "0")
            // Whether gVisor and QEMU are installed here is for the tests that ask for them.
            .env("UC_RUNSC", "/no/such/runsc")
            .env("UC_QEMU", "/no/such/qemu")
            .env("UC_KERNEL", "/no/such/kernel")
            .stdin(Stdio::null());
        command
    }

    /// The command with a runtime of this host: gVisor's by `UC_RUNSC`, another for containers. `None`, with the reason
    /// printed, where it is not installed.
    pub(crate) fn uc_with(&self, runtime: &str) -> Option<Command> {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), peers])
            .map(|directory| directory.join(runtime))
            .find(|file| file.is_file());
        let Some(found) = found else {
            println!("skipped: {runtime} is not installed (make setup-tests brings it)");
            return None;
        };
        let variable = match runtime {
            "runsc" => "UC_RUNSC",
            _ => "UC_CONTAINER_RUNTIME",
        };
        let mut command = self.uc();
        command.env(variable, found);
        Some(command)
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&self.uc().args(arguments).output().expect("runs"))
    }

    /// Runs a manifest to its end.
    pub(crate) fn pod(&self, manifest: &str) -> Ended {
        self.file("pod.yaml", manifest);
        let ended = self.run(&["run", "pod.yaml"]);
        self.assert_nothing_left();
        ended
    }

    /// Directories and storage of workloads.
    pub(crate) fn workloads(&self) -> Vec<PathBuf> {
        ["state/workloads", "run/workloads", "state/storage"]
            .iter()
            .filter_map(|place| fs::read_dir(self.path().join("home").join(place)).ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .collect()
    }

    /// No workload's directory is left.
    pub(crate) fn assert_nothing_left(&self) {
        assert!(self.workloads().is_empty(), "left: {:?}", self.workloads());
    }
}

/// A command that has ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        Self {
            code: output
                .status
                .code()
                .unwrap_or_else(|| -output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Checks code and output, showing everything where they differ.
    pub(crate) fn expect(&self, code: i32, stdout: &str) {
        assert!(
            self.code == code && self.stdout == stdout,
            "expected {code} and {stdout:?}\n{self}"
        );
    }

    /// Checks the code and that words are on standard error.
    pub(crate) fn refuses(&self, code: i32, words: &[&str]) {
        let all = words.iter().all(|word| self.stderr.contains(word));
        assert!(
            self.code == code && all,
            "expected {code} and {words:?}\n{self}"
        );
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "code {}\nstdout: {}\nstderr: {}",
            self.code, self.stdout, self.stderr
        )
    }
}
