//! Numbers of any length, as versions hold them: dates and hashes outgrow 64 bits.

use std::cmp::Ordering;

/// A whole number in decimal digits, leading zeros dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Natural(String);

impl Natural {
    /// Reads digits; nothing is zero.
    pub(super) fn of_digits(digits: &str) -> Self {
        Self(digits.trim_start_matches('0').to_owned())
    }

    pub(super) fn zero() -> Self {
        Self(String::new())
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The digits that a text begins with, and the rest.
pub(super) fn take_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}
