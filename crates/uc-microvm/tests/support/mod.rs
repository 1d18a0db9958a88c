//! Drivers of microVMs for tests, with what this host has, and a root file system of busybox.
#![allow(dead_code, reason = "not every test uses everything")]
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

pub(crate) mod world;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use uc_linux::IdMapping;
use uc_microvm::{Accelerator, MicrovmDriver, Program, Programs, Settings};

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 21] = [
    "cat", "date", "dd", "echo", "env", "false", "grep", "head", "hostname", "id", "ls", "nc",
    "od", "printf", "readlink", "sh", "sleep", "stat", "yes", "touch", "true",
];

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

/// What this host has for microVMs, or what it lacks. One cache serves all tests of a process.
pub(crate) fn settings() -> Result<Settings, String> {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    settings_in(CACHE.get_or_init(|| directory_of_process("cache")))
}

/// A directory for all tests of this process, which the next one removes: nobody drops what all of them share.
fn directory_of_process(purpose: &str) -> PathBuf {
    const PREFIX: &str = "microvm-tests-";
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let path = parent.join(format!("{PREFIX}{}-{purpose}", std::process::id()));
    fs::create_dir_all(&path).expect("made");
    path
}

/// The same with a cache of one's own.
pub(crate) fn settings_in(cache: &Path) -> Result<Settings, String> {
    let guest =
        env::var_os("UC_GUEST_PROGRAMS").map_or_else(|| target().join("guest"), PathBuf::from);
    let program = |name: &str| match guest.join(name) {
        path if path.is_file() => Ok(Program::File(path)),
        path => Err(format!("{} is missing (cargo xtask guest)", path.display())),
    };
    if !["/usr/bin", "/usr/local/bin"]
        .iter()
        .any(|place| Path::new(place).join("qemu-system-x86_64").exists())
    {
        return Err("qemu-system-x86_64 is missing (apt install qemu-system-x86)".into());
    }
    Ok(Settings {
        qemu: None,
        firecracker: None,
        jailer: None,
        kernel: kernel()?,
        accelerator: Some(Accelerator::Tcg),
        snapshots: true,
        pool: 0,
        programs: Ok(Programs {
            agent: program("uc-guest")?,
            function: program("uc-function")?,
        }),
        cache: cache.to_owned(),
        home: None,
        precompile: Arc::new(|bytes| Ok(bytes.to_vec())),
    })
}

/// The kernel of the environment, or the one that the set-up brought.
fn kernel() -> Result<Option<PathBuf>, String> {
    if let Some(path) = env::var_os("UC_KERNEL") {
        return Ok(Some(path.into()));
    }
    let brought = target().join("peers/libkrunfw.so");
    if brought.is_file() {
        return Ok(Some(brought));
    }
    Err("no kernel for microVMs: neither UC_KERNEL nor target/peers/libkrunfw.so (cargo xtask setup --for-tests)".into())
}

/// A driver with this host's monitor and kernel.
pub(crate) fn driver() -> Result<MicrovmDriver, String> {
    settings().map(MicrovmDriver::new)
}

/// A layer with busybox.
pub(crate) struct Busybox {
    pub(crate) layer: PathBuf,
}

impl Busybox {
    /// One for all tests of a process, so that its disk is made once.
    pub(crate) fn shared() -> Result<&'static Self, String> {
        static SHARED: OnceLock<Result<Busybox, String>> = OnceLock::new();
        SHARED.get_or_init(Self::new).as_ref().map_err(Clone::clone)
    }

    fn new() -> Result<Self, String> {
        if !Path::new(BUSYBOX).is_file() {
            return Err(format!("{BUSYBOX} is missing (apt install busybox-static)"));
        }
        Ok(Self {
            layer: Self::layer_at(&directory_of_process("busybox")),
        })
    }

    /// Another image of the same programs: a layer of its own.
    pub(crate) fn another() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            layer: Self::layer_at(&directory_of_process(&format!("busybox-{number}"))),
        }
    }

    fn layer_at(directory: &Path) -> PathBuf {
        let layer = directory.join("layer");
        fs::create_dir_all(layer.join("bin")).expect("made");
        fs::copy(BUSYBOX, layer.join("bin/busybox")).expect("copied");
        for applet in APPLETS {
            std::os::unix::fs::symlink("busybox", layer.join("bin").join(applet)).expect("linked");
        }
        let mapping = IdMapping::for_caller().expect("ids");
        for path in ["", "bin", "bin/busybox"] {
            std::os::unix::fs::chown(layer.join(path), mapping.host_uid(0), mapping.host_gid(0))
                .expect("owned");
        }
        layer
    }
}
