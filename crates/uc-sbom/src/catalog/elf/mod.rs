//! ELF executables: what Go and cargo-auditable write into them.

use uc_model::{Problem, Result};

use super::{Found, auditable};
use crate::{byte_order::ByteOrder, collector::ReadSeek, window::Window};

mod go;

/// The bytes of an ELF header.
pub(crate) const HEAD_BYTES: usize = 64;
const MAGIC: &[u8] = b"\x7fELF";
/// The most sections or segments of a file; ELF itself allows no more segments.
const HEADERS: u64 = 65_535;
/// The largest table of section names, in bytes.
const NAMES_BYTES: u64 = 4 << 20;
const SECTION_UNUSED: u32 = 8;

/// Whether a file that begins so is an executable or a shared library.
pub(crate) fn is_executable(head: &[u8]) -> bool {
    let order = match head.get(5) {
        Some(2) => ByteOrder::Big,
        _ => ByteOrder::Little,
    };
    head.starts_with(MAGIC) && matches!(order.u16(head, 16), Some(2 | 3))
}

/// Reads the Go modules and Rust crates that an executable says it was built from.
pub fn read(reader: &mut dyn ReadSeek) -> Found {
    let mut found = Found::default();
    let opened = Window::whole(reader).and_then(Elf::open);
    let mut elf = match opened {
        Ok(elf) => elf,
        // Fragments and files for other loaders are common and hold no packages: not worth a warning.
        Err(_) => return found,
    };
    match go::read(&mut elf) {
        Ok(modules) => found.append(modules),
        Err(problem) => found.warn(problem.within("Go build information")),
    }
    match crates(&mut elf) {
        Ok(crates) => found.append(crates),
        Err(problem) => found.warn(problem.within("cargo-auditable")),
    }
    found
}

fn crates(elf: &mut Elf<'_>) -> Result<Found> {
    let Some((offset, size)) = elf
        .find(auditable::SECTION)
        .map(|one| (one.offset, one.size))
    else {
        return Ok(Found::default());
    };
    let compressed = elf
        .window
        .bytes_at(offset, size, auditable::COMPRESSED_BYTES)?;
    auditable::parse(&compressed)
}

/// An ELF file's headers.
struct Elf<'a> {
    window: Window<'a>,
    order: ByteOrder,
    word_bytes: usize,
    sections: Vec<Section>,
    segments: Vec<Segment>,
}

/// A section that has a name and data in the file.
struct Section {
    name: Vec<u8>,
    offset: u64,
    size: u64,
}

/// A segment that is loaded.
#[derive(Clone, Copy)]
struct Segment {
    offset: u64,
    address: u64,
    file_size: u64,
    is_writable: bool,
}

/// Where the fields of the headers are, for one word size.
struct Layout {
    section_offset: usize,
    segment_offset: usize,
    counts: usize,
    section_bytes: usize,
    segment_bytes: usize,
}

const LAYOUT_32: Layout = Layout {
    section_offset: 32,
    segment_offset: 28,
    counts: 42,
    section_bytes: 40,
    segment_bytes: 32,
};
const LAYOUT_64: Layout = Layout {
    section_offset: 40,
    segment_offset: 32,
    counts: 54,
    section_bytes: 64,
    segment_bytes: 56,
};

fn damaged() -> Problem {
    Problem::invalid("the ELF headers are damaged")
}

impl<'a> Elf<'a> {
    fn open(mut window: Window<'a>) -> Result<Self> {
        let length = window.len().min(HEAD_BYTES as u64);
        let head = window.bytes_at(0, length, HEAD_BYTES as u64)?;
        if !is_executable(&head) {
            return Err(damaged());
        }
        let order = if head.get(5) == Some(&2) {
            ByteOrder::Big
        } else {
            ByteOrder::Little
        };
        let (word_bytes, layout) = match head.get(4) {
            Some(1) => (4, &LAYOUT_32),
            Some(2) => (8, &LAYOUT_64),
            _ => return Err(damaged()),
        };
        let mut elf = Self {
            window,
            order,
            word_bytes,
            sections: Vec::new(),
            segments: Vec::new(),
        };
        elf.read_segments(&head, layout).ok_or_else(damaged)?;
        elf.read_sections(&head, layout);
        Ok(elf)
    }

