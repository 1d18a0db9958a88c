//! ndb, RPM's own database (openSUSE): slots that point to blobs.

use uc_model::{Problem, Result};

use super::{HEADER_BYTES, Sink};
use crate::{byte_order::ByteOrder, window::Window};

const LITTLE: ByteOrder = ByteOrder::Little;
const MAGIC: &[u8] = b"RpmP";
const SLOT_MAGIC: &[u8] = b"Slot";
const BLOB_MAGIC: &[u8] = b"BlbS";
const SLOT_PAGE_BYTES: u64 = 4096;
/// The most pages of slots: room for half a million packages.
const SLOT_PAGES: u32 = 2048;
/// Slots, blob headers and blocks are all of this size.
const UNIT_BYTES: u64 = 16;
/// The file's header takes the place of two slots.
const HEADER_SLOTS: usize = 2;

/// Calls `sink` for each header in the database.
pub(super) fn headers(window: &mut Window<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let head = window.bytes_at(0, 32, 32)?;
    let version = LITTLE.u32(&head, 4);
    if !head.starts_with(MAGIC) || version != Some(0) {
        return Err(Problem::invalid("not an ndb database of a known version"));
    }
    let pages = LITTLE.u32(&head, 12).unwrap_or_default();
    if pages > SLOT_PAGES {
        return Err(Problem::refused("the ndb database has too many slots")
            .limit(format!("{SLOT_PAGES} pages"))
            .found(format!("{pages} pages")));
    }
    let limit = u64::from(SLOT_PAGES) * SLOT_PAGE_BYTES;
    let slots = window.bytes_at(0, u64::from(pages) * SLOT_PAGE_BYTES, limit)?;
    // A sound database has each byte in one blob.
    let mut left = window.len();
    for slot in slots.chunks_exact(UNIT_BYTES as usize).skip(HEADER_SLOTS) {
        if !slot.starts_with(SLOT_MAGIC) {
            return Err(Problem::invalid("a slot of the ndb database is damaged"));
        }
        let fields = LITTLE.u32(slot, 4).zip(LITTLE.u32(slot, 8));
        let Some((package, block)) = fields.filter(|(package, _)| *package != 0) else {
            continue;
        };
        let header = blob(window, package, u64::from(block) * UNIT_BYTES, left);
        left -= header.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if !sink(header) {
            return Ok(());
        }
    }
    Ok(())
}

fn blob(window: &mut Window<'_>, package: u32, offset: u64, limit: u64) -> Result<Vec<u8>> {
    let head = window.bytes_at(offset, UNIT_BYTES, UNIT_BYTES)?;
    let length = LITTLE.u32(&head, 12).unwrap_or_default();
    if !head.starts_with(BLOB_MAGIC) || LITTLE.u32(&head, 4) != Some(package) {
        return Err(Problem::invalid("a blob of the ndb database is damaged"));
    }
    window.bytes_at(
        offset + UNIT_BYTES,
        u64::from(length),
        limit.min(HEADER_BYTES),
    )
}
