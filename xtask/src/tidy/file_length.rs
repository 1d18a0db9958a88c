//! A file is read in one sitting.

use super::Violation;
use crate::workspace::Workspace;

/// Lines of a file, its test module left out.
const LINES_LIMIT: usize = 600;

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in workspace.sources.iter().filter(|one| !one.is_test_file()) {
        let lines = source.lines_outside_tests();
        if lines > LINES_LIMIT {
            violations.push(Violation::of_file(
                "file_length",
                &source.path,
                format!("{lines} lines without tests, at most {LINES_LIMIT}: split it by idea"),
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    #[test]
    fn a_short_file_passes_and_tests_do_not_count() {
        let text = format!(
            "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
            "fn f();\n".repeat(LINES_LIMIT),
            "fn g();\n".repeat(100)
        );
        assert_eq!(check(&file("src/lib.rs", &text)), []);
        let long = "fn f();\n".repeat(LINES_LIMIT + 1);
        assert_eq!(check(&file("crates/a/tests/run.rs", &long)), []);
    }

    #[test]
    fn a_long_file_fails() {
        let text = "fn f();\n".repeat(LINES_LIMIT + 1);
        assert_eq!(check(&file("src/lib.rs", &text)).len(), 1);
    }
}
