//! One file of a program, ready to be followed: its functions, what they refer to, and what its data points at.

use std::{collections::HashMap, ops::Range};

use super::{
    bytes::u64_at,
    code::{self, Link},
    dynamic::{MAX_POINTERS, Pointer, To},
    elf::Elf,
    functions::{Functions, Summaries},
};

/// Above this much code a file is not followed call by call: all of it counts as reachable.
const MAX_FOLLOWED: u64 = 16 << 20;
/// Alignment at which compilers place what is larger than a few words: a reference to a place so aligned begins an object.
const OBJECT: u64 = 32;

/// A file of a program.
pub(super) struct Unit<'a> {
    /// How it is called in what is told of it.
    pub(super) name: String,
    /// Whether the kernel starts it in the program's place.
    pub(super) is_loader: bool,
    pub(super) elf: Elf<'a>,
    pub(super) functions: Functions,
    /// What its functions refer to; nothing where all of it counts as reachable.
    pub(super) summaries: Option<Summaries>,
    pointers: Vec<Pointer<'a>>,
    /// Where objects begin in data, ascending.
    cuts: Vec<u64>,
    exports: HashMap<&'a str, Vec<u64>>,
    linkage: Vec<Range<u64>>,
}

impl<'a> Unit<'a> {
    /// Reads one.
    pub(super) fn new(name: String, elf: Elf<'a>, is_loader: bool) -> Self {
        let mut pointers = elf.pointers();
        let is_small = elf.code_size() <= MAX_FOLLOWED;
        if elf.is_fixed && is_small {
            fixed_pointers(&elf, &mut pointers);
        }
        let targets = pointers.iter().filter_map(|pointer| match pointer.to {
            To::Local(at) | To::Resolver(at) => Some(at).filter(|at| is_small && elf.is_code(*at)),
            To::Import(_) => None,
        });
        let functions = Functions::of(&elf, targets.collect());
        let follows = is_small && functions.are_told && !functions.are_go;
        let summaries = follows.then(|| Summaries::of(&elf, &functions));
        let mut exports = HashMap::<&str, Vec<u64>>::new();
        for symbol in elf.dynamic_symbols().filter(|symbol| symbol.is_defined()) {
            exports.entry(symbol.name).or_default().push(symbol.address);
        }
        let linkage = elf
            .loaded_sections()
            .filter(|section| section.name.starts_with(".plt") || section.name == ".iplt")
            .map(super::elf::Section::range)
            .collect();
        let mut unit = Self {
            name,
            is_loader,
            functions,
            summaries,
            pointers,
            cuts: Vec::new(),
            exports,
            linkage,
            elf,
        };
        unit.cuts = unit.cut();
        unit
    }

    fn cut(&self) -> Vec<u64> {
        let Some(summaries) = &self.summaries else {
            return Vec::new();
        };
        let elf = &self.elf;
        let mut cuts = vec![0];
        let objects = elf.all_symbols().chain(elf.dynamic_symbols());
        for object in objects.filter(|symbol| symbol.is_object() && symbol.is_defined()) {
            cuts.extend([object.address, object.address.saturating_add(object.size)]);
        }
        for section in elf.loaded_sections() {
            let range = section.range();
            cuts.extend([range.start, range.end]);
            if section.name.starts_with(".got") {
                cuts.extend(range.step_by(8).take(MAX_POINTERS));
            }
        }
        for pointer in self.pointers.iter() {
            match pointer.to {
                _ if pointer.is_slot => cuts.extend([pointer.at, pointer.at.saturating_add(8)]),
                To::Local(at) => cuts.extend(Some(at).filter(|at| at % OBJECT == 0)),
                _ => {}
            }
        }
        for link in summaries.iter().flat_map(|summary| &summary.links) {
            if let Link::Name(at) | Link::GoThrough(at) = link {
                cuts.extend(Some(*at).filter(|at| at % OBJECT == 0));
            }
        }
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }

    /// The object that an address of data is in.
    pub(super) fn object(&self, address: u64) -> Option<usize> {
        self.cuts
            .partition_point(|cut| *cut <= address)
            .checked_sub(1)
    }

    /// How many objects there are.
    pub(super) fn object_count(&self) -> usize {
        self.cuts.len()
    }

