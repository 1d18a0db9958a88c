//! What is run: one root file system as an image for us and as a bundle for the others, and one WebAssembly module.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uc_model::{Digest, Problem, Result};

/// Largest busybox that is taken, in bytes.
const MAX_BUSYBOX: u64 = 16 << 20;
const TAG: &str = "bench";
/// The programs the root file system has.
const APPLETS: [&str; 3] = ["true", "sleep", "sh"];
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

    /// The value of UC_HOME.
    pub(super) fn home(&self) -> String {
        self.path("home").display().to_string()
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

    /// Packs a static busybox as an image, and unpacks the same for the others.
    pub(super) fn containers(&self, busybox: &Path) -> Result<()> {
        let program = static_program(busybox)?;
        write_layout(&self.path("layout"), &layer(&program)?)?;
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
        write(&self.path("bundle/config.json"), config.as_bytes())
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

fn layer(program: &[u8]) -> Result<Vec<u8>> {
    let failed = |error| Problem::internal("cannot pack a layer").caused_by(error);
    let mut tar = tar::Builder::new(Vec::new());
    let entry = |kind, size, mode| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(mode);
        header
    };
    for directory in DIRECTORIES {
        let mut header = entry(tar::EntryType::Directory, 0, 0o755);
        tar.append_data(&mut header, directory, [].as_slice())
            .map_err(failed)?;
    }
    let mut header = entry(tar::EntryType::Regular, program.len() as u64, 0o755);
    tar.append_data(&mut header, "bin/busybox", program)
        .map_err(failed)?;
    for applet in APPLETS {
        let mut header = entry(tar::EntryType::Symlink, 0, 0o777);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox")
            .map_err(failed)?;
    }
    tar.into_inner().map_err(failed)
}

fn write_layout(folder: &Path, layer: &[u8]) -> Result<()> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let media = |name: &str| format!("application/vnd.oci.image.{name}");
    let layer = blob(folder, &media("layer.v1.tar"), layer)?;
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Cmd": ["/bin/true"], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    });
    let config = blob(
        folder,
        &media("config.v1+json"),
        config.to_string().as_bytes(),
    )?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media("manifest.v1+json"),
        "config": config,
        "layers": [layer],
    });
    let mut manifest = blob(
        folder,
        &media("manifest.v1+json"),
        manifest.to_string().as_bytes(),
    )?;
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": TAG });
    manifest["platform"] = json!({ "architecture": architecture, "os": "linux" });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string();
    write(
        &folder.join("oci-layout"),
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    write(&folder.join("index.json"), index.as_bytes())
}

/// Writes content under its digest and gives its descriptor.
fn blob(folder: &Path, media_type: &str, content: &[u8]) -> Result<Value> {
    let digest = Digest::from_sha256(&Sha256::digest(content).into());
    write(&folder.join("blobs/sha256").join(digest.hex()), content)?;
    Ok(json!({ "mediaType": media_type, "digest": digest.as_str(), "size": content.len() }))
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
