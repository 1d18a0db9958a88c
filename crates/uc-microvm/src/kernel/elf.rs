//! ELF files of 64 bits, as far as kernels and their modules need: segments, sections, symbols, notes.

use std::path::Path;

use uc_model::{Problem, Result};

use crate::host_file;

/// Most entries of a table that are looked at.
const ENTRIES: usize = 1 << 16;
/// Most tables of symbols, and segments of notes, that are looked at.
const TABLES: usize = 8;
/// Most bytes of a segment of notes.
const NOTE_BYTES: usize = 64 << 10;
const HEADER: usize = 64;
const X86_64: u16 = 62;
/// Segments: bytes to load, notes.
pub(super) const LOAD: u32 = 1;
const NOTE: u32 = 4;
/// The segment that names the loader of shared libraries.
const LOADER: u32 = 3;
/// How far into a program its table of segments is looked for, in bytes.
const HEAD_BYTES: u64 = 64 << 10;
/// Sections: tables of symbols.
const SYMBOLS: u32 = 2;
const DYNAMIC_SYMBOLS: u32 = 11;
/// The note of Xen that says where to enter by the PVH protocol (Xen's public/elfnote.h).
pub(super) const PVH_NOTE: u32 = 18;

/// What an ELF file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An object to be linked: a kernel module.
    Object,
    /// A program at fixed addresses: a kernel.
    Program,
    /// A shared object.
    Shared,
}

/// An ELF file for x86-64.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    pub(super) kind: Kind,
    /// The address of the first instruction.
    pub(super) entry: u64,
}

/// A segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) kind: u32,
    pub(super) address: u64,
    pub(super) memory: u64,
    pub(super) bytes: &'a [u8],
}

/// A symbol with its bytes in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol<'a> {
    pub(super) bytes: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
struct Section {
    name: u32,
    kind: u32,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
}

impl<'a> Elf<'a> {
    /// Whether bytes begin like any ELF file.
    pub(super) fn is(bytes: &[u8]) -> bool {
        bytes.starts_with(b"\x7fELF")
    }

