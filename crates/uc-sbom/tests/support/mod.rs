//! What several tests need: feeding a collector, fixtures, and zip archives of any kind.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::expect_used, reason = "tests fail by panicking")]

use std::io::{Cursor, Read as _, Write as _};

use uc_sbom::{Collector, Content, Entry, EntryKind, Inventory, Options, Subject, Want};

/// A layer as a list of paths with what is there.
pub(crate) type Layer<'a> = &'a [(&'a str, Kind<'a>)];

#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    File(&'a [u8]),
    Directory,
    Symlink(&'a str),
    HardLink(&'a str),
}

pub(crate) fn digest(number: usize) -> uc_model::Digest {
    format!("sha256:{number:064x}").parse().expect("a digest")
}

/// Scans layers, lowest first.
pub(crate) fn scan(layers: &[Layer<'_>]) -> Inventory {
    scan_with(layers, Options::default())
}

pub(crate) fn scan_with(layers: &[Layer<'_>], options: Options) -> Inventory {
    let mut collector = Collector::new(options);
    for (number, layer) in layers.iter().enumerate() {
        collector.begin_layer(Some(digest(number)));
        for (path, kind) in *layer {
            feed(&mut collector, path, *kind);
        }
    }
    collector.finish(Subject {
        name: "example.org/app:1".into(),
        ..Subject::default()
    })
}

fn feed(collector: &mut Collector, path: &str, kind: Kind<'_>) {
    let (kind, bytes, link) = match kind {
        Kind::File(bytes) => (EntryKind::File, bytes, ""),
        Kind::Directory => (EntryKind::Directory, &[][..], ""),
        Kind::Symlink(link) => (EntryKind::Symlink, &[][..], link),
        Kind::HardLink(link) => (EntryKind::HardLink, &[][..], link),
    };
    let mut want = collector.entry(&Entry {
        path: path.as_bytes(),
        kind,
        size: bytes.len() as u64,
        link: link.as_bytes(),
    });
    loop {
        want = match want {
            Want::Nothing => break,
            Want::Head(count) => collector.supply(Content::Bytes(&bytes[..count.min(bytes.len())])),
            Want::Whole => collector.supply(Content::Bytes(bytes)),
            Want::Seekable => collector.supply(Content::Reader(&mut Cursor::new(bytes))),
        };
    }
    if let Some(mut hasher) = collector.hasher() {
        hasher.update(bytes);
        collector.hashed(hasher);
    }
}

/// `name version` of each package, in order.
pub(crate) fn names(inventory: &Inventory) -> Vec<String> {
    inventory
        .packages
        .iter()
        .map(|package| format!("{} {}", package.name, package.version))
        .collect()
}

/// An inflated fixture.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).expect("the fixture is there");
    if !name.ends_with(".gz") {
        return bytes;
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice())
        .read_to_end(&mut plain)
        .expect("inflates");
    plain
}

/// An entry of a zip archive to be written.
pub(crate) struct ZipFile<'a> {
    pub(crate) name: &'a str,
    pub(crate) content: &'a [u8],
    pub(crate) deflate: bool,
    /// What the directory says the size is, where it lies.
    pub(crate) claimed: Option<u32>,
}

pub(crate) fn stored<'a>(name: &'a str, content: &'a [u8]) -> ZipFile<'a> {
    ZipFile {
        name,
        content,
        deflate: false,
        claimed: None,
    }
}

pub(crate) fn deflated<'a>(name: &'a str, content: &'a [u8]) -> ZipFile<'a> {
    ZipFile {
        deflate: true,
        ..stored(name, content)
    }
}

/// Writes a zip archive.
pub(crate) fn zip(files: &[ZipFile<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for file in files {
        let data = if file.deflate {
            let mut encoder =
                flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(file.content).expect("writes");
            encoder.finish().expect("finishes")
        } else {
            file.content.to_vec()
        };
        let method: u16 = if file.deflate { 8 } else { 0 };
        let size = file.claimed.unwrap_or(file.content.len() as u32);
        let mut fields = vec![20, 0, 0, 0];
        fields.extend_from_slice(&method.to_le_bytes());
        fields.extend_from_slice(&[0; 8]);
        fields.extend_from_slice(&(data.len() as u32).to_le_bytes());
        fields.extend_from_slice(&size.to_le_bytes());
        fields.extend_from_slice(&(file.name.len() as u16).to_le_bytes());
        fields.extend_from_slice(&[0, 0]);
        let offset = out.len() as u32;
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&fields);
        out.extend_from_slice(file.name.as_bytes());
        out.extend_from_slice(&data);
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&fields);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(file.name.as_bytes());
    }
    let (at, size) = (out.len() as u32, directory.len() as u32);
    let count = files.len() as u16;
    out.extend(directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&at.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}
