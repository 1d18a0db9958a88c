//! What the dynamic loader reads of an ELF file: the libraries it needs, its symbols, and the words it fills in.

use super::{
    bytes::{text_at, u8_at, u16_at, u32_at, u64_at},
    elf::Elf,
};

/// Most libraries that one file may name.
const MAX_NEEDED: usize = 512;
/// Most entries of a dynamic section that are read.
const MAX_ENTRIES: usize = 4096;
/// Most symbols of one table.
const MAX_SYMBOLS: usize = 4_000_000;
/// Most words that relocations fill in.
pub(super) const MAX_POINTERS: usize = 8_000_000;

/// Size of a symbol and of a relocation.
const SYMBOL: usize = 24;
const RELOCATION: usize = 24;
const SHT_SYMTAB: u32 = 2;
const SHT_DYNSYM: u32 = 11;

/// The dynamic section.
#[derive(Debug, Default)]
pub(super) struct Dynamic<'a> {
    pub(super) needed: Vec<&'a str>,
    pub(super) rpath: Option<&'a str>,
    pub(super) runpath: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    /// Functions that run before and after the program.
    pub(super) init: Vec<u64>,
    /// Arrays of such functions: address and size in bytes.
    pub(super) arrays: Vec<(u64, u64)>,
    strings: &'a [u8],
    symbols: Option<&'a [u8]>,
    tables: Vec<&'a [u8]>,
    relative: &'a [u8],
}

impl<'a> Dynamic<'a> {
    /// Reads it; what points nowhere is left out.
    pub(super) fn read(elf: &Elf<'a>, data: &'a [u8]) -> Self {
        let entries: Vec<(u64, u64)> = data
            .chunks_exact(16)
            .take(MAX_ENTRIES)
            .map_while(|entry| Some((u64_at(entry, 0)?, u64_at(entry, 8)?)))
            .take_while(|(tag, _)| *tag != 0)
            .collect();
        let value = |wanted: u64| {
            entries
                .iter()
                .find(|(tag, _)| *tag == wanted)
                .map(|(_, value)| *value)
        };
        let table = |at: u64, size: u64| match (value(at), value(size)) {
            (Some(at), Some(size)) => elf.slice(&(at..at.saturating_add(size))),
            _ => &[],
        };
        let strings = table(5, 10);
        let text = |offset: u64| text_at(strings, usize::try_from(offset).ok()?);
        let symbols = value(6).and_then(|at| {
            // Without a count: the strings follow the symbols in what every linker writes.
            let end = value(5).filter(|end| *end > at)?;
            Some(elf.slice(&(at..end)))
        });
        let arrays = [(25, 27), (26, 28), (32, 33)]
            .iter()
            .filter_map(|(at, size)| Some((value(*at)?, value(*size)?)))
            .collect();
        Self {
            needed: entries
                .iter()
                .filter(|(tag, _)| *tag == 1)
                .filter_map(|(_, offset)| text(*offset))
                .take(MAX_NEEDED)
                .collect(),
            rpath: value(15).and_then(text),
            runpath: value(29).and_then(text),
            name: value(14).and_then(text),
            init: [12, 13].iter().filter_map(|tag| value(*tag)).collect(),
            arrays,
            strings,
            symbols,
            tables: vec![table(7, 8), table(23, 2)],
            relative: table(36, 35),
        }
    }
}

/// A symbol of either table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol<'a> {
    pub(super) name: &'a str,
    pub(super) address: u64,
    pub(super) size: u64,
    kind: u8,
    binding: u8,
    section: u16,
}

impl Symbol<'_> {
    /// Whether this file defines it.
    pub(super) fn is_defined(&self) -> bool {
        self.section != 0
    }

    /// Whether it is code, an indirect function included.
    pub(super) fn is_function(&self) -> bool {
        matches!(self.kind, 2 | 10)
    }

    /// Whether it is data.
    pub(super) fn is_object(&self) -> bool {
        self.kind == 1
    }

    /// Whether others cannot see it.
    fn is_local(&self) -> bool {
        self.binding == 0
    }

    /// Whether the program also starts without it.
    pub(super) fn is_weak(&self) -> bool {
        self.binding == 2
    }
}

/// Reads one symbol of a table.
fn symbol<'a>(entry: &[u8], strings: &'a [u8]) -> Option<Symbol<'a>> {
    let info = u8_at(entry, 4)?;
    Some(Symbol {
        name: text_at(strings, usize::try_from(u32_at(entry, 0)?).ok()?).unwrap_or_default(),
        address: u64_at(entry, 8)?,
        size: u64_at(entry, 16)?,
        kind: info & 15,
        binding: info >> 4,
        section: u16_at(entry, 6)?,
    })
}

/// Where a word that the loader fills in will point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To<'a> {
    /// Into this file.
    Local(u64),
    /// At what a function of this file returns when it is asked at the start.
    Resolver(u64),
    /// At a symbol of this or another file.
    Import(&'a str),
}

