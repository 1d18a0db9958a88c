//! Where Undercurrent keeps its files.

use std::{
    env, fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use uc_model::{Problem, Result};

/// The directories of one user.
#[derive(Debug, Clone)]
pub struct Home {
    data: PathBuf,
    state: PathBuf,
    cache: PathBuf,
    configuration: PathBuf,
    /// For what need not outlive the host's next start: in memory where the host has such a place.
    runtime: PathBuf,
}

impl Home {
    /// `UC_HOME`, or the directories of the XDG base directory specification.
    ///
    /// # Errors
    /// Host, where neither is set nor HOME.
    pub fn from_environment() -> Result<Self> {
        let set = |name: &str| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        if let Some(home) = set("UC_HOME") {
            let home = std::path::absolute(&home).map_err(|error| {
                Problem::host("UC_HOME is not a path")
                    .found(home.display())
                    .caused_by(error)
            })?;
            return Ok(Self::below(&home));
        }
        let home = set("HOME");
        let choose = |name: &str, fallback: &str| {
            set(name)
                .filter(|path| path.is_absolute())
                .or_else(|| home.as_ref().map(|home| home.join(fallback)))
                .map(|path| path.join("undercurrent"))
                .ok_or_else(|| {
                    Problem::host("no place to keep files")
                        .remedy("set HOME or UC_HOME to a directory of yours")
                })
        };
        let state = choose("XDG_STATE_HOME", ".local/state")?;
        Ok(Self {
            data: choose("XDG_DATA_HOME", ".local/share")?,
            cache: choose("XDG_CACHE_HOME", ".cache")?,
            configuration: choose("XDG_CONFIG_HOME", ".config")?,
            runtime: runtime_directory(set("XDG_RUNTIME_DIR")).unwrap_or_else(|| state.clone()),
            state,
        })
    }

    /// All directories below one.
    pub fn below(directory: &Path) -> Self {
        Self {
            data: directory.join("data"),
            state: directory.join("state"),
            cache: directory.join("cache"),
            configuration: directory.join("config"),
            runtime: directory.join("run"),
        }
    }

    /// What is known of the system calls of images' programs.
    pub fn footprints(&self) -> PathBuf {
        self.data.join("footprints")
    }

    /// The image store.
    pub fn images(&self) -> PathBuf {
        self.data.join("images")
    }

    /// Unpacked layers whose files belong to the ids of one mapping.
    pub fn layers(&self, mapping_key: &str) -> PathBuf {
        self.data.join("layers").join(mapping_key)
    }

    /// One directory for each detached workload.
    pub fn workloads(&self) -> PathBuf {
        self.state.join("workloads")
    }

    /// One directory for each workload in the foreground.
    pub fn foreground(&self) -> PathBuf {
        self.runtime.join("workloads")
    }

    /// What workloads keep on disk while they exist: `ID.PART` for each part.
    pub fn storage(&self) -> PathBuf {
        self.state.join("storage")
    }

    /// One part of a workload's storage: its volumes, or that of a sandbox. No id has a dot.
    pub(crate) fn storage_of(&self, id: &str, part: &str) -> PathBuf {
        self.storage().join(format!("{id}.{part}"))
    }

    /// What `uc watch` remembers: samples, and what it has begun.
    pub fn watch(&self) -> PathBuf {
        self.state.join("watch")
    }

    /// The lock under which detached workloads take their names.
    pub(crate) fn names_lock(&self) -> PathBuf {
        self.state.join("names.lock")
    }

    /// Compiled WebAssembly.
    pub fn compiled(&self) -> PathBuf {
        self.cache.join("wasm")
    }

    /// Kernels, disks and snapshots of microVMs.
    pub fn microvms(&self) -> PathBuf {
        self.cache.join("microvm")
    }

    /// Places in which containers get something mounted, as a layer.
    pub fn mount_points(&self) -> PathBuf {
        self.cache.join("mount-points")
    }

    /// Verdicts on what is signed.
    pub(crate) fn verdicts(&self) -> PathBuf {
        self.cache.join("verdicts")
    }

    /// The trust policy, which need not be there.
    pub fn trust_policy(&self) -> PathBuf {
        self.configuration.join("trust.toml")
    }

    /// Writes a file in each directory and removes it.
    ///
    /// # Errors
    /// Storage, naming the first that cannot be written, with the remedy.
    pub fn try_writing(&self) -> Result<()> {
        for directory in [&self.data, &self.state, &self.cache, &self.runtime] {
            make_private(directory)?;
            let file = directory.join(format!(".trial-{}", std::process::id()));
            fs::write(&file, b"trial")
                .and_then(|()| fs::remove_file(&file))
                .map_err(|error| {
                    // What has been made but not written must not stay.
                    let _ = fs::remove_file(&file);
                    cannot_write(directory, error)
                })?;
        }
        Ok(())
    }

    /// The directory that images and unpacked layers are in.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Results of probing this host.
    pub fn probes(&self) -> PathBuf {
        self.cache.join("probes")
    }
}

/// The user's directory in memory: `XDG_RUNTIME_DIR`, or for root /run. `None` where it cannot be written.
fn runtime_directory(of_user: Option<PathBuf>) -> Option<PathBuf> {
    let for_root = || {
        rustix::process::geteuid()
            .is_root()
            .then(|| PathBuf::from("/run"))
    };
    let parent = of_user
        .filter(|path| path.is_absolute())
        .or_else(for_root)?;
    rustix::fs::access(&parent, rustix::fs::Access::WRITE_OK).ok()?;
    Some(parent.join("undercurrent"))
}

/// Makes a directory and its parents, for the caller only (0700).
///
/// # Errors
/// Storage, naming the directory.
pub fn make_private(directory: &Path) -> Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| cannot_write(directory, error))
}

/// A file or directory of ours that cannot be written, with the remedy for the cause.
pub(crate) fn cannot_write(path: &Path, error: std::io::Error) -> Problem {
    let remedy = match error.raw_os_error() {
        Some(code)
            if code == rustix::io::Errno::NOSPC.raw_os_error()
                || code == rustix::io::Errno::DQUOT.raw_os_error() =>
        {
            "free some space (uc image rm, uc rm), or set UC_HOME to a directory with room"
        }
        Some(code) if code == rustix::io::Errno::ROFS.raw_os_error() => {
            "set UC_HOME to a directory that can be written"
        }
        _ => "check its permissions, or set UC_HOME to a directory of yours",
    };
    Problem::storage("cannot write")
        .at(path.display())
        .found(&error)
        .remedy(remedy)
        .caused_by(error)
}
