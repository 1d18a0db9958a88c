//! rpm: `[epoch:]version[-release]`, each part compared by rpmvercmp.

use std::cmp::Ordering;

use super::natural::{Natural, take_digits};

#[derive(Debug, Clone)]
pub(super) struct Rpm {
    epoch: Natural,
    version: Vec<Segment>,
    release: Vec<Segment>,
}

/// A piece of a version. The end is a piece too, so that lists compare as they stand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// `~`: before everything, the end included.
    Tilde,
    End,
    /// `^`: after the end, before everything else.
    Caret,
    Letters(String),
    Number(Natural),
}

pub(super) fn parse(text: &str) -> Option<Rpm> {
    let (epoch, rest) = match text.split_once(':') {
        Some((epoch, rest)) => {
            let (digits, other) = take_digits(epoch);
            if digits.is_empty() || !other.is_empty() {
                return None;
            }
            (Natural::of_digits(digits), rest)
        }
        None => (Natural::zero(), text),
    };
    let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
    if version.is_empty() || rest.chars().any(char::is_whitespace) {
        return None;
    }
    Some(Rpm {
        epoch,
        version: segments(version),
        release: segments(release),
    })
}

fn segments(mut text: &str) -> Vec<Segment> {
    let mut list = Vec::new();
    while let Some(first) = text.chars().next() {
        if first.is_ascii_digit() {
            let (digits, rest) = take_digits(text);
            list.push(Segment::Number(Natural::of_digits(digits)));
            text = rest;
        } else if first.is_ascii_alphabetic() {
            let end = text
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(text.len());
            let (letters, rest) = text.split_at(end);
            list.push(Segment::Letters(letters.to_owned()));
            text = rest;
        } else {
            match first {
                '~' => list.push(Segment::Tilde),
                '^' => list.push(Segment::Caret),
                // Everything else only separates.
                _ => {}
            }
            text = text.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    list.push(Segment::End);
    list
}

impl Rpm {
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        let order = self
            .epoch
            .cmp(&other.epoch)
            .then_with(|| self.version.cmp(&other.version));
        // A version without a release comes before the same with one.
        if self.release.len() == 1 || other.release.len() == 1 {
            return order.then_with(|| self.release.len().min(2).cmp(&other.release.len().min(2)));
        }
        order.then_with(|| self.release.cmp(&other.release))
    }
}