/// A word that the loader fills in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pointer<'a> {
    pub(super) at: u64,
    pub(super) to: To<'a>,
    /// Whether it stands alone, as an entry of the global offset table.
    pub(super) is_slot: bool,
}

impl<'a> Elf<'a> {
    /// The symbols that the loader sees.
    pub(super) fn dynamic_symbols(&self) -> impl Iterator<Item = Symbol<'a>> {
        let strings = self.dynamic.strings;
        self.dynamic_symbol_bytes()
            .chunks_exact(SYMBOL)
            .take(MAX_SYMBOLS)
            .filter_map(move |entry| symbol(entry, strings))
    }

    fn dynamic_symbol_bytes(&self) -> &'a [u8] {
        self.sections
            .iter()
            .find(|section| section.kind == SHT_DYNSYM && !section.data.is_empty())
            .map(|section| section.data)
            .or(self.dynamic.symbols)
            .unwrap_or_default()
    }

    /// The symbols that `strip` removes.
    pub(super) fn all_symbols(&self) -> impl Iterator<Item = Symbol<'a>> {
        let table = self
            .sections
            .iter()
            .find(|section| section.kind == SHT_SYMTAB);
        let strings = table
            .and_then(|table| self.sections.get(table.link as usize))
            .map_or(&[][..], |section| section.data);
        table
            .map_or(&[][..], |table| table.data)
            .chunks_exact(SYMBOL)
            .take(MAX_SYMBOLS)
            .filter_map(move |entry| symbol(entry, strings))
    }

    /// The words that the loader fills in, ascending by address.
    pub(super) fn pointers(&self) -> Vec<Pointer<'a>> {
        let symbols = self.dynamic_symbol_bytes();
        let mut tables = self.dynamic.tables.clone();
        // A static program has no dynamic section, but may have words that its own start-up code fills in.
        if tables.iter().all(|table| table.is_empty()) {
            tables.extend(
                self.loaded_sections()
                    .filter(|section| section.kind == 4)
                    .map(|section| section.data),
            );
        }
        let mut pointers: Vec<Pointer<'a>> = tables
            .iter()
            .flat_map(|table| table.chunks_exact(RELOCATION))
            .take(MAX_POINTERS)
            .filter_map(|entry| self.pointer(entry, symbols))
            .collect();
        self.relative_pointers(&mut pointers);
        pointers.sort_by_key(|pointer| pointer.at);
        pointers
    }

    fn pointer(&self, entry: &[u8], symbols: &'a [u8]) -> Option<Pointer<'a>> {
        use uc_select::Architecture::{Aarch64, X86_64};
        let at = u64_at(entry, 0)?;
        let info = u64_at(entry, 8)?;
        let addend = u64_at(entry, 16)?;
        let (to_import, is_slot) = match (self.architecture, info as u32) {
            (X86_64, 8) | (Aarch64, 1027) => (None, false),
            (X86_64, 37) | (Aarch64, 1032) => {
                return Some(Pointer {
                    at,
                    to: To::Resolver(addend),
                    is_slot: true,
                });
            }
            (X86_64, 1 | 5) | (Aarch64, 257 | 1024) => (Some(info >> 32), false),
            (X86_64, 6 | 7) | (Aarch64, 1025 | 1026) => (Some(info >> 32), true),
            _ => return None,
        };
        let Some(index) = to_import else {
            return Some(Pointer {
                at,
                to: To::Local(addend),
                is_slot,
            });
        };
        let offset = usize::try_from(index).ok()?.checked_mul(SYMBOL)?;
        let symbol = symbol(symbols.get(offset..)?, self.dynamic.strings)?;
        let to = if symbol.is_defined() && (symbol.is_local() || symbol.name.is_empty()) {
            To::Local(symbol.address.wrapping_add(addend))
        } else {
            To::Import(symbol.name)
        };
        Some(Pointer { at, to, is_slot })
    }

    /// The compact table of words that point into the file itself: an address, then bitmaps of the words after it.
    fn relative_pointers(&self, pointers: &mut Vec<Pointer<'a>>) {
        let mut next = 0_u64;
        for entry in self.dynamic.relative.chunks_exact(8).take(MAX_POINTERS) {
            if pointers.len() >= MAX_POINTERS {
                break;
            }
            let entry = u64_at(entry, 0).unwrap_or_default();
            if entry & 1 == 0 {
                pointers.extend(self.own_pointer(entry));
                next = entry.wrapping_add(8);
                continue;
            }
            for bit in 0..63 {
                if entry >> (bit + 1) & 1 != 0 {
                    pointers.extend(self.own_pointer(next.wrapping_add(8 * bit)));
                }
            }
            next = next.wrapping_add(63 * 8);
        }
    }

    /// A word that already holds its address, counted from where the file is mapped.
    fn own_pointer(&self, at: u64) -> Option<Pointer<'a>> {
        let address = u64_at(self.from(at)?, 0)?;
        let to = To::Local(address);
        Some(Pointer {
            at,
            to,
            is_slot: false,
        })
    }
}