    /// The pointers in an object.
    pub(super) fn pointers_in(&self, object: usize) -> &[Pointer<'a>] {
        let start = self.cuts.get(object).copied().unwrap_or(u64::MAX);
        let end = self.cuts.get(object + 1).copied().unwrap_or(u64::MAX);
        self.pointers_between(start, end)
    }

    /// The pointers from an address to another.
    pub(super) fn pointers_between(&self, start: u64, end: u64) -> &[Pointer<'a>] {
        let first = self.pointers.partition_point(|pointer| pointer.at < start);
        let last = self.pointers.partition_point(|pointer| pointer.at < end);
        self.pointers.get(first..last).unwrap_or_default()
    }

    /// All words that the loader fills in.
    pub(super) fn pointers(&self) -> &[Pointer<'a>] {
        &self.pointers
    }

    /// Where the word at an address will point.
    pub(super) fn pointer(&self, at: u64) -> Option<To<'a>> {
        let index = self
            .pointers
            .binary_search_by_key(&at, |pointer| pointer.at)
            .ok()?;
        self.pointers.get(index).map(|pointer| pointer.to)
    }

    /// Where a symbol that others can see is defined.
    pub(super) fn export(&self, name: &str) -> &[u64] {
        self.exports.get(name).map_or(&[], Vec::as_slice)
    }

    /// All addresses that others can see.
    pub(super) fn exports(&self) -> impl Iterator<Item = u64> {
        self.exports.values().flatten().copied()
    }

    /// The word through which the code at an address goes on to another file, where it is an entry of the linkage table.
    pub(super) fn stub(&self, address: u64) -> Option<u64> {
        let may_be = self.elf.sections.is_empty() || self.is_linkage(address);
        may_be.then(|| code::stub(&self.elf, address))?
    }

    fn is_linkage(&self, address: u64) -> bool {
        self.linkage.iter().any(|range| range.contains(&address))
    }

    /// The entries of the linkage table with the words that they go through; x86 and Arm align them to four bytes at least.
    pub(super) fn stubs(&self) -> Vec<(u64, u64)> {
        /// Most bytes of the table that are looked at.
        const MAX_TABLE: u64 = 1 << 20;
        let entries = self.linkage.iter().flat_map(|range| {
            let end = range.end.min(range.start.saturating_add(MAX_TABLE));
            (range.start..end).step_by(if range.start % 16 == 0 { 8 } else { 4 })
        });
        entries
            .filter_map(|at| Some((at, code::stub(&self.elf, at)?)))
            .collect()
    }

    /// Whether a function can run on into the next.
    pub(super) fn falls_through(&self, function: usize) -> bool {
        let summary = self.summaries.as_ref().and_then(|all| all.get(function));
        let ends = |index| {
            self.functions
                .range(index)
                .map(|range: &Range<u64>| (range.start, range.end))
        };
        summary.is_some_and(|summary| summary.falls_through)
            && matches!((ends(function), ends(function + 1)), (Some((_, end)), Some((start, _))) if end == start)
    }
}

/// The words in the data of a program at fixed addresses that can be addresses: no relocation tells of them.
fn fixed_pointers<'a>(elf: &Elf<'a>, pointers: &mut Vec<Pointer<'a>>) {
    let told: std::collections::HashSet<u64> = pointers.iter().map(|pointer| pointer.at).collect();
    for segment in &elf.segments {
        let aligned = (segment.address.wrapping_neg() & 7) as usize;
        let words = segment
            .data
            .get(aligned..)
            .unwrap_or_default()
            .chunks_exact(8);
        let start = segment.address.wrapping_add(aligned as u64);
        for (word, at) in words.zip((start..).step_by(8)) {
            let Some(value) = u64_at(word, 0).filter(|value| *value >= 0x1000) else {
                continue;
            };
            if pointers.len() >= 2 * MAX_POINTERS || elf.is_code(at) {
                continue;
            }
            if elf.is_mapped(value) && !told.contains(&at) {
                pointers.push(Pointer {
                    at,
                    to: To::Local(value),
                    is_slot: false,
                });
            }
        }
    }
    pointers.sort_by_key(|pointer| pointer.at);
}
