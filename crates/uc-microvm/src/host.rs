//! What a driver knows of this host: kernel, monitor, accelerator, programs for guests. Found once, when first needed.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use sha2::{Digest as _, Sha256};
use uc_linux::cgroup::Layout;
use uc_model::{Problem, Result, Telling};

use crate::{
    choice,
    images::Images,
    kernel::{self, Kernel, Places},
    launch::Launcher,
    machine::Accelerator,
    pool::Pool,
    snapshot::Snapshots,
};

/// A program for guests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Held by this program.
    Bytes(&'static [u8]),
    /// In a file.
    File(PathBuf),
}

/// The programs that run in guests, statically linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// `uc-guest`, process 1.
    pub agent: Program,
    /// `uc-function`, which runs a WebAssembly function.
    pub function: Program,
}

/// Compiles a WebAssembly package for guests.
pub type Precompile = dyn Fn(&[u8]) -> Result<Vec<u8>> + Send + Sync;

/// How microVMs are made here.
pub struct Settings {
    /// QEMU, if it is not to be looked for on `PATH`. Firecracker is not looked for then.
    pub qemu: Option<PathBuf>,
    /// Firecracker, if it is to be the monitor whatever else there is.
    pub firecracker: Option<PathBuf>,
    /// Firecracker's jailer, which only root can use.
    pub jailer: Option<PathBuf>,
    /// The kernel, if it is not to be looked for.
    pub kernel: Option<PathBuf>,
    /// Whether instructions may be executed by the processor itself only (`Some`), or whatever a trial finds.
    pub accelerator: Option<Accelerator>,
    /// Whether machines start from snapshots.
    pub snapshots: bool,
    /// How many machines are kept ready of each kind that is used; for owners that start many.
    pub pool: usize,
    /// The programs for guests, or why there are none.
    pub programs: Result<Programs, Box<Telling>>,
    /// A directory for kernels, disks and snapshots, private to the caller.
    pub cache: PathBuf,
    /// The caller's home, where libraries may lie.
    pub home: Option<PathBuf>,
    /// Makes functions of WebAssembly packages.
    pub precompile: Arc<Precompile>,
}

/// A host, as far as it is known.
pub(crate) struct Host {
    pub(crate) settings: Settings,
    images: OnceLock<std::result::Result<Images, Box<Telling>>>,
    kernel: OnceLock<std::result::Result<Kernel, Box<Telling>>>,
    launcher: OnceLock<std::result::Result<Launcher, Box<Telling>>>,
    layout: OnceLock<Layout>,
    pub(crate) pool: OnceLock<Pool>,
    noted: Mutex<Vec<String>>,
}

impl Host {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            images: OnceLock::new(),
            kernel: OnceLock::new(),
            launcher: OnceLock::new(),
            layout: OnceLock::new(),
            pool: OnceLock::new(),
            noted: Mutex::default(),
        }
    }

    pub(crate) fn images(&self) -> Result<&Images> {
        let made = self.images.get_or_init(|| {
            Images::in_directory(self.settings.cache.join("images"))
                .map_err(|problem| Box::new(Telling::of(&problem)))
        });
        made.as_ref()
            .map_err(|telling| telling.clone().into_problem())
    }

    pub(crate) fn programs(&self) -> Result<&Programs> {
        self.settings
            .programs
            .as_ref()
            .map_err(|telling| telling.clone().into_problem())
    }

    pub(crate) fn kernel(&self) -> Result<&Kernel> {
        let found = self.kernel.get_or_init(|| {
            let places = Places::of_host(self.settings.home.as_deref());
            let cache = self.settings.cache.join("kernels");
            kernel::find(self.settings.kernel.as_deref(), &places, &cache)
                .map_err(|problem| Box::new(Telling::of(&problem)))
        });
        found
            .as_ref()
            .map_err(|telling| telling.clone().into_problem())
    }

    /// Whatever starts machines here; the first call may boot one to see how.
    pub(crate) fn launcher(&self) -> Result<&Launcher> {
        let made = self.launcher.get_or_init(|| {
            self.make_launcher()
                .map_err(|problem| Box::new(Telling::of(&problem)))
        });
        made.as_ref()
            .map_err(|telling| telling.clone().into_problem())
    }

    fn make_launcher(&self) -> Result<Launcher> {
        let monitor = choice::choose(self)?;
        let snapshots = self.settings.cache.join("snapshots");
        let snapshots = self
            .settings
            .snapshots
            .then(|| Arc::new(Snapshots::in_directory(snapshots)));
        Ok(Launcher { monitor, snapshots })
    }

    pub(crate) fn accelerator(&self) -> Accelerator {
        self.launcher()
            .map_or(Accelerator::Tcg, |launcher| launcher.monitor.accelerator())
    }

    /// Where control groups can be made.
    pub(crate) fn layout(&self) -> &Layout {
        self.layout.get_or_init(Layout::of_this_host)
    }

    /// Where machines have their directories: those of Firecracker, and those that wait for a sandbox.
    pub(crate) fn machines(&self) -> PathBuf {
        self.settings.cache.join("machines")
    }

    /// What went wrong without ending anything, told once.
    pub(crate) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps what went wrong without ending anything, for whoever makes a container next.
    pub(crate) fn note(&self, problem: &Problem) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() < 16 {
            noted.push(problem.to_string());
        }
    }
}

impl Program {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.to_vec()),
            Self::File(path) => crate::host_file::read(path, 256 << 20),
        }
    }

    /// Tells it from others, without reading all of it where its file says enough.
    pub(crate) fn identify(&self, hash: &mut Sha256) -> Result<()> {
        match self {
            Self::Bytes(bytes) => {
                // The bytes are this program's own: they change with it alone.
                hash.update(env!("CARGO_PKG_VERSION"));
                hash.update((bytes.len() as u64).to_le_bytes());
                hash.update(bytes.get(..4096).unwrap_or_default());
                hash.update(build_id(bytes));
            }
            Self::File(path) => {
                use std::os::unix::fs::MetadataExt as _;
                let metadata = std::fs::metadata(path).map_err(|error| {
                    Problem::host("a program for guests cannot be read")
                        .at(path.display())
                        .caused_by(error)
                })?;
                hash.update(path.to_string_lossy().as_bytes());
                for number in [
                    metadata.len(),
                    metadata.ino(),
                    metadata.mtime() as u64,
                    metadata.mtime_nsec() as u64,
                ] {
                    hash.update(number.to_le_bytes());
                }
            }
        }
        Ok(())
    }
}

/// What the linker wrote to tell builds apart: the name `GNU`, in a note, and 20 bytes behind it.
fn build_id(bytes: &[u8]) -> &[u8] {
    let start = bytes.get(..8192).unwrap_or(bytes);
    memchr::memmem::find(start, b"\x03\0\0\0GNU\0")
        .and_then(|at| start.get(at + 8..at + 28))
        .unwrap_or_default()
}
