//! The blocks of a directory: in each first the entries, then their names, all sorted by name through the whole directory.

use super::format::BLOCK;

/// Bytes of an entry without its name.
const ENTRY: usize = 12;

/// A name in a directory.
pub(super) struct Dirent<'a> {
    pub(super) name: &'a [u8],
    /// The inode, in slots from the start of the image.
    pub(super) nid: u64,
    /// What it is, as in [`FileType`].
    pub(super) file_type: FileType,
}

/// What a name stands for, as directories say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum FileType {
    Regular = 1,
    Directory = 2,
    CharacterDevice = 3,
    BlockDevice = 4,
    Fifo = 5,
    Socket = 6,
    Symlink = 7,
}

/// Bytes that a directory with these names takes, which must come sorted and none longer than 255 bytes.
pub(super) fn size<'a>(names: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut blocks = 0;
    let mut used = 0;
    for name in names {
        let needs = (ENTRY + name.len()) as u64;
        if used + needs > BLOCK {
            blocks += 1;
            used = 0;
        }
        used += needs;
    }
    blocks * BLOCK + used
}

/// The bytes of a directory: as many as [`size`] says.
pub(super) fn encode(entries: &[Dirent<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let (block, later) = rest.split_at(that_fit(rest));
        encode_block(block, &mut out);
        if !later.is_empty() {
            out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
        }
        rest = later;
    }
    out
}

/// How many entries go into one block.
fn that_fit(entries: &[Dirent<'_>]) -> usize {
    let mut used = 0;
    entries
        .iter()
        .take_while(|entry| {
            used += ENTRY + entry.name.len();
            used as u64 <= BLOCK
        })
        .count()
        .max(1)
}

fn encode_block(entries: &[Dirent<'_>], out: &mut Vec<u8>) {
    let mut name_at = entries.len() * ENTRY;
    for entry in entries {
        out.extend_from_slice(&entry.nid.to_le_bytes());
        // Below 4096, as all of it is in one block.
        out.extend_from_slice(&(name_at as u16).to_le_bytes());
        out.extend_from_slice(&[entry.file_type as u8, 0]);
        name_at += entry.name.len();
    }
    for entry in entries {
        out.extend_from_slice(entry.name);
    }
}
