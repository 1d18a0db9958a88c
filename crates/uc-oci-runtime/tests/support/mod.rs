//! Drivers for the runtimes found on this host.
#![allow(dead_code, reason = "not every test uses everything")]

use std::{
    env,
    path::{Path, PathBuf},
};

use uc_oci_runtime::{Flavour, OciRuntimeDriver};
use uc_testkit::busybox::Busybox;

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
