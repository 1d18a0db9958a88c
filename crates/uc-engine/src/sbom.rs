//! Inventories of images, directories and files, and their match against known vulnerabilities.
//!
//! Content streams by; nothing is unpacked. Memory does not depend on the size of what is looked into, but for the
//! packages found in it.

mod directory;
mod file;
mod image;
mod osv;
mod spool;

use std::path::PathBuf;

use uc_image::{NoProgress, Progress};
use uc_model::{
    Result,
    workload::{ImageSource, PullPolicy},
};
use uc_sbom::{Inventory, Options};

use crate::Home;

pub use osv::{Scanned, Unreadable, scan};

/// What an inventory is to be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An image or a Wasm artifact, through the store where it is in a registry.
    Image(ImageSource, PullPolicy),
    /// All below a directory.
    Directory(PathBuf),
    /// A program, an archive, a WebAssembly file; or an SBOM, which is read back.
    File(PathBuf),
}

/// An inventory, and the time that documents about it bear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// What was found.
    pub inventory: Inventory,
    /// When the image was built, as it says, in seconds since 1970; 0 for what does not say. The time of the scan would
    /// make every document differ from the one before.
    pub created_s: i64,
}

/// Hears how a scan goes on. Called from several threads.
pub trait Observer: Progress {
    /// So many files of a directory, or vulnerability records, have been read.
    fn counted(&self, count: u64);
}

impl Observer for NoProgress {
    fn counted(&self, _: u64) {}
}

/// Makes the inventory of a target.
///
/// # Errors
/// Those of the image or registry; not found or invalid for a path; never for a damaged package database, which becomes
/// a warning of the inventory.
pub fn bill(
    home: &Home,
    target: &Target,
    options: Options,
    observer: &dyn Observer,
) -> Result<Bill> {
    match target {
        Target::Image(source, policy) => image::bill(home, source, *policy, options, observer),
        Target::Directory(path) => directory::bill(path, options, observer),
        Target::File(path) => file::bill(path, options),
    }
}

/// What a document calls a path: its last part, since the rest says where somebody keeps it and not what it is.
fn name_of(path: &std::path::Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let resolved = absolute.canonicalize().unwrap_or(absolute);
    resolved.file_name().map_or_else(
        || "/".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
