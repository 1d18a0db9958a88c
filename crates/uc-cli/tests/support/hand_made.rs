//! Images and archives made byte by byte, so that they may hold what no tool would write.
#![allow(clippy::expect_used, reason = "tests fail by panicking")]

use std::{
    fs,
    io::{Cursor, Write as _},
    path::Path,
};

use flate2::{Crc, write::GzEncoder};
use serde_json::{Value, json};
use uc_image::{image::architecture, verify::digest_of};

/// A layer's tar stream.
#[derive(Default)]
pub(crate) struct Layer(Vec<u8>);

impl Layer {
    /// Adds a file.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(tar::EntryType::Regular, name, "", content.as_ref())
    }

    /// Adds a symbolic link.
    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Symlink, name, target, b"")
    }

    fn entry(mut self, kind: tar::EntryType, name: &str, link: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        let raw = header.as_old_mut();
        raw.name[..name.len()].copy_from_slice(name.as_bytes());
        raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// Writes an OCI layout `DIRECTORY:latest` of these layers, lowest first, built at `created`.
pub(crate) fn image(directory: &Path, created: &str, layers: impl IntoIterator<Item = Layer>) {
    let tars: Vec<_> = layers.into_iter().map(Layer::finish).collect();
    let diff_ids: Vec<_> = tars.iter().map(|tar| digest_of(tar)).collect();
    let layers: Vec<_> = tars
        .iter()
        .map(|tar| {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(tar).expect("writes");
            let bytes = encoder.finish().expect("finishes");
            blob(
                directory,
                "application/vnd.oci.image.layer.v1.tar+gzip",
                &bytes,
            )
        })
        .collect();
    let config = json!({
        "created": created, "architecture": architecture(), "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = blob(
        directory,
        "application/vnd.oci.image.config.v1+json",
        config.to_string().as_bytes(),
    );
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers,
    });
    let mut entry = blob(directory, manifest_type, manifest.to_string().as_bytes());
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    fs::write(directory.join("index.json"), index.to_string()).expect("writes");
    fs::write(
        directory.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .expect("writes");
}

/// Stores bytes; returns their descriptor.
fn blob(directory: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest = digest_of(bytes);
    let folder = directory.join("blobs/sha256");
    fs::create_dir_all(&folder).expect("makes");
    fs::write(folder.join(digest.hex()), bytes).expect("writes");
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

/// A zip archive of stored files.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let mut directory = Vec::new();
    for (name, content) in files {
        let offset = out.position() as u32;
        let mut crc = Crc::new();
        crc.update(content);
        // What the local header and the directory have in common: version, flags, method, time, date, sizes, lengths.
        let mut common = vec![10, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for number in [crc.sum(), content.len() as u32, content.len() as u32] {
            common.extend(number.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        for part in [&b"PK\x03\x04"[..], &common, name.as_bytes(), content] {
            out.write_all(part).expect("writes");
        }
        directory.extend(b"PK\x01\x02\x0a\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = out.position() as u32;
    out.write_all(&directory).expect("writes");
    out.write_all(b"PK\x05\x06\0\0\0\0").expect("writes");
    for count in [files.len() as u16; 2] {
        out.write_all(&count.to_le_bytes()).expect("writes");
    }
    for number in [directory.len() as u32, start] {
        out.write_all(&number.to_le_bytes()).expect("writes");
    }
    out.write_all(&[0, 0]).expect("writes");
    out.into_inner()
}
