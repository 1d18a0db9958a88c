//! Safe unpacking of one layer into one directory, in the form that overlayfs stacks.
//!
//! Each layer gets a directory of its own. The kernel resolves every path below that directory (`openat2` with
//! `RESOLVE_BENEATH`), so neither `..` nor a symbolic link can lead out. What happens to each kind of entry:
//!
//! | entry | result |
//! |---|---|
//! | name with `..`, an empty or over-long part, a NUL byte | refused |
//! | absolute name | taken below the layer, as other tools do |
//! | parent is a symbolic link of the same layer | followed where it stays below the layer, else refused |
//! | hard link | made where its target is in the layer, else refused |
//! | `.wh.NAME` | overlayfs whiteout: character device 0:0 |
//! | `.wh..wh..opq` | overlayfs opaque directory: `user.overlay.opaque=y`, for mounts with `userxattr` |
//! | device below `dev/` | skipped and counted: a sandbox gets its own `/dev` |
//! | device elsewhere | refused |
//! | named pipe | made |
//! | extended attribute | `user.*` kept; everything else dropped and counted, file capabilities apart |
//! | set-user-id and set-group-id bits | kept: sandboxes run with `no_new_privs` |
//!
//! One thread reads, decompresses and hashes while the caller's writes, with a few buffers between them; memory does not
//! depend on the layer.

mod apply;
mod attributes;
mod cache;
mod decompress;
mod directories;
pub(crate) mod entry;
mod graft;
mod lease;
pub(crate) mod name;
mod pax;
pub(crate) mod pipeline;
mod remove;
pub(crate) mod sparse;
mod stack;
pub(crate) mod stream;

use std::{io::Read, os::fd::BorrowedFd};

use serde::{Deserialize, Serialize};
use uc_model::{Digest, Problem, Result};

pub use cache::{InProcess, LayerCache, LayerUnpacker, UnpackJob};
pub use graft::graft;
pub use lease::{Lease, disk_bytes};
pub use stack::{Found, LayerStack};

use crate::media::Compression;

/// What a layer may cost. Beyond any of these it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of file content, holes of sparse files included.
    pub bytes: u64,
    /// Entries of the archive.
    pub entries: u64,
    /// How many times larger than its compressed form the stream may be, once it is larger than `ratio_floor`.
    pub ratio: u64,
    /// Bytes of the stream below which `ratio` is not looked at.
    pub ratio_floor: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 20 << 30,
            entries: 1_000_000,
            ratio: 200,
            ratio_floor: 1 << 30,
        }
    }
}

/// Who owns what is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ownership {
    /// The ids of the layer, as far as they go: ids above `highest_id` are refused. For a process that may use them all.
    Keep {
        /// The highest user and group id that the process can give a file.
        highest_id: u32,
    },
    /// The process itself, whatever the layer says. For a process that has only its own id.
    Squash,
}

/// How to unpack a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// What it may cost.
    pub limits: Limits,
    /// Who owns the result.
    pub ownership: Ownership,
    /// Whether everything is on disk when the function returns (one `syncfs`).
    pub sync: bool,
}

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacked {
    /// The digest of the tar stream. The caller compares it with the image configuration's.
    pub diff_id: Digest,
    /// Bytes of file content.
    pub bytes: u64,
    /// Entries of the archive.
    pub entries: u64,
    /// Whiteouts and opaque directories.
    pub whiteouts: u64,
    /// Devices below `dev/` that were left out.
    pub skipped_devices: u64,
    /// Extended attributes that were left out.
    pub dropped_xattrs: u64,
    /// File capabilities that were left out.
    pub dropped_capabilities: u64,
    /// Directories that entries need but the layer does not describe, parents first, as bytes of their names. On top of
    /// lower layers they must take after what is below: see [`graft`].
    pub implied: Vec<Vec<u8>>,
}

/// Unpacks a layer below `target`, an empty directory that nobody else writes to.
///
/// `announced` is the compression that the media type promises; the stream must have it. On an error the directory
/// holds a part of the layer and must be removed.
///
/// # Errors
/// Refused for what could harm (see the module) or is beyond a limit, invalid for what is malformed or truncated,
/// storage where the disk is full or cannot hold an entry. Each names the entry.
pub fn unpack_layer<R: Read + Send>(
    reader: R,
    target: BorrowedFd<'_>,
    announced: Option<Compression>,
    options: &Options,
) -> Result<Unpacked> {
    let (applied, diff_id) = pipeline::run(reader, announced, options.limits, |chunks| {
        let mut applier = apply::Applier::new(target, *options);
        let mut entries = stream::Entries::new(chunks);
        let outcome = applier.apply_all(&mut entries);
        let place = entries.place();
        outcome
            .map(|()| applier.finish())
            .map_err(|problem| problem.within(place))?
    })?;
    let unpacked = applied.with_diff_id(diff_id);
    if options.sync {
        rustix::fs::syncfs(target)
            .map_err(|error| Problem::storage("cannot write the layer to disk").caused_by(error))?;
    }
    Ok(unpacked)
}
