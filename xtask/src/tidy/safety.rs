//! `unsafe` says why it is sound, in a `// SAFETY:` comment above it.

use super::Violation;
use crate::{source::Source, workspace::Workspace};

/// Lines above `unsafe` in which its reason is looked for.
const LINES_ABOVE: usize = 12;

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in &workspace.sources {
        for offset in source.words("unsafe") {
            if needs_reason(source, offset) && !has_reason(source, offset) {
                let message = "`unsafe` without a `// SAFETY:` comment above it";
                violations.push(Violation::at("safety", source, offset, message));
            }
        }
    }
    violations
}

/// Blocks and implementations do; an `unsafe fn` states its demands in its documentation instead.
fn needs_reason(source: &Source, offset: usize) -> bool {
    let next = source.code[offset + "unsafe".len()..].trim_start();
    next.starts_with('{') || next.starts_with("impl") || next.starts_with("extern")
}

/// Goes up from `unsafe` through its own statement and the comments and attributes above that.
fn has_reason(source: &Source, offset: usize) -> bool {
    let line = source.line_of(offset);
    let text: Vec<&str> = source.text.lines().take(line).collect();
    let code: Vec<&str> = source.code.lines().take(line).collect();
    let is_in_comment = |index: usize| {
        let reason = text[index].find("SAFETY:");
        reason.is_some_and(|at| {
            let is_blank = code[index]
                .get(at..at + 7)
                .is_none_or(|c| c.trim().is_empty());
            is_blank
                && ["//", "/*"]
                    .iter()
                    .any(|mark| text[index][..at].contains(mark))
        })
    };
    for index in (line.saturating_sub(1 + LINES_ABOVE)..line).rev() {
        if is_in_comment(index) {
            return true;
        }
        let is_above = index + 1 < line;
        if is_above && code[index].trim_end().ends_with([';', '{', '}']) {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    #[test]
    fn a_reason_above_the_statement_passes() {
        for text in [
            "fn f() {\n    // SAFETY: no pointer is involved.\n    unsafe { g() }\n}",
            "fn f() {\n    // SAFETY: the buffer lives\n    // long enough.\n    let x =\n        unsafe { g() };\n}",
            "// SAFETY: it is plain data.\n#[cfg(x)]\nunsafe impl Send for T {}",
            "unsafe fn f() {}",
            "// unsafe { in words }",
        ] {
            assert_eq!(check(&file("src/lib.rs", text)), [], "{text}");
        }
    }

    #[test]
    fn a_missing_or_foreign_reason_fails() {
        for text in [
            "fn f() {\n    unsafe { g() }\n}",
            "fn f() {\n    // SAFETY: of the first.\n    unsafe { g() };\n    unsafe { h() };\n}",
            "unsafe impl Send for T {}",
            "fn f() {\n    let x = \"SAFETY:\";\n    unsafe { g() }\n}",
        ] {
            assert_eq!(check(&file("src/lib.rs", text)).len(), 1, "{text}");
        }
    }
}
