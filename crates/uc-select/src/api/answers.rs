//! The answers of each runtime, read from its data.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use super::{Interface, Level, Support, support::ArgumentRule};
use crate::{
    footprint::Architecture,
    records::{Record, matches, records},
    syscalls::syscall_number,
};

const WASI_P1: &str = include_str!("../../data/wasi-p1.txt");
const WASI_P2: &str = include_str!("../../data/wasi-p2.txt");
const WASI_COMMON: &str = include_str!("../../data/wasi-common.txt");
const CONTAINER: &str = include_str!("../../data/container.txt");
const GVISOR: &str = include_str!("../../data/gvisor.txt");
const LINUX: &str = include_str!("../../data/linux.txt");

/// Everything that a runtime answers.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    calls: BTreeMap<&'static str, Support>,
    /// Answers to calls that are not named; none where only named calls are there.
    rest: Option<Support>,
    /// Calls above that number are answered by this.
    newer: Option<(u64, Support)>,
    arguments: BTreeMap<&'static str, Arguments>,
    /// Calls that lack nothing but what `arguments` say.
    by_argument: BTreeSet<&'static str>,
    /// The same as `arguments`, in the order and grouping of the data.
    pub(super) rules: Vec<ArgumentRule>,
    /// How many functions stand for calls.
    pub(super) functions: usize,
}

/// What the arguments of one call change.
#[derive(Debug, Default)]
struct Arguments {
    /// Patterns that are answered as the call is.
    known: Vec<&'static str>,
    /// Patterns with answers of their own; the first that fits counts.
    special: Vec<(&'static str, Support)>,
    /// What is answered to what no pattern fits.
    otherwise: Option<Support>,
}

/// The answers of an interface.
pub(crate) fn answers(interface: Interface) -> &'static Answers {
    static ALL: OnceLock<BTreeMap<Interface, Answers>> = OnceLock::new();
    static NONE: OnceLock<Answers> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        Interface::ALL
            .into_iter()
            .map(|interface| (interface, Answers::read(files(interface)).0))
            .collect()
    });
    all.get(&interface)
        .unwrap_or_else(|| NONE.get_or_init(Answers::default))
}

/// The files of an interface; an earlier one counts more.
pub(super) fn files(interface: Interface) -> &'static [&'static str] {
    match interface {
        Interface::WasiP1 => &[WASI_P1, WASI_COMMON],
        Interface::WasiP2 => &[WASI_P2, WASI_COMMON],
        Interface::Container => &[CONTAINER],
        Interface::Gvisor => &[GVISOR],
        Interface::Microvm => &[LINUX],
    }
}

