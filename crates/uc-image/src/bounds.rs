//! The bounds on what images and registries may make us do.

use uc_model::Bytes;

/// The largest manifest or index, in bytes: what registries accept (distribution specification 1.1, "Pushing Manifests").
pub const MANIFEST_BYTES: u64 = 4 << 20;
/// The largest image configuration, in bytes.
pub const CONFIG_BYTES: u64 = 8 << 20;
/// The most layers of one image: as many as the kernel's overlay file system is commonly built to stack.
pub const LAYERS: usize = 128;
/// The most layers of any manifest: files of an artifact, signatures of an image.
pub const MANIFEST_LAYERS: usize = 4096;
/// How deep indexes may nest.
pub const INDEX_DEPTH: usize = 4;
/// The most descriptors of one index that are looked at.
pub const INDEX_ENTRIES: usize = 16384;
/// The most manifests that are kept of those that name one subject.
pub const REFERRERS: usize = 10_000;
/// The most pages of such a list that are read.
pub const REFERRER_PAGES: usize = 1000;
/// The largest single blob, in bytes.
pub const BLOB_BYTES: u64 = 64 << 30;
/// The most entries of an `oci-archive:` file.
pub const ARCHIVE_ENTRIES: usize = 65536;
/// The most bytes of manifests that are read to find what is attached to the images of a layout.
pub const LAYOUT_SCAN_BYTES: u64 = 256 << 20;
/// The largest answer of a token server, in bytes.
pub const TOKEN_BYTES: u64 = 1 << 20;
/// The largest error body of a registry that is read, in bytes.
pub const ERROR_BODY_BYTES: u64 = 64 << 10;
/// The largest docker configuration file or output of a credential helper, in bytes.
pub const DOCKER_CONFIG_BYTES: u64 = 4 << 20;
/// The largest `/etc/passwd` or `/etc/group` of an image, in bytes.
pub const ACCOUNT_FILE_BYTES: u64 = 4 << 20;
/// The most supplementary groups of a user: `NGROUPS_MAX` of Linux.
pub const SUPPLEMENTARY_GROUPS: usize = 65536;

/// A byte bound for people.
pub(crate) fn shown(bytes: u64) -> Bytes {
    Bytes(bytes)
}
