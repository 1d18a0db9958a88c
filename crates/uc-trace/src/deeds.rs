//! What a program did to the world around it, as far as that decides which sandbox and which privileges it needs.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Most entries of each kind that are kept.
pub const MAX_DEEDS: usize = 1024;

/// Files, ports and programs. A deed is counted when it is tried, whether or not it succeeds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deeds {
    /// The paths that it made, changed or removed, or opened for writing.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub changed: BTreeSet<PathBuf>,
    /// The programs that it executed, its own first one left out.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub executed: BTreeSet<PathBuf>,
    /// The TCP and UDP ports that it bound; 0 stands for one of the kernel's choice.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub bound: BTreeSet<u16>,
    /// The TCP and UDP ports that it connected to beyond this host.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub connected: BTreeSet<u16>,
    /// Whether more was done than is listed.
    #[serde(default)]
    pub is_cut: bool,
}

impl Deeds {
    pub(crate) fn change(&mut self, path: &Path) {
        keep(&mut self.changed, &mut self.is_cut, tidy(path));
    }

    pub(crate) fn execute(&mut self, path: &Path) {
        keep(&mut self.executed, &mut self.is_cut, tidy(path));
    }

    pub(crate) fn bind(&mut self, port: u16) {
        keep(&mut self.bound, &mut self.is_cut, port);
    }

    pub(crate) fn connect(&mut self, port: u16) {
        keep(&mut self.connected, &mut self.is_cut, port);
    }

    /// The changed paths that a read-only root file system would not allow: all but those of `/dev` and `/proc`.
    pub fn changed_files(&self) -> impl Iterator<Item = &Path> {
        let is_kernel = |path: &Path| path.starts_with("/dev") || path.starts_with("/proc");
        self.changed
            .iter()
            .map(PathBuf::as_path)
            .filter(move |path| !is_kernel(path))
    }
}

fn keep<T: Ord>(set: &mut BTreeSet<T>, is_cut: &mut bool, value: T) {
    if set.len() < MAX_DEEDS {
        set.insert(value);
    } else if !set.contains(&value) {
        *is_cut = true;
    }
}

/// A path without `.` and, where that is safe to say without looking, without `..`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                tidied.pop();
            }
            other => tidied.push(other),
        }
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tidied_and_bounded() {
        let mut deeds = Deeds::default();
        deeds.change(Path::new("/a/./b/../c"));
        deeds.change(Path::new("/dev/null"));
        assert_eq!(
            deeds.changed_files().collect::<Vec<_>>(),
            [Path::new("/a/c")]
        );
        for port in 0..2 * MAX_DEEDS {
            deeds.bind(port as u16);
        }
        assert_eq!((deeds.bound.len(), deeds.is_cut), (MAX_DEEDS, true));
    }
}
