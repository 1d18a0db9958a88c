//! The leaves of a tree of control groups.

use std::path::Path;

use uc_model::{Problem, Result};

use super::child_directories;
use crate::kernel_file::{is_gone, read, unreadable};

/// How deep the tree is followed.
const DEPTH: usize = 32;
/// How many groups are looked at.
const VISITS: usize = 100_000;
/// What the kernel answers for the processes of a threaded group.
const EOPNOTSUPP: i32 = 95;

/// Groups of a hierarchy.
#[derive(Debug, Default)]
#[must_use = "groups may be missing: see `unread`"]
pub struct Groups {
    /// Their paths.
    pub paths: Vec<String>,
    /// Whether there are, or may be, more.
    pub is_truncated: bool,
    /// Groups that are there and could not be looked into, with why: they, and those below them, may be missing.
    pub unread: Vec<(String, Problem)>,
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
            Err(error) if depth == 0 => return Err(unreadable(directory, error)),
            Err(error) => {
                self.unread(path, unreadable(directory, error));
                // What is above it holds it, so it is no leaf.
                return Ok(true);
            }
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
        let processes = directory.join("cgroup.procs");
        let is_leaf = match read(&processes) {
            Ok(text) => !text.is_empty(),
            // A threaded group cannot list its processes; the group above it does.
            Err(error) if is_gone(&error) || error.raw_os_error() == Some(EOPNOTSUPP) => false,
            Err(error) => {
                self.unread(path, unreadable(&processes, error));
                return Ok(true);
            }
        };
        if is_leaf && self.found.paths.len() == self.at_most {
            self.found.is_truncated = true;
        } else if is_leaf && !self.found.is_truncated {
            let path = if path.is_empty() { "/" } else { path };
            self.found.paths.push(path.to_owned());
        }
        Ok(is_leaf)
    }

    fn unread(&mut self, path: &str, problem: Problem) {
        if self.found.unread.len() < self.at_most {
            self.found.unread.push((path.to_owned(), problem));
        } else {
            self.found.is_truncated = true;
        }
    }
}
