//! A source file begins by saying what it is, with `//!`.

use super::Violation;
use crate::workspace::Workspace;

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    workspace
        .sources
        .iter()
        .filter(|source| !source.text.trim_start().starts_with("//! "))
        .map(|source| {
            Violation::at(
                "module_doc",
                source,
                0,
                "the file does not begin with `//!`",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    #[test]
    fn a_described_file_passes() {
        assert_eq!(check(&file("src/lib.rs", "//! Digests.\n\nuse x;\n")), []);
    }

    #[test]
    fn a_silent_file_fails() {
        for text in [
            "",
            "use x;\n",
            "// Digests.\n",
            "//!\nuse x;\n",
            "#![no_main]\n//! Late.\n",
        ] {
            assert_eq!(check(&file("src/lib.rs", text)).len(), 1, "{text:?}");
        }
    }
}
