//! Where the data of a sparse file lies.

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};
use uc_model::{Problem, Result};

use super::pax::decimal;

/// The most data segments of one file: 4 MiB of table.
const SEGMENTS: usize = 1 << 18;

/// A sparse file: segments of data in ascending order, holes between them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct SparseMap {
    /// The file's size in bytes, holes included.
    pub(crate) real_size: u64,
    pub(crate) segments: Vec<Segment>,
}

/// Data at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl SparseMap {
    /// Adds a segment.
    ///
    /// # Errors
    /// Refused beyond the most segments; invalid where segments overlap or leave the file.
    pub(super) fn push(&mut self, offset: u64, length: u64) -> Result<()> {
        if self.segments.len() >= SEGMENTS {
            return Err(Problem::refused("the sparse file has too many segments").limit(SEGMENTS));
        }
        let after = self
            .segments
            .last()
            .map_or(0, |last| last.offset + last.length);
        let end = offset
            .checked_add(length)
            .filter(|end| *end <= self.real_size);
        if offset < after || end.is_none() {
            return Err(malformed().found(format!("a segment of {length} bytes at {offset}")));
        }
        self.segments.push(Segment { offset, length });
        Ok(())
    }

    /// Checks that the segments are what the archive holds of the file.
    pub(super) fn check(&self, stored: u64) -> Result<()> {
        let total: u64 = self.segments.iter().map(|segment| segment.length).sum();
        if total == stored {
            Ok(())
        } else {
            Err(malformed()
                .limit(format!("{stored} bytes of data"))
                .found(total))
        }
    }
}

pub(super) fn malformed() -> Problem {
    Problem::invalid("the map of the sparse file is malformed")
}

/// The map in a GNU header (type `S`); `next_block` reads its continuation blocks.
pub(super) fn from_gnu(
    header: &Header,
    mut next_block: impl FnMut() -> Result<[u8; 512]>,
) -> Result<SparseMap> {
    let gnu = header.as_gnu().ok_or_else(malformed)?;
    let real_size = gnu.real_size().map_err(|_| malformed())?;
    let mut map = SparseMap {
        real_size,
        segments: Vec::new(),
    };
    push_gnu(&mut map, &gnu.sparse)?;
    let mut extended = gnu.is_extended();
    while extended {
        let mut block = GnuExtSparseHeader::new();
        block.as_mut_bytes().copy_from_slice(&next_block()?);
        push_gnu(&mut map, block.sparse())?;
        extended = block.is_extended();
        if map.segments.len() >= SEGMENTS {
            return Err(Problem::refused("the sparse file has too many segments").limit(SEGMENTS));
        }
    }
    Ok(map)
}

fn push_gnu(map: &mut SparseMap, segments: &[GnuSparseHeader]) -> Result<()> {
    for segment in segments.iter().filter(|segment| !segment.is_empty()) {
        let offset = segment.offset().map_err(|_| malformed())?;
        let length = segment.length().map_err(|_| malformed())?;
        map.push(offset, length)?;
    }
    Ok(())
}

/// What pax records say about a sparse file (GNU formats 0.0, 0.1 and 1.0).
#[derive(Debug, Default)]
pub(super) struct PaxSparse {
    pub(super) name: Option<Vec<u8>>,
    pub(crate) real_size: Option<u64>,
    major: Option<u64>,
    /// Offsets and lengths in turn.
    numbers: Vec<u64>,
}

impl PaxSparse {
    /// Takes the record `GNU.sparse.<key>`.
    pub(super) fn record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let number = || decimal(value).ok_or_else(malformed);
        match key {
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.real_size = Some(number()?),
            b"major" => self.major = Some(number()?),
            b"offset" | b"numbytes" => self.number(number()?)?,
            b"map" => {
                for part in value.split(|byte| *byte == b',') {
                    self.number(decimal(part).ok_or_else(malformed)?)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn number(&mut self, number: u64) -> Result<()> {
        if self.numbers.len() >= 2 * SEGMENTS {
            return Err(Problem::refused("the sparse file has too many segments").limit(SEGMENTS));
        }
        self.numbers.push(number);
        Ok(())
    }

    /// Whether the map is at the start of the file's data (format 1.0).
    pub(super) fn map_is_in_data(&self) -> bool {
        self.major == Some(1)
    }

    /// The map of formats 0.0 and 0.1, if the records make one.
    pub(super) fn map(&self) -> Result<Option<SparseMap>> {
        let Some(real_size) = self.real_size else {
            return Ok(None);
        };
        let mut map = SparseMap {
            real_size,
            segments: Vec::new(),
        };
        let pairs = self.numbers.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err(malformed());
        }
        for pair in pairs {
            map.push(pair[0], pair[1])?;
        }
        Ok(Some(map))
    }

    /// The map of format 1.0: decimal numbers, one a line, in whole blocks. Returns it with the bytes it took.
    pub(super) fn map_from_data(
        &self,
        mut next_block: impl FnMut() -> Result<[u8; 512]>,
    ) -> Result<(SparseMap, u64)> {
        let mut map = SparseMap {
            real_size: self.real_size.ok_or_else(malformed)?,
            segments: Vec::new(),
        };
        let mut block = [0; 512];
        let mut at = block.len();
        let mut taken = 0;
        let mut next_number = || -> Result<u64> {
            let mut digits = Vec::with_capacity(20);
            loop {
                if at == block.len() {
                    block = next_block()?;
                    taken += 512;
                    at = 0;
                }
                let byte = block[at];
                at += 1;
                match byte {
                    b'\n' => return decimal(&digits).ok_or_else(malformed),
                    _ if digits.len() < 20 => digits.push(byte),
                    _ => return Err(malformed()),
                }
            }
        };
        for _ in 0..next_number()? {
            let offset = next_number()?;
            let length = next_number()?;
            map.push(offset, length)?;
        }
        Ok((map, taken))
    }
}
