//! Which files are looked into, and how much of each is needed.

use crate::{
    catalog::{elf, java, wasm},
    collector::Want,
};

/// Smaller files are no program of Go or Rust, in bytes.
const PROGRAM_BYTES: u64 = 4096;

/// The reader that a file's path calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    OsRelease,
    Copyright,
    Dpkg,
    Apk,
    RpmSqlite,
    RpmNdb,
    RpmBdb,
    Python,
    PackageJson,
    PackageLock,
    YarnLock,
    PnpmLock,
    Gem,
    Java,
    /// An executable by its first bytes: of Linux, or WebAssembly.
    Program,
    Wasm,
}

impl Route {
    /// The route of a normalised path, if anything can be found there.
    pub(crate) fn of(path: &str, size: u64, declared: bool) -> Option<Self> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        Self::of_system(parent, name)
            .or_else(|| Self::of_language(parent, name))
            .or_else(|| Self::of_lock(name).filter(|_| declared))
            // Programs have any name: their first bytes decide.
            .or_else(|| (size >= PROGRAM_BYTES).then_some(Self::Program))
    }

    /// Databases of distributions.
    fn of_system(parent: &str, name: &str) -> Option<Self> {
        match (parent, name) {
            ("etc" | "usr/lib", "os-release") => Some(Self::OsRelease),
            ("var/lib/dpkg", "status") => Some(Self::Dpkg),
            ("var/lib/dpkg/status.d", _) if !name.ends_with(".md5sums") => Some(Self::Dpkg),
            ("lib/apk/db" | "usr/lib/apk/db", "installed") => Some(Self::Apk),
            ("var/lib/rpm" | "usr/share/rpm" | "usr/lib/sysimage/rpm", "rpmdb.sqlite") => {
                Some(Self::RpmSqlite)
            }
            ("var/lib/rpm" | "usr/share/rpm" | "usr/lib/sysimage/rpm", "Packages.db") => {
                Some(Self::RpmNdb)
            }
            ("var/lib/rpm" | "usr/share/rpm" | "usr/lib/sysimage/rpm", "Packages") => {
                Some(Self::RpmBdb)
            }
            (_, "copyright") if parent.starts_with("usr/share/doc/") => Some(Self::Copyright),
            _ => None,
        }
    }

    /// What is installed of a language's packages, wherever it is.
    fn of_language(parent: &str, name: &str) -> Option<Self> {
        match name {
            "package.json" => Some(Self::PackageJson),
            "METADATA" if parent.ends_with(".dist-info") => Some(Self::Python),
            "PKG-INFO" if parent.ends_with(".egg-info") || parent.ends_with("EGG-INFO") => {
                Some(Self::Python)
            }
            _ if name.ends_with(".egg-info") => Some(Self::Python),
            _ if name.ends_with(".gemspec") => {
                let is_installed = parent.ends_with("specifications")
                    || parent.ends_with("specifications/default");
                is_installed.then_some(Self::Gem)
            }
            _ if java::is_archive(name) => Some(Self::Java),
            _ if name.ends_with(".wasm") => Some(Self::Wasm),
            _ => None,
        }
    }

    fn of_lock(name: &str) -> Option<Self> {
        match name {
            "package-lock.json" | "npm-shrinkwrap.json" => Some(Self::PackageLock),
            "yarn.lock" => Some(Self::YarnLock),
            "pnpm-lock.yaml" => Some(Self::PnpmLock),
            _ => None,
        }
    }

    pub(crate) fn want(self) -> Want {
        match self {
            Self::Program => Want::Head(elf::HEAD_BYTES),
            _ if self.is_seekable() => Want::Seekable,
            _ => Want::Whole,
        }
    }

    pub(crate) fn is_seekable(self) -> bool {
        matches!(
            self,
            Self::RpmSqlite | Self::RpmNdb | Self::RpmBdb | Self::Java | Self::Program | Self::Wasm
        )
    }

    /// What is wanted after the first bytes.
    pub(crate) fn after_head(self, head: &[u8]) -> Want {
        if self == Self::Program && (elf::is_executable(head) || wasm::is_wasm(head)) {
            Want::Seekable
        } else {
            Want::Nothing
        }
    }

    /// The largest file that is looked into, in bytes.
    pub(crate) fn size_limit(self) -> u64 {
        match self {
            Self::OsRelease => 64 << 10,
            Self::Copyright | Self::Python | Self::PackageJson => 4 << 20,
            Self::Gem => 1 << 20,
            Self::Dpkg | Self::Apk => 64 << 20,
            Self::PackageLock | Self::YarnLock | Self::PnpmLock => 32 << 20,
            Self::RpmSqlite | Self::RpmNdb | Self::RpmBdb => 2 << 30,
            Self::Java => 2 << 30,
            Self::Program | Self::Wasm => 1 << 30,
        }
    }
}
