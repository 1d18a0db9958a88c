//! What the blocks of EROFS look like: superblock and inodes, little endian.

/// Bytes of a block. The kernel takes blocks up to the size of a page.
pub(super) const BLOCK: u64 = 4096;
const BLOCK_BITS: u8 = 12;
/// Inodes are counted in slots of this size from the start of the image.
pub(super) const SLOT: u64 = 32;
/// Bytes of an inode in its extended form: the compact one has 16 bits for owners and no time.
pub(super) const INODE: u64 = 64;
/// Where the superblock begins, after room for a boot loader.
pub(super) const SUPERBLOCK_AT: u64 = 1024;
/// Bytes of the superblock.
pub(super) const SUPERBLOCK: u64 = 128;

const MAGIC: u32 = 0xe0f5_e1e2;
/// Says that times of inodes are times of modification.
const COMPATIBLE_MTIME: u32 = 2;

/// What the superblock says of an image.
pub(super) struct Superblock {
    pub(super) root_nid: u16,
    pub(super) inodes: u64,
    pub(super) blocks: u32,
}

impl Superblock {
    pub(super) fn encode(&self) -> [u8; SUPERBLOCK as usize] {
        let mut out = [0; SUPERBLOCK as usize];
        put(&mut out, 0, MAGIC.to_le_bytes());
        put(&mut out, 8, COMPATIBLE_MTIME.to_le_bytes());
        put(&mut out, 12, [BLOCK_BITS]);
        put(&mut out, 14, self.root_nid.to_le_bytes());
        put(&mut out, 16, self.inodes.to_le_bytes());
        // Times of the build stay zero, so that equal trees make equal images.
        put(&mut out, 36, self.blocks.to_le_bytes());
        out
    }
}

/// Where the data of an inode lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// In whole blocks from this one on; the last may be used in part.
    Plain(u32),
    /// In whole blocks from this one on, and what does not fill one right behind the inode.
    Inline(u32),
    /// Nowhere: a device with this number.
    Device(u32),
}

/// An inode.
pub(super) struct Inode {
    /// Type and permissions as in `st_mode`.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u32,
    pub(super) size: u64,
    /// Seconds since 1970 and nanoseconds.
    pub(super) mtime: (i64, u32),
    pub(super) data: Data,
    /// Bytes of its extended attributes, headers included: 0, or 12 and a multiple of 4.
    pub(super) xattr_bytes: u64,
    /// A number for systems whose inode numbers have 32 bits.
    pub(super) number: u32,
}

impl Inode {
    pub(super) fn encode(&self) -> [u8; INODE as usize] {
        const EXTENDED: u16 = 1;
        const PLAIN: u16 = 0 << 1;
        const INLINE: u16 = 2 << 1;
        let (layout, place) = match self.data {
            Data::Plain(block) => (PLAIN, block),
            Data::Inline(block) => (INLINE, block),
            Data::Device(number) => (PLAIN, number),
        };
        let mut out = [0; INODE as usize];
        put(&mut out, 0, (EXTENDED | layout).to_le_bytes());
        put(&mut out, 2, xattr_count(self.xattr_bytes).to_le_bytes());
        put(&mut out, 4, self.mode.to_le_bytes());
        put(&mut out, 8, self.size.to_le_bytes());
        put(&mut out, 16, place.to_le_bytes());
        put(&mut out, 20, self.number.to_le_bytes());
        put(&mut out, 24, self.uid.to_le_bytes());
        put(&mut out, 28, self.gid.to_le_bytes());
        put(&mut out, 32, self.mtime.0.to_le_bytes());
        put(&mut out, 40, self.mtime.1.to_le_bytes());
        put(&mut out, 44, self.links.to_le_bytes());
        out
    }
}

/// The header of 12 bytes counts as one, each four bytes after it as one more.
fn xattr_count(bytes: u64) -> u16 {
    match bytes.checked_sub(super::xattrs::HEADER) {
        None => 0,
        Some(rest) => u16::try_from(rest / 4 + 1).unwrap_or(u16::MAX),
    }
}

/// The number of a device as the kernel packs it into 32 bits.
pub(super) fn device_number(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

fn put<const N: usize>(out: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(place) = out.get_mut(at..at + N) {
        place.copy_from_slice(&bytes);
    }
}
