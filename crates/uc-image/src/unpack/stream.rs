//! The entries of a tar stream: ustar, GNU and pax, with every header bounded.
//!
//! Headers are decoded by the `tar` crate; the walk is our own, because extension headers must be bounded before they
//! are read, data must not be copied, and an archive without its end marker must be accepted.

use tar::{EntryType, Header};
use uc_model::{Problem, Result};

use super::{
    entry::{Entry, Kind},
    name::shown,
    pax,
    pipeline::Chunks,
    sparse::{self, PaxSparse},
};

const BLOCK: u64 = 512;
/// The largest extension header, in bytes: room for a long name and the largest extended attributes.
const EXTENSION_BYTES: u64 = 1 << 20;
/// The most extension headers before one entry.
const EXTENSIONS: usize = 16;

/// Walks a stream entry by entry.
pub(crate) struct Entries {
    chunks: Chunks,
    /// Data and padding of the present entry that nobody has read.
    data_left: u64,
    padding: u64,
    count: u64,
    last_name: Vec<u8>,
}

/// What extension headers say about the next entry.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    modified: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: PaxSparse,
}

impl Entries {
    pub(crate) fn new(chunks: Chunks) -> Self {
        Self {
            chunks,
            data_left: 0,
            padding: 0,
            count: 0,
            last_name: Vec::new(),
        }
    }

    /// Where the walk is, for messages.
    pub(crate) fn place(&self) -> String {
        if self.last_name.is_empty() {
            format!("entry {}", self.count)
        } else {
            format!("entry {} ({})", self.count, shown(&self.last_name))
        }
    }

    /// The next entry, or `None` at the end: a block of zeros, or the end of the stream between two entries. The rest
    /// of the present entry's data is skipped.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.skip(self.data_left.saturating_add(self.padding))?;
        (self.data_left, self.padding) = (0, 0);
        let mut extensions = Extensions::default();
        for seen in 0..=EXTENSIONS {
            let Some(header) = self.header()? else {
                if seen > 0 {
                    return Err(Problem::invalid("the layer ends after an extension header")
                        .remedy("build the image again"));
                }
                return Ok(None);
            };
            match header.entry_type() {
                EntryType::XHeader => {
                    let bytes = self.extension(&header)?;
                    extensions.read_pax(&bytes)?;
                }
                EntryType::GNULongName => {
                    extensions.name = Some(until_nul(self.extension(&header)?));
                }
                EntryType::GNULongLink => {
                    extensions.link = Some(until_nul(self.extension(&header)?));
                }
                // Defaults for all entries: builders write comments there.
                EntryType::XGlobalHeader => drop(self.extension(&header)?),
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
        Err(Problem::refused("too many extension headers before one entry").limit(EXTENSIONS))
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> Result<Entry> {
        self.count += 1;
        self.last_name = extensions
            .sparse
            .name
            .clone()
            .or(extensions.name)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let raw = header.as_old();
        let size = match extensions.size {
            Some(size) => size,
            None => number(&raw.size, header.entry_size(), "a size")?,
        };
        let kind = self.kind(header, &extensions.sparse, size)?;
        if !matches!(kind, Kind::File { .. }) {
            // Other kinds have no data, whatever their header says.
            (self.data_left, self.padding) = (0, 0);
        }
        let link = extensions
            .link
            .or_else(|| header.link_name_bytes().map(|link| link.into_owned()))
            .unwrap_or_default();
        Ok(Entry {
            name: self.last_name.clone(),
            kind,
            mode: number(&raw.mode, header.mode().map(u64::from), "a mode")? as u32 & 0o7777,
            uid: extensions
                .uid
                .map_or_else(|| number(&raw.uid, header.uid(), "a user id"), Ok)?,
            gid: extensions
                .gid
                .map_or_else(|| number(&raw.gid, header.gid(), "a group id"), Ok)?,
            modified: extensions.modified.unwrap_or_else(|| {
                (
                    header
                        .mtime()
                        .ok()
                        .and_then(|time| i64::try_from(time).ok())
                        .unwrap_or(0),
                    0,
                )
            }),
            link,
            stored: self.data_left,
            xattrs: extensions.xattrs,
        })
    }

    /// Finds out what the entry is, and sets how much data follows.
    fn kind(&mut self, header: &Header, sparse: &PaxSparse, size: u64) -> Result<Kind> {
        self.data_left = size;
        self.padding = padding_of(size);
        let kind = match header.entry_type() {
            EntryType::Regular if self.last_name.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => {
                let map = if sparse.map_is_in_data() {
                    let (map, taken) = sparse.map_from_data(|| self.block())?;
                    self.data_left = size.checked_sub(taken).ok_or_else(sparse::malformed)?;
                    Some(map)
                } else {
                    sparse.map()?
                };
                Kind::File { sparse: map }
            }
            EntryType::GNUSparse => Kind::File {
                sparse: Some(sparse::from_gnu(header, || self.block())?),
            },
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Link => Kind::HardLink,
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char | EntryType::Block => Kind::Device,
            other => {
                return Err(Problem::refused("the entry is of an unknown type")
                    .limit("a file, directory, link, pipe or device")
                    .found(format!("type {:?}", char::from(other.as_byte()))));
            }
        };
        if let Kind::File { sparse: Some(map) } = &kind {
            map.check(self.data_left)?;
        }
        Ok(kind)
    }

    /// Data of the present entry without copying; at most what is left of it.
    ///
    /// # Errors
    /// Invalid where the stream ends before the data does.
    pub(crate) fn data(&mut self) -> Result<&[u8]> {
        let left = self.data_left;
        let bytes = self.chunks.peek();
        if bytes.is_empty() && left > 0 {
            return Err(truncated());
        }
        let most = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        Ok(&bytes[..most])
    }

    /// Moves past data that [`Self::data`] showed.
    pub(crate) fn consume(&mut self, count: usize) {
        self.chunks.consume(count);
        self.data_left -= (count as u64).min(self.data_left);
    }

    /// Reads what follows the end marker: it belongs to the stream's digest.
    pub(crate) fn drain(&mut self) {
        loop {
            let count = self.chunks.peek().len();
            if count == 0 {
                return;
            }
            self.chunks.consume(count);
        }
    }

    /// The next header, its checksum verified; `None` at the end.
    fn header(&mut self) -> Result<Option<Header>> {
        if self.chunks.peek().is_empty() {
            return Ok(None);
        }
        let mut header = Header::new_old();
        *header.as_mut_bytes() = self.block()?;
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The checksum counts its own eight bytes as spaces.
        let sum: u32 = bytes[..148]
            .iter()
            .chain(&bytes[156..])
            .map(|byte| u32::from(*byte))
            .sum();
        match header.cksum() {
            Ok(stored) if stored == sum + 8 * u32::from(b' ') => Ok(Some(header)),
            _ => Err(
                Problem::invalid("the layer is not a tar archive, or is damaged")
                    .limit("a header with its checksum")
                    .remedy("build or fetch the image again"),
            ),
        }
    }

    /// The content of an extension header.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>> {
        let size = header.entry_size().map_err(|error| {
            Problem::invalid("the extension header is malformed").caused_by(error)
        })?;
        if size > EXTENSION_BYTES {
            return Err(Problem::refused("an extension header is too large")
                .limit(crate::bounds::shown(EXTENSION_BYTES))
                .found(crate::bounds::shown(size)));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        self.read_exact(&mut bytes)?;
        self.skip(padding_of(size))?;
        Ok(bytes)
    }

    fn block(&mut self) -> Result<[u8; 512]> {
        let mut block = [0; BLOCK as usize];
        self.read_exact(&mut block)?;
        Ok(block)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let bytes = self.chunks.peek();
            if bytes.is_empty() {
                return Err(truncated());
            }
            let count = bytes.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&bytes[..count]);
            self.chunks.consume(count);
            filled += count;
        }
        Ok(())
    }

