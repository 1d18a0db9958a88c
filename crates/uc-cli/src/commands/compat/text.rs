//! The answers of `uc compat` as text.

use std::collections::BTreeMap;

use uc_model::Figure;
use uc_select::{
    Architecture, ArgumentRule, Comparison, Fate, Interface, Level, Mapping, Morphism,
    NEWEST_KERNEL,
};

use super::{Listing, Matrix};
use crate::table::Table;

/// Columns that lists of names take.
const WIDTH: usize = 100;

/// Every runtime against every other.
pub(super) fn matrix(matrix: &Matrix) -> String {
    let mut text = sizes(matrix);
    text.push_str("\nIncompatibility |A Δ B| / |A ∪ B|\n");
    text.push_str(&square(&matrix.comparisons));
    text.push_str("\nBeside the source's figures\n");
    text.push_str(&beside(&matrix.comparisons));
    text.push_str(&format!(
        "\nPOSIX subset: {} calls of gVisor, Kata and WASI preview 1 alike (the source: about 50)\n{}",
        matrix.posix_subset.len(),
        wrapped(&matrix.posix_subset)
    ));
    text.push_str("\nWhy the figures differ\n");
    for remark in &matrix.remarks {
        text.push_str(&paragraph(remark));
    }
    text
}

fn sizes(matrix: &Matrix) -> String {
    let mut table = Table::new(&["RUNTIME", "CALLS", "SOURCE", "NETWORK", "FILES"]);
    for runtime in &matrix.runtimes {
        table.row([
            runtime.name.to_string(),
            runtime.calls.value.to_string(),
            claimed(runtime.claimed_calls.as_ref()),
            runtime.network.into(),
            runtime.storage.into(),
        ]);
    }
    let mut text = format!(
        "System calls of Linux {NEWEST_KERNEL} on {} that each runtime answers\n{}\n",
        matrix.architecture,
        table.text()
    );
    for runtime in &matrix.runtimes {
        let functions = match runtime.functions {
            Some(count) => format!(", {count} functions"),
            None => String::new(),
        };
        text.push_str(&paragraph(&format!(
            "{}: {}{functions} ({})",
            runtime.name, runtime.title, runtime.provenance
        )));
    }
    text
}

fn claimed(figure: Option<&Figure>) -> String {
    figure.map_or_else(|| "-".into(), |figure| figure.value.to_string())
}

fn square(comparisons: &[Comparison]) -> String {
    let mut headings = vec![""];
    headings.extend(Interface::ALL.map(Interface::name));
    let mut table = Table::new(&headings);
    let apart = |one, other| {
        let found = comparisons.iter().find(|pair| {
            [pair.one, pair.other] == [one, other] || [pair.other, pair.one] == [one, other]
        });
        found.map_or(0.0, |pair| pair.incompatibility.value)
    };
    for one in Interface::ALL {
        let cells = Interface::ALL.map(|other| format!("{:.3}", apart(one, other)));
        table.row([one.to_string()].into_iter().chain(cells));
    }
    table.text()
}

fn beside(comparisons: &[Comparison]) -> String {
    let mut table = Table::new(&["A", "B", "BOTH", "A ALONE", "B ALONE", "COMPUTED", "SOURCE"]);
    for pair in comparisons.iter().filter(|pair| pair.claimed.is_some()) {
        table.row([
            pair.one.to_string(),
            pair.other.to_string(),
            pair.common.len().to_string(),
            pair.only_one.len().to_string(),
            pair.only_other.len().to_string(),
            format!("{:.3}", pair.incompatibility.value),
            claimed(pair.claimed.as_ref()),
        ]);
    }
    table.text()
}

