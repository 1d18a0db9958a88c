//! Software bills of materials: package databases (bytes) to packages, packages to SPDX and CycloneDX documents, and
//! packages against known vulnerabilities.
//!
//! Layer 1: no files, no network, no clock. Whoever holds an image walks its layers and shows each entry to a
//! [`Collector`], which answers what it wants of it; the result is an [`Inventory`].
//!
//! A damaged database is no error: it becomes a [`Warning`] of the inventory, and the scan goes on.

mod byte_order;
pub mod catalog;
mod collector;
mod distribution;
pub mod document;
mod evidence;
mod file_hash;
mod inventory;
mod licence;
mod overlay;
mod package;
pub mod purl;
mod route;
mod stanza;
mod text;
pub mod version;
pub mod vulnerability;
mod window;
mod zip;

pub use collector::{Collector, Content, Entry, EntryKind, Options, ReadSeek, Want};
pub use distribution::Distribution;
pub use file_hash::FileHasher;
pub use inventory::{FileRecord, Inventory, Subject, SubjectKind, Warning};
pub use licence::Licence;
pub use package::{Location, Package, PackageKind, SourcePackage};
