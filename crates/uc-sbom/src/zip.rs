//! Zip archives: the central directory and the content of single entries, all bounded.

use std::io::Read as _;

use flate2::read::DeflateDecoder;
use uc_model::{Problem, Result};

use crate::{byte_order::ByteOrder, window::Window};

const ORDER: ByteOrder = ByteOrder::Little;
const END_MAGIC: &[u8] = b"PK\x05\x06";
const END_BYTES: u64 = 22;
const LOCATOR_MAGIC: &[u8] = b"PK\x06\x07";
const LOCATOR_BYTES: u64 = 20;
const END_64_MAGIC: &[u8] = b"PK\x06\x06";
const END_64_BYTES: u64 = 56;
const ENTRY_MAGIC: &[u8] = b"PK\x01\x02";
const ENTRY_BYTES: usize = 46;
const LOCAL_MAGIC: &[u8] = b"PK\x03\x04";
const LOCAL_BYTES: u64 = 30;
/// A comment at the end of an archive is at most this long, in bytes.
const COMMENT_BYTES: u64 = 65_535;
/// The largest central directory, in bytes.
const DIRECTORY_BYTES: u64 = 32 << 20;
/// The most entries.
const ENTRIES: usize = 300_000;
/// In 32-bit fields: the true value is in the extra field.
const ELSEWHERE: u32 = u32::MAX;

/// How an entry's bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Stored,
    Deflated,
    Other(u16),
}

/// An entry of the central directory.
#[derive(Debug, Clone)]
pub(crate) struct ZipEntry {
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) compressed: u64,
    pub(crate) size: u64,
    /// Of its local header.
    offset: u64,
    is_encrypted: bool,
}

fn damaged(what: &str) -> Problem {
    Problem::invalid(format!("the zip archive's {what} is damaged"))
}

