//! A heavy dependency has one owner.

use super::Violation;
use crate::workspace::Workspace;

/// Heavy crates, by the beginning of their name, with the crates that may use them.
const OWNERS: &[(&str, &[&str])] = &[
    ("wasmtime", &["uc-wasm"]),
    ("cranelift", &["uc-wasm"]),
    ("wit-component", &["uc-wasm"]),
    ("kube", &["uc-cluster"]),
    ("k8s-openapi", &["uc-cluster"]),
    ("libcontainer", &["uc-container"]),
    ("seccompiler", &["uc-container", "uc-linux", "uc-trace"]),
    ("burn", &["uc-foresight"]),
    ("candle", &["uc-foresight"]),
    ("tch", &["uc-foresight"]),
    ("ort", &["uc-foresight"]),
    ("highs", &["uc-solver"]),
    ("clap", &["uc-cli", "xtask"]),
    ("ureq", &["uc-image", "uc-metrics"]),
    ("redb", &["uc-metrics"]),
    ("saphyr", &["uc-manifest"]),
];

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in &workspace.crates {
        for dependency in &member.dependencies {
            let Some(owners) = owners_of(&dependency.name) else {
                continue;
            };
            if !owners.contains(&member.name.as_str()) {
                violations.push(Violation::of_file(
                    "owners",
                    format!("{}/Cargo.toml", member.folder),
                    format!(
                        "{} uses {}, which belongs to {} alone",
                        member.name,
                        dependency.name,
                        owners.join(" and ")
                    ),
                ));
            }
        }
    }
    violations
}

fn owners_of(dependency: &str) -> Option<&'static [&'static str]> {
    let is_family = |family: &str| {
        dependency
            .strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    };
    OWNERS
        .iter()
        .find(|(family, _)| is_family(family))
        .map(|(_, owners)| *owners)
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    #[test]
    fn owners_pass_and_names_that_merely_begin_alike_too() {
        let wasm = member("uc-wasm", &["wasmtime", "wasmtime-wasi-http"]);
        let cli = member("uc-cli", &["clap", "clap_complete"]);
        let trace = member("uc-trace", &["orthography"]);
        assert_eq!(check(&crates([wasm, cli, trace])), []);
    }

    #[test]
    fn everybody_else_fails() {
        let engine = member("uc-engine", &["wasmtime-wasi", "saphyr"]);
        let found = check(&crates([engine]));
        assert_eq!(found.len(), 2);
        assert!(found[0].message.contains("uc-wasm"));
    }
}
