//! A day of the Gregorian calendar, without a clock.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::Problem;

/// A day from 0001-01-01 to 9999-12-31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: i32,
    month: u32,
    day: u32,
}

/// Days of the calendar before 1970-01-01, counted from 0000-03-01.
const DAYS_BEFORE_1970: i64 = 719_468;
const DAYS_PER_ERA: i64 = 146_097;

impl Date {
    /// The earliest day.
    pub const MIN: Self = Self {
        year: 1,
        month: 1,
        day: 1,
    };
    /// The latest day.
    pub const MAX: Self = Self {
        year: 9999,
        month: 12,
        day: 31,
    };

    /// The day of that year, month (1 to 12) and day of the month (from 1); `None` where the calendar has no such day.
    pub fn new(year: i32, month: u32, day: u32) -> Option<Self> {
        let is_day = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day);
        is_day.then_some(Self { year, month, day })
    }

    /// The day that is so many days after 1970-01-01; outside the calendar its nearest end.
    pub fn from_days(days: i64) -> Self {
        let days = days.clamp(Self::MIN.days(), Self::MAX.days()) + DAYS_BEFORE_1970;
        let era = days.div_euclid(DAYS_PER_ERA);
        let day_of_era = days.rem_euclid(DAYS_PER_ERA);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Years begin in March here, so that the leap day is their last.
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self {
            year: year as i32,
            month: month as u32,
            day: day as u32,
        }
    }

    /// Days since 1970-01-01; negative before.
    pub fn days(self) -> i64 {
        let (year, month, day) = (
            i64::from(self.year),
            i64::from(self.month),
            i64::from(self.day),
        );
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * DAYS_PER_ERA + day_of_era - DAYS_BEFORE_1970
    }

    /// The year, 1 to 9999.
    pub fn year(self) -> i32 {
        self.year
    }

    /// The month, 1 to 12.
    pub fn month(self) -> u32 {
        self.month
    }

    /// The day of the month, from 1.
    pub fn day(self) -> u32 {
        self.day
    }

    /// The quarter of the year, 1 to 4.
    pub fn quarter(self) -> u32 {
        (self.month - 1) / 3 + 1
    }

    /// Days since Monday, 0 to 6.
    pub fn days_since_monday(self) -> u32 {
        (self.days() + 3).rem_euclid(7) as u32
    }

    /// So many days later (earlier if negative), within the calendar.
    pub fn plus_days(self, days: i64) -> Self {
        Self::from_days(self.days().saturating_add(days))
    }

    /// So many months later (earlier if negative), within the calendar. Where the month is too short, its last day.
    pub fn plus_months(self, months: i64) -> Self {
        let index = (i64::from(self.year) * 12 + i64::from(self.month) - 1).saturating_add(months);
        let year = index.div_euclid(12);
        if year < 1 {
            return Self::MIN;
        }
        if year > 9999 {
            return Self::MAX;
        }
        let (year, month) = (year as i32, index.rem_euclid(12) as u32 + 1);
        Self {
            year,
            month,
            day: self.day.min(days_in_month(year, month)),
        }
    }

    /// Whole months from this day to another, rounded towards zero; negative if the other is earlier.
    pub fn whole_months_until(self, other: Self) -> i64 {
        if other < self {
            return -other.whole_months_until(self);
        }
        let months =
            i64::from(other.year - self.year) * 12 + i64::from(other.month) - i64::from(self.month);
        if self.plus_months(months) > other {
            months - 1
        } else {
            months
        }
    }
}

fn days_in_month(year: i32, month: u32) -> u32 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = Problem;

    /// Reads `2026-03-01`.
    fn from_str(text: &str) -> Result<Self, Problem> {
        let number = |from: usize, to: usize| -> Option<u32> {
            let digits = text.get(from..to)?;
            digits
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| digits.parse().ok())?
        };
        let is_shaped = text.len() == 10
            && text.as_bytes().get(4) == Some(&b'-')
            && text.as_bytes().get(7) == Some(&b'-');
        is_shaped
            .then(|| Self::new(number(0, 4)? as i32, number(5, 7)?, number(8, 10)?))
            .flatten()
            .ok_or_else(|| {
                Problem::invalid("not a date")
                    .found(text)
                    .limit("a day of the calendar as YYYY-MM-DD")
                    .remedy("write it like 2026-03-01")
            })
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().expect(text)
    }

    #[test]
    fn days_there_and_back() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("2000-02-29", 11_016),
            ("2026-03-01", 20_513),
            ("1969-12-31", -1),
        ] {
            assert_eq!(date(text).days(), days, "{text}");
            assert_eq!(Date::from_days(days).to_string(), text);
        }
        for days in (Date::MIN.days()..=Date::MAX.days()).step_by(97) {
            assert_eq!(Date::from_days(days).days(), days);
        }
        assert_eq!(Date::from_days(i64::MAX), Date::MAX);
        assert_eq!(date("2026-11-25").days_since_monday(), 2);
        assert_eq!(date("2025-10-22").quarter(), 4);
    }

    #[test]
    fn months_are_whole_and_short_months_end_early() {
        let start = date("2025-10-22");
        assert_eq!(start.whole_months_until(date("2026-10-22")), 12);
        assert_eq!(start.whole_months_until(date("2026-10-21")), 11);
        assert_eq!(
            date("2026-11-25").whole_months_until(date("2026-10-22")),
            -1
        );
        assert_eq!(date("2026-11-25").whole_months_until(date("2027-04-22")), 4);
        assert_eq!(date("2024-01-31").plus_months(1), date("2024-02-29"));
        assert_eq!(date("2024-01-31").plus_months(-2), date("2023-11-30"));
        assert_eq!(start.plus_months(i64::MAX), Date::MAX);
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "2026-02-30",
            "2026-13-01",
            "2026-1-1",
            "20260101",
            "0000-01-01",
            "+026-01-01",
            "2026-01-01T00:00:00Z",
            "２０２６-01-01",
        ] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }
}
