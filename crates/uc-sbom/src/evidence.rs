//! What one file contributes to an inventory.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read as _},
};

use uc_model::Problem;

use crate::{
    catalog::{self, Found},
    collector::{Content, ReadSeek},
    distribution::Distribution,
    licence::{Licence, copyright},
    overlay::normal_path,
    package::{Package, PackageKind},
    route::Route,
};

const DOCUMENTATION: &str = "usr/share/doc/";
const COPYRIGHT: &str = "/copyright";
/// The most links followed from a package to its copyright file.
const HOPS: usize = 4;

/// What was found in a file.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) packages: Vec<Package>,
    pub(crate) warnings: Vec<Problem>,
    pub(crate) distribution: Option<Distribution>,
    /// Of a copyright file.
    pub(crate) licences: Vec<Licence>,
    /// Of a symbolic link below the documentation: the path that it leads to.
    pub(crate) link: Option<String>,
}

/// For hard links alone: problems do not clone, and one report of each is enough.
impl Clone for Evidence {
    fn clone(&self) -> Self {
        Self {
            packages: self.packages.clone(),
            warnings: Vec::new(),
            distribution: self.distribution.clone(),
            licences: self.licences.clone(),
            link: self.link.clone(),
        }
    }
}

impl Evidence {
    pub(crate) fn of_found(found: Found) -> Self {
        Self {
            packages: found.packages,
            warnings: found.warnings,
            ..Self::default()
        }
    }

    /// Packages of one source share a documentation directory, or a copyright file, by symbolic links.
    pub(crate) fn of_symlink(path: &str, target: &[u8]) -> Option<Self> {
        let rest = path.strip_prefix(DOCUMENTATION)?;
        let of_interest = !rest.contains('/') || rest.ends_with(COPYRIGHT);
        let link = resolve(path, &String::from_utf8_lossy(target))?;
        of_interest.then(|| Self {
            link: Some(link),
            ..Self::default()
        })
    }

    /// Reads content by the reader that its path calls for.
    pub(crate) fn read(route: Route, path: &str, content: Content<'_>) -> Self {
        let bytes = match content {
            Content::Bytes(bytes) => bytes,
            Content::Reader(reader) if route.is_seekable() => {
                return Self::of_found(read_seekable(route, path, reader));
            }
            Content::Reader(reader) => {
                let mut bytes = Vec::new();
                return match reader.take(route.size_limit()).read_to_end(&mut bytes) {
                    Ok(_) => Self::read(route, path, Content::Bytes(&bytes)),
                    Err(error) => Self::of_found(Found::of(
                        Problem::invalid("the file cannot be read").caused_by(error),
                    )),
                };
            }
        };
        match route {
            Route::OsRelease => Self {
                distribution: Distribution::parse(bytes),
                ..Self::default()
            },
            Route::Copyright => Self {
                licences: copyright::licences(bytes),
                ..Self::default()
            },
            _ => Self::of_found(read_bytes(route, path, bytes)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packages.is_empty()
            && self.warnings.is_empty()
            && self.distribution.is_none()
            && self.licences.is_empty()
            && self.link.is_none()
    }

    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>()
            + self.packages.iter().map(Package::weight).sum::<usize>()
            + self
                .licences
                .iter()
                .map(|licence| size_of::<Licence>() + licence.as_str().len())
                .sum::<usize>()
    }
}

fn read_bytes(route: Route, path: &str, bytes: &[u8]) -> Found {
    match route {
        Route::OsRelease | Route::Copyright => Found::default(),
        Route::Dpkg => catalog::dpkg::read(bytes),
        Route::Apk => catalog::apk::read(bytes),
        Route::Python => catalog::python::read(bytes),
        Route::PackageJson => catalog::npm::read(bytes),
        Route::PackageLock => catalog::npm::lock::read(bytes),
        Route::YarnLock => catalog::npm::yarn::read(bytes),
        Route::PnpmLock => catalog::npm::pnpm::read(bytes),
        Route::Gem => catalog::gem::read(bytes),
        Route::RpmSqlite
        | Route::RpmNdb
        | Route::RpmBdb
        | Route::Java
        | Route::Program
        | Route::Wasm => read_seekable(route, path, &mut Cursor::new(bytes)),
    }
}

fn read_seekable(route: Route, path: &str, reader: &mut dyn ReadSeek) -> Found {
    match route {
        Route::RpmSqlite => catalog::rpm::read_sqlite(reader),
        Route::RpmNdb => catalog::rpm::read_ndb(reader),
        Route::RpmBdb => catalog::rpm::read_bdb(reader),
        Route::Java => catalog::java::read(path, reader),
        Route::Wasm => catalog::wasm::read(file_name(path), reader),
        Route::Program => {
            let name = file_name(path);
            let mut found = catalog::elf::read(reader);
            found.append(catalog::wasm::read(name, reader));
            if let Some(program) = catalog::program::read(name, reader) {
                found.push(program);
            }
            found
        }
        _ => Found::default(),
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Where a symbolic link leads.
fn resolve(path: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return normal_path(target.as_bytes());
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Copyright files and the links between them, by path.
#[derive(Default)]
pub(crate) struct Documentation {
    licences: BTreeMap<String, Vec<Licence>>,
    links: BTreeMap<String, String>,
}

impl Documentation {
    pub(crate) fn add(&mut self, path: &str, licences: Vec<Licence>, link: Option<String>) {
        if !licences.is_empty() {
            self.licences.insert(path.to_owned(), licences);
        }
        if let Some(link) = link {
            self.links.insert(path.to_owned(), link);
        }
    }

    /// Gives each Debian package the licences of its copyright file.
    pub(crate) fn apply(&self, packages: &mut [Package]) {
        for package in packages {
            if package.kind == PackageKind::Deb {
                package.licences.extend_from_slice(self.of(&package.name));
            }
        }
    }

    fn of(&self, package: &str) -> &[Licence] {
        let mut path = format!("{DOCUMENTATION}{package}{COPYRIGHT}");
        for _ in 0..HOPS {
            if let Some(found) = self.licences.get(&path) {
                return found;
            }
            if let Some(link) = self.links.get(&path) {
                path.clone_from(link);
            } else if let Some(link) = path
                .strip_suffix(COPYRIGHT)
                .and_then(|directory| self.links.get(directory))
            {
                path = format!("{link}{COPYRIGHT}");
            } else {
                break;
            }
        }
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_found_through_links_and_cycles_end() {
        let mut documentation = Documentation::default();
        let licences = vec![Licence::Spdx("MIT".into())];
        documentation.add("usr/share/doc/base/copyright", licences.clone(), None);
        for (path, target) in [("lib", "base"), ("loop", "pool"), ("pool", "loop")] {
            let path = format!("{DOCUMENTATION}{path}");
            let evidence = Evidence::of_symlink(&path, target.as_bytes()).expect("a link");
            documentation.add(&path, Vec::new(), evidence.link);
        }
        let names = ["lib", "base", "loop", "none"];
        let mut packages: Vec<_> = names
            .map(|name| Package::new(PackageKind::Deb, name, "1"))
            .into();
        documentation.apply(&mut packages);
        let has: Vec<_> = packages
            .iter()
            .map(|package| package.licences == licences)
            .collect();
        assert_eq!(has, [true, true, false, false]);
    }

    #[test]
    fn links_that_lead_out_are_ignored() {
        assert_eq!(resolve("a/b", "../../../x"), None);
        assert_eq!(resolve("a/b", "../c").as_deref(), Some("c"));
        assert_eq!(resolve("a/b", "/d/e").as_deref(), Some("d/e"));
    }
}