/// What becomes of each call; calls with the same fate and note stand together.
pub(super) fn mapping(mapping: &Mapping, architecture: Architecture) -> String {
    let total = mapping.morphisms.len();
    let mut text = format!(
        "From {} to {}: {total} calls of {architecture}\n",
        mapping.from.title(),
        mapping.to.title()
    );
    for fate in Fate::ALL {
        let count = mapping.of(fate).count();
        let share = if total == 0 {
            0.0
        } else {
            100.0 * count as f64 / total as f64
        };
        text.push_str(&format!("  {:8}  {count:3}  {share:3.0} %\n", fate.name()));
    }
    for fate in Fate::ALL.into_iter().rev() {
        let title = match fate {
            Fate::Maps => "Maps",
            Fate::Emulated => "Emulated: the engine or a library stands in, or the effect differs",
            Fate::Lost => "Lost",
        };
        if mapping.of(fate).next().is_some() {
            text.push_str(&format!("\n{title}\n"));
            text.push_str(&grouped(mapping.of(fate)));
        }
    }
    text
}

fn grouped<'a>(morphisms: impl Iterator<Item = &'a Morphism>) -> String {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for one in morphisms {
        let note = if one.to.is_empty() {
            one.note.clone()
        } else {
            one.to.join(", ")
        };
        groups.entry(note).or_default().push(one.call);
    }
    let mut text = String::new();
    for (note, calls) in groups {
        if !note.is_empty() {
            text.push_str(&format!("  {note}\n"));
        }
        for line in wrapped(&calls).lines() {
            let indent = if note.is_empty() { "" } else { "  " };
            text.push_str(&format!("{indent}{line}\n"));
        }
    }
    text
}

/// Every call with its answer.
pub(super) fn listing(listing: &Listing) -> String {
    let mut table = Table::new(&["CALL", "ANSWER", "ERROR", "NOTE"]);
    for (call, support) in &listing.calls {
        let note = if support.through.is_empty() {
            support.note.clone()
        } else {
            support.through.join(", ")
        };
        table.row([
            (*call).to_owned(),
            support.level.name().into(),
            support.errno.unwrap_or("-").into(),
            note,
        ]);
    }
    let offered = listing
        .calls
        .values()
        .filter(|support| support.level.is_offered());
    let full = listing
        .calls
        .values()
        .filter(|support| support.level == Level::Full);
    format!(
        "{}: {} of {} calls of {}, {} of them whole ({})\n\n{}",
        listing.runtime.title(),
        offered.count(),
        listing.calls.len(),
        listing.architecture,
        full.count(),
        listing.provenance,
        table.text()
    ) + &arguments(listing.arguments)
}

/// What arguments change, a paragraph for each rule.
fn arguments(rules: &[ArgumentRule]) -> String {
    if rules.is_empty() {
        return String::new();
    }
    let mut text = "\nArguments that decide\n".to_owned();
    for rule in rules {
        let answer = match rule.support.errno {
            Some(errno) => format!("{} with {errno}", rule.support.level.name()),
            None => rule.support.level.name().to_owned(),
        };
        let but = if rule.all_but { "all but " } else { "" };
        text.push_str(&paragraph(&format!(
            "{}, {but}{}: {answer}: {}",
            rule.call,
            rule.patterns.join(" "),
            rule.support.note
        )));
    }
    text
}

/// Names in lines, indented.
fn wrapped(names: &[&str]) -> String {
    filled(names.iter().copied(), "  ", "  ")
}

/// A sentence in lines, as an item of a list.
fn paragraph(text: &str) -> String {
    filled(text.split(' '), "- ", "  ")
}

fn filled<'a>(words: impl Iterator<Item = &'a str>, first: &str, further: &str) -> String {
    let mut text = first.to_owned();
    let mut width = first.len();
    let mut is_start = true;
    for word in words {
        let length = word.chars().count();
        if !is_start && width + 1 + length > WIDTH {
            text.push('\n');
            text.push_str(further);
            width = further.len();
            is_start = true;
        }
        if !is_start {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += length;
        is_start = false;
    }
    text.push('\n');
    text
}
