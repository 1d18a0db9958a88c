//! apk: `1.2.3a_rc1_p2~hash-r4`.

use super::natural::{Natural, take_digits};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alpine(Vec<Token>);

/// The parts of a version, in the order in which they rank against each other at the same place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    /// `_alpha`, `_beta`, `_pre`, `_rc`: before the release itself.
    Before(u8),
    End,
    Revision(Natural),
    Hash(String),
    SuffixNumber(Natural),
    /// `_cvs`, `_svn`, `_git`, `_hg`, `_p`: after the release.
    After(u8),
    Letter(char),
    Number(Number),
}

/// A number with zeros in front counts as a fraction: digit by digit, and before all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Number {
    Fraction(String),
    Whole(Natural),
}

const BEFORE: [&str; 4] = ["alpha", "beta", "pre", "rc"];
const AFTER: [&str; 5] = ["cvs", "svn", "git", "hg", "p"];

pub(super) fn parse(text: &str) -> Option<Alpine> {
    let mut tokens = Vec::new();
    let (first, mut rest) = take_digits(text);
    if first.is_empty() {
        return None;
    }
    tokens.push(Token::Number(Number::Whole(Natural::of_digits(first))));
    while let Some(after) = rest.strip_prefix('.') {
        let (digits, after) = take_digits(after);
        tokens.push(Token::Number(number(digits)?));
        rest = after;
    }
    if let Some(letter) = rest.chars().next().filter(char::is_ascii_lowercase) {
        tokens.push(Token::Letter(letter));
        rest = rest.get(1..)?;
    }
    while let Some(after) = rest.strip_prefix('_') {
        let (suffix, after) = suffix(after)?;
        tokens.push(suffix);
        let (digits, after) = take_digits(after);
        if !digits.is_empty() {
            tokens.push(Token::SuffixNumber(Natural::of_digits(digits)));
        }
        rest = after;
    }
    if let Some(after) = rest.strip_prefix('~') {
        let end = after
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(after.len());
        let (hash, after) = after.split_at(end);
        tokens.push(Token::Hash(hash.to_owned()));
        rest = after;
    }
    if let Some(after) = rest.strip_prefix("-r") {
        let (digits, after) = take_digits(after);
        if digits.is_empty() {
            return None;
        }
        tokens.push(Token::Revision(Natural::of_digits(digits)));
        rest = after;
    }
    tokens.push(Token::End);
    rest.is_empty().then_some(Alpine(tokens))
}

fn number(digits: &str) -> Option<Number> {
    match digits.as_bytes() {
        [] => None,
        [b'0', ..] => Some(Number::Fraction(digits.to_owned())),
        _ => Some(Number::Whole(Natural::of_digits(digits))),
    }
}

fn suffix(text: &str) -> Option<(Token, &str)> {
    let find = |names: &[&str]| {
        (0_u8..)
            .zip(names)
            .find_map(|(rank, name)| Some((rank, text.strip_prefix(name)?)))
    };
    if let Some((rank, rest)) = find(&BEFORE) {
        return Some((Token::Before(rank), rest));
    }
    find(&AFTER).map(|(rank, rest)| (Token::After(rank), rest))
}
