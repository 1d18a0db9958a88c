//! Where functions begin and end, from the tables with which exceptions and debuggers unwind the stack.
//!
//! They stay in a file that is stripped, so they are the best list of functions that most programs carry.

use std::ops::Range;

use super::{
    bytes::{u8_at, u16_at, u32_at, u64_at},
    elf::Elf,
};

/// Most functions that are listed.
pub(super) const MAX_FUNCTIONS: usize = 2_000_000;

/// How pointers are written: the low half of the encoding byte says in which form, the high half relative to what.
const ABSOLUTE: u8 = 0x00;
const UNSIGNED_2: u8 = 0x02;
const UNSIGNED_4: u8 = 0x03;
const UNSIGNED_8: u8 = 0x04;
const SIGNED_2: u8 = 0x0a;
const SIGNED_4: u8 = 0x0b;
const SIGNED_8: u8 = 0x0c;
const FROM_HERE: u8 = 0x10;

/// The ranges of addresses that the unwind tables tell of, in their order.
pub(super) fn functions(elf: &Elf<'_>) -> Vec<Range<u64>> {
    let Some(section) = elf.section(".eh_frame") else {
        return Vec::new();
    };
    let (data, base) = (section.data, section.address);
    let mut found = Vec::new();
    let mut at = 0_usize;
    let mut common = (usize::MAX, None::<Encoding>);
    while found.len() < MAX_FUNCTIONS {
        let Some(length) = u32_at(data, at) else {
            break;
        };
        let start = at + 4;
        // Zero ends the table of one input file, not the section; the long form is for tables above 4 GiB.
        if length == u32::MAX {
            break;
        }
        let Some(end) = start.checked_add(length as usize) else {
            break;
        };
        if let Some(parent) = u32_at(data, start).filter(|_| length >= 4)
            && parent != 0
            && let Some(entry) = data.get(..end)
        {
            let parent = start.wrapping_sub(parent as usize);
            if common.0 != parent {
                common = (parent, encoding(data, parent));
            }
            found.extend(common.1.and_then(|how| range(entry, start + 4, base, how)));
        }
        at = end;
    }
    found
}

/// How the functions under one common record write their addresses.
#[derive(Debug, Clone, Copy)]
struct Encoding {
    form: u8,
    /// Bytes by which the range begins too early: those who unwind look one byte before where a signal returns to.
    early: u64,
}

fn encoding(data: &[u8], at: usize) -> Option<Encoding> {
    let mut at = at.checked_add(8)?;
    let version = u8_at(data, at)?;
    at += 1;
    let letters = data
        .get(at..)?
        .iter()
        .take(16)
        .take_while(|letter| **letter != 0);
    let letters: Vec<u8> = letters.copied().collect();
    at += letters.len() + 1;
    let early = u64::from(letters.contains(&b'S'));
    if letters.first() != Some(&b'z') {
        return Some(Encoding {
            form: ABSOLUTE,
            early,
        });
    }
    at = skip_number(data, skip_number(data, at)?)?;
    at = if version == 1 {
        at + 1
    } else {
        skip_number(data, at)?
    };
    at = skip_number(data, at)?;
    for letter in letters.iter().skip(1) {
        match letter {
            b'R' => {
                return Some(Encoding {
                    form: u8_at(data, at)?,
                    early,
                });
            }
            b'P' => at = at.checked_add(1 + size(u8_at(data, at)?)?)?,
            b'L' => at += 1,
            _ => {}
        }
    }
    Some(Encoding {
        form: ABSOLUTE,
        early,
    })
}

/// Past a number of variable length.
fn skip_number(data: &[u8], at: usize) -> Option<usize> {
    let digits = data.get(at..)?.iter().take(10);
    let more = digits.take_while(|byte| **byte & 0x80 != 0).count();
    at.checked_add(more + 1)
}

fn size(encoding: u8) -> Option<usize> {
    Some(match encoding & 0x0f {
        UNSIGNED_2 | SIGNED_2 => 2,
        UNSIGNED_4 | SIGNED_4 => 4,
        ABSOLUTE | UNSIGNED_8 | SIGNED_8 => 8,
        _ => return None,
    })
}

fn range(
    data: &[u8],
    at: usize,
    base: u64,
    Encoding { form, early }: Encoding,
) -> Option<Range<u64>> {
    let size = size(form)?;
    let value = number(data, at, form)?;
    let start = match form & 0x70 {
        FROM_HERE => value.wrapping_add(base).wrapping_add(at as u64),
        0 => value,
        _ => return None,
    };
    // The length has the form of the address, but no sign.
    let length = match size {
        2 => u16_at(data, at + size)?.into(),
        4 => u32_at(data, at + size)?.into(),
        _ => u64_at(data, at + size)?,
    };
    let end = start.checked_add(length)?;
    let start = start.checked_add(early)?;
    (start < end).then_some(start..end)
}

fn number(data: &[u8], at: usize, encoding: u8) -> Option<u64> {
    Some(match encoding & 0x0f {
        UNSIGNED_2 => u16_at(data, at)?.into(),
        UNSIGNED_4 => u32_at(data, at)?.into(),
        SIGNED_2 => i64::from(u16_at(data, at)? as i16) as u64,
        SIGNED_4 => i64::from(u32_at(data, at)? as i32) as u64,
        _ => u64_at(data, at)?,
    })
}
