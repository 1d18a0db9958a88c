//! The rules of the repository: each is one file with a `check` from the workspace to what breaks it.

pub mod file_length;
pub mod function_length;
pub mod layers;
pub mod lints;
pub mod module_doc;
pub mod names;
pub mod owners;
pub mod purity;
pub mod reasons;
pub mod safety;

use std::fmt;

use crate::{source::Source, workspace::Workspace};

/// One place that breaks one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule's name: the name of its file.
    pub rule: &'static str,
    /// The file, from the repository's root.
    pub path: String,
    /// The line, counted from 1, where there is one.
    pub line: Option<usize>,
    /// What is wrong and what to do instead.
    pub message: String,
}

impl Violation {
    /// A violation by a file as a whole.
    pub fn of_file(
        rule: &'static str,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            path: path.into(),
            line: None,
            message: message.into(),
        }
    }

    /// A violation at one byte of a source file.
    pub fn at(
        rule: &'static str,
        source: &Source,
        offset: usize,
        message: impl Into<String>,
    ) -> Self {
        Self {
            line: Some(source.line_of(offset)),
            ..Self::of_file(rule, &source.path, message)
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            path,
            line,
            message,
        } = self;
        match line {
            Some(line) => write!(f, "{path}:{line}: {message} [{rule}]"),
            None => write!(f, "{path}: {message} [{rule}]"),
        }
    }
}

/// Applies every rule; the answer is in the order of files and lines.
pub fn check(workspace: &Workspace) -> Vec<Violation> {
    let rules = [
        file_length::check,
        function_length::check,
        layers::check,
        lints::check,
        module_doc::check,
        names::check,
        owners::check,
        purity::check,
        reasons::check,
        safety::check,
    ];
    let mut violations: Vec<Violation> = rules.iter().flat_map(|rule| rule(workspace)).collect();
    violations.sort_by(|a, b| (&a.path, a.line, a.rule).cmp(&(&b.path, b.line, b.rule)));
    violations
}

#[cfg(test)]
mod samples {
    use crate::{
        source::Source,
        workspace::{Crate, Dependency, DependencyKind, Workspace},
    };

    /// A workspace of one file.
    pub(super) fn file(path: &str, text: &str) -> Workspace {
        Workspace {
            crates: Vec::new(),
            sources: vec![Source::new(path, text)],
        }
    }

    /// A crate with normal dependencies.
    pub(super) fn member(name: &str, dependencies: &[&str]) -> Crate {
        Crate {
            name: name.into(),
            folder: format!("crates/{name}"),
            manifest: "[lints]\nworkspace = true\n".into(),
            dependencies: dependencies
                .iter()
                .map(|dependency| Dependency {
                    name: (*dependency).into(),
                    kind: DependencyKind::Normal,
                })
                .collect(),
        }
    }

    /// A workspace of crates without files.
    pub(super) fn crates(crates: impl IntoIterator<Item = Crate>) -> Workspace {
        Workspace {
            crates: crates.into_iter().collect(),
            sources: Vec::new(),
        }
    }
}
