//! A reader for tests, from the kernel's description alone: it shares no code with the writer, and checks what the kernel
//! relies on.

use std::collections::{BTreeMap, BTreeSet};

/// What an image says of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: (i64, u32),
    pub(super) links: u32,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
    /// Bytes of a file, target of a link, number of a device.
    pub(super) data: Vec<u8>,
    /// The first name, in order, of the same inode.
    pub(super) first: String,
}

/// Everything in an image, by path.
pub(super) fn read(image: &[u8]) -> BTreeMap<String, Seen> {
    let mut reader = Reader {
        image,
        used: vec![(0, 1024 + 128)],
        inodes: BTreeMap::new(),
        seen: BTreeMap::new(),
    };
    let superblock = &image[1024..1024 + 128];
    assert_eq!(le(superblock, 0, 4), 0xE0F5_E1E2, "magic");
    assert_eq!(superblock[12], 12, "blocks of 4096 bytes");
    assert_eq!(le(superblock, 80, 4), 0, "nothing that old kernels lack");
    assert_eq!(le(superblock, 36, 4) * 4096, image.len() as u64, "blocks");
    assert_eq!(le(superblock, 40, 8), 0, "areas begin at the start");
    let root = le(superblock, 14, 2);
    reader.walk("", root, root);
    assert_eq!(le(superblock, 16, 8), reader.inodes.len() as u64, "inodes");
    reader.used.sort_unstable();
    for pair in reader.used.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{pair:?} overlap");
    }
    reader.seen
}

struct Reader<'a> {
    image: &'a [u8],
    /// Byte ranges in use.
    used: Vec<(u64, u64)>,
    /// The first name of each inode.
    inodes: BTreeMap<u64, String>,
    seen: BTreeMap<String, Seen>,
}

fn le(bytes: &[u8], at: usize, length: usize) -> u64 {
    let part = &bytes[at..at + length];
    part.iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

impl Reader<'_> {
    fn walk(&mut self, path: &str, nid: u64, parent: u64) {
        let is_new = !self.inodes.contains_key(&nid);
        let first = self
            .inodes
            .entry(nid)
            .or_insert_with(|| path.to_owned())
            .clone();
        let (mut seen, used) = self.inode(nid, first);
        if is_new {
            self.used.extend(used);
        }
        if seen.mode & 0o170000 == 0o040000 {
            assert!(is_new, "{path}: a directory with two names");
            let data = std::mem::take(&mut seen.data);
            let entries = entries_of(&data);
            let names: Vec<&Vec<u8>> = entries.iter().map(|(name, ..)| name).collect();
            assert!(
                names.windows(2).all(|pair| pair[0] < pair[1]),
                "{path}: sorted"
            );
            let mut found = BTreeSet::new();
            for (name, target, kind) in &entries {
                let name = String::from_utf8(name.clone()).expect("text");
                match name.as_str() {
                    "." => assert_eq!((*target, *kind), (nid, 2)),
                    ".." => assert_eq!((*target, *kind), (parent, 2)),
                    _ => {
                        let below = format!("{path}/{name}");
                        self.walk(&below, *target, nid);
                        let types = [0o10u16, 0o4, 0o2, 0o6, 0o1, 0o14, 0o12];
                        let expected = self.seen[&below].mode >> 12;
                        assert_eq!(types[usize::from(*kind) - 1], expected, "{below}");
                    }
                }
                found.insert(name);
            }
            assert!(found.contains(".") && found.contains(".."));
        }
        self.seen.insert(path.to_owned(), seen);
    }

    fn inode(&self, nid: u64, first: String) -> (Seen, Vec<(u64, u64)>) {
        let at = nid * 32;
        let inode = &self.image[at as usize..];
        let format = le(inode, 0, 2);
        assert_eq!(format & 1, 1, "extended");
        let count = le(inode, 2, 2);
        let xattr_bytes = if count == 0 { 0 } else { 12 + (count - 1) * 4 };
        let mode = le(inode, 4, 2) as u16;
        let size = le(inode, 8, 8);
        let place = le(inode, 16, 4);
        let end = at + 64 + xattr_bytes;
        let xattrs = xattrs_of(&self.image[(at + 64) as usize..end as usize]);
        let mut used = vec![(at, end)];
        let special = matches!(mode >> 12, 0o1 | 0o2 | 0o6 | 0o14);
        let data = match format >> 1 {
            0 if special => place.to_le_bytes()[..4].to_vec(),
            0 => self.blocks(place, size, &mut used),
            2 => {
                let tail = size % 4096;
                assert!(tail > 0, "an end to stand behind the inode");
                assert_eq!(
                    end / 4096,
                    (end + tail - 1) / 4096,
                    "the end is in one block"
                );
                used.push((end, end + tail));
                let mut data = self.blocks(place, size - tail, &mut used);
                data.extend_from_slice(&self.image[end as usize..(end + tail) as usize]);
                data
            }
            other => panic!("layout {other}"),
        };
        let seen = Seen {
            mode,
            uid: le(inode, 24, 4) as u32,
            gid: le(inode, 28, 4) as u32,
            mtime: (le(inode, 32, 8) as i64, le(inode, 40, 4) as u32),
            links: le(inode, 44, 4) as u32,
            xattrs,
            data,
            first,
        };
        (seen, used)
    }

    fn blocks(&self, block: u64, size: u64, used: &mut Vec<(u64, u64)>) -> Vec<u8> {
        if size == 0 {
            return Vec::new();
        }
        let start = block * 4096;
        used.push((start, start + size.next_multiple_of(4096)));
        self.image[start as usize..(start + size) as usize].to_vec()
    }
}

/// Name, inode and type.
fn entries_of(data: &[u8]) -> Vec<(Vec<u8>, u64, u8)> {
    let mut entries = Vec::new();
    for block in data.chunks(4096) {
        let count = le(block, 8, 2) as usize / 12;
        for index in 0..count {
            let entry = &block[index * 12..];
            let start = le(entry, 8, 2) as usize;
            let end = match index + 1 < count {
                true => le(block, (index + 1) * 12 + 8, 2) as usize,
                false => block.len(),
            };
            let name: Vec<u8> = block[start..end]
                .iter()
                .copied()
                .take_while(|b| *b != 0)
                .collect();
            entries.push((name, le(entry, 0, 8), entry[10]));
        }
    }
    entries
}

fn xattrs_of(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut xattrs = Vec::new();
    if bytes.is_empty() {
        return xattrs;
    }
    assert_eq!(bytes[4], 0, "none shared");
    let mut rest = &bytes[12..];
    while !rest.is_empty() {
        let (name, value) = (rest[0] as usize, le(rest, 2, 2) as usize);
        let prefix = match rest[1] {
            1 => "user.",
            6 => "security.",
            other => panic!("prefix {other}"),
        };
        let text = std::str::from_utf8(&rest[4..4 + name]).expect("text");
        xattrs.push((
            format!("{prefix}{text}"),
            rest[4 + name..4 + name + value].to_vec(),
        ));
        rest = &rest[(4 + name + value).next_multiple_of(4)..];
    }
    xattrs
}
