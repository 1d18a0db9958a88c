//! One entry of a layer's archive, extension headers already merged in.

use super::sparse::SparseMap;

/// What an entry makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File { sparse: Option<SparseMap> },
    Directory,
    Symlink,
    HardLink,
    Fifo,
    Device,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// As in the archive.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    /// Permission bits, set-user-id, set-group-id and sticky.
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// Seconds since 1970 and nanoseconds after them.
    pub(super) modified: (i64, u32),
    /// Target of a symbolic or hard link.
    pub(super) link: Vec<u8>,
    /// Bytes of data that follow in the archive.
    pub(super) stored: u64,
    /// Names and values, as in the archive.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}
