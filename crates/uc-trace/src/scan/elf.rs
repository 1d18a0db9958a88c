//! The parts of an ELF file that say where its code is and how it is put together with others.
//!
//! Read by hand: six records of fixed size, each behind a bound. Section headers are used where they are there, since they
//! tell code from the tables beside it; a file without them is read by its segments.

use std::ops::Range;

use uc_model::{Problem, Result};
use uc_select::Architecture;

use super::{
    bytes::{part, text_at, u16_at, u32_at, u64_at},
    dynamic::Dynamic,
};

/// Most segments, and most sections, that are looked at.
const MAX_HEADERS: usize = 4096;

/// Nothing is mapped so close to the highest address, so that sums of an address and a small number stay numbers.
const HIGHEST: u64 = 1 << 16;

/// Machine numbers of the ELF specification.
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
/// Kinds of ELF file.
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
/// Kinds of segment.
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
/// The flag of a segment whose bytes run.
const PF_X: u32 = 1;
/// The flag of a section whose bytes run.
const SHF_EXECINSTR: u64 = 4;
/// The flag of a section that is in memory while the program runs.
const SHF_ALLOC: u64 = 2;
/// A section that takes no room in the file.
const SHT_NOBITS: u32 = 8;

/// A part of the file that is mapped into memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) address: u64,
    pub(super) memory_size: u64,
    pub(super) data: &'a [u8],
    pub(super) is_code: bool,
}

impl Segment<'_> {
    fn range(&self) -> Range<u64> {
        self.address..self.address.saturating_add(self.memory_size)
    }
}

/// A named part of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section<'a> {
    pub(super) name: &'a str,
    pub(super) kind: u32,
    pub(super) address: u64,
    pub(super) size: u64,
    pub(super) data: &'a [u8],
    pub(super) link: u32,
    is_code: bool,
    is_loaded: bool,
}

impl Section<'_> {
    /// The addresses it takes in memory.
    pub(super) fn range(&self) -> Range<u64> {
        self.address..self.address.saturating_add(self.size)
    }
}

/// An executable or a shared library.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    pub(super) architecture: Architecture,
    /// Whether it stands at fixed addresses: then numbers in code and data can be addresses.
    pub(super) is_fixed: bool,
    pub(super) entry: u64,
    pub(super) interpreter: Option<&'a str>,
    pub(super) segments: Vec<Segment<'a>>,
    pub(super) sections: Vec<Section<'a>>,
    pub(super) dynamic: Dynamic<'a>,
    code: Vec<Range<u64>>,
}

