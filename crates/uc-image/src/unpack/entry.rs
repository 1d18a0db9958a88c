//! One entry of a layer's archive, extension headers already merged in.

use super::sparse::SparseMap;

/// What an entry makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File { sparse: Option<SparseMap> },
    Directory,
    Symlink,
    HardLink,
    Fifo,
    Device,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As in the archive.
    pub(crate) name: Vec<u8>,
    pub(crate) kind: Kind,
    /// Permission bits, set-user-id, set-group-id and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Seconds since 1970 and nanoseconds after them.
    pub(crate) modified: (i64, u32),
    /// Target of a symbolic or hard link.
    pub(crate) link: Vec<u8>,
    /// Bytes of data that follow in the archive.
    pub(crate) stored: u64,
    /// Names and values, as in the archive.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}
