//! Where the functions of a file begin and end.

use std::ops::Range;

use super::{
    bytes::{u8_at, u32_at, u64_at},
    code,
    elf::Elf,
    search,
    unwind::{self, MAX_FUNCTIONS},
};

/// Up to this much code can be all glue of the linker, which tells of no functions.
const MAX_GLUE: u64 = 4096;

/// The functions of a file, ascending and disjoint.
#[derive(Debug, Default)]
pub(super) struct Functions {
    ranges: Vec<Range<u64>>,
    /// Whether the file itself says where they are; otherwise they are guessed from the calls in it.
    pub(super) are_told: bool,
    /// Whether the Go compiler made it.
    pub(super) are_go: bool,
}

impl Functions {
    /// Lists them from unwind tables, symbols and Go's table; failing these from the targets of calls.
    ///
    /// `starts` are further places where one may begin: they count only where nothing else is known.
    pub(super) fn of(elf: &Elf<'_>, mut starts: Vec<u64>) -> Self {
        let go = go_functions(elf);
        let are_go = go.is_some();
        let mut known = unwind::functions(elf);
        known.retain(|range| elf.is_code(range.start));
        starts.extend(go.unwrap_or_default());
        for symbol in elf.all_symbols().chain(elf.dynamic_symbols()) {
            if symbol.is_defined() && symbol.is_function() && elf.is_code(symbol.address) {
                if symbol.size > 0 {
                    known.push(symbol.address..symbol.address.saturating_add(symbol.size));
                } else {
                    starts.push(symbol.address);
                }
            }
            if known.len() > 2 * MAX_FUNCTIONS {
                break;
            }
        }
        for range in &mut known {
            range.end = range
                .end
                .min(elf.code_end(range.start).unwrap_or(range.start));
        }
        let mut functions = Self {
            ranges: disjoint(known),
            are_told: true,
            are_go,
        };
        let covered: u64 = functions
            .ranges
            .iter()
            .map(|range| range.end - range.start)
            .sum();
        functions.are_told =
            are_go || covered > elf.code_size() / 2 || covered > 0 && elf.code_size() < MAX_GLUE;
        if !functions.are_told {
            starts.extend(search::call_targets(elf));
        }
        functions.fill(elf, starts);
        functions
    }

    /// Adds what lies between the known functions, cut at further starts.
    fn fill(&mut self, elf: &Elf<'_>, mut starts: Vec<u64>) {
        starts.extend(elf.code().iter().map(|range| range.start));
        starts.extend(self.ranges.iter().map(|range| range.end));
        starts.push(elf.entry);
        starts.extend(elf.dynamic.init.iter().copied());
        starts.retain(|start| elf.is_code(*start) && self.known_at(*start).is_none());
        starts.sort_unstable();
        starts.dedup();
        let mut between = Vec::new();
        for (index, start) in starts.iter().enumerate() {
            let next = starts.get(index + 1).copied().unwrap_or(u64::MAX);
            let known = self.ranges.partition_point(|range| range.start <= *start);
            let known = self.ranges.get(known).map_or(u64::MAX, |range| range.start);
            let block = elf.code_end(*start).unwrap_or(*start);
            between.push(*start..next.min(known).min(block));
        }
        self.ranges.append(&mut between);
        self.ranges.retain(|range| range.start < range.end);
        self.ranges.sort_by_key(|range| range.start);
    }

    fn known_at(&self, address: u64) -> Option<usize> {
        let index = self
            .ranges
            .partition_point(|range| range.start <= address)
            .checked_sub(1)?;
        self.ranges
            .get(index)
            .filter(|range| range.contains(&address))
            .map(|_| index)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// All of them.
    pub(super) fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// The one that an address is in.
    pub(super) fn at(&self, address: u64) -> Option<usize> {
        self.known_at(address)
    }

    /// Where one begins and ends.
    pub(super) fn range(&self, index: usize) -> Option<&Range<u64>> {
        self.ranges.get(index)
    }

    /// Whether one begins here.
    pub(super) fn begins_at(&self, address: u64) -> bool {
        self.ranges
            .binary_search_by_key(&address, |range| range.start)
            .is_ok()
    }
}

/// Ranges without overlap: of those that begin alike the longest, and none that begins in the middle of another.
fn disjoint(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| (range.start, u64::MAX - range.end));
    let mut end = 0;
    ranges.retain(|range| {
        let is_apart = range.start >= end;
        if is_apart {
            end = range.end;
        }
        is_apart && range.start < range.end
    });
    ranges
}

/// The starts of functions in the table that Go programs carry even when they are stripped.
fn go_functions(elf: &Elf<'_>) -> Option<Vec<u64>> {
    /// The table as Go 1.18, 1.20 and later write it.
    const FORMS: [u32; 2] = [0xffff_fff0, 0xffff_fff1];
    let names = [".gopclntab", ".data.rel.ro.gopclntab"];
    let table = names.iter().find_map(|name| elf.section(name))?.data;
    let text = elf.section(".text")?.address;
    if !FORMS.contains(&u32_at(table, 0)?) || u8_at(table, 7)? != 8 {
        return Some(Vec::new());
    }
    let count = usize::try_from(u64_at(table, 8)?).ok()?.min(MAX_FUNCTIONS);
    let offset = usize::try_from(u64_at(table, 64)?).ok()?;
    let entries = table.get(offset..)?.chunks_exact(8).take(count);
    Some(
        entries
            .filter_map(|entry| Some(text.wrapping_add(u32_at(entry, 0)?.into())))
            .collect(),
    )
}

/// What each function refers to.
#[derive(Debug, Default)]
pub(super) struct Summaries {
    all: Vec<code::Summary>,
}

impl Summaries {
    /// Reads all functions on two threads.
    pub(super) fn of(elf: &Elf<'_>, functions: &Functions) -> Self {
        let (front, back) = functions.ranges.split_at(functions.len() / 2);
        let read = |ranges: &[Range<u64>]| -> Vec<_> {
            ranges
                .iter()
                .map(|range| code::summary(elf, range))
                .collect()
        };
        let mut all = Vec::new();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| read(back));
            all = read(front);
            match other.join() {
                Ok(mut rest) => all.append(&mut rest),
                Err(cause) => std::panic::resume_unwind(cause),
            }
        });
        Self { all }
    }

    /// Of one function.
    pub(super) fn get(&self, index: usize) -> Option<&code::Summary> {
        self.all.get(index)
    }

    /// Of all functions, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &code::Summary> {
        self.all.iter()
    }
}
