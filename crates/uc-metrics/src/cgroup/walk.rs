//! The leaves of a tree of control groups.

use std::path::Path;

use uc_model::Result;

use super::child_directories;
use crate::kernel_file::{is_gone, read, unreadable};

/// How deep the tree is followed.
const DEPTH: usize = 32;
/// How many groups are looked at.
const VISITS: usize = 100_000;

/// Groups of a hierarchy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// Their paths.
    pub paths: Vec<String>,
    /// Whether there are, or may be, more.
    pub is_truncated: bool,
}

pub(super) fn leaves(path: &str, directory: &Path, at_most: usize) -> Result<Groups> {
    let mut walk = Walk {
        found: Groups::default(),
        at_most,
        visits: 0,
    };
    let below = path.trim_end_matches('/');
    walk.visit(below, directory, 0)?;
    walk.found.paths.sort_unstable();
    Ok(walk.found)
}

struct Walk {
    found: Groups,
    at_most: usize,
    visits: usize,
}

impl Walk {
    /// Whether the group or one below it holds processes.
    fn visit(&mut self, path: &str, directory: &Path, depth: usize) -> Result<bool> {
        self.visits += 1;
        let children = match child_directories(directory, VISITS) {
            Ok(children) => children,
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(unreadable(directory, error)),
        };
        let mut is_inner = false;
        for name in children {
            if depth == DEPTH || self.visits >= VISITS || self.found.is_truncated {
                self.found.is_truncated = true;
                break;
            }
            is_inner |= self.visit(&format!("{path}/{name}"), &directory.join(&name), depth + 1)?;
        }
        if is_inner {
            return Ok(true);
        }
        // A threaded group cannot list its processes; the group above it does.
        let is_leaf = read(&directory.join("cgroup.procs")).is_ok_and(|text| !text.is_empty());
        if is_leaf && self.found.paths.len() == self.at_most {
            self.found.is_truncated = true;
        } else if is_leaf && !self.found.is_truncated {
            let path = if path.is_empty() { "/" } else { path };
            self.found.paths.push(path.to_owned());
        }
        Ok(is_leaf)
    }
}