impl<'a> Elf<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// Invalid, where this is no 64-bit little-endian program for a known processor, or its headers point outside.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (architecture, kind) = identify(bytes)?;
        let headers = Headers::read(bytes).ok_or_else(truncated)?;
        let segments = headers.segments(bytes).ok_or_else(truncated)?;
        let sections = headers.sections(bytes);
        let mut elf = Self {
            architecture,
            is_fixed: kind == ET_EXEC,
            entry: headers.entry,
            interpreter: headers
                .program(bytes, PT_INTERP)
                .and_then(|data| text_at(data, 0)),
            segments,
            code: Vec::new(),
            sections,
            dynamic: Dynamic::default(),
        };
        elf.code = elf.code_ranges();
        if elf.code.is_empty() {
            return Err(Problem::invalid("the file holds no code")
                .limit("an executable or a shared library")
                .found(if elf.sections.is_empty() {
                    "no executable segment and no sections"
                } else {
                    "sections, but none that runs (debug information alone, perhaps)"
                })
                .remedy("give the program itself, not its debug information or an object file"));
        }
        if let Some(data) = headers.program(bytes, PT_DYNAMIC) {
            elf.dynamic = Dynamic::read(&elf, data);
        }
        Ok(elf)
    }

    fn code_ranges(&self) -> Vec<Range<u64>> {
        let mut ranges: Vec<_> = self
            .sections
            .iter()
            .filter(|section| section.is_code && !section.data.is_empty())
            .map(Section::range)
            .collect();
        if ranges.is_empty() {
            ranges = self
                .segments
                .iter()
                .filter(|segment| segment.is_code && !segment.data.is_empty())
                .map(|segment| {
                    segment.address..segment.address.saturating_add(segment.data.len() as u64)
                })
                .collect();
        }
        ranges.sort_by_key(|range| range.start);
        ranges.retain({
            let mut end = 0;
            move |range| {
                let is_apart = range.start >= end && range.start < range.end;
                if is_apart {
                    end = range.end;
                }
                is_apart
            }
        });
        ranges
    }

    /// Where code is, ascending and disjoint.
    pub(super) fn code(&self) -> &[Range<u64>] {
        &self.code
    }

    /// Bytes of code.
    pub(super) fn code_size(&self) -> u64 {
        self.code.iter().map(|range| range.end - range.start).sum()
    }

    /// Whether code is at this address.
    pub(super) fn is_code(&self, address: u64) -> bool {
        self.code_end(address).is_some()
    }

    /// Where the code around an address ends.
    pub(super) fn code_end(&self, address: u64) -> Option<u64> {
        let at = self.code.partition_point(|range| range.end <= address);
        self.code
            .get(at)
            .filter(|range| range.contains(&address))
            .map(|range| range.end)
    }

    /// Whether an address is in memory while the program runs.
    pub(super) fn is_mapped(&self, address: u64) -> bool {
        self.segments
            .iter()
            .any(|segment| segment.range().contains(&address))
    }

    /// The bytes from an address to the end of its segment.
    pub(super) fn from(&self, address: u64) -> Option<&'a [u8]> {
        self.segments.iter().find_map(|segment| {
            let offset = usize::try_from(address.checked_sub(segment.address)?).ok()?;
            segment.data.get(offset..).filter(|rest| !rest.is_empty())
        })
    }

    /// The bytes of a range of addresses, cut off where the file ends.
    pub(super) fn slice(&self, range: &Range<u64>) -> &'a [u8] {
        let rest = self.from(range.start).unwrap_or_default();
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        rest.get(..length).unwrap_or(rest)
    }

    /// A section by its name.
    pub(super) fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The loaded sections, for the edges between them.
    pub(super) fn loaded_sections(&self) -> impl Iterator<Item = &Section<'a>> {
        self.sections.iter().filter(|section| section.is_loaded)
    }
}

fn truncated() -> Problem {
    Problem::invalid("the file ends before its headers do")
        .found("segments beyond the end of the file")
        .remedy("copy or download it again: it is truncated")
}

/// The processor and the kind of file.
fn identify(bytes: &[u8]) -> Result<(Architecture, u16)> {
    let ident = bytes.get(..20).ok_or_else(truncated)?;
    let bits = ident[4];
    if bits != 2 {
        return Err(
            Problem::invalid("32-bit programs make the system calls of another table")
                .limit("a 64-bit program")
                .found("an ELF file of 32 bits")
                .remedy("scan its 64-bit build, or trace it while it runs"),
        );
    }
    let machine = u16_at(bytes, 18).ok_or_else(truncated)?;
    let kind = u16_at(bytes, 16).ok_or_else(truncated)?;
    let architecture = match (ident[5], machine) {
        (1, EM_X86_64) => Architecture::X86_64,
        (1, EM_AARCH64) => Architecture::Aarch64,
        (order, _) => {
            let order = if order == 1 { "" } else { ", big-endian" };
            return Err(Problem::invalid("code for this processor cannot be read")
                .limit("x86_64 or aarch64, little-endian")
                .found(format!("machine {machine} of the ELF table{order}"))
                .remedy("scan its build for x86_64 or aarch64"));
        }
    };
    match kind {
        ET_EXEC | ET_DYN => Ok((architecture, kind)),
        other => Err(
            Problem::invalid("the file is neither a program nor a library")
                .limit("an executable or a shared library")
                .found(match other {
                    1 => "an object file, before linking".to_owned(),
                    4 => "a core dump".to_owned(),
                    other => format!("an ELF file of kind {other}"),
                })
                .remedy("give the linked program"),
        ),
    }
}

