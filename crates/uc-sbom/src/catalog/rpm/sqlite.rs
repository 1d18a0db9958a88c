//! SQLite files, as far as RPM uses them: the rows of the table `Packages`.
//!
//! A write-ahead log beside the database is not read: RPM empties it when it closes the database.

use std::collections::BTreeSet;

use uc_model::{Problem, Result};

use super::{HEADER_BYTES, Sink};
use crate::{byte_order::ByteOrder, window::Window};

const MAGIC: &[u8] = b"SQLite format 3\0";
const TABLE: &[u8] = b"Packages";
const BIG: ByteOrder = ByteOrder::Big;
/// The most pages of a table that are visited.
const PAGES: usize = 1 << 20;
/// The deepest tree: SQLite itself goes no deeper.
const DEPTH: usize = 20;
const INNER_TABLE: u8 = 5;
const LEAF_TABLE: u8 = 13;

fn damaged(what: &str) -> Problem {
    Problem::invalid(format!("the SQLite database is damaged: {what}"))
}

/// A database, and the pages of its trees that were visited.
struct Database<'a, 'b> {
    window: &'a mut Window<'b>,
    page_bytes: usize,
    /// Bytes of a page that hold content.
    usable: usize,
    visited: BTreeSet<u32>,
    /// Pages that may still be read: a sound database has each in one place.
    reads_left: u64,
}

/// Calls `sink` for each header in the table.
pub(super) fn headers(window: &mut Window<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let head = window.bytes_at(0, 100, 100)?;
    if !head.starts_with(MAGIC) {
        return Err(Problem::invalid("not an SQLite database"));
    }
    let page_bytes = match BIG.u16(&head, 16) {
        Some(1) => 65_536,
        Some(size) if size.is_power_of_two() && size >= 512 => usize::from(size),
        _ => return Err(damaged("the page size")),
    };
    let reserved = usize::from(head.get(20).copied().unwrap_or_default());
    let usable = page_bytes.saturating_sub(reserved);
    if usable < 480 {
        return Err(damaged("the page size"));
    }
    let mut database = Database {
        window,
        page_bytes,
        usable,
        visited: BTreeSet::new(),
        reads_left: 0,
    };
    database.reads_left = 64 + 2 * database.window.len() / database.page_bytes as u64;
    let root = database.root_of_table()?;
    database.rows(root, &mut |payload| {
        sink(payload.and_then(|payload| {
            column(&payload, 1)
                .map(<[u8]>::to_vec)
                .ok_or_else(|| damaged("a row"))
        }))
    })
}

impl Database<'_, '_> {
    /// Finds the table in the schema, whose tree begins on page 1.
    fn root_of_table(&mut self) -> Result<u32> {
        let mut root = None;
        self.rows(1, &mut |payload| {
            let Ok(payload) = payload else { return true };
            if column(&payload, 0) == Some(b"table") && column(&payload, 1) == Some(TABLE) {
                root = column(&payload, 3).and_then(unsigned);
            }
            root.is_none()
        })?;
        root.ok_or_else(|| damaged("it has no table Packages"))
    }

    fn page(&mut self, number: u32) -> Result<Vec<u8>> {
        let index = number.checked_sub(1).ok_or_else(|| damaged("page 0"))?;
        self.reads_left = self
            .reads_left
            .checked_sub(1)
            .ok_or_else(|| damaged("its rows share pages"))?;
        let size = self.page_bytes as u64;
        self.window.bytes_at(u64::from(index) * size, size, size)
    }

