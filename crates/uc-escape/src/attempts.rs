//! Every attempt, by family.

mod credentials;
mod devices;
mod kernel;
mod leaks;
mod mounts;
mod namespaces;
mod priority;
mod proc_files;
mod processes;
mod sockets;

use std::{fs, sync::OnceLock};

use crate::attempt::Attempt;

/// All attempts. What could blind the others (ending every process) comes last.
pub(crate) fn all() -> impl Iterator<Item = &'static Attempt> {
    [
        leaks::ATTEMPTS,
        mounts::ATTEMPTS,
        namespaces::ATTEMPTS,
        credentials::ATTEMPTS,
        proc_files::ATTEMPTS,
        devices::ATTEMPTS,
        sockets::ATTEMPTS,
        kernel::ATTEMPTS,
        priority::ATTEMPTS,
        processes::ATTEMPTS,
    ]
    .into_iter()
    .flatten()
}

static INHERITED: OnceLock<Vec<String>> = OnceLock::new();

/// Notes which file descriptors beyond the standard three this program was started with.
pub(crate) fn remember_inherited_descriptors() {
    INHERITED.get_or_init(|| {
        let Ok(entries) = fs::read_dir("/proc/self/fd") else {
            return Vec::new();
        };
        let numbers: Vec<u32> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|number| *number > 2)
            .collect();
        // The descriptor of the listing itself is closed by now: its link cannot be read any more.
        numbers
            .into_iter()
            .filter_map(|number| {
                let target = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
                Some(format!("{number} -> {}", target.display()))
            })
            .collect()
    });
}

/// What [`remember_inherited_descriptors`] found.
pub(crate) fn inherited_descriptors() -> &'static [String] {
    INHERITED.get().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let mut names = BTreeSet::new();
        for attempt in all() {
            let is_kebab =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(attempt.name.bytes().all(is_kebab), "{}", attempt.name);
            assert!(names.insert(attempt.name), "{} stands twice", attempt.name);
        }
        assert!(names.len() > 100, "only {} attempts", names.len());
    }
}
