//! What is run: one root file system as an image for us and as a bundle for the others, and one WebAssembly module.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use uc_image::layout::{ConfigDraft, LayoutWriter};
use uc_model::{Problem, Result};

/// Largest busybox that is taken, in bytes.
const MAX_BUSYBOX: u64 = 16 << 20;
const TAG: &str = "bench";
/// The programs the root file system has.
const APPLETS: [&str; 4] = ["echo", "true", "sleep", "sh"];
/// Directories that mounts need.
const DIRECTORIES: [&str; 5] = ["bin", "dev", "proc", "sys", "tmp"];
/// First host id and number of ids of the bundle's user namespace, when root makes it.
const ROOT_IDS: (u32, u32) = (100_000, 65_536);

/// WASI preview 1, which every embedding runs.
const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\06\00\00\00hello\n")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))
"#;

/// A directory with everything, removed when dropped.
pub(super) struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    /// Makes the directory. Other users may enter it, for the bundle's root is one of them; our state in it is ours.
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("uc-bench-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .map_err(|error| failed(&std::env::temp_dir(), error))?;
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where compiled programs are kept.
    pub(super) fn compiled(&self) -> PathBuf {
        self.path("cache/undercurrent/wasm")
    }

    /// The environment of ours: every directory is below this one, but for that in memory, which is the user's own.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let below = |variable: &str, name: &str| (variable.to_owned(), self.file(name));
        vec![
            ("UC_HOME".to_owned(), String::new()),
            below("XDG_DATA_HOME", "data"),
            below("XDG_STATE_HOME", "state"),
            below("XDG_CACHE_HOME", "cache"),
        ]
    }

    /// A file beside the others.
    pub(super) fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The image's name.
    pub(super) fn image(&self) -> String {
        format!("oci:{}:{TAG}", self.path("layout").display())
    }

    /// Writes the module and gives its path.
    pub(super) fn module(&self) -> Result<String> {
        let path = self.path("hello.wat");
        write(&path, HELLO.as_bytes())?;
        Ok(path.display().to_string())
    }

    /// Lays out a static busybox for the others, and packs the same as an image.
    pub(super) fn containers(&self, busybox: &Path) -> Result<()> {
        let program = static_program(busybox)?;
        let root = self.path("bundle/rootfs");
        for directory in DIRECTORIES {
            let path = root.join(directory);
            fs::create_dir_all(&path).map_err(|error| failed(&path, error))?;
        }
        let target = root.join("bin/busybox");
        write(&target, &program)?;
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755))
            .map_err(|error| failed(&target, error))?;
        for applet in APPLETS {
            let link = root.join("bin").join(applet);
            symlink("busybox", &link).map_err(|error| failed(&link, error))?;
        }
        let config = bundle_config().to_string();
        write(&self.path("bundle/config.json"), config.as_bytes())?;
        let writer = LayoutWriter::open(&self.path("layout"))?;
        let draft = ConfigDraft {
            cmd: vec!["/bin/true".into()],
            env: vec!["PATH=/bin".into()],
            ..ConfigDraft::default()
        };
        writer.add_image(TAG, &draft, &[writer.add_layer_from_directory(&root)?])?;
        Ok(())
    }
}

/// Reads an ELF program that names no interpreter, which is what "static" means here.
fn static_program(path: &Path) -> Result<Vec<u8>> {
    let missing = |what: &str| {
        Problem::host(what)
            .at(path.display())
            .remedy("install a static busybox (Debian: apt install busybox-static), or name one with --busybox")
    };
    let metadata = fs::metadata(path).map_err(|error| missing("no busybox").caused_by(error))?;
    if metadata.len() > MAX_BUSYBOX {
        return Err(missing("busybox is too large")
            .limit(MAX_BUSYBOX)
            .found(metadata.len()));
    }
    let program = fs::read(path).map_err(|error| failed(path, error))?;
    let interpreter = program
        .windows(7)
        .take(4096)
        .any(|window| window == b"/lib64/" || window == b"/lib/ld");
    if !program.starts_with(b"\x7fELF") || interpreter {
        return Err(missing("busybox is not a static program"));
    }
    Ok(program)
}

/// A bundle that isolates as ours does, but for the system call filter: that is to the others' advantage.
fn bundle_config() -> Value {
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    let mapping = |id: u32| {
        let (host, size) = if user.is_root() { ROOT_IDS } else { (id, 1) };
        json!([{ "containerID": 0, "hostID": host, "size": size }])
    };
    let namespaces: Vec<Value> = ["pid", "mount", "ipc", "uts", "network", "user"]
        .iter()
        .map(|kind| json!({ "type": kind }))
        .collect();
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/true"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
            "capabilities": {},
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "bench",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
        ],
        "linux": {
            "namespaces": namespaces,
            "uidMappings": mapping(user.as_raw()),
            "gidMappings": mapping(group.as_raw()),
        },
    })
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, content))
        .map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: std::io::Error) -> Problem {
    Problem::storage("cannot write what is to be measured")
        .at(path.display())
        .caused_by(error)
}
