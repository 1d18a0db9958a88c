//! Extended attributes: which are kept, and how they stand behind their inode.

use uc_model::{Problem, Result};

/// Bytes before the first attribute of an inode.
pub(super) const HEADER: u64 = 12;
/// Most bytes of all attributes of a file: what the kernel itself reads of one name or list.
const BYTES: u64 = 64 << 10;
/// Prefixes that are said by number.
const PREFIXES: [(u8, &[u8]); 2] = [(1, b"user."), (6, b"security.")];
/// What overlayfs keeps of its own: it steers mounts, and is said already in how layers are stacked.
const OVERLAY: &[u8] = b"user.overlay.";

/// Attributes of a file: name and value.
pub(super) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Whether an attribute goes into images: those of programs, and capabilities of files.
pub(super) fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability" || name.starts_with(b"user.") && !name.starts_with(OVERLAY)
}

/// Bytes that attributes take behind an inode.
pub(super) fn size(xattrs: &Xattrs) -> u64 {
    if xattrs.is_empty() {
        return 0;
    }
    let entries = xattrs.iter().map(|(name, value)| {
        let (_, name) = split(name);
        (4 + name.len() + value.len()).next_multiple_of(4) as u64
    });
    HEADER + entries.sum::<u64>()
}

/// Checks that attributes can be said.
///
/// # Errors
/// Refused where there are too many, or a name is too long.
pub(super) fn check(xattrs: &Xattrs) -> Result<()> {
    let size = size(xattrs);
    let long = xattrs.iter().any(|(name, _)| name.len() > 255);
    if size > BYTES || long {
        return Err(
            Problem::refused("the file has too many or too large extended attributes")
                .limit(format!("{BYTES} bytes, names of 255 bytes"))
                .found(format!("{size} bytes")),
        );
    }
    Ok(())
}

/// The bytes of attributes: as many as [`size`] says.
pub(super) fn encode(xattrs: &Xattrs) -> Vec<u8> {
    let mut out = Vec::new();
    if xattrs.is_empty() {
        return out;
    }
    // No filter of names, no attributes shared between inodes.
    out.resize(HEADER as usize, 0);
    for (name, value) in xattrs {
        let (prefix, name) = split(name);
        out.extend_from_slice(&[name.len() as u8, prefix]);
        out.extend_from_slice(&(value.len() as u16).to_le_bytes());
        out.extend_from_slice(name);
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

fn split(name: &[u8]) -> (u8, &[u8]) {
    PREFIXES
        .iter()
        .find_map(|(number, prefix)| Some((*number, name.strip_prefix(*prefix)?)))
        .unwrap_or((0, name))
}
