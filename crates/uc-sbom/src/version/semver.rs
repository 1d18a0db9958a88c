//! Semantic Versioning 2.0, with the leniency of OSV: a `v` in front, missing numbers.

use std::cmp::Ordering;

use super::natural::{Natural, take_digits};

#[derive(Debug, Clone)]
pub(super) struct Semver {
    numbers: Vec<Natural>,
    pre_release: Vec<Identifier>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(Natural),
    Text(String),
}

/// Numbers beyond the three of the standard; some write four.
const NUMBERS: usize = 8;

pub(super) fn parse(text: &str) -> Option<Semver> {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    // What comes after `+` says how it was built, and does not count.
    let text = text.split('+').next()?;
    let (core, pre_release) = match text.split_once('-') {
        Some((core, pre_release)) => (core, Some(pre_release)),
        None => (text, None),
    };
    let mut numbers = Vec::new();
    for part in core.split('.') {
        let (digits, rest) = take_digits(part);
        if digits.is_empty() || !rest.is_empty() || numbers.len() == NUMBERS {
            return None;
        }
        numbers.push(Natural::of_digits(digits));
    }
    // `1.0` is `1.0.0`.
    while numbers.last().is_some_and(Natural::is_zero) {
        numbers.pop();
    }
    let pre_release = pre_release.map_or(Some(Vec::new()), |text| {
        text.split('.').map(identifier).collect()
    })?;
    Some(Semver {
        numbers,
        pre_release,
    })
}

fn identifier(text: &str) -> Option<Identifier> {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if text.is_empty() || !text.chars().all(is_valid) {
        return None;
    }
    let (digits, rest) = take_digits(text);
    Some(if rest.is_empty() {
        Identifier::Number(Natural::of_digits(digits))
    } else {
        Identifier::Text(text.to_owned())
    })
}

impl Semver {
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.pre_release.is_empty(), other.pre_release.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => self.pre_release.cmp(&other.pre_release),
            }
        })
    }
}
