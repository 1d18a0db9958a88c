//! The system calls of Linux: names and numbers, by processor.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use uc_model::Provenance;

use crate::footprint::Architecture;

const X86_64: &str = include_str!("../data/syscalls-x86_64.txt");
const AARCH64: &str = include_str!("../data/syscalls-aarch64.txt");

/// The newest release of Linux whose calls are known.
pub const NEWEST_KERNEL: &str = "6.18";

/// The calls of one processor, both ways.
struct Table {
    by_number: BTreeMap<u64, &'static str>,
    by_name: BTreeMap<&'static str, u64>,
}

impl Table {
    /// Reads lines of `NUMBER NAME NAME …`; a line of another form is passed over, and a test holds that there is none.
    fn read(text: &'static str) -> Self {
        let mut by_number = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_ascii_whitespace();
            let first = words.next().and_then(|number| number.parse::<u64>().ok());
            let Some(first) = first else { continue };
            by_number.extend((first..).zip(words));
        }
        let by_name = by_number.iter().map(|(&nr, &name)| (name, nr)).collect();
        Self { by_number, by_name }
    }
}

fn table(architecture: Architecture) -> &'static Table {
    static TABLES: [OnceLock<Table>; 2] = [OnceLock::new(), OnceLock::new()];
    let [x86_64, aarch64] = &TABLES;
    match architecture {
        Architecture::X86_64 => x86_64.get_or_init(|| Table::read(X86_64)),
        Architecture::Aarch64 => aarch64.get_or_init(|| Table::read(AARCH64)),
    }
}

/// The kernel's name of a call.
pub fn syscall_name(architecture: Architecture, number: u64) -> Option<&'static str> {
    table(architecture).by_number.get(&number).copied()
}

/// The number of a call.
pub fn syscall_number(architecture: Architecture, name: &str) -> Option<u64> {
    table(architecture).by_name.get(name).copied()
}

/// All calls of a processor, by name.
pub fn syscall_names(architecture: Architecture) -> BTreeSet<&'static str> {
    table(architecture).by_name.keys().copied().collect()
}

/// Where names and numbers come from.
pub fn syscall_provenance() -> Provenance {
    Provenance::Assumed(format!(
        "the user-space headers of Linux, up to {NEWEST_KERNEL}"
    ))
}

#[cfg(test)]
mod tests;