    fn skip(&mut self, mut left: u64) -> Result<()> {
        // The padding of the very last entry may be missing, as the end marker may.
        let tolerated = left.min(self.padding);
        while left > 0 {
            let available = self.chunks.peek().len();
            if available == 0 {
                return if left <= tolerated {
                    Ok(())
                } else {
                    Err(truncated())
                };
            }
            let count = usize::try_from(left).map_or(available, |left| left.min(available));
            self.chunks.consume(count);
            left -= count as u64;
        }
        Ok(())
    }
}

impl Extensions {
    fn read_pax(&mut self, bytes: &[u8]) -> Result<()> {
        pax::records(bytes, |key, value| {
            let number = || {
                pax::decimal(value).ok_or_else(|| {
                    Problem::invalid("the extended header of an entry is malformed")
                        .limit(format!("a number for {}", shown(key)))
                        .found(shown(value))
                })
            };
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(number()?),
                b"uid" => self.uid = Some(number()?),
                b"gid" => self.gid = Some(number()?),
                b"mtime" => self.modified = pax::time(value),
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        self.xattrs.push((name.to_vec(), value.to_vec()));
                    } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                        self.sparse.record(key, value)?;
                    }
                }
            }
            Ok(())
        })
    }
}

/// A decoded number of a header; a field that was left empty is zero.
fn number(field: &[u8], decoded: std::io::Result<u64>, expected: &str) -> Result<u64> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(0);
    }
    decoded.map_err(|error| {
        Problem::invalid("the entry's header is malformed")
            .limit(expected)
            .caused_by(error)
    })
}

/// What fills the last block of `size` bytes. A size near the end of the range is beyond every limit anyway.
fn padding_of(size: u64) -> u64 {
    size.checked_next_multiple_of(BLOCK)
        .map_or(0, |whole| whole - size)
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn truncated() -> Problem {
    Problem::invalid("the layer is truncated").remedy("remove the image and fetch it again")
}
