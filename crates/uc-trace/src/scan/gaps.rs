//! Why calls may be missing from what a scan found, and why some may be in it that are never made.

use std::collections::BTreeSet;

use uc_select::Footprint;

use super::{numbers::Found, reach::Reach, unit::Unit};

/// Functions that load code which no file names.
const OPENERS: [&str; 3] = ["dlopen", "dlmopen", "android_dlopen_ext"];
/// Functions of the C library that load plugins for names of hosts, users and services, and for character sets.
const LOOKUPS: [&str; 12] = [
    "getaddrinfo",
    "gethostbyname",
    "gethostbyname_r",
    "getnameinfo",
    "getpwnam",
    "getpwnam_r",
    "getpwuid",
    "getpwuid_r",
    "getgrnam",
    "getgrgid",
    "getservbyname",
    "iconv_open",
];
/// System calls that start other programs.
const STARTERS: [&str; 2] = ["execve", "execveat"];
/// Most names that one sentence lists.
const MAX_LISTED: usize = 5;

/// The gaps of a scan, in words.
pub(super) fn of(
    units: &[Unit<'_>],
    reach: &Reach<'_, '_>,
    found: &Found,
    footprint: &Footprint,
    looked_up: usize,
) -> Vec<String> {
    let mut gaps = Vec::new();
    for (index, places) in &found.computed {
        let name = units.get(*index).map_or("", |unit| unit.name.as_str());
        let listed: Vec<String> = places
            .iter()
            .take(MAX_LISTED)
            .map(|at| format!("{at:#x}"))
            .collect();
        gaps.push(format!(
            "{} with a computed number{} ({})",
            count(places.len(), "place"),
            in_file(name),
            list(&listed, places.len()),
        ));
    }
    if found.is_cut {
        gaps.push("the program has more places with system calls than are followed".to_owned());
    }
    let missing: Vec<String> = strong(units)
        .intersection(&reach.missing)
        .map(|name| (*name).to_owned())
        .collect();
    if !missing.is_empty() && units.len() > 1 {
        gaps.push(format!(
            "{} in no library that was found: {}",
            count(missing.len(), "imported function"),
            list(missing.get(..MAX_LISTED).unwrap_or(&missing), missing.len()),
        ));
    } else if let Some(unit) = units
        .first()
        .filter(|unit| units.len() == 1 && !unit.elf.dynamic.needed.is_empty())
    {
        gaps.push(format!(
            "libraries that it needs were not read: {}",
            unit.elf.dynamic.needed.join(", ")
        ));
    }
    if OPENERS.iter().any(|name| reach.uses(name)) {
        gaps.push(
            "it can load libraries while it runs (dlopen): what only those do is missing"
                .to_owned(),
        );
    }
    if looked_up > 0 {
        gaps.push(format!(
            "{} where a function is looked up by a computed name (dlsym): what only those do is missing",
            count(looked_up, "place")
        ));
    }
    let lookups: Vec<&str> = LOOKUPS
        .into_iter()
        .filter(|name| reach.uses(name))
        .collect();
    if !lookups.is_empty() {
        gaps.push(format!(
            "the C library can load plugins for {}: what only those do is missing",
            lookups.join(", ")
        ));
    }
    if STARTERS
        .iter()
        .any(|name| footprint.calls.contains_key(*name))
    {
        gaps.push("it can start other programs (execve): scan these as well".to_owned());
    }
    gaps
}

/// The symbols without which a file does not start.
fn strong<'a>(units: &[Unit<'a>]) -> BTreeSet<&'a str> {
    let symbols = units.iter().flat_map(|unit| unit.elf.dynamic_symbols());
    symbols
        .filter(|symbol| !symbol.is_defined() && !symbol.is_weak())
        .map(|symbol| symbol.name)
        .collect()
}

/// What made the result larger than it had to be.
pub(super) fn notes(units: &[Unit<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    for unit in units.iter().filter(|unit| unit.summaries.is_none()) {
        let why = if unit.functions.are_go {
            "a Go program"
        } else if unit.functions.are_told {
            "too large to be followed call by call"
        } else {
            "without a list of its functions"
        };
        notes.push(format!(
            "all code{} counts as reachable: {why}",
            in_file(&unit.name)
        ));
    }
    notes
}

fn in_file(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!(" in {name}")
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}

fn list(listed: &[String], all: usize) -> String {
    let more = if all > listed.len() { ", …" } else { "" };
    listed.join(", ") + more
}
