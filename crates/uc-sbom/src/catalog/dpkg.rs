//! dpkg's status file, and the `status.d` files of distroless images.

use uc_model::{Problem, Result};

use super::Found;
use crate::{
    package::{Package, PackageKind, SourcePackage},
    stanza::{Stanza, Stanzas},
    text,
};

/// Reads a status file: the packages that are installed or half installed, not those of which only settings are left.
pub fn read(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    for stanza in Stanzas::new(bytes) {
        if !is_present(&stanza) {
            continue;
        }
        match package(&stanza) {
            Ok(package) => {
                if !found.push(package) {
                    break;
                }
            }
            Err(problem) => found.warn(problem),
        }
    }
    found
}

/// Whether files of it are there. Distroless files have no status: what they list is there.
fn is_present(stanza: &Stanza<'_>) -> bool {
    let Some(status) = stanza.get("Status") else {
        return true;
    };
    let state = status
        .rsplit(|byte| byte.is_ascii_whitespace())
        .next()
        .unwrap_or_default();
    !matches!(state, b"not-installed" | b"config-files")
}

fn package(stanza: &Stanza<'_>) -> Result<Package> {
    let name = stanza
        .get("Package")
        .ok_or_else(|| Problem::invalid("an entry of the dpkg status has no name"))?;
    let name = text::word(name, "the name of a dpkg package")?;
    let version = stanza
        .get("Version")
        .ok_or_else(|| Problem::invalid("a dpkg package has no version").found(&name))?;
    let version = text::word(version, "the version of a dpkg package")?;
    let mut package = Package::new(PackageKind::Deb, name, version);
    package.architecture = stanza.get("Architecture").and_then(text::line);
    package.supplier = stanza.get("Maintainer").and_then(text::line);
    package.homepage = stanza.get("Homepage").and_then(text::line);
    package.description = stanza.get("Description").and_then(text::line);
    package.source = stanza
        .get("Source")
        .and_then(text::line)
        .map(|source| source_package(&source, &package.version));
    Ok(package)
}

/// `name`, or `name (version)` where the versions differ.
fn source_package(text: &str, version: &str) -> SourcePackage {
    let (name, own) = text.split_once(' ').unwrap_or((text, ""));
    let own = own.trim().trim_start_matches('(').trim_end_matches(')');
    SourcePackage {
        name: name.to_owned(),
        version: if own.is_empty() { version } else { own }.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &[u8] = b"Package: libgcc-s1\nStatus: install ok installed\nArchitecture: amd64\n\
        Multi-Arch: same\nSource: gcc-12 (12.2.0-14)\nVersion: 12.2.0-14+b1\n\
        Maintainer: Debian GCC Maintainers <debian-gcc@lists.debian.org>\nDescription: GCC support library\n Shared.\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
        Package: half\nStatus: install ok half-configured\nVersion: 2";

    #[test]
    fn installed_packages_with_their_sources() {
        let found = read(STATUS);
        assert!(found.warnings.is_empty());
        assert_eq!(found.packages.len(), 2);
        let gcc = &found.packages[0];
        assert_eq!(gcc.name, "libgcc-s1");
        assert_eq!(gcc.description.as_deref(), Some("GCC support library"));
        let source = gcc.source.as_ref().expect("a source");
        assert_eq!(
            (source.name.as_str(), source.version.as_str()),
            ("gcc-12", "12.2.0-14")
        );
        assert_eq!(found.packages[1].name, "half");
    }

    #[test]
    fn a_file_without_an_end_warns_and_keeps_the_rest() {
        let end = STATUS.len() - "Version: 2".len();
        let found = read(&STATUS[..end]);
        assert_eq!(found.packages.len(), 1);
        assert_eq!(found.warnings.len(), 1);
    }
}
