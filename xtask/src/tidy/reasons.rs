//! An exception from a lint and an ignored test say why.

use super::Violation;
use crate::{
    source::{Source, end_of_group},
    workspace::Workspace,
};

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    workspace.sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (hash, _) in source.code.match_indices('#') {
        let behind = &source.code[hash + 1..];
        let open = hash + 1 + usize::from(behind.starts_with('!'));
        if source.code.as_bytes().get(open) != Some(&b'[') {
            continue;
        }
        let attribute = &source.code[open..end_of_group(&source.code, open)];
        let compact: String = attribute.split_whitespace().collect();
        let is_exception = ["[allow(", "[expect(", ",allow(", ",expect("]
            .iter()
            .any(|start| compact.contains(start));
        let message = if is_exception && !compact.contains("reason=") {
            "a lint is lowered without `reason = \"…\"`"
        } else if compact == "[ignore]" {
            "a test is ignored without `= \"why\"`"
        } else {
            continue;
        };
        violations.push(Violation::at("reasons", source, hash, message));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    #[test]
    fn exceptions_with_a_reason_pass() {
        for text in [
            "#[allow(dead_code, reason = \"read by the test\")]\nfn f() {}",
            "#![expect(\n    unsafe_code,\n    reason = \"system calls\"\n)]",
            "#[ignore = \"needs a terminal\"]\nfn f() {}",
            "#[derive(Debug)]\nstruct S;",
            "// #[allow(x)]",
        ] {
            assert_eq!(check(&file("src/lib.rs", text)), [], "{text}");
        }
    }

    #[test]
    fn exceptions_without_one_fail() {
        for text in [
            "#[allow(dead_code)]\nfn f() {}",
            "#![allow(unsafe_code)]",
            "#[expect(\n    unsafe_code\n)]\nfn f() {}",
            "#[cfg_attr(test, allow(dead_code))]\nfn f() {}",
            "#[ignore]\nfn f() {}",
        ] {
            assert_eq!(check(&file("src/lib.rs", text)).len(), 1, "{text}");
        }
    }
}
