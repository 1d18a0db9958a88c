//! Maven's `ComparableVersion`: nested lists, split at hyphens and between digits and letters.

use std::cmp::Ordering;

use super::natural::Natural;

#[derive(Debug, Clone)]
pub(super) struct Maven(Vec<Item>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Number(Natural),
    Text(String),
    List(Vec<Item>),
}

/// Lists within lists: each hyphen opens one.
const DEPTH: usize = 128;

/// The known words, in order; the empty one is the release.
const WORDS: [&str; 7] = ["alpha", "beta", "milestone", "rc", "snapshot", "", "sp"];

pub(super) fn parse(text: &str) -> Option<Maven> {
    let text = text.to_lowercase();
    let mut lists: Vec<Vec<Item>> = vec![Vec::new()];
    let mut token = String::new();
    let mut is_number = false;
    for character in text.chars() {
        match character {
            '.' => {
                end_token(&mut lists, &mut token, is_number, false);
            }
            '-' => {
                end_token(&mut lists, &mut token, is_number, false);
                lists.push(Vec::new());
            }
            digit if digit.is_ascii_digit() => {
                if !is_number && !token.is_empty() {
                    open_list_for_word(&mut lists);
                    end_token(&mut lists, &mut token, false, true);
                    lists.push(Vec::new());
                }
                is_number = true;
                token.push(digit);
            }
            other => {
                if is_number && !token.is_empty() {
                    end_token(&mut lists, &mut token, true, false);
                    lists.push(Vec::new());
                }
                is_number = false;
                token.push(other);
            }
        }
        if lists.len() > DEPTH {
            return None;
        }
    }
    if !token.is_empty() {
        if !is_number {
            open_list_for_word(&mut lists);
        }
        end_token(&mut lists, &mut token, is_number, false);
    }
    let mut inner = Vec::new();
    while let Some(mut list) = lists.pop() {
        if !inner.is_empty() {
            list.push(Item::List(inner));
        }
        normalise(&mut list);
        inner = list;
    }
    Some(Maven(inner))
}

/// `.x` counts as `-x`.
fn open_list_for_word(lists: &mut Vec<Vec<Item>>) {
    if lists.last().is_some_and(|list| !list.is_empty()) {
        lists.push(Vec::new());
    }
}

/// Ends what stands between two separators; nothing there is a zero.
fn end_token(lists: &mut [Vec<Item>], token: &mut String, is_number: bool, digit_follows: bool) {
    let item = if token.is_empty() {
        Item::Number(Natural::zero())
    } else if is_number {
        Item::Number(Natural::of_digits(token))
    } else {
        Item::Text(alias(token, digit_follows).to_owned())
    };
    token.clear();
    if let Some(list) = lists.last_mut() {
        list.push(item);
    }
}

fn alias(word: &str, digit_follows: bool) -> &str {
    match word {
        "a" if digit_follows => "alpha",
        "b" if digit_follows => "beta",
        "m" if digit_follows => "milestone",
        "ga" | "final" | "release" => "",
        "cr" => "rc",
        other => other,
    }
}

/// Drops what is nothing from the end, and from before each list.
fn normalise(list: &mut Vec<Item>) {
    let mut index = list.len();
    while index > 0 {
        index -= 1;
        let Some(item) = list.get(index) else { break };
        if is_null(item) {
            let next = list.get(index + 1);
            if next.is_none() || matches!(next, Some(Item::List(_))) {
                list.remove(index);
            }
        } else if !matches!(item, Item::List(_)) {
            break;
        }
    }
}

fn is_null(item: &Item) -> bool {
    match item {
        Item::Number(number) => number.is_zero(),
        Item::Text(text) => text.is_empty(),
        Item::List(list) => list.is_empty(),
    }
}

/// Known words by their order, unknown ones after them by themselves.
fn word_rank(word: &str) -> (usize, &str) {
    match WORDS.iter().position(|known| *known == word) {
        Some(rank) => (rank, ""),
        None => (WORDS.len(), word),
    }
}

fn compare_items(a: Option<&Item>, b: Option<&Item>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => compare_items(b, a).reverse(),
        (Some(Item::Number(number)), None) => {
            if number.is_zero() {
                Ordering::Equal
            } else {
                Ordering::Greater
            }
        }
        (Some(Item::Text(word)), None) => word_rank(word).cmp(&word_rank("")),
        (Some(Item::List(list)), None) => list
            .iter()
            .map(|item| compare_items(Some(item), None))
            .find(|order| *order != Ordering::Equal)
            .unwrap_or(Ordering::Equal),
        (Some(a), Some(b)) => compare_present(a, b),
    }
}

/// Words come before lists, lists before numbers.
fn compare_present(a: &Item, b: &Item) -> Ordering {
    let class = |item: &Item| match item {
        Item::Text(_) => 0,
        Item::List(_) => 1,
        Item::Number(_) => 2,
    };
    match (a, b) {
        (Item::Number(a), Item::Number(b)) => a.cmp(b),
        (Item::Text(a), Item::Text(b)) => word_rank(a).cmp(&word_rank(b)),
        (Item::List(a), Item::List(b)) => compare_lists(a, b),
        _ => class(a).cmp(&class(b)),
    }
}

fn compare_lists(a: &[Item], b: &[Item]) -> Ordering {
    (0..a.len().max(b.len()))
        .map(|index| compare_items(a.get(index), b.get(index)))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

impl Maven {
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        compare_lists(&self.0, &other.0)
    }
}
