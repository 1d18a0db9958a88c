//! Berkeley DB hash files, as far as RPM used them (until Fedora 32 and RHEL 8): values, nearly always on chains of
//! overflow pages.

use uc_model::{Problem, Result};

use super::{HEADER_BYTES, Sink};
use crate::{byte_order::ByteOrder, window::Window};

const HASH_MAGIC: u32 = 0x0006_1561;
const PAGE_HEADER_BYTES: usize = 26;
/// The most pages that are visited.
const PAGES: u32 = 1 << 22;
const HASH_UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const HASH: u8 = 13;
/// An item whose bytes stand on the page, after its type.
const ON_PAGE: u8 = 1;
/// An item whose bytes are on a chain of overflow pages.
const OFF_PAGE: u8 = 3;

fn damaged(what: &str) -> Problem {
    Problem::invalid(format!("the Berkeley DB file is damaged: {what}"))
}

struct Database<'a, 'b> {
    window: &'a mut Window<'b>,
    order: ByteOrder,
    page_bytes: u32,
    /// Pages that may still be read: a sound database has each in one place.
    reads_left: u64,
}

/// Calls `sink` for each header in the database.
pub(super) fn headers(window: &mut Window<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let head = window.bytes_at(0, 72, 72)?;
    let order = [ByteOrder::Little, ByteOrder::Big]
        .into_iter()
        .find(|order| order.u32(&head, 12) == Some(HASH_MAGIC))
        .ok_or_else(|| Problem::invalid("not a hash file of Berkeley DB"))?;
    let page_bytes = order.u32(&head, 20).unwrap_or_default();
    if !(512..=65_536).contains(&page_bytes) {
        return Err(damaged("the page size"));
    }
    let last = order.u32(&head, 32).unwrap_or_default();
    if last > PAGES {
        return Err(Problem::refused("the Berkeley DB file has too many pages").limit(PAGES));
    }
    let reads_left = 64 + 2 * window.len() / u64::from(page_bytes);
    let mut database = Database {
        window,
        order,
        page_bytes,
        reads_left,
    };
    for number in 1..=last {
        let page = database.page(number)?;
        if !matches!(page.get(25), Some(&HASH | &HASH_UNSORTED)) {
            continue;
        }
        let items = usize::from(order.u16(&page, 20).unwrap_or_default());
        // Keys and values take turns.
        for index in (1..items).step_by(2) {
            let at = |index: usize| {
                order
                    .u16(&page, PAGE_HEADER_BYTES + 2 * index)
                    .map(usize::from)
            };
            let Some((start, end)) = at(index).zip(at(index - 1)) else {
                return Err(damaged("a hash page"));
            };
            if let Some(value) = database.value(&page, start, end)
                && !sink(value)
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Database<'_, '_> {
    fn page(&mut self, number: u32) -> Result<Vec<u8>> {
        let size = u64::from(self.page_bytes);
        self.reads_left = self
            .reads_left
            .checked_sub(1)
            .ok_or_else(|| damaged("its values share pages"))?;
        self.window.bytes_at(u64::from(number) * size, size, size)
    }

    /// The value that begins at `start`, the item before it at `end`: items fill a page from its end. `None` for the
    /// one that is no header, the count of records.
    fn value(&mut self, page: &[u8], start: usize, end: usize) -> Option<Result<Vec<u8>>> {
        match page.get(start) {
            Some(&ON_PAGE) => {
                let value = page.get(start + 1..end).unwrap_or_default();
                (value.len() > 8).then(|| Ok(value.to_vec()))
            }
            Some(&OFF_PAGE) => Some(self.overflow(page, start)),
            _ => Some(Err(damaged("an item of an unknown kind"))),
        }
    }

    fn overflow(&mut self, page: &[u8], start: usize) -> Result<Vec<u8>> {
        let fields = self
            .order
            .u32(page, start + 4)
            .zip(self.order.u32(page, start + 8));
        let (mut next, size) = fields.ok_or_else(|| damaged("an item"))?;
        if u64::from(size) > HEADER_BYTES {
            return Err(Problem::refused("a value is too large")
                .limit(format!("{HEADER_BYTES} bytes"))
                .found(format!("{size} bytes")));
        }
        let size = size as usize;
        let mut value = Vec::new();
        // Each page must add bytes, so a cycle ends at the size.
        while value.len() < size {
            if next == 0 {
                return Err(damaged("an overflow chain ends early"));
            }
            let page = self.page(next)?;
            let used = usize::from(self.order.u16(&page, 22).unwrap_or_default());
            let content = page
                .get(PAGE_HEADER_BYTES..PAGE_HEADER_BYTES + used)
                .filter(|content| !content.is_empty() && page.get(25) == Some(&OVERFLOW))
                .ok_or_else(|| damaged("an overflow page"))?;
            value.extend_from_slice(content);
            next = self.order.u32(&page, 16).unwrap_or_default();
        }
        if value.len() > size || next != 0 {
            return Err(damaged("an overflow chain does not end"));
        }
        Ok(value)
    }
}
