//! Where kernels are looked for, and which is taken.

use std::{
    fs,
    path::{Path, PathBuf},
};

use uc_model::{Problem, Result};

use super::{Kernel, Origin, prepare::prepare};

/// Most names of a directory that are looked at.
const NAMES: usize = 4096;
/// Most kernels that are tried.
const CANDIDATES: usize = 16;

/// Where this host keeps kernels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Directories with files `vmlinuz-VERSION`.
    pub boot: Vec<PathBuf>,
    /// Directories with a directory of modules for each version.
    pub modules: Vec<PathBuf>,
    /// Directories that may hold `libkrunfw.so*`.
    pub libraries: Vec<PathBuf>,
}

impl Places {
    /// The usual places. `home` is the user's, for libraries that came as Python packages.
    pub fn of_host(home: Option<&Path>) -> Self {
        let mut libraries: Vec<PathBuf> = [
            "/usr/local/lib64",
            "/usr/local/lib",
            "/usr/lib64",
            "/usr/lib",
            "/usr/lib/x86_64-linux-gnu",
        ]
        .map(PathBuf::from)
        .to_vec();
        let python = ["/usr/local/lib", "/usr/lib"].map(PathBuf::from);
        let of_user = home.map(|home| home.join(".local/lib"));
        for parent in python.into_iter().chain(of_user) {
            for version in names(&parent, |name| name.starts_with("python3")) {
                for packages in ["site-packages", "dist-packages"] {
                    libraries.push(version.join(packages).join("microsandbox/_bundled/lib"));
                }
            }
        }
        Self {
            boot: vec!["/boot".into()],
            modules: vec!["/lib/modules".into(), "/usr/lib/modules".into()],
            libraries,
        }
    }
}

/// Finds a kernel and prepares it in the directory `cache`: the one that is given, else the newest of the host's own
/// that works, else the one of libkrunfw.
///
/// # Errors
/// As for what is wrong with the one that is given. Without one: of the host where none works; it says why each does not.
pub fn find(given: Option<&Path>, places: &Places, cache: &Path) -> Result<Kernel> {
    if let Some(given) = given {
        return prepare(
            given,
            Origin::Given,
            &|version| modules_of(given, version, places),
            cache,
        );
    }
    let mut reasons = Vec::new();
    for (source, origin) in candidates(places).into_iter().take(CANDIDATES) {
        let modules = |version: &str| modules_of(&source, version, places);
        match prepare(&source, origin, &modules, cache) {
            Ok(kernel) if kernel.pvh => return Ok(kernel),
            Ok(_) => reasons.push(format!("{}: no PVH entry (CONFIG_PVH)", source.display())),
            Err(problem) => reasons.push(problem.to_string()),
        }
    }
    let problem = Problem::host("no kernel for microVMs is found")
        .limit("a kernel with virtio for x86-64 in /boot, or libkrunfw")
        .remedy("name one with --kernel or UC_KERNEL, or install linux-image-cloud-amd64 (Debian) or libkrunfw");
    Err(match reasons.is_empty() {
        true => problem,
        false => problem.found(reasons.join("; ")),
    })
}

/// Files worth a try, best first.
fn candidates(places: &Places) -> Vec<(PathBuf, Origin)> {
    let mut found = Vec::new();
    let boot = places
        .boot
        .iter()
        .flat_map(|boot| names(boot, |name| name.starts_with("vmlinuz-")));
    // Where distributions keep kernels beside their modules.
    let beside = places
        .modules
        .iter()
        .flat_map(|modules| names(modules, |_| true))
        .map(|version| version.join("vmlinuz"))
        .filter(|path| path.is_file());
    for kernels in [boot.collect::<Vec<_>>(), beside.collect()] {
        found.extend(kernels.into_iter().map(|path| (path, Origin::Boot)));
    }
    let is_library = |name: &str| name == "libkrunfw.so" || name.starts_with("libkrunfw.so.");
    let libraries = places
        .libraries
        .iter()
        .flat_map(|directory| names(directory, is_library));
    found.extend(libraries.map(|path| (path, Origin::Krunfw)));
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|(path, _)| seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    found
}

/// Names in a directory that fit, the highest version first.
fn names(directory: &Path, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut found: Vec<String> = entries
        .take(NAMES)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| fits(name))
        .collect();
    found.sort_by_cached_key(|name| std::cmp::Reverse(version_key(name)));
    found.into_iter().map(|name| directory.join(name)).collect()
}

/// Orders texts by their numbers: 6.10 is more than 6.9.
fn version_key(name: &str) -> Vec<(u64, String)> {
    let mut parts: Vec<(u64, String)> = Vec::new();
    for (index, text) in name
        .split(|c: char| !c.is_ascii_digit())
        .filter(|text| !text.is_empty())
        .enumerate()
    {
        // Longer than any version: the number alone no longer orders.
        parts.push((text.parse().unwrap_or(u64::MAX), String::new()));
        if index > 16 {
            break;
        }
    }
    parts.push((0, name.to_owned()));
    parts
}

/// The modules of a kernel: of this host, or beside the kernel where a package was unpacked elsewhere.
fn modules_of(kernel: &Path, version: &str, places: &Places) -> Option<PathBuf> {
    if !super::features::is_version(version) {
        return None;
    }
    let unpacked = kernel
        .parent()
        .and_then(Path::parent)
        .map(|root| root.join("lib/modules"));
    places
        .modules
        .iter()
        .cloned()
        .chain(unpacked)
        .map(|modules| modules.join(version))
        .find(|modules| modules.join("modules.builtin").is_file())
}
