//! A root file system of busybox, and drivers for the runtimes found on this host.
#![allow(dead_code, reason = "not every test uses everything")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use uc_linux::IdMapping;
use uc_oci_runtime::{Flavour, OciRuntimeDriver};

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 11] = [
    "cat", "echo", "env", "false", "id", "ls", "printf", "sh", "sleep", "touch", "true",
];

/// A layer with busybox, and a place for what drivers keep.
pub(crate) struct Busybox {
    pub(crate) layer: PathBuf,
    pub(crate) directory: tempfile::TempDir,
}

impl Busybox {
    pub(crate) fn new() -> Result<Self, String> {
        if !Path::new(BUSYBOX).is_file() {
            return Err(format!("{BUSYBOX} is missing (apt install busybox-static)"));
        }
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let layer = directory.path().join("layer");
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
        Ok(Self { layer, directory })
    }
}

/// The driver of a runtime, or why there is none.
pub(crate) fn driver(flavour: Flavour, busybox: &Busybox) -> Result<OciRuntimeDriver, String> {
    let program = find(flavour.program())
        .ok_or_else(|| format!("{flavour} is not installed (apt install {flavour})"))?;
    Ok(OciRuntimeDriver::new(
        flavour,
        PathBuf::from(env!("CARGO_BIN_EXE_uc-supervisor")),
        busybox.directory.path().join("mount-points"),
    )
    .with_program(program))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), peers()])
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Where the set-up puts programs of later releases.
fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers")
}
