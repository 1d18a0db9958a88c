//! What an image or a directory holds: packages, files, and what could not be read.

use serde::Serialize;
use uc_model::{Digest, Problem};

use crate::{distribution::Distribution, package::Package, purl};

/// What an inventory is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A container image.
    #[default]
    Image,
    /// A directory.
    Directory,
    /// A single file.
    File,
}

/// What an inventory is of, by name and content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// An image or a directory.
    pub kind: SubjectKind,
    /// A reference or a path.
    pub name: String,
    /// The manifest's digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// Something that a scan could not read. The scan goes on; the packages behind it are missing from the inventory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Warning {
    /// The file.
    pub path: String,
    /// The layer that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
    /// What is wrong with it.
    pub what: String,
}

impl Warning {
    pub(crate) fn new(path: &str, layer: Option<&Digest>, problem: &Problem) -> Self {
        Self {
            path: path.to_owned(),
            layer: layer.cloned(),
            what: problem.to_string(),
        }
    }
}

/// A regular file, for file lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FileRecord {
    /// Relative to the root.
    pub path: String,
    /// The layer that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
    /// Lower-case hexadecimal.
    pub sha1: String,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// A sorted list of packages without duplicates, and what goes with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// What it is of.
    pub subject: Subject,
    /// The distribution, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Sorted by kind, name, version and architecture.
    pub packages: Vec<Package>,
    /// Sorted by path; empty unless they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
    /// Sorted by path.
    pub warnings: Vec<Warning>,
}

impl Inventory {
    /// Sorts, merges finds of the same package, and gives each its package URL.
    pub fn new(
        subject: Subject,
        distribution: Option<Distribution>,
        mut packages: Vec<Package>,
        mut files: Vec<FileRecord>,
        mut warnings: Vec<Warning>,
    ) -> Self {
        // A stable sort by identity, after one by everything: equal input in any order merges to equal output.
        packages.sort_unstable();
        packages.sort_by(|a, b| a.identity().cmp(&b.identity()));
        let mut merged: Vec<Package> = Vec::with_capacity(packages.len());
        for package in packages {
            match merged.last_mut() {
                Some(last) if last.identity() == package.identity() => last.absorb(package),
                _ => merged.push(package),
            }
        }
        for package in &mut merged {
            package.tidy();
            if package.purl.is_none() {
                package.purl = Some(purl::of_package(package, distribution.as_ref()));
            }
        }
        merged.shrink_to_fit();
        files.sort_unstable();
        warnings.sort_unstable();
        warnings.dedup();
        Self {
            subject,
            distribution,
            packages: merged,
            files,
            warnings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Location, PackageKind};

    #[test]
    fn order_does_not_matter_and_finds_merge() {
        let at = |path: &str, homepage: Option<&str>| {
            let mut package = Package::new(PackageKind::Npm, "a", "1");
            package.homepage = homepage.map(str::to_owned);
            package.locations.push(Location {
                path: path.into(),
                layer: None,
            });
            package
        };
        let list = vec![at("y", None), at("x", Some("h")), at("x", None)];
        let reversed = list.iter().rev().cloned().collect();
        let make =
            |packages| Inventory::new(Subject::default(), None, packages, Vec::new(), Vec::new());
        let one = make(list);
        assert_eq!(one, make(reversed));
        assert_eq!(one.packages.len(), 1);
        assert_eq!(one.packages[0].locations.len(), 2);
        assert_eq!(one.packages[0].homepage.as_deref(), Some("h"));
        assert_eq!(one.packages[0].purl.as_deref(), Some("pkg:npm/a@1"));
    }
}
