//! Java archives: Maven coordinates within, or what the manifest and the file's name tell.

use std::io::Cursor;

use uc_model::{Problem, Result};

use super::Found;
use crate::{
    collector::ReadSeek,
    licence::Licence,
    package::{Location, Package, PackageKind},
    text,
    window::Window,
    zip::{self, Method, ZipEntry},
};

mod manifest;
mod name;

use manifest::Manifest;
use name::FileName;

/// How deep archives are looked into within archives.
const DEPTH: usize = 6;
/// The most archives within one file.
const ARCHIVES: usize = 10_000;
/// The largest compressed archive within an archive, in bytes: it is inflated into memory.
const NESTED_BYTES: u64 = 48 << 20;
/// The largest manifest or list of coordinates, in bytes.
const TEXT_BYTES: u64 = 1 << 20;
/// What may be inflated and read of directories in all for one file, in bytes: entries may overlap.
const READ_BYTES: u64 = 1 << 30;
/// The most lists of coordinates of one archive.
const COORDINATES: usize = 5_000;

/// Whether a file name is of an archive that may hold Java classes.
pub(crate) fn is_archive(name: &str) -> bool {
    const ENDINGS: [&str; 9] = [
        ".jar", ".war", ".ear", ".par", ".sar", ".nar", ".jpi", ".hpi", ".kar",
    ];
    let start = name.len().saturating_sub(4);
    name.get(start..)
        .is_some_and(|ending| ENDINGS.iter().any(|one| ending.eq_ignore_ascii_case(one)))
}

/// Reads an archive, and those within it. `path` says what the file is called.
pub fn read(path: &str, reader: &mut dyn ReadSeek) -> Found {
    let mut scan = Scan {
        found: Found::default(),
        archives: 0,
        read: 0,
    };
    match Window::whole(reader) {
        Ok(mut window) => scan.archive(&mut window, path, "", 0),
        Err(problem) => scan.found.warn(problem),
    }
    scan.found
}

/// What is found and spent so far for one file.
struct Scan {
    found: Found,
    archives: usize,
    read: u64,
}

/// Maven coordinates, as `pom.properties` has them.
#[derive(Debug, Default)]
struct Coordinates {
    group: String,
    artifact: String,
    version: String,
}

impl Scan {
    /// Looks into one archive. `inner` is its path within the file, empty for the file itself.
    fn archive(&mut self, window: &mut Window<'_>, path: &str, inner: &str, depth: usize) {
        self.archives += 1;
        if self.archives > ARCHIVES {
            self.found
                .warn(Problem::refused("the file holds too many archives").limit(ARCHIVES));
            return;
        }
        if let Err(problem) = self.entries(window, path, inner, depth) {
            self.warn(problem, inner);
        }
    }

    fn warn(&mut self, problem: Problem, inner: &str) {
        let problem = if inner.is_empty() {
            problem
        } else {
            problem.within(text::shown(inner))
        };
        self.found.warn(problem);
    }

    fn entries(
        &mut self,
        window: &mut Window<'_>,
        path: &str,
        inner: &str,
        depth: usize,
    ) -> Result<()> {
        let left = READ_BYTES.saturating_sub(self.read);
        let (entries, directory_bytes) = zip::entries(window, left, |name| {
            is_archive(name) || is_coordinates(name) || is_manifest(name)
        })?;
        self.read += directory_bytes;
        let mut manifest = Manifest::default();
        let mut coordinates = Vec::new();
        for entry in &entries {
            if is_manifest(&entry.name) {
                match self.text(window, entry) {
                    Ok(bytes) => manifest = Manifest::parse(&bytes),
                    Err(problem) => self.warn(problem, inner),
                }
            } else if is_coordinates(&entry.name) && coordinates.len() < COORDINATES {
                match self.text(window, entry) {
                    Ok(bytes) => coordinates.extend(parse_coordinates(&bytes)),
                    Err(problem) => self.warn(problem, inner),
                }
            }
        }
        self.packages(path, inner, &manifest, coordinates);
        for entry in entries.iter().filter(|entry| is_archive(&entry.name)) {
            if depth >= DEPTH {
                let problem = Problem::refused("archives within archives are nested too deep");
                self.warn(problem.limit(DEPTH), inner);
                break;
            }
            if let Err(problem) = self.nested(window, path, inner, depth, entry) {
                self.warn(problem.within(text::shown(&entry.name)), inner);
            }
        }
        Ok(())
    }