/// The entries that `of_interest` picks by name, out of a directory of at most `limit` bytes; and how many
/// bytes the directory has.
pub(crate) fn entries(
    window: &mut Window<'_>,
    limit: u64,
    mut of_interest: impl FnMut(&str) -> bool,
) -> Result<(Vec<ZipEntry>, u64)> {
    let (bytes, shift) = directory(window, limit.min(DIRECTORY_BYTES))?;
    let mut rest = bytes.as_slice();
    let mut list = Vec::new();
    let mut count = 0;
    while rest.starts_with(ENTRY_MAGIC) {
        count += 1;
        if count > ENTRIES {
            return Err(Problem::refused("the zip archive has too many entries").limit(ENTRIES));
        }
        let (mut entry, length) = entry(rest).ok_or_else(|| damaged("central directory"))?;
        entry.offset = entry.offset.saturating_add(shift);
        if of_interest(&entry.name) {
            list.push(entry);
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok((list, bytes.len() as u64))
}

/// The central directory, and by how much the archive's offsets are short: a program put before it shifts them all.
fn directory(window: &mut Window<'_>, limit: u64) -> Result<(Vec<u8>, u64)> {
    let tail_bytes = window.len().min(END_BYTES + COMMENT_BYTES);
    let tail_at = window.len() - tail_bytes;
    let tail = window.bytes_at(tail_at, tail_bytes, END_BYTES + COMMENT_BYTES)?;
    let at = tail
        .windows(END_MAGIC.len())
        .rposition(|found| found == END_MAGIC)
        .ok_or_else(|| Problem::invalid("not a zip archive: it has no central directory"))?;
    let end = tail.get(at..).unwrap_or_default();
    let end_at = tail_at + at as u64;
    let fields = ORDER.u32(end, 12).zip(ORDER.u32(end, 16));
    let (size, offset) = fields.ok_or_else(|| damaged("end"))?;
    let is_wide = size == ELSEWHERE || offset == ELSEWHERE || ORDER.u16(end, 10) == Some(u16::MAX);
    let wide = if is_wide {
        wide_directory(window, end_at)?
    } else {
        None
    };
    let (offset, size) = wide.unwrap_or((u64::from(offset), u64::from(size)));
    let stated = window.bytes_at(offset, size, limit);
    if let Ok(bytes) = &stated
        && (size == 0 || bytes.starts_with(ENTRY_MAGIC))
    {
        return stated.map(|bytes| (bytes, 0));
    }
    let actual = end_at.checked_sub(size).filter(|actual| *actual > offset);
    let actual = actual.ok_or_else(|| damaged("end"))?;
    let bytes = window.bytes_at(actual, size, limit)?;
    Ok((bytes, actual - offset))
}

/// Offset and size by the 64-bit end, if there is one.
fn wide_directory(window: &mut Window<'_>, end_at: u64) -> Result<Option<(u64, u64)>> {
    let Some(locator_at) = end_at.checked_sub(LOCATOR_BYTES) else {
        return Ok(None);
    };
    let locator = window.bytes_at(locator_at, LOCATOR_BYTES, LOCATOR_BYTES)?;
    if !locator.starts_with(LOCATOR_MAGIC) {
        return Ok(None);
    }
    let end_at = ORDER.u64(&locator, 8).ok_or_else(|| damaged("end"))?;
    let end = window.bytes_at(end_at, END_64_BYTES, END_64_BYTES)?;
    match ORDER.u64(&end, 48).zip(ORDER.u64(&end, 40)) {
        Some(found) if end.starts_with(END_64_MAGIC) => Ok(Some(found)),
        _ => Err(damaged("end")),
    }
}

/// The first entry of a part of the central directory, and how long it is.
fn entry(bytes: &[u8]) -> Option<(ZipEntry, usize)> {
    let length_at = |at| ORDER.u16(bytes, at).map(usize::from);
    let (name, extra, comment) = (length_at(28)?, length_at(30)?, length_at(32)?);
    let name_end = ENTRY_BYTES + name;
    let mut entry = ZipEntry {
        name: String::from_utf8_lossy(bytes.get(ENTRY_BYTES..name_end)?).into_owned(),
        method: match ORDER.u16(bytes, 10)? {
            0 => Method::Stored,
            8 => Method::Deflated,
            other => Method::Other(other),
        },
        compressed: u64::from(ORDER.u32(bytes, 20)?),
        size: u64::from(ORDER.u32(bytes, 24)?),
        offset: u64::from(ORDER.u32(bytes, 42)?),
        is_encrypted: ORDER.u16(bytes, 8)? & 1 != 0,
    };
    let extra_bytes = bytes.get(name_end..name_end + extra)?;
    widen(&mut entry, extra_bytes);
    Some((entry, name_end + extra + comment))
}

/// Takes 64-bit values from the extra field (id 1), in their fixed order.
fn widen(entry: &mut ZipEntry, mut extra: &[u8]) {
    while let (Some(id), Some(length)) = (ORDER.u16(extra, 0), ORDER.u16(extra, 2)) {
        let end = 4 + usize::from(length);
        let field = extra.get(4..end).unwrap_or_default();
        if id == 1 {
            let mut at = 0;
            for value in [&mut entry.size, &mut entry.compressed, &mut entry.offset] {
                if *value == u64::from(ELSEWHERE)
                    && let Some(wide) = ORDER.u64(field, at)
                {
                    *value = wide;
                    at += 8;
                }
            }
        }
        extra = extra.get(end..).unwrap_or_default();
    }
}

/// Where an entry's data begins.
pub(crate) fn data_offset(window: &mut Window<'_>, entry: &ZipEntry) -> Result<u64> {
    let local = window.bytes_at(entry.offset, LOCAL_BYTES, LOCAL_BYTES)?;
    let lengths = ORDER.u16(&local, 26).zip(ORDER.u16(&local, 28));
    match lengths {
        Some((name, extra)) if local.starts_with(LOCAL_MAGIC) => {
            Ok(entry.offset + LOCAL_BYTES + u64::from(name) + u64::from(extra))
        }
        _ => Err(damaged("local header")),
    }
}

/// The content of an entry, at most `limit` bytes of it.
pub(crate) fn content(window: &mut Window<'_>, entry: &ZipEntry, limit: u64) -> Result<Vec<u8>> {
    if entry.is_encrypted {
        return Err(Problem::invalid("the entry is encrypted"));
    }
    if entry.size > limit {
        return Err(too_large(limit));
    }
    let offset = data_offset(window, entry)?;
    match entry.method {
        Method::Stored => window.bytes_at(offset, entry.compressed, limit),
        Method::Deflated => {
            let stream = window.stream(offset, entry.compressed)?;
            let mut bytes = Vec::new();
            DeflateDecoder::new(stream)
                .take(limit + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| {
                    Problem::invalid("the entry cannot be inflated")
                        .found(&error)
                        .caused_by(error)
                })?;
            // The directory may lie about the size.
            if bytes.len() as u64 > limit {
                return Err(too_large(limit));
            }
            Ok(bytes)
        }
        Method::Other(number) => {
            Err(Problem::invalid("the entry is compressed in an unknown way").found(number))
        }
    }
}

fn too_large(limit: u64) -> Problem {
    Problem::refused("the entry is too large").limit(format!("{limit} bytes"))
}
