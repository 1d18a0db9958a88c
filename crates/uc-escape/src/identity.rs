//! Who this process is, as the kernel tells it.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

/// Lines of `/proc/self/status` that say something about rights.
const STATUS_FIELDS: &[&str] = &[
    "Uid",
    "Gid",
    "Groups",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
];
/// More mounts than a container has.
const MOUNTS_LIMIT: usize = 1024;

/// Everything at once.
pub(crate) fn read() -> Value {
    json!({
        "status": status(),
        "uid_map": lines("/proc/self/uid_map", 340),
        "gid_map": lines("/proc/self/gid_map", 340),
        "setgroups": lines("/proc/self/setgroups", 1),
        "namespaces": namespaces(),
        "descriptors": crate::attempts::inherited_descriptors(),
        "mounts": lines("/proc/self/mountinfo", MOUNTS_LIMIT),
        "environment": environment(),
    })
}

/// The fields of `/proc/self/status`, with single blanks between their words.
pub(crate) fn status() -> BTreeMap<String, String> {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(field, _)| STATUS_FIELDS.contains(field))
        .map(|(field, value)| {
            let words: Vec<&str> = value.split_whitespace().collect();
            (field.to_owned(), words.join(" "))
        })
        .collect()
}

fn lines(path: &str, limit: usize) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let single_blanks = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().take(limit).map(single_blanks).collect()
}

/// Names with the numbers of their inodes: `mnt` to 4026531841.
fn namespaces() -> BTreeMap<String, u64> {
    let Ok(entries) = fs::read_dir("/proc/self/ns") else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            inode(&entry.path()).map(|inode| (name, inode))
        })
        .collect()
}

/// The number in a link such as `mnt:[4026531841]`.
fn inode(path: &Path) -> Option<u64> {
    let target = fs::read_link(path).ok()?;
    let text = target.to_str()?;
    let (_, number) = text.split_once('[')?;
    number.trim_end_matches(']').parse().ok()
}

/// Names alone: values may be secrets.
fn environment() -> Vec<String> {
    let mut names: Vec<String> = std::env::vars_os()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_capabilities_and_namespaces() {
        let identity = read();
        let effective = identity["status"]["CapEff"].as_str().expect("a mask");
        assert_eq!(effective.len(), 16);
        assert!(identity["namespaces"]["mnt"].as_u64().expect("an inode") > 0);
        assert!(!identity["uid_map"].as_array().expect("lines").is_empty());
    }
}