    /// Walks the leaves of a table's tree, each page once.
    fn rows(&mut self, root: u32, row: &mut Sink<'_>) -> Result<()> {
        let mut stack = vec![(root, 0)];
        while let Some((number, depth)) = stack.pop() {
            if !self.visited.insert(number) {
                return Err(damaged("a page is in its trees twice"));
            }
            if self.visited.len() > PAGES || depth > DEPTH {
                return Err(Problem::refused("the SQLite database is too large")
                    .limit(format!("{PAGES} pages, {DEPTH} levels")));
            }
            let page = self.page(number)?;
            let start = if number == 1 { 100 } else { 0 };
            let kind = page.get(start).copied().unwrap_or_default();
            let cells = usize::from(BIG.u16(&page, start + 3).unwrap_or_default());
            let pointers = start + if kind == INNER_TABLE { 12 } else { 8 };
            let cell_at = |index: usize| BIG.u16(&page, pointers + 2 * index).map(usize::from);
            match kind {
                INNER_TABLE => {
                    let right = BIG.u32(&page, start + 8);
                    // Rows come in order when the leftmost child is on top.
                    let children = (0..cells).map(|index| BIG.u32(&page, cell_at(index)?));
                    let mut all: Vec<_> = children.chain([right]).collect();
                    all.reverse();
                    for child in all {
                        let child = child.ok_or_else(|| damaged("an inner page"))?;
                        stack.push((child, depth + 1));
                    }
                }
                LEAF_TABLE => {
                    for index in 0..cells {
                        let at = cell_at(index).ok_or_else(|| damaged("a leaf page"))?;
                        let payload = self.payload(&page, at);
                        if !row(payload) {
                            return Ok(());
                        }
                    }
                }
                _ => return Err(damaged("a page of an unknown kind")),
            }
        }
        Ok(())
    }

    /// The payload of a cell: what the leaf holds of it, and the chain of overflow pages.
    fn payload(&mut self, page: &[u8], at: usize) -> Result<Vec<u8>> {
        let cell = page.get(at..self.usable).ok_or_else(|| damaged("a cell"))?;
        let header = varint(cell).and_then(|(size, first)| {
            let (_, second) = varint(cell.get(first..)?)?;
            Some((size, first + second))
        });
        let (size, start) = header.ok_or_else(|| damaged("a cell"))?;
        if size > HEADER_BYTES {
            return Err(Problem::refused("a row is too large")
                .limit(format!("{HEADER_BYTES} bytes"))
                .found(format!("{size} bytes")));
        }
        let size = usize::try_from(size).unwrap_or_default();
        let local = self.local_bytes(size);
        let body = cell
            .get(start..start + local)
            .ok_or_else(|| damaged("a cell"))?;
        let mut payload = body.to_vec();
        let mut next = if local < size {
            BIG.u32(cell, start + local).unwrap_or_default()
        } else {
            0
        };
        // Each page adds bytes until the size is reached, so a cycle ends; and a short chain is noticed.
        while payload.len() < size {
            if next == 0 {
                return Err(damaged("an overflow chain ends early"));
            }
            let page = self.page(next)?;
            next = BIG.u32(&page, 0).unwrap_or_default();
            let wanted = (size - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(page.get(4..4 + wanted).unwrap_or_default());
        }
        if next != 0 {
            return Err(damaged("an overflow chain does not end"));
        }
        Ok(payload)
    }

    /// How much of a payload a leaf holds (SQLite file format, "B-tree pages").
    fn local_bytes(&self, size: usize) -> usize {
        let largest = self.usable - 35;
        if size <= largest {
            return size;
        }
        let smallest = (self.usable - 12) * 32 / 255 - 23;
        let fitting = smallest + (size - smallest) % (self.usable - 4);
        if fitting <= largest {
            fitting
        } else {
            smallest
        }
    }
}

/// A column of a record, as its bytes.
fn column(payload: &[u8], wanted: usize) -> Option<&[u8]> {
    let (header_bytes, first) = varint(payload)?;
    let header_bytes = usize::try_from(header_bytes).ok()?;
    let mut header = payload.get(first..header_bytes)?;
    let mut at = header_bytes;
    for index in 0.. {
        let (kind, used) = varint(header)?;
        header = header.get(used..)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            kind => usize::try_from(kind.checked_sub(12)? / 2).ok()?,
        };
        let end = at.checked_add(length)?;
        if index == wanted {
            return payload.get(at..end);
        }
        at = end;
    }
    None
}

fn unsigned(bytes: &[u8]) -> Option<u32> {
    let value = bytes.iter().try_fold(0_u64, |value, byte| {
        value.checked_mul(256)?.checked_add(u64::from(*byte))
    })?;
    u32::try_from(value).ok()
}

/// SQLite's number of one to nine bytes, and how many it took.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        if index == 8 {
            return Some((value << 8 | u64::from(*byte), 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length() {
        assert_eq!(varint(&[0x7f]), Some((127, 1)));
        assert_eq!(varint(&[0x81, 0x00]), Some((128, 2)));
        assert_eq!(varint(&[0xff; 9]), Some((u64::MAX, 9)));
        assert_eq!(varint(&[0xff; 8]), None);
    }
}
