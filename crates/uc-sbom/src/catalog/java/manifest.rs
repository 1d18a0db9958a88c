//! A Java archive's manifest.

use super::name::FileName;
use crate::{licence::Licence, stanza::Stanzas, text};

/// What the main section of a manifest tells about the archive.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    symbolic_name: Option<String>,
    implementation_title: Option<String>,
    vendor_id: Option<String>,
    implementation_version: Option<String>,
    bundle_version: Option<String>,
    specification_version: Option<String>,
    extension_name: Option<String>,
    pub(super) licence: Option<Licence>,
}

impl Manifest {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let Some(main) = Stanzas::new(bytes).next() else {
            return Self::default();
        };
        // Lines are wrapped at 72 bytes, wherever that is.
        let field = |name: &str| {
            let raw = String::from_utf8_lossy(main.get(name)?);
            let joined = raw.replace("\r\n ", "").replace("\n ", "");
            text::line(joined.as_bytes()).filter(|value| !value.starts_with("${"))
        };
        let word = |name: &str| {
            let value = field(name)?;
            let first = value.split(';').next()?.trim().to_owned();
            (!first.is_empty() && !first.contains(char::is_whitespace)).then_some(first)
        };
        Self {
            symbolic_name: word("Bundle-SymbolicName"),
            implementation_title: word("Implementation-Title"),
            vendor_id: word("Implementation-Vendor-Id"),
            implementation_version: word("Implementation-Version"),
            bundle_version: word("Bundle-Version"),
            specification_version: word("Specification-Version"),
            extension_name: word("Extension-Name"),
            licence: field("Bundle-License").and_then(|text| {
                let first = text.split([';', ',']).next()?;
                Licence::parse(first.trim_matches('"'))
            }),
        }
    }

    /// The artifact: by the file's name, which Maven sets; titles are for people, and used where there is no better.
    pub(super) fn name(&self, file: &FileName) -> String {
        if !file.stem.is_empty() {
            return file.stem.clone();
        }
        self.implementation_title
            .clone()
            .or_else(|| self.extension_name.clone())
            .unwrap_or_default()
    }

    /// The version: a file's name has Maven's own, where a bundle's version is often a rewritten one.
    pub(super) fn version(&self, file: &FileName) -> Option<String> {
        self.implementation_version
            .clone()
            .or_else(|| file.version.clone())
            .or_else(|| self.bundle_version.clone())
            .or_else(|| self.specification_version.clone())
    }

    /// The group, where a name ends in the artifact or states the group itself.
    pub(super) fn group(&self, artifact: &str) -> String {
        let is_group = |name: &String| name.contains('.') && !name.contains(' ');
        if let Some(group) = self.vendor_id.clone().filter(is_group) {
            return group;
        }
        for name in [&self.symbolic_name, &self.extension_name] {
            let group = name
                .as_deref()
                .and_then(|name| name.strip_suffix(artifact)?.strip_suffix('.'));
            if let Some(group) = group.filter(|group| group.contains('.')) {
                return group.to_owned();
            }
        }
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_lines_and_directives() {
        let text = b"Manifest-Version: 1.0\r\nBundle-SymbolicName: com.fasterxml.jackson.core.jackson-da\r\n tabind;singleton:=true\r\nBundle-Version: 2.14.0\r\nImplementation-Version: 2.14.0-x\r\nBundle-License: https://www.apache.org/licenses/LICENSE-2.0.txt\r\n\r\nName: a\r\nImplementation-Version: 9\r\n";
        let manifest = Manifest::parse(text);
        assert_eq!(
            manifest.group("jackson-databind"),
            "com.fasterxml.jackson.core"
        );
        assert_eq!(
            manifest.version(&FileName::parse("a-1.jar")).as_deref(),
            Some("2.14.0-x")
        );
        assert_eq!(manifest.licence, Some(Licence::Spdx("Apache-2.0".into())));
    }
}
