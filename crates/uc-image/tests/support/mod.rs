//! Hand-made layers, and directories to unpack them into.

use std::{fs::File, io::Write, os::fd::AsFd, path::Path};

use tar::{EntryType, Header};
use uc_image::unpack::{Limits, Options, Ownership, Unpacked, unpack_layer};
use uc_model::Result;

/// A tar stream made header by header, so that it may say what no well-behaved tool would.
#[derive(Default)]
pub(crate) struct Archive(Vec<u8>);

impl Archive {
    /// An entry with a raw name; the header takes at most 100 bytes of it.
    pub(crate) fn entry(
        self,
        kind: EntryType,
        name: &str,
        link: &str,
        mode: u32,
        data: &[u8],
    ) -> Self {
        self.entry_with(kind, name, link, data, |header| header.set_mode(mode))
    }

    /// An entry whose header is changed before its checksum is made.
    pub(crate) fn entry_with(
        mut self,
        kind: EntryType,
        name: &str,
        link: &str,
        data: &[u8],
        change: impl FnOnce(&mut Header),
    ) -> Self {
        let mut header = Header::new_gnu();
        let raw = header.as_old_mut();
        raw.name[..name.len()].copy_from_slice(name.as_bytes());
        raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(data.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.block(data)
    }

    pub(crate) fn file(self, name: &str, data: &str) -> Self {
        self.entry(EntryType::Regular, name, "", 0o644, data.as_bytes())
    }

    pub(crate) fn directory(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name, "", 0o755, b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, 0o777, b"")
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Link, name, target, 0o644, b"")
    }

    /// Extended records for the next entry.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut bytes = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            write!(bytes, "{length} {key}=").expect("writes");
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        self.entry(EntryType::XHeader, "PaxHeaders/x", "", 0o644, &bytes)
    }

    /// Bytes, filled up to a whole block.
    pub(crate) fn block(mut self, data: &[u8]) -> Self {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// The stream with its end marker.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }

    /// The stream as it is.
    pub(crate) fn unterminated(self) -> Vec<u8> {
        self.0
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compresses");
    encoder.finish().expect("compresses")
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

pub(crate) const OPTIONS: Options = Options {
    limits: Limits {
        bytes: 1 << 30,
        entries: 10_000,
        ratio: 200,
        ratio_floor: 64 << 20,
    },
    ownership: Ownership::Squash,
    sync: false,
};

pub(crate) fn unpack(stream: &[u8], target: &Path) -> Result<Unpacked> {
    unpack_with(stream, target, &OPTIONS)
}

pub(crate) fn unpack_with(stream: &[u8], target: &Path, options: &Options) -> Result<Unpacked> {
    let directory = File::open(target).expect("the target is there");
    unpack_layer(stream, directory.as_fd(), None, options)
}
