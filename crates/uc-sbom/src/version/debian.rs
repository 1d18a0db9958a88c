//! dpkg: `[epoch:]upstream[-revision]`, compared piece by piece (Debian policy 5.6.12).

use std::cmp::Ordering;

use super::natural::{Natural, take_digits};

#[derive(Debug, Clone)]
pub(super) struct Debian {
    epoch: Natural,
    upstream: String,
    revision: String,
}

pub(super) fn parse(text: &str) -> Option<Debian> {
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
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    let valid = |part: &str, also: &str| {
        part.chars()
            .all(|c| c.is_ascii_alphanumeric() || ".+~".contains(c) || also.contains(c))
    };
    if upstream.is_empty() || !valid(upstream, "-:") || !valid(revision, "") {
        return None;
    }
    Some(Debian {
        epoch,
        upstream: upstream.to_owned(),
        revision: revision.to_owned(),
    })
}

impl Debian {
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_part(&self.upstream, &other.upstream))
            .then_with(|| compare_part(&self.revision, &other.revision))
    }
}

/// Non-digits by their own order, then digits as numbers, in turns.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = take_text(a);
        let (text_b, rest_b) = take_text(b);
        let (digits_a, next_a) = take_digits(rest_a);
        let (digits_b, next_b) = take_digits(rest_b);
        let order = compare_text(text_a, text_b)
            .then_with(|| Natural::of_digits(digits_a).cmp(&Natural::of_digits(digits_b)));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (next_a, next_b);
    }
    Ordering::Equal
}

fn take_text(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A tilde comes before the end, the end before letters, letters before everything else.
fn compare_text(a: &str, b: &str) -> Ordering {
    let weight = |character: Option<char>| match character {
        Some('~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => c as i32,
        Some(c) => c as i32 + 256,
    };
    let (mut a, mut b) = (a.chars(), b.chars());
    loop {
        let (x, y) = (a.next(), b.next());
        let order = weight(x).cmp(&weight(y));
        if order != Ordering::Equal || x.is_none() {
            return order;
        }
    }
}
