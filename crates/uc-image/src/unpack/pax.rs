//! Extended headers of POSIX.1-2001 (pax): records of the form `LENGTH KEY=VALUE\n`.

use uc_model::{Problem, Result};

/// Calls `visit` with each record.
///
/// # Errors
/// Invalid where a record is malformed; those of `visit`.
pub(super) fn records(
    mut bytes: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    while !bytes.is_empty() {
        // GNU tar pads with NUL bytes in places where it should not.
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let (record, rest) = split_record(bytes).ok_or_else(|| {
            Problem::invalid("the extended header of an entry is malformed")
                .limit("LENGTH KEY=VALUE")
        })?;
        visit(record.0, record.1)?;
        bytes = rest;
    }
    Ok(())
}

type Record<'a> = (&'a [u8], &'a [u8]);

fn split_record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    if length > bytes.len() || length < space + 3 {
        return None;
    }
    let (record, rest) = bytes.split_at(length);
    let (body, end) = record[space + 1..].split_at(length - space - 2);
    let equals = body.iter().position(|byte| *byte == b'=')?;
    (end == b"\n" && equals > 0).then(|| ((&body[..equals], &body[equals + 1..]), rest))
}

/// A decimal number without sign.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A time such as `1700000000.25` or `-1.5` as whole seconds and the nanoseconds after them.
pub(super) fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = i64::try_from(decimal(seconds.as_bytes())?).ok()?;
    let mut nanoseconds = 0;
    let mut unit = 100_000_000;
    for digit in fraction.chars().take(9) {
        nanoseconds += digit.to_digit(10)? * unit;
        unit /= 10;
    }
    Some(match (negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut all = Vec::new();
        records(bytes, |key, value| {
            all.push((key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn values_may_hold_newlines_and_equals_signs() {
        let all = read(b"12 a=b\nc=d\n\n8 x=\0\xff=\n").expect("reads");
        assert_eq!(all[0], (b"a".to_vec(), b"b\nc=d\n".to_vec()));
        assert_eq!(all[1].1, b"\0\xff=");
    }

    #[test]
    fn malformed_records_are_errors() {
        for wrong in [
            &b"5 a=b"[..],
            b"99 a=b\n",
            b"x a=b\n",
            b"6 ab\n1",
            b"0 a=b\n",
            b"6 =ab\n",
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times_go_below_zero() {
        assert_eq!(time(b"1.25"), Some((1, 250_000_000)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"-3"), Some((-3, 0)));
        assert_eq!(time(b"x"), None);
    }
}