impl Answers {
    /// Reads the files, and says which records it passed over.
    pub(super) fn read(files: &[&'static str]) -> (Self, Vec<Record>) {
        let mut answers = Self::default();
        let mut strange = Vec::new();
        for record in files.iter().flat_map(|text| records(text)) {
            if answers.take(&record).is_none() {
                strange.push(record);
            }
        }
        (answers, strange)
    }

    fn take(&mut self, record: &Record) -> Option<()> {
        let note = record.note.as_str();
        let words = record.words.as_slice();
        match record.keyword {
            "full" => self.name(words, &Support::new(Level::Full, note)),
            "partial" => self.name(words, &Support::new(Level::Partial, note)),
            "by-argument" => {
                self.by_argument.extend(words);
                self.name(words, &Support::new(Level::Partial, note));
            }
            "unneeded" => self.name(words, &Support::new(Level::Unneeded, note)),
            "once" => self.name(words, &Support::new(Level::Start, note)),
            "emulated" => self.name(words, &Support::new(Level::Emulated, note)),
            "refused" => {
                let (errno, calls) = words.split_first()?;
                self.name(calls, &Support::refused(errno, note));
            }
            "function" => {
                let (function, calls) = words.split_first()?;
                self.function(function, calls);
            }
            "all" => self.rest = Some(Support::new(Level::Full, note)),
            "rest" => self.rest = Some(Support::refused(words.first()?, note)),
            "newer" => {
                let [errno, number] = words else { return None };
                self.newer = Some((number.parse().ok()?, Support::refused(errno, note)));
            }
            _ => self.take_arguments(record)?,
        }
        Some(())
    }

    fn take_arguments(&mut self, record: &Record) -> Option<()> {
        let note = record.note.as_str();
        let (&call, rest) = record.words.split_first()?;
        let arguments = self.arguments.entry(call).or_default();
        let (support, patterns) = match record.keyword {
            "differs" => (Support::new(Level::Differs, note), rest),
            "partial-variant" => (Support::new(Level::Partial, note), rest),
            "emulated-variant" => (Support::new(Level::Emulated, note), rest),
            "knows" | "lacks" => {
                let (errno, patterns) = rest.split_first()?;
                (Support::refused(errno, note), patterns)
            }
            _ => return None,
        };
        let is_list_of_known = record.keyword == "knows";
        self.rules.push(ArgumentRule {
            call,
            patterns: patterns.to_vec(),
            all_but: is_list_of_known,
            support: support.clone(),
        });
        if is_list_of_known {
            arguments.known.extend(patterns);
            arguments.otherwise = Some(support);
        } else {
            let special = patterns.iter().map(|&pattern| (pattern, support.clone()));
            arguments.special.extend(special);
        }
        Some(())
    }

    fn name(&mut self, calls: &[&'static str], support: &Support) {
        for call in calls {
            self.calls.entry(call).or_insert_with(|| support.clone());
        }
    }

    fn function(&mut self, function: &'static str, calls: &[&'static str]) {
        self.functions += 1;
        for call in calls {
            let support = self
                .calls
                .entry(call)
                .or_insert_with(|| Support::new(Level::Full, ""));
            support.through.push(function);
        }
    }

    pub(super) fn call(&self, architecture: Architecture, call: &str) -> Support {
        let Some(number) = syscall_number(architecture, call) else {
            return Support::refused("ENOSYS", "no call of this processor");
        };
        match &self.newer {
            Some((last, support)) if number > *last => return support.clone(),
            _ => {}
        }
        let named = self.calls.get(call).or(self.rest.as_ref());
        named
            .cloned()
            .unwrap_or_else(|| Support::refused("ENOSYS", ""))
    }

    /// The answer to a call with this argument, where it is not that of the call.
    pub(super) fn variant(&self, call: &str, variant: &str) -> Option<Support> {
        let as_usual = || {
            self.by_argument
                .contains(call)
                .then(|| Support::new(Level::Full, ""))
        };
        let Some(arguments) = self.arguments.get(call) else {
            return as_usual();
        };
        let fits = |pattern: &str| matches(pattern, variant);
        if arguments.known.iter().any(|pattern| fits(pattern)) {
            return as_usual();
        }
        arguments
            .special
            .iter()
            .find(|(pattern, _)| fits(pattern))
            .map(|(_, support)| support.clone())
            .or_else(|| arguments.otherwise.clone())
            .or_else(as_usual)
    }

    /// Whether a call lacks nothing but certain arguments.
    pub(crate) fn is_by_argument(&self, call: &str) -> bool {
        self.by_argument.contains(call)
    }

    /// Every name and pattern that the data mention, for tests.
    #[cfg(test)]
    pub(super) fn mentioned(&self) -> (Vec<&'static str>, Vec<(&'static str, &'static str)>) {
        let patterns = self.arguments.iter().flat_map(|(&call, arguments)| {
            let special = arguments.special.iter().map(|(pattern, _)| *pattern);
            let all = arguments.known.iter().copied().chain(special);
            all.map(move |pattern| (call, pattern))
        });
        (self.calls.keys().copied().collect(), patterns.collect())
    }
}
