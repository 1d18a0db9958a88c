//! The guest's kernel: finding one, and preparing it so that QEMU and Firecracker boot it at once.
//!
//! | source | what it is |
//! |---|---|
//! | a file that the user names | `vmlinux`, `bzImage`, or the shared object of libkrunfw |
//! | the host's `/boot` | `vmlinuz-VERSION`, with the modules of `/lib/modules/VERSION` |
//! | libkrunfw | a kernel inside a shared object, everything built in |
//!
//! Whatever it was, an uncompressed ELF comes out. It is kept in a cache, so that only the first start decompresses.

mod bzimage;
mod cache;
mod elf;
mod features;
mod find;
mod formats;
mod krunfw;
mod modules;
mod payload;
mod prepare;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uc_model::{Digest, Problem, Result};

pub(crate) use elf::is_dynamic;
pub use features::Feature;
pub use find::{Places, find};
pub(crate) use formats::check_head;
pub use formats::{Description, describe};
pub use modules::Module;

/// A kernel that is ready to boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// The file it came from.
    pub source: PathBuf,
    /// An uncompressed ELF for x86-64.
    pub image: PathBuf,
    /// Who provides it.
    pub origin: Origin,
    /// As `uname -r` says it; empty where the file does not say.
    pub version: String,
    /// Modules that the guest must load, in this order.
    pub modules: Vec<Module>,
    /// What to name as `console=`: `hvc0` or `ttyS0`.
    pub console: String,
    /// Whether it finds virtio-mmio devices through ACPI tables alone, not on its command line.
    pub needs_acpi: bool,
    /// Whether its ELF says where to enter by the PVH protocol, without which QEMU does not boot an ELF.
    pub pvh: bool,
    /// What it has, built in or through its modules.
    pub features: Vec<Feature>,
    /// The digest of the file it came from.
    pub digest: Digest,
}

/// Who provides a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The user named it.
    Given,
    /// It is among those that the host itself boots.
    Boot,
    /// It is inside a libkrunfw that is installed.
    Krunfw,
}

impl Kernel {
    /// Whether the kernel has a feature.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// The modules that these features need, in the order of loading: each module costs a start some milliseconds.
    pub fn modules_for<'a>(&'a self, features: &'a [Feature]) -> impl Iterator<Item = &'a Module> {
        let needed = |module: &&Module| {
            module
                .features
                .iter()
                .any(|feature| features.contains(feature))
        };
        self.modules.iter().filter(needed)
    }

    /// Checks that the kernel has a feature.
    ///
    /// # Errors
    /// Of the host, where it has not.
    pub fn require(&self, feature: Feature) -> Result<()> {
        if self.has(feature) {
            return Ok(());
        }
        Err(
            Problem::host(format!("the guest's kernel has no {}", feature.name()))
                .at(self.source.display())
                .limit(format!("{} built in or as a module", feature.option()))
                .remedy("name another kernel with --kernel, or install the package linux-image-cloud-amd64 or libkrunfw"),
        )
    }
}
