//! RPM's header: an index of tags, and a store of their values, in big endian.

use uc_model::{Problem, Result};

use super::source_package;
use crate::{
    byte_order::ByteOrder,
    licence::{Dialect, Licence},
    package::{Package, PackageKind},
    text,
};

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const SUMMARY: u32 = 1004;
const VENDOR: u32 = 1011;
const LICENSE: u32 = 1014;
const URL: u32 = 1020;
const ARCH: u32 = 1022;
const SOURCE: u32 = 1044;

/// The most tags of a header; RPM itself allows no more.
const TAGS: usize = 65_535;
const ENTRY_BYTES: usize = 16;

const INT32: u32 = 4;
/// One string, a list of strings, a list of translations.
const STRINGS: [u32; 3] = [6, 8, 9];

struct Header<'a> {
    index: &'a [u8],
    store: &'a [u8],
}

/// The package that a header describes.
pub(super) fn package(bytes: &[u8]) -> Result<Package> {
    let header =
        Header::parse(bytes).ok_or_else(|| Problem::invalid("an RPM header is damaged"))?;
    let field = |tag, what: &str| {
        let value = header
            .string(tag)
            .ok_or_else(|| Problem::invalid(format!("an RPM header has no {what}")))?;
        text::word(value, &format!("the {what} of an RPM package"))
    };
    let name = field(NAME, "name")?;
    let mut version = format!(
        "{}-{}",
        field(VERSION, "version")?,
        field(RELEASE, "release")?
    );
    if let Some(epoch) = header.integer(EPOCH) {
        version = format!("{epoch}:{version}");
    }
    let optional = |tag| {
        header
            .string(tag)
            .and_then(text::line)
            .filter(|one| one != "(none)")
    };
    let mut package = Package::new(PackageKind::Rpm, name, version);
    package.architecture = optional(ARCH);
    package.supplier = optional(VENDOR);
    package.homepage = optional(URL);
    package.description = optional(SUMMARY);
    package.licences = optional(LICENSE)
        .and_then(|statement| Licence::in_dialect(&statement, Dialect::Fedora))
        .into_iter()
        .collect();
    package.source = optional(SOURCE).and_then(|file| source_package(&file, &package.version));
    Ok(package)
}

impl<'a> Header<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let count = usize::try_from(ByteOrder::Big.u32(bytes, 0)?).ok()?;
        let store_bytes = usize::try_from(ByteOrder::Big.u32(bytes, 4)?).ok()?;
        if count > TAGS {
            return None;
        }
        let index_end = 8 + count * ENTRY_BYTES;
        Some(Self {
            index: bytes.get(8..index_end)?,
            store: bytes.get(index_end..index_end.checked_add(store_bytes)?)?,
        })
    }

    /// The type of a tag's value, and the store from where the value begins.
    fn find(&self, tag: u32) -> Option<(u32, &'a [u8])> {
        let big = ByteOrder::Big;
        let entry = self
            .index
            .chunks_exact(ENTRY_BYTES)
            .find(|entry| big.u32(entry, 0) == Some(tag))?;
        let offset = usize::try_from(big.u32(entry, 8)?).ok()?;
        Some((big.u32(entry, 4)?, self.store.get(offset..)?))
    }

    /// The first string of a tag.
    fn string(&self, tag: u32) -> Option<&'a [u8]> {
        let (kind, value) = self.find(tag)?;
        let end = value.iter().position(|byte| *byte == 0)?;
        STRINGS.contains(&kind).then(|| value.get(..end))?
    }

    fn integer(&self, tag: u32) -> Option<u32> {
        let (kind, value) = self.find(tag)?;
        (kind == INT32).then(|| ByteOrder::Big.u32(value, 0))?
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    /// A header as RPM writes it.
    pub(crate) fn header(name: &str, version: &str) -> Vec<u8> {
        let mut store = Vec::new();
        let mut index = Vec::new();
        let mut add = |tag: u32, kind: u32, value: &[u8]| {
            for number in [tag, kind, store.len() as u32, 1] {
                index.extend_from_slice(&number.to_be_bytes());
            }
            store.extend_from_slice(value);
        };
        add(EPOCH, INT32, &7_u32.to_be_bytes());
        for (tag, value) in [
            (NAME, name),
            (VERSION, version),
            (RELEASE, "1.el9"),
            (LICENSE, "GPLv2+ and MIT"),
            (SOURCE, "src-1-1.el9.src.rpm"),
        ] {
            add(tag, 6, format!("{value}\0").as_bytes());
        }
        let mut bytes = (index.len() as u32 / 16).to_be_bytes().to_vec();
        bytes.extend_from_slice(&(store.len() as u32).to_be_bytes());
        bytes.extend(index);
        bytes.extend(store);
        bytes
    }

    #[test]
    fn tags_become_fields() {
        let package = package(&header("bash", "5.1")).expect("a package");
        assert_eq!(package.version, "7:5.1-1.el9");
        assert_eq!(
            package.licences,
            [Licence::Spdx("GPL-2.0-or-later AND MIT".into())]
        );
        let source = package.source.expect("a source");
        assert_eq!(
            (source.name.as_str(), source.version.as_str()),
            ("src", "7:1-1.el9")
        );
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = header("bash", "5.1");
        for length in 0..whole.len() {
            assert!(super::package(&whole[..length]).is_err(), "{length}");
        }
    }
}
