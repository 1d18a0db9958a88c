//! PEP 440: `[N!]N(.N)*[{a|b|rc}N][.postN][.devN][+local]`, and the spellings that it normalises.

use std::cmp::Ordering;

use super::natural::{Natural, take_digits};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pep440 {
    epoch: Natural,
    /// Without zeros at the end.
    release: Vec<Natural>,
    pre: Pre,
    /// None comes first.
    post: Option<Natural>,
    dev: Dev,
    /// None comes first.
    local: Option<Vec<Local>>,
}

/// A release under development alone comes before all pre-releases, one without any mark after them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Pre {
    OnlyDev,
    Phase(Phase, Natural),
    Release,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Alpha,
    Beta,
    Candidate,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Dev {
    Number(Natural),
    Released,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Local {
    Text(String),
    Number(Natural),
}

const PHASES: [(&str, Phase); 8] = [
    ("alpha", Phase::Alpha),
    ("beta", Phase::Beta),
    ("preview", Phase::Candidate),
    ("pre", Phase::Candidate),
    ("rc", Phase::Candidate),
    ("a", Phase::Alpha),
    ("b", Phase::Beta),
    ("c", Phase::Candidate),
];

pub(super) fn parse(text: &str) -> Option<Pep440> {
    let text = text.to_ascii_lowercase();
    let text = text.strip_prefix('v').unwrap_or(&text);
    let (public, local) = match text.split_once('+') {
        Some((public, local)) => (public, Some(parse_local(local)?)),
        None => (text, None),
    };
    let (epoch, public) = match public.split_once('!') {
        Some((epoch, rest)) => (whole_number(epoch)?, rest),
        None => (Natural::zero(), public),
    };
    let (release, rest) = parse_release(public)?;
    let (pre, rest) = match parse_pre(rest) {
        Some((pre, rest)) => (Some(pre), rest),
        None => (None, rest),
    };
    let (post, rest) = parse_post(rest);
    let (dev, rest) = match mark(rest, &["dev"]) {
        Some((number, rest)) => (Some(number), rest),
        None => (None, rest),
    };
    if !rest.is_empty() {
        return None;
    }
    let pre = match (pre, &post, &dev) {
        (Some((phase, number)), _, _) => Pre::Phase(phase, number),
        (None, None, Some(_)) => Pre::OnlyDev,
        _ => Pre::Release,
    };
    Some(Pep440 {
        epoch,
        release,
        pre,
        post,
        dev: dev.map_or(Dev::Released, Dev::Number),
        local,
    })
}

fn whole_number(text: &str) -> Option<Natural> {
    let (digits, rest) = take_digits(text);
    (!digits.is_empty() && rest.is_empty()).then(|| Natural::of_digits(digits))
}

fn parse_release(text: &str) -> Option<(Vec<Natural>, &str)> {
    let (digits, mut rest) = take_digits(text);
    if digits.is_empty() {
        return None;
    }
    let mut release = vec![Natural::of_digits(digits)];
    while let Some(after) = rest.strip_prefix('.') {
        let (digits, after) = take_digits(after);
        if digits.is_empty() {
            break;
        }
        release.push(Natural::of_digits(digits));
        rest = after;
    }
    while release.last().is_some_and(Natural::is_zero) {
        release.pop();
    }
    Some((release, rest))
}

fn separator(text: &str) -> &str {
    text.strip_prefix(['.', '-', '_']).unwrap_or(text)
}

/// A mark with an optional separator before it and before its number, which is zero where it is missing.
fn mark<'a>(text: &'a str, names: &[&str]) -> Option<(Natural, &'a str)> {
    let after = names
        .iter()
        .find_map(|name| separator(text).strip_prefix(name))?;
    let (digits, rest) = take_digits(separator(after));
    if digits.is_empty() {
        return Some((Natural::zero(), after));
    }
    Some((Natural::of_digits(digits), rest))
}

fn parse_pre(text: &str) -> Option<((Phase, Natural), &str)> {
    PHASES.iter().find_map(|(name, phase)| {
        let (number, rest) = mark(text, &[name])?;
        Some(((*phase, number), rest))
    })
}

/// `.post1`, and `-1` alone.
fn parse_post(text: &str) -> (Option<Natural>, &str) {
    if let Some((number, rest)) = mark(text, &["post", "rev", "r"]) {
        return (Some(number), rest);
    }
    if let Some(after) = text.strip_prefix('-') {
        let (digits, rest) = take_digits(after);
        if !digits.is_empty() {
            return (Some(Natural::of_digits(digits)), rest);
        }
    }
    (None, text)
}

fn parse_local(text: &str) -> Option<Vec<Local>> {
    text.split(['.', '-', '_'])
        .map(|part| {
            if part.is_empty() || !part.chars().all(|c| c.is_ascii_alphanumeric()) {
                return None;
            }
            Some(whole_number(part).map_or_else(|| Local::Text(part.to_owned()), Local::Number))
        })
        .collect()
}

impl Pep440 {
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        Ord::cmp(self, other)
    }
}
