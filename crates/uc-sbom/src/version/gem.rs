//! `Gem::Version`: segments of digits or letters; letters come before numbers.

use std::cmp::Ordering;

use super::natural::{Natural, take_digits};

#[derive(Debug, Clone)]
pub(super) struct Gem(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Text(String),
    Number(Natural),
}

pub(super) fn parse(text: &str) -> Option<Gem> {
    // A hyphen begins a pre-release.
    let text = text.replace('-', ".pre.");
    let is_valid = text
        .split('.')
        .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric()));
    if !is_valid || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut segments = Vec::new();
    for part in text.split('.') {
        let mut rest = part;
        while !rest.is_empty() {
            let (digits, after) = take_digits(rest);
            if digits.is_empty() {
                let end = rest
                    .find(|c: char| c.is_ascii_digit())
                    .unwrap_or(rest.len());
                let (letters, after) = rest.split_at(end);
                segments.push(Segment::Text(letters.to_owned()));
                rest = after;
            } else {
                segments.push(Segment::Number(Natural::of_digits(digits)));
                rest = after;
            }
        }
    }
    Some(Gem(canonical(&segments)))
}

/// Zeros at the end, and before the first letters, do not count.
fn canonical(segments: &[Segment]) -> Vec<Segment> {
    let is_text = |segment: &Segment| matches!(segment, Segment::Text(_));
    let first_text = segments.iter().position(is_text).unwrap_or(segments.len());
    let (release, rest) = segments.split_at(first_text);
    let trim = |part: &[Segment]| {
        let is_zero = |one: &&Segment| matches!(one, Segment::Number(number) if number.is_zero());
        let zeros = part.iter().rev().take_while(is_zero).count();
        part.get(..part.len() - zeros).unwrap_or_default().to_vec()
    };
    [trim(release), trim(rest)].concat()
}

impl Gem {
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        let zero = Segment::Number(Natural::zero());
        let length = self.0.len().max(other.0.len());
        for index in 0..length {
            let (a, b) = (
                self.0.get(index).unwrap_or(&zero),
                other.0.get(index).unwrap_or(&zero),
            );
            let order = match (a, b) {
                (Segment::Text(_), Segment::Number(_)) => Ordering::Less,
                (Segment::Number(_), Segment::Text(_)) => Ordering::Greater,
                (Segment::Text(a), Segment::Text(b)) => a.cmp(b),
                (Segment::Number(a), Segment::Number(b)) => a.cmp(b),
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }
}