    fn read_segments(&mut self, head: &[u8], layout: &Layout) -> Option<()> {
        let order = self.order;
        let offset = order.word(head, layout.segment_offset, self.word_bytes)?;
        let stride = u64::from(order.u16(head, layout.counts)?);
        let count = u64::from(order.u16(head, layout.counts + 2)?);
        if count > 0 && stride < layout.segment_bytes as u64 {
            return None;
        }
        let table = self
            .window
            .bytes_at(offset, count * stride, HEADERS * 64)
            .ok()?;
        for entry in table.chunks_exact(usize::try_from(stride).ok()?.max(1)) {
            const LOAD: u32 = 1;
            const WRITABLE: u32 = 2;
            if order.u32(entry, 0)? != LOAD {
                continue;
            }
            let wide = self.word_bytes == 8;
            let (flags, at) = if wide {
                (4, [8, 16, 32])
            } else {
                (24, [4, 8, 16])
            };
            self.segments.push(Segment {
                offset: order.word(entry, at[0], self.word_bytes)?,
                address: order.word(entry, at[1], self.word_bytes)?,
                file_size: order.word(entry, at[2], self.word_bytes)?,
                is_writable: order.u32(entry, flags)? & WRITABLE != 0,
            });
        }
        Some(())
    }

    /// Executables may lack sections, or have nonsense in their place: then there are none.
    fn read_sections(&mut self, head: &[u8], layout: &Layout) -> Option<()> {
        let order = self.order;
        let offset = order.word(head, layout.section_offset, self.word_bytes)?;
        let stride = u64::from(order.u16(head, layout.counts + 4)?);
        let count = u64::from(order.u16(head, layout.counts + 6)?);
        let names_index = usize::from(order.u16(head, layout.counts + 8)?);
        if offset == 0 || count == 0 || stride < layout.section_bytes as u64 {
            return None;
        }
        let table = self
            .window
            .bytes_at(offset, count * stride, HEADERS * 64)
            .ok()?;
        let entries: Vec<_> = table
            .chunks_exact(usize::try_from(stride).ok()?)
            .map(|entry| self.section(entry))
            .collect::<Option<_>>()?;
        let (_, _, names_offset, names_size) = *entries.get(names_index)?;
        let names = self
            .window
            .bytes_at(names_offset, names_size, NAMES_BYTES)
            .ok()?;
        self.sections = entries
            .into_iter()
            .filter(|(_, kind, _, _)| *kind != SECTION_UNUSED)
            .filter_map(|(name, _, offset, size)| {
                let name = names.get(usize::try_from(name).ok()?..)?;
                let end = name.iter().take(64).position(|byte| *byte == 0)?;
                Some(Section {
                    name: name.get(..end)?.to_vec(),
                    offset,
                    size,
                })
            })
            .collect();
        Some(())
    }

    /// The name's offset, the type, the offset and the size of a section.
    fn section(&self, entry: &[u8]) -> Option<(u32, u32, u64, u64)> {
        let at = if self.word_bytes == 8 {
            (24, 32)
        } else {
            (16, 20)
        };
        Some((
            self.order.u32(entry, 0)?,
            self.order.u32(entry, 4)?,
            self.order.word(entry, at.0, self.word_bytes)?,
            self.order.word(entry, at.1, self.word_bytes)?,
        ))
    }

    fn find(&self, name: &str) -> Option<&Section> {
        self.sections
            .iter()
            .find(|section| section.name == name.as_bytes())
    }

    /// Where in the file an address is.
    fn offset_of(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let within = address.checked_sub(segment.address)?;
            (within < segment.file_size).then(|| segment.offset.checked_add(within))?
        })
    }
}
