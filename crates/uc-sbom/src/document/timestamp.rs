//! Times as documents and images write them: RFC 3339.

use uc_model::Date;

const DAY_S: i64 = 86_400;
/// The years that RFC 3339 can write.
const LAST_S: i64 = 253_402_300_799;

/// `2026-01-31T12:00:00Z` for seconds since 1970. What lies outside the years 1970 to 9999 is moved to their edge.
pub(super) fn rfc3339(seconds: i64) -> String {
    let seconds = seconds.clamp(0, LAST_S);
    let (days, rest) = (seconds / DAY_S, seconds % DAY_S);
    format!(
        "{}T{:02}:{:02}:{:02}Z",
        Date::from_days(days),
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// Seconds since 1970 of an RFC 3339 time, fractions cut off; `None` for what is no such time, or lies outside the years
/// 1970 to 9999.
pub fn parse_time(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let is_separated = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')]
        .iter()
        .all(|(at, byte)| bytes.get(*at) == Some(byte))
        && matches!(bytes.get(10), Some(b'T' | b't' | b' '));
    if !is_separated {
        return None;
    }
    let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // A leap second is the second after it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|character: char| character.is_ascii_digit()),
        None => rest,
    };
    let seconds = days * DAY_S + hour * 3600 + minute * 60 + second - offset_s(zone)?;
    (0..=LAST_S).contains(&seconds).then_some(seconds)
}

/// The seconds that a zone is ahead of UTC.
fn offset_s(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |digits: &str| -> Option<i64> {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok())?
    };
    Some(sign * (number(hours)? * 3600 + number(minutes)? * 60))
}

/// The days from 1970-01-01 to a date; `None` where there is no such date, or it is earlier.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let date = Date::new(
        year.try_into().ok()?,
        month.try_into().ok()?,
        day.try_into().ok()?,
    )?;
    (date.days() >= 0).then_some(date.days())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (-5, "1970-01-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }

    #[test]
    fn times_read_back() {
        for seconds in [0, 951_782_400, 1_700_000_000, LAST_S] {
            assert_eq!(parse_time(&rfc3339(seconds)), Some(seconds));
        }
        for day in 0..80_000 {
            assert_eq!(parse_time(&rfc3339(day * DAY_S)), Some(day * DAY_S));
        }
        for text in [
            "2023-11-14T22:13:20.123456789Z",
            "2023-11-15T00:13:20+02:00",
            "2023-11-14t17:13:20.5-05:00",
        ] {
            assert_eq!(parse_time(text), Some(1_700_000_000), "{text}");
        }
        for text in [
            "",
            "2023-11-14",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-00-01T00:00:00Z",
            "2023-11-31T00:00:00Z",
            "2023-11-14T24:13:20Z",
            "2023-11-14T22:13:20",
            "2023-11-14T22:13:20+0200",
            "2023-11-14T22:13:20Zx",
            "1969-12-31T23:59:59Z",
            "+023-11-14T22:13:20Z",
            "2023-11-14T22:13:20+é2:00",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
