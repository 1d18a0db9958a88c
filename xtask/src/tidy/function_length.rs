//! A function is read in one or two screens.

use super::Violation;
use crate::{
    source::{Source, end_of_group},
    workspace::Workspace,
};

/// Lines from `fn` to the closing brace. The habit is 70; beyond this it is a fault.
const LINES_LIMIT: usize = 100;

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in &workspace.sources {
        for offset in source.words("fn") {
            let Some((name, end)) = function_at(source, offset) else {
                continue;
            };
            let lines = 1 + source.line_of(end) - source.line_of(offset);
            if lines > LINES_LIMIT {
                let message = format!("`{name}` has {lines} lines, at most {LINES_LIMIT}");
                violations.push(Violation::at("function_length", source, offset, message));
            }
        }
    }
    violations
}

/// The name and the last byte of the function whose `fn` stands at `offset`; nothing for a function type or a
/// declaration without a body.
fn function_at(source: &Source, offset: usize) -> Option<(&str, usize)> {
    let code = &source.code;
    let rest = code[offset + 2..].trim_start();
    let name = &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_')?];
    if name.is_empty() {
        return None;
    }
    let open = offset + code[offset..].find('{')?;
    let is_declaration = bodyless(&code[offset..open]);
    (!is_declaration).then(|| (name, end_of_group(code, open) - 1))
}

/// Whether a semicolon ends the signature; those within brackets are of array types.
fn bodyless(signature: &str) -> bool {
    let mut depth = 0_i32;
    signature.bytes().any(|byte| {
        match byte {
            b'[' | b'(' => depth += 1,
            b']' | b')' => depth -= 1,
            _ => {}
        }
        byte == b';' && depth <= 0
    })
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    #[test]
    fn short_functions_declarations_and_types_pass() {
        let body = "    g();\n".repeat(LINES_LIMIT - 2);
        let text = format!(
            "trait T {{\n fn d(&self);\n}}\nstatic A: [fn(); 2] = [a, b];\nfn f(x: [u8; 4]) {{\n{body}}}\n"
        );
        assert_eq!(check(&file("src/lib.rs", &text)), []);
    }

    #[test]
    fn a_long_function_fails_by_name() {
        let body = "    g();\n".repeat(LINES_LIMIT);
        let text = format!("//! X.\nfn short() {{}}\nfn endless(x: [u8; 4]) {{\n{body}}}\n");
        let found = check(&file("src/lib.rs", &text));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, Some(3));
        assert!(found[0].message.contains("endless"));
    }
}