    /// # Errors
    /// Invalid where it is no ELF of 64 bits, little endian; of the host where it is for another processor.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let malformed = || Problem::invalid("the ELF file is malformed or truncated");
        if !Self::is(bytes) || bytes.len() < HEADER {
            return Err(malformed());
        }
        if bytes.get(4..6) != Some(&[2, 1]) {
            return Err(
                Problem::invalid("not an ELF file of 64 bits, little endian")
                    .remedy("name a kernel for x86-64"),
            );
        }
        let machine = u16_at(bytes, 18).ok_or_else(malformed)?;
        if machine != X86_64 {
            return Err(wrong_processor(match machine {
                183 => "64-bit Arm".to_owned(),
                243 => "RISC-V".to_owned(),
                other => format!("ELF machine {other}"),
            }));
        }
        let kind = match u16_at(bytes, 16) {
            Some(1) => Kind::Object,
            Some(2) => Kind::Program,
            Some(3) => Kind::Shared,
            _ => return Err(malformed()),
        };
        Ok(Self {
            bytes,
            kind,
            entry: u64_at(bytes, 24).ok_or_else(malformed)?,
        })
    }

    /// The segments; those that reach beyond the file are an error.
    pub(super) fn segments(&self) -> Result<Vec<Segment<'a>>> {
        let truncated = || Problem::invalid("the ELF file is truncated");
        let (table, size) = self.table(32, 54, 56).ok_or_else(truncated)?;
        let entry = |at: &[u8]| {
            let (offset, length) = (u64_at(at, 8)?, u64_at(at, 32)?);
            Some(Segment {
                kind: u32_at(at, 0)?,
                address: u64_at(at, 24)?,
                memory: u64_at(at, 40)?,
                bytes: range(self.bytes, offset, length)?,
            })
        };
        table
            .chunks_exact(size)
            .map(|at| entry(at).ok_or_else(truncated))
            .collect()
    }

    /// Whether there is a segment of a kind; the beginning of a file is enough to tell.
    fn has_segment(&self, kind: u32) -> bool {
        self.table(32, 54, 56).is_some_and(|(table, size)| {
            table
                .chunks_exact(size)
                .any(|at| u32_at(at, 0) == Some(kind))
        })
    }

    /// The bytes of the first section of a name.
    pub(super) fn section(&self, name: &[u8]) -> Option<&'a [u8]> {
        let sections = self.sections()?;
        let names = sections.get(usize::from(u16_at(self.bytes, 62)?))?;
        let names = self.bytes_of(names)?;
        let found = sections
            .iter()
            .find(|section| is_named(names, section.name, name))?;
        self.bytes_of(found)
    }

    /// The first symbol of a name that has bytes in the file.
    pub(super) fn symbol(&self, name: &[u8]) -> Option<Symbol<'a>> {
        let sections = self.sections()?;
        let tables = sections
            .iter()
            .filter(|section| matches!(section.kind, SYMBOLS | DYNAMIC_SYMBOLS))
            .take(TABLES);
        for table in tables {
            let Some(names) = sections
                .get(table.link as usize)
                .and_then(|names| self.bytes_of(names))
            else {
                continue;
            };
            let symbols = self.bytes_of(table)?.chunks_exact(24).take(ENTRIES);
            for symbol in symbols {
                if !is_named(names, u32_at(symbol, 0)?, name) {
                    continue;
                }
                let section = sections.get(usize::from(u16_at(symbol, 6)?));
                let (value, size) = (u64_at(symbol, 8)?, u64_at(symbol, 16)?);
                let bytes = section.and_then(|section| {
                    let offset = value.checked_sub(section.address)?;
                    range(self.bytes_of(section)?, offset, size)
                });
                if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
                    return Some(Symbol { bytes });
                }
            }
        }
        None
    }

    /// Where to enter by the PVH protocol, if a note says so.
    pub(super) fn pvh_entry(&self) -> Result<Option<u64>> {
        let segments = self.segments()?;
        let notes = segments.iter().filter(|segment| segment.kind == NOTE);
        let bounded = notes.take(TABLES).map(|notes| {
            let length = notes.bytes.len().min(NOTE_BYTES);
            &notes.bytes[..length]
        });
        Ok(bounded.flat_map(pvh_notes).next())
    }

    fn sections(&self) -> Option<Vec<Section>> {
        let (table, size) = self.table(40, 58, 64)?;
        let entry = |at: &[u8]| {
            Some(Section {
                name: u32_at(at, 0)?,
                kind: u32_at(at, 4)?,
                address: u64_at(at, 16)?,
                offset: u64_at(at, 24)?,
                size: u64_at(at, 32)?,
                link: u32_at(at, 40)?,
            })
        };
        table.chunks_exact(size).map(entry).collect()
    }

    fn bytes_of(&self, section: &Section) -> Option<&'a [u8]> {
        range(self.bytes, section.offset, section.size)
    }

    /// A table by the places of its offset and of its entries' size and count, which stand side by side.
    fn table(
        &self,
        offset_at: usize,
        size_at: usize,
        smallest: usize,
    ) -> Option<(&'a [u8], usize)> {
        let size = usize::from(u16_at(self.bytes, size_at)?);
        let count = usize::from(u16_at(self.bytes, size_at + 2)?).min(ENTRIES);
        if count == 0 {
            return Some((&[], smallest));
        }
        if size < smallest {
            return None;
        }
        let offset = u64_at(self.bytes, offset_at)?;
        Some((range(self.bytes, offset, (size * count) as u64)?, size))
    }
}

/// Whether a program needs the host's shared libraries. What is none, or cannot be read, needs nothing: executing it says
/// why.
pub(crate) fn is_dynamic(program: &Path) -> bool {
    host_file::head(program, HEAD_BYTES)
        .is_ok_and(|head| Elf::parse(&head).is_ok_and(|elf| elf.has_segment(LOADER)))
}

/// The entries that PVH notes in these bytes give, wherever they stand: four-byte alignment is all that is asked.
pub(super) fn pvh_notes(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    const NAME: &[u8] = b"Xen\0";
    memchr::memmem::find_iter(bytes, NAME).filter_map(move |name| {
        let header = name.checked_sub(12).filter(|at| at % 4 == 0)?;
        if u32_at(bytes, header)? != 4 || u32_at(bytes, header + 8)? != PVH_NOTE {
            return None;
        }
        match u32_at(bytes, header + 4)? {
            4 => u32_at(bytes, name + 4).map(u64::from),
            8 => u64_at(bytes, name + 4),
            _ => None,
        }
    })
}

pub(super) fn wrong_processor(found: impl std::fmt::Display) -> Problem {
    Problem::host("the kernel is for another processor")
        .limit("x86-64")
        .found(found)
        .remedy("name a kernel for x86-64")
}

fn range(bytes: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    bytes.get(start..end)
}

/// Whether a name stands at this place of a table of names.
fn is_named(names: &[u8], at: u32, name: &[u8]) -> bool {
    let rest = names.get(at as usize..).unwrap_or_default();
    rest.strip_prefix(name)
        .is_some_and(|rest| rest.first() == Some(&0))
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
