//! What is known of the users of calls: how they take it when one is refused.

use std::{collections::BTreeMap, sync::OnceLock};

use super::Weight;
use crate::{
    footprint::Architecture,
    records::{Record, matches, records},
    syscalls::syscall_number,
};

const TEXT: &str = include_str!("../../data/absences.txt");

/// From this number on, calls are of Linux 5.1 or newer, on all processors.
const FIRST_NEW: u64 = 424;

#[derive(Debug, Default)]
pub(super) struct Absences {
    calls: BTreeMap<&'static str, (Weight, String)>,
    variants: BTreeMap<&'static str, Vec<(&'static str, Weight, String)>>,
}

impl Absences {
    /// Reads the data, and says which records it passed over.
    fn read() -> (Self, Vec<Record>) {
        let mut absences = Self::default();
        let mut strange = Vec::new();
        for record in records(TEXT) {
            if absences.take(&record).is_none() {
                strange.push(record);
            }
        }
        (absences, strange)
    }

    fn take(&mut self, record: &Record) -> Option<()> {
        let (word, of_variant) = match record.keyword.strip_suffix("-variant") {
            Some(word) => (word, true),
            None => (record.keyword, false),
        };
        let weight = match word {
            "harmless" => Weight::Harmless,
            "unclear" => Weight::Unclear,
            "essential" => Weight::Essential,
            _ => return None,
        };
        if !of_variant {
            for call in &record.words {
                let known = (weight, record.note.clone());
                self.calls.entry(call).or_insert(known);
            }
            return Some(());
        }
        let (&call, patterns) = record.words.split_first()?;
        let known = patterns
            .iter()
            .map(|&pattern| (pattern, weight, record.note.clone()));
        self.variants.entry(call).or_default().extend(known);
        Some(())
    }

    /// What is known of one flag or value; the first pattern that fits counts.
    fn of_variant(&self, call: &str, variant: &str) -> Option<(Weight, String)> {
        self.variants
            .get(call)?
            .iter()
            .find(|(pattern, ..)| matches(pattern, variant))
            .map(|(_, weight, reason)| (*weight, reason.clone()))
    }
}

fn absences() -> &'static Absences {
    static ABSENCES: OnceLock<Absences> = OnceLock::new();
    ABSENCES.get_or_init(|| Absences::read().0)
}

/// What it means that a call is refused, and why.
pub(super) fn weigh(
    architecture: Architecture,
    call: &str,
    variant: Option<&str>,
) -> (Weight, String) {
    let absences = absences();
    let of_variant = variant.and_then(|variant| {
        variant
            .split('|')
            .filter_map(|flag| absences.of_variant(call, flag))
            .max_by_key(|(weight, _)| *weight)
    });
    if let Some(known) = of_variant.or_else(|| absences.calls.get(call).cloned()) {
        return known;
    }
    match syscall_number(architecture, call) {
        Some(number) if number >= FIRST_NEW => (
            Weight::Harmless,
            "newer than many kernels in use, so its users do without".into(),
        ),
        _ => (
            Weight::Unclear,
            "how its users take a refusal is not known".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscalls::syscall_names;

    #[test]
    fn every_record_is_read_and_names_a_call() {
        let (absences, strange) = Absences::read();
        assert!(strange.is_empty(), "{strange:?}");
        let known = syscall_names(Architecture::X86_64);
        for call in absences.calls.keys().chain(absences.variants.keys()) {
            assert!(known.contains(call), "{call}");
        }
        for record in records(TEXT) {
            assert!(!record.note.is_empty(), "no reason: {record:?}");
        }
    }

    #[test]
    fn no_call_is_weighed_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for record in records(TEXT) {
            if !record.keyword.ends_with("-variant") {
                for call in record.words {
                    assert!(seen.insert(call), "{call}");
                }
            }
        }
    }
}