/// Where the tables of headers are.
struct Headers {
    entry: u64,
    programs: Vec<[u64; 5]>,
    sections_at: usize,
    section_count: usize,
    names: usize,
}

impl Headers {
    fn read(bytes: &[u8]) -> Option<Self> {
        let programs_at = usize::try_from(u64_at(bytes, 32)?).ok()?;
        let program_count = usize::from(u16_at(bytes, 56)?).min(MAX_HEADERS);
        let programs = (0..program_count)
            .map(|index| {
                let at = programs_at.checked_add(index * 56)?;
                let kind = u64::from(u32_at(bytes, at)?) | u64::from(u32_at(bytes, at + 4)?) << 32;
                Some([
                    kind,
                    u64_at(bytes, at + 8)?,
                    u64_at(bytes, at + 16)?,
                    u64_at(bytes, at + 32)?,
                    u64_at(bytes, at + 40)?,
                ])
            })
            .collect::<Option<_>>()?;
        Some(Self {
            entry: u64_at(bytes, 24)?,
            programs,
            sections_at: usize::try_from(u64_at(bytes, 40)?).unwrap_or(usize::MAX),
            section_count: usize::from(u16_at(bytes, 60)?).min(MAX_HEADERS),
            names: usize::from(u16_at(bytes, 62)?),
        })
    }

    fn segments<'a>(&self, bytes: &'a [u8]) -> Option<Vec<Segment<'a>>> {
        let loads = self
            .programs
            .iter()
            .filter(|[kind, ..]| *kind as u32 == PT_LOAD);
        loads
            .map(|[kind, offset, address, file_size, memory_size]| {
                let size = (*file_size).min(*memory_size);
                address.checked_add(*memory_size)?.checked_add(HIGHEST)?;
                Some(Segment {
                    address: *address,
                    memory_size: *memory_size,
                    data: part(bytes, *offset, size)?,
                    is_code: (*kind >> 32) as u32 & PF_X != 0,
                })
            })
            .collect()
    }

    fn program<'a>(&self, bytes: &'a [u8], kind: u32) -> Option<&'a [u8]> {
        let [_, offset, _, size, _] = self
            .programs
            .iter()
            .find(|[found, ..]| *found as u32 == kind)?;
        part(bytes, *offset, *size)
    }

    /// The sections; none where their table is missing or points outside.
    fn sections<'a>(&self, bytes: &'a [u8]) -> Vec<Section<'a>> {
        if self.sections_at == 0 {
            return Vec::new();
        }
        let names = self
            .section(bytes, &[], self.names)
            .map_or(&[][..], |section| section.data);
        (0..self.section_count)
            .map_while(|index| self.section(bytes, names, index))
            .collect()
    }

    fn section<'a>(&self, bytes: &'a [u8], names: &'a [u8], index: usize) -> Option<Section<'a>> {
        let at = self.sections_at.checked_add(index * 64)?;
        let header = bytes.get(at..at.checked_add(64)?)?;
        let kind = u32_at(header, 4)?;
        let flags = u64_at(header, 8)?;
        let size = u64_at(header, 32)?;
        let data = if kind == SHT_NOBITS {
            &[][..]
        } else {
            part(bytes, u64_at(header, 24)?, size).unwrap_or_default()
        };
        let name = usize::try_from(u32_at(header, 0)?).ok()?;
        let address = u64_at(header, 16)?;
        let is_sound = address
            .checked_add(size)
            .and_then(|end| end.checked_add(HIGHEST))
            .is_some();
        Some(Section {
            name: text_at(names, name).unwrap_or_default(),
            kind,
            address,
            size,
            data,
            link: u32_at(header, 40)?,
            is_code: is_sound && flags & SHF_EXECINSTR != 0 && flags & SHF_ALLOC != 0,
            is_loaded: is_sound && flags & SHF_ALLOC != 0,
        })
    }
}
