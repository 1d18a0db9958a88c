//! Writing the bytes of an image where its layout wants them.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use uc_model::{Problem, Result};

use super::{
    copy::copy,
    dirents::{self, Dirent, FileType},
    format::{BLOCK, Data, Inode, SLOT, SUPERBLOCK_AT, Superblock},
    layout::{Layout, Place},
    scan,
    tree::{Content, Kind, Node, ROOT, Tree},
    xattrs,
};

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// Bytes of the image, holes included.
    pub(crate) bytes: u64,
    /// Files, directories and whatever else has an inode.
    pub(crate) inodes: u64,
}

/// Writes a tree into `out`, whose former bytes are lost. The same tree gives the same bytes. It is not synced to disk.
///
/// # Errors
/// Refused where the image would be larger than `limit` bytes, before anything is written; invalid where a file of the
/// host cannot be read or has changed since it was found; storage where `out` cannot be written.
pub(crate) fn write(tree: &Tree, limit: u64, out: &File) -> Result<Summary> {
    let layout = Layout::plan(tree, limit)?;
    let bytes = u64::from(layout.blocks) * BLOCK;
    // What nobody writes to is a hole and reads as zeros.
    out.set_len(0)
        .and_then(|()| out.set_len(bytes))
        .map_err(unwritable)?;
    let writer = Writer {
        tree,
        layout: &layout,
        out,
    };
    for (number, place) in (1..).zip(&layout.places) {
        writer.inode(number, place)?;
    }
    let inodes = layout.places.len() as u64;
    let superblock = Superblock {
        root_nid: u16::try_from(layout.nid(ROOT))
            .map_err(|_| Problem::internal("the root is too far from the image's start"))?,
        inodes,
        blocks: layout.blocks,
    };
    // Last, so that half an image is none.
    writer.put(&superblock.encode(), SUPERBLOCK_AT)?;
    Ok(Summary { bytes, inodes })
}

struct Writer<'a> {
    tree: &'a Tree,
    layout: &'a Layout,
    out: &'a File,
}

impl Writer<'_> {
    fn put(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.out.write_all_at(bytes, at).map_err(unwritable)
    }

    fn inode(&self, number: u32, place: &Place) -> Result<()> {
        let node = self.tree.node(place.node);
        let mut head = encode_inode(number, place, node);
        head.extend_from_slice(&xattrs::encode(&node.xattrs));
        match &node.kind {
            Kind::Directory(_) => self.bytes(&mut head, place, &self.directory(place))?,
            Kind::File(Content::Bytes(bytes)) | Kind::Symlink(bytes) => {
                self.bytes(&mut head, place, bytes)?;
            }
            Kind::File(Content::Host { root, path, .. }) => {
                self.host_file(&mut head, place, *root, path)
                    .map_err(|problem| problem.at(String::from_utf8_lossy(path)))?;
            }
            Kind::CharacterDevice(_) | Kind::BlockDevice(_) | Kind::Fifo | Kind::Socket => {}
        }
        self.put(&head, place.nid * SLOT)
    }

    /// Data at hand: whole blocks to their place, the rest behind the inode.
    fn bytes(&self, head: &mut Vec<u8>, place: &Place, bytes: &[u8]) -> Result<()> {
        let (blocks, end) = bytes.split_at(bytes.len() - place.inline as usize);
        head.extend_from_slice(end);
        if blocks.is_empty() {
            return Ok(());
        }
        self.put(blocks, u64::from(place.block) * BLOCK)
    }

    fn host_file(&self, head: &mut Vec<u8>, place: &Place, root: usize, path: &[u8]) -> Result<()> {
        let changed = |found: String| {
            Problem::invalid("the file changed while the image was made")
                .limit(format!("{} bytes", place.size))
                .found(found)
        };
        if place.size == 0 {
            return Ok(());
        }
        let root = self
            .tree
            .roots
            .get(root)
            .ok_or_else(|| Problem::internal("a file has no root"))?;
        // What is now a FIFO must not keep us waiting.
        let file =
            File::from(scan::open_below(root, path, OFlags::NONBLOCK).map_err(scan::unreadable)?);
        let unreadable =
            |error| Problem::invalid("cannot read a file of the image").caused_by(error);
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() || metadata.len() != place.size {
            return Err(changed(format!("{} bytes", metadata.len())));
        }
        let whole = place.size - place.inline;
        copy(&file, self.out, whole, u64::from(place.block) * BLOCK)?;
        let start = head.len();
        head.resize(start + place.inline as usize, 0);
        file.read_exact_at(&mut head[start..], whole)
            .map_err(unreadable)
    }

    fn directory(&self, place: &Place) -> Vec<u8> {
        let Some(children) = self.tree.children(place.node) else {
            return Vec::new();
        };
        let this = |name, node| Dirent {
            name,
            nid: self.layout.nid(node),
            file_type: FileType::Directory,
        };
        let mut entries: Vec<Dirent<'_>> = children
            .iter()
            .map(|(name, child)| Dirent {
                name,
                nid: self.layout.nid(*child),
                file_type: self.tree.node(*child).kind.file_type(),
            })
            .collect();
        entries.push(this(b".", place.node));
        entries.push(this(b"..", place.parent));
        entries.sort_unstable_by(|a, b| a.name.cmp(b.name));
        dirents::encode(&entries)
    }
}

fn encode_inode(number: u32, place: &Place, node: &Node) -> Vec<u8> {
    let data = match node.kind {
        Kind::CharacterDevice(device) | Kind::BlockDevice(device) => Data::Device(device),
        Kind::Fifo | Kind::Socket => Data::Device(0),
        _ if place.inline > 0 => Data::Inline(place.block),
        _ => Data::Plain(place.block),
    };
    Inode {
        mode: node.kind.mode_bits() | node.permissions,
        uid: node.owner.uid,
        gid: node.owner.gid,
        links: place.links,
        size: place.size,
        mtime: node.mtime,
        data,
        xattr_bytes: place.xattr_bytes,
        number,
    }
    .encode()
    .to_vec()
}

pub(super) fn unwritable(error: io::Error) -> Problem {
    Problem::storage("cannot write the image of the files").caused_by(error)
}