    /// Looks into an archive within an archive: where it lies if it is stored, inflated into memory otherwise.
    fn nested(
        &mut self,
        window: &mut Window<'_>,
        path: &str,
        inner: &str,
        depth: usize,
        entry: &ZipEntry,
    ) -> Result<()> {
        let inner = format!("{inner}!/{}", entry.name);
        if entry.method == Method::Stored {
            let offset = zip::data_offset(window, entry)?;
            let mut part = window.part(offset, entry.compressed)?;
            self.archive(&mut part, path, &inner, depth + 1);
            return Ok(());
        }
        let bytes = self.content(window, entry, NESTED_BYTES)?;
        let mut cursor = Cursor::new(bytes);
        let mut part = Window::whole(&mut cursor)?;
        self.archive(&mut part, path, &inner, depth + 1);
        Ok(())
    }

    fn text(&mut self, window: &mut Window<'_>, entry: &ZipEntry) -> Result<Vec<u8>> {
        self.content(window, entry, TEXT_BYTES)
            .map_err(|problem| problem.within(text::shown(&entry.name)))
    }

    fn content(
        &mut self,
        window: &mut Window<'_>,
        entry: &ZipEntry,
        limit: u64,
    ) -> Result<Vec<u8>> {
        let left = READ_BYTES.saturating_sub(self.read);
        let bytes = zip::content(window, entry, limit.min(left))?;
        self.read += bytes.len() as u64;
        Ok(bytes)
    }

    /// The archive's own package, and those whose classes were merged into it.
    fn packages(
        &mut self,
        path: &str,
        inner: &str,
        manifest: &Manifest,
        coordinates: Vec<Coordinates>,
    ) {
        let shown = if inner.is_empty() { path } else { inner };
        let file = FileName::parse(shown.rsplit('/').next().unwrap_or(shown));
        let mut has_own = false;
        for found in coordinates {
            let is_own = file.is_of(&found.artifact);
            has_own |= is_own;
            let mut package = package(&found.group, &found.artifact, &found.version);
            if is_own {
                package.licences = licences(manifest);
            }
            self.push(package, inner);
        }
        if has_own {
            return;
        }
        let name = manifest.name(&file);
        let Ok(name) = text::word(name.as_bytes(), "the name of a Java archive") else {
            return;
        };
        let version = manifest.version(&file).unwrap_or_default();
        let mut own = package(&manifest.group(&name), &name, &version);
        own.licences = licences(manifest);
        self.push(own, inner);
    }

    fn push(&mut self, mut package: Package, inner: &str) {
        if !inner.is_empty() {
            package.locations.push(Location {
                path: inner.to_owned(),
                layer: None,
            });
        }
        self.found.push(package);
    }
}

fn licences(manifest: &Manifest) -> Vec<Licence> {
    manifest.licence.iter().cloned().collect()
}

fn package(group: &str, artifact: &str, version: &str) -> Package {
    let name = if group.is_empty() {
        artifact.to_owned()
    } else {
        format!("{group}:{artifact}")
    };
    Package::new(PackageKind::Maven, name, version)
}

fn is_manifest(name: &str) -> bool {
    name == "META-INF/MANIFEST.MF"
}

fn is_coordinates(name: &str) -> bool {
    name.starts_with("META-INF/maven/") && name.ends_with("/pom.properties")
}

/// `groupId`, `artifactId` and `version` of a properties file; `None` without an artifact.
fn parse_coordinates(bytes: &[u8]) -> Option<Coordinates> {
    let mut found = Coordinates::default();
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        let Some((key, value)) = line.split_once(['=', ':']) else {
            continue;
        };
        // A value that is a placeholder was never filled in.
        let value = value.trim();
        if value.starts_with("${") || value.len() > text::NAME_BYTES {
            continue;
        }
        match key.trim() {
            "groupId" => found.group = value.to_owned(),
            "artifactId" => found.artifact = value.to_owned(),
            "version" => found.version = value.to_owned(),
            _ => {}
        }
    }
    text::word(found.artifact.as_bytes(), "the artifact").ok()?;
    Some(found)
}
