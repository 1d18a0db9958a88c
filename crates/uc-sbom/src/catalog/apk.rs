//! apk's database of installed packages: stanzas of one-letter fields.

use uc_model::{Problem, Result};

use super::Found;
use crate::{
    licence::Licence,
    package::{Package, PackageKind, SourcePackage},
    stanza::{Stanza, Stanzas},
    text,
};

/// Reads `lib/apk/db/installed`.
pub fn read(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    for stanza in Stanzas::new(bytes) {
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

fn package(stanza: &Stanza<'_>) -> Result<Package> {
    let name = stanza
        .letter(b'P')
        .ok_or_else(|| Problem::invalid("an entry of the apk database has no name"))?;
    let name = text::word(name, "the name of an apk package")?;
    let version = stanza
        .letter(b'V')
        .ok_or_else(|| Problem::invalid("an apk package has no version").found(&name))?;
    let version = text::word(version, "the version of an apk package")?;
    let mut package = Package::new(PackageKind::Apk, name, version);
    package.architecture = stanza.letter(b'A').and_then(text::line);
    package.supplier = stanza.letter(b'm').and_then(text::line);
    package.homepage = stanza.letter(b'U').and_then(text::line);
    package.description = stanza.letter(b'T').and_then(text::line);
    package.licences = stanza
        .letter(b'L')
        .and_then(|statement| Licence::parse(&String::from_utf8_lossy(statement)))
        .into_iter()
        .collect();
    // The origin has the version of what is built from it.
    package.source = stanza
        .letter(b'o')
        .and_then(text::line)
        .map(|name| SourcePackage {
            name,
            version: package.version.clone(),
        });
    Ok(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_told_apart_by_case() {
        let text = b"C:Q1abc=\nP:musl-utils\nV:1.2.5-r0\nA:x86_64\nS:1\nI:2\nT:the musl tools\nU:https://musl.libc.org/\n\
            L:MIT AND BSD-2-Clause\no:musl\nm:Timo <timo@example.org>\np:cmd:x=1\nF:usr\nR:x\nZ:Q1\n\nP:broken\n";
        let found = read(text);
        assert_eq!(found.packages.len(), 1);
        let package = &found.packages[0];
        assert_eq!(
            package.licences,
            [Licence::Spdx("MIT AND BSD-2-Clause".into())]
        );
        assert_eq!(
            package.source.as_ref().map(|source| source.name.as_str()),
            Some("musl")
        );
        assert_eq!(found.warnings.len(), 1);
    }
}
