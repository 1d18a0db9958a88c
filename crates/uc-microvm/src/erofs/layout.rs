//! Where everything goes: inodes in slots of 32 bytes, with the ends of their files behind them, then blocks.
//!
//! An inode, its attributes and the end of its file stand in one block, as the kernel demands of the latter. What is
//! left of a block is filled with later inodes that fit. Blocks of directories come before those of files, so that
//! looking for a file reads few places.

use uc_model::{Problem, Result};

use super::{
    dirents,
    format::{BLOCK, INODE, SLOT, SUPERBLOCK, SUPERBLOCK_AT},
    tree::{Content, Kind, NodeId, ROOT, Tree},
    xattrs,
};

/// Most blocks with room in them that are kept in mind.
const GAPS: usize = 32;
const NOT_PLACED: u32 = u32::MAX;

/// The plan of an image.
pub(super) struct Layout {
    /// Inodes, parents first and in order of names, each once.
    pub(super) places: Vec<Place>,
    /// For each node of the tree the place it has, if it has a name.
    index: Vec<u32>,
    /// Blocks of the whole image.
    pub(super) blocks: u32,
}

/// Where an inode is, and its data.
pub(super) struct Place {
    pub(super) node: NodeId,
    /// The directory of its first name; for the root itself.
    pub(super) parent: NodeId,
    /// Names it has; for a directory, how often its inode is named.
    pub(super) links: u32,
    /// In slots from the start of the image.
    pub(super) nid: u64,
    /// Bytes of its data.
    pub(super) size: u64,
    /// Bytes of its attributes.
    pub(super) xattr_bytes: u64,
    /// Bytes at the end of the data that stand behind the inode.
    pub(super) inline: u64,
    /// The first block of the rest.
    pub(super) block: u32,
}

impl Layout {
    /// Plans an image of no more than `limit` bytes.
    ///
    /// # Errors
    /// Refused where it would be larger.
    pub(super) fn plan(tree: &Tree, limit: u64) -> Result<Self> {
        let (mut places, index) = order(tree);
        let mut slots = Slots::new();
        for place in &mut places {
            let node = tree.node(place.node);
            place.size = data_size(&node.kind);
            place.xattr_bytes = xattrs::size(&node.xattrs);
            let header = INODE + place.xattr_bytes;
            let end = place.size % BLOCK;
            place.inline = if header + end <= BLOCK { end } else { 0 };
            place.nid = slots.place(header + place.inline) / SLOT;
        }
        let mut next = slots.end.div_ceil(BLOCK);
        for directories in [true, false] {
            let is_directory = |place: &Place| tree.children(place.node).is_some();
            for place in places
                .iter_mut()
                .filter(|place| is_directory(place) == directories)
            {
                let blocks = (place.size - place.inline).div_ceil(BLOCK);
                if blocks > 0 {
                    place.block = u32::try_from(next).unwrap_or(u32::MAX);
                }
                next = next.saturating_add(blocks);
            }
        }
        let bytes = next.saturating_mul(BLOCK);
        let blocks = u32::try_from(next).ok().filter(|_| bytes <= limit);
        let blocks = blocks.ok_or_else(|| {
            Problem::refused("the image of the files would be too large")
                .limit(format!("{limit} bytes"))
                .found(format!("{bytes} bytes"))
        })?;
        Ok(Self {
            places,
            index,
            blocks,
        })
    }

    /// Where a node with a name is.
    pub(super) fn nid(&self, node: NodeId) -> u64 {
        self.index
            .get(node)
            .and_then(|place| self.places.get(*place as usize))
            .map_or(0, |place| place.nid)
    }
}

/// Every node that has a name, parents first.
fn order(tree: &Tree) -> (Vec<Place>, Vec<u32>) {
    let mut places: Vec<Place> = Vec::new();
    let mut index = vec![NOT_PLACED; tree.len()];
    let mut pending = vec![(ROOT, ROOT)];
    while let Some((node, parent)) = pending.pop() {
        if let Some(place) = places.get_mut(index[node] as usize) {
            place.links += 1;
            continue;
        }
        index[node] = u32::try_from(places.len()).unwrap_or(NOT_PLACED);
        let mut links = 1;
        if let Some(children) = tree.children(node) {
            let directories = children
                .values()
                .filter(|child| tree.children(**child).is_some());
            links = 2 + u32::try_from(directories.count()).unwrap_or(u32::MAX - 2);
            pending.extend(children.values().rev().map(|child| (*child, node)));
        }
        places.push(Place {
            node,
            parent,
            links,
            nid: 0,
            size: 0,
            xattr_bytes: 0,
            inline: 0,
            block: 0,
        });
    }
    (places, index)
}

fn data_size(kind: &Kind) -> u64 {
    match kind {
        Kind::Directory(children) => {
            let mut names: Vec<&[u8]> = children.keys().map(Vec::as_slice).collect();
            names.extend([b".".as_slice(), b".."]);
            names.sort_unstable();
            dirents::size(names.into_iter())
        }
        Kind::File(Content::Bytes(bytes)) => bytes.len() as u64,
        Kind::File(Content::Host { size, .. }) => *size,
        Kind::Symlink(target) => target.len() as u64,
        Kind::CharacterDevice(_) | Kind::BlockDevice(_) | Kind::Fifo | Kind::Socket => 0,
    }
}

/// Gives out places for inodes.
struct Slots {
    /// The first byte that nothing uses yet.
    end: u64,
    /// Ends of blocks with room: where, and how many bytes.
    gaps: Vec<(u64, u64)>,
}

impl Slots {
    fn new() -> Self {
        Self {
            end: SUPERBLOCK_AT + SUPERBLOCK,
            gaps: Vec::new(),
        }
    }

    /// The place of so many bytes, in one block unless they are more than one.
    fn place(&mut self, bytes: u64) -> u64 {
        let bytes = bytes.next_multiple_of(SLOT);
        if let Some(gap) = self.gaps.iter().position(|(_, free)| *free >= bytes) {
            let (at, free) = self.gaps.swap_remove(gap);
            self.remember(at + bytes, free - bytes);
            return at;
        }
        let free = self.end.next_multiple_of(BLOCK) - self.end;
        if bytes > free && free > 0 {
            self.remember(self.end, free);
            self.end += free;
        }
        let at = self.end;
        self.end += bytes;
        at
    }

    fn remember(&mut self, at: u64, free: u64) {
        if free < INODE {
            return;
        }
        if self.gaps.len() >= GAPS {
            // The fullest is of least use.
            let fullest = (0..self.gaps.len()).min_by_key(|gap| self.gaps[*gap].1);
            self.gaps.swap_remove(fullest.unwrap_or_default());
        }
        self.gaps.push((at, free));
    }
}
