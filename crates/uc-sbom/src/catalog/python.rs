//! Python's metadata: `METADATA` of dist-info, `PKG-INFO` of egg-info.

use uc_model::{Problem, Result};

use super::Found;
use crate::{
    licence::Licence,
    package::{Package, PackageKind},
    stanza::{Stanza, Stanzas},
    text,
};

const OSI: &str = "License :: OSI Approved :: ";

/// Reads a metadata file. Only its header matters; the description after the empty line does not.
pub fn read(bytes: &[u8]) -> Found {
    let header = Stanzas::new(bytes)
        .next()
        .ok_or_else(|| Problem::invalid("the Python metadata is empty"));
    match header.and_then(|stanza| package(&stanza)) {
        Ok(package) => Found {
            packages: vec![package],
            warnings: Vec::new(),
        },
        Err(problem) => Found::of(problem),
    }
}

fn package(stanza: &Stanza<'_>) -> Result<Package> {
    let field = |name: &str| {
        stanza.get(name).ok_or_else(|| {
            Problem::invalid(format!(
                "the Python metadata has no {}",
                name.to_lowercase()
            ))
        })
    };
    let name = text::word(field("Name")?, "the name of a Python package")?;
    let version = text::word(field("Version")?, "the version of a Python package")?;
    let mut package = Package::new(PackageKind::Pypi, name, version);
    package.licences = licences(stanza);
    package.supplier = ["Author-email", "Author", "Maintainer-email", "Maintainer"]
        .into_iter()
        .find_map(|name| stanza.get(name).and_then(text::line));
    package.homepage = stanza.get("Home-page").and_then(text::line);
    package.description = stanza.get("Summary").and_then(text::line);
    Ok(package)
}

/// The expression where there is one (PEP 639), else the classifiers that are exact, else the words.
fn licences(stanza: &Stanza<'_>) -> Vec<Licence> {
    let parse = |value: &[u8]| Licence::parse(&String::from_utf8_lossy(value));
    if let Some(licence) = stanza.get("License-Expression").and_then(parse) {
        return vec![licence];
    }
    let stated = stanza.get("License").and_then(|value| {
        // Some put the whole text there: its first line is a title at best.
        let line = value.split(|byte| *byte == b'\n').next()?;
        parse(line)
    });
    if let Some(Licence::Spdx(_)) = stated {
        return stated.into_iter().collect();
    }
    let classified: Vec<_> = stanza
        .all("Classifier")
        .filter_map(|value| value.strip_prefix(OSI.as_bytes()))
        .filter_map(parse)
        .collect();
    if classified.is_empty() {
        return stated.into_iter().collect();
    }
    classified
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_exact_licence_wins() {
        let licences_of = |fields: &str| {
            let text =
                format!("Metadata-Version: 2.1\nName: a\nVersion: 1\n{fields}\n\nText: no\n");
            read(text.as_bytes()).packages.remove(0).licences
        };
        let mit = [Licence::Spdx("MIT".into())];
        assert_eq!(licences_of("License-Expression: MIT\nLicense: BSD"), mit);
        assert_eq!(
            licences_of("License: whatever\nClassifier: License :: OSI Approved :: MIT License"),
            mit
        );
        assert_eq!(licences_of("License: BSD"), [Licence::Named("BSD".into())]);
        assert_eq!(licences_of("License: UNKNOWN"), []);
    }

    #[test]
    fn without_a_name_there_is_a_warning() {
        for text in [
            "",
            "\n\n",
            "Name: a\n",
            "Version: 1\n",
            "Name: a b\nVersion: 1\n",
        ] {
            let found = read(text.as_bytes());
            assert!(
                found.packages.is_empty() && found.warnings.len() == 1,
                "{text:?}"
            );
        }
    }
}
