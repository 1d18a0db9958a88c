//! A crate of the nouns or of the pure layer names no async, file, network, clock, environment or process.

use super::{
    Violation,
    layers::{Layer, layer_of},
};
use crate::{
    source::{Source, end_of_group},
    workspace::{DependencyKind, Workspace},
};

/// Crates that bring the outside world along.
const IMPURE_CRATES: &[&str] = &[
    "async-std",
    "async-trait",
    "caps",
    "chrono",
    "futures",
    "getrandom",
    "hyper",
    "jiff",
    "libc",
    "mio",
    "nix",
    "num_cpus",
    "rand",
    "rayon",
    "reqwest",
    "rustix",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
    "ureq",
    "walkdir",
];

/// Modules of the standard library that reach the outside world.
const IMPURE_MODULES: &[&str] = &["env", "fs", "net", "os", "process", "thread", "time"];

/// What such modules hold that is data alone.
const PURE_ITEMS: &[&str] = &[
    "net::AddrParseError",
    "net::IpAddr",
    "net::Ipv4Addr",
    "net::Ipv6Addr",
    "net::SocketAddr",
    "net::SocketAddrV4",
    "net::SocketAddrV6",
    "time::Duration",
];

/// Use trees nest by hand, never this deep.
const TREE_DEPTH_LIMIT: usize = 16;

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    let is_pure = |name: &str| matches!(layer_of(name), Some(Layer::Nouns | Layer::Pure));
    for member in workspace.crates.iter().filter(|one| is_pure(&one.name)) {
        for dependency in &member.dependencies {
            if dependency.kind != DependencyKind::Dev
                && IMPURE_CRATES.contains(&dependency.name.as_str())
            {
                violations.push(Violation::of_file(
                    "purity",
                    format!("{}/Cargo.toml", member.folder),
                    format!(
                        "{} is pure and must not use {}: take what it gives as an argument",
                        member.name, dependency.name
                    ),
                ));
            }
        }
        for source in workspace.sources_of(member) {
            violations.extend(impure_names(source));
        }
    }
    violations
}

fn impure_names(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for (offset, path) in standard_paths(source) {
        if !source.is_test(offset) && is_impure(&path) {
            let message = format!("a pure crate names std::{path}: take its result as an argument");
            found.push(Violation::at("purity", source, offset, message));
        }
    }
    for word in ["async", "await"] {
        for offset in source.words(word).filter(|offset| !source.is_test(*offset)) {
            let message = format!("a pure crate uses `{word}`");
            found.push(Violation::at("purity", source, offset, message));
        }
    }
    found
}

fn is_impure(path: &str) -> bool {
    let module = path.split("::").next().unwrap_or(path);
    let is_within = |item: &str| {
        path.strip_prefix(item)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    IMPURE_MODULES.contains(&module) && !PURE_ITEMS.iter().any(|item| is_within(item))
}

/// Every path that begins with `std::` or `core::`, without that beginning; use trees are spread out.
fn standard_paths(source: &Source) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for root in ["std", "core"] {
        for offset in source.words(root) {
            let rest = offset + root.len();
            if source.code[rest..].starts_with("::") {
                spread(&source.code, rest + 2, "", TREE_DEPTH_LIMIT, &mut paths);
            }
        }
    }
    paths
}

/// Spreads the use tree at `at` into `paths`, each behind `prefix`; returns the offset behind the tree.
fn spread(
    code: &str,
    at: usize,
    prefix: &str,
    depth: usize,
    paths: &mut Vec<(usize, String)>,
) -> usize {
    let is_path = |character: char| character.is_alphanumeric() || "_:*".contains(character);
    let rest = &code[at..];
    let length = rest.find(|c| !is_path(c)).unwrap_or(rest.len());
    let path = format!("{prefix}{}", &rest[..length]);
    let behind = at + length;
    if depth == 0 || !path.is_empty() && !path.ends_with("::") || !code[behind..].starts_with('{') {
        paths.push((at, path.trim_end_matches(':').to_owned()));
        return behind;
    }
    let end = end_of_group(code, behind);
    let mut next = behind + 1;
    while next + 1 < end {
        let is_separator = |c: char| c.is_whitespace() || c == ',';
        match code[next..end - 1].find(|c| !is_separator(c)) {
            None => break,
            Some(gap) => {
                let behind_item = spread(code, next + gap, &path, depth - 1, paths);
                next = code[behind_item..end - 1]
                    .find(',')
                    .map_or(end, |comma| behind_item + comma + 1);
            }
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    fn check_source(text: &str) -> Vec<Violation> {
        let mut workspace = file("crates/uc-select/src/lib.rs", text);
        workspace.crates.push(member("uc-select", &[]));
        check(&workspace)
    }

    #[test]
    fn data_types_and_tests_pass() {
        let text = "//! Never names std::fs.\nuse std::{collections::BTreeMap, net::IpAddr, time::Duration};\n\
                    fn f() -> std::net::Ipv4Addr { core::net::Ipv4Addr::LOCALHOST }\n\
                    #[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(check_source(text), []);
    }

    #[test]
    fn the_outside_world_fails_however_it_is_named() {
        for text in [
            "use std::fs;",
            "use std::{fmt, fs::File};",
            "use std::{\n    fmt,\n    collections::{BTreeMap, HashMap},\n    time::{Duration, Instant},\n};",
            "fn f() { let _ = std::time::SystemTime::now(); }",
            "use std::net::*;",
            "fn f() { std::env::var(\"HOME\"); }",
            "use std::{process::{self}};",
            "async fn f() {}",
            "fn f() { g().await; }",
        ] {
            assert_eq!(check_source(text).len(), 1, "{text}");
        }
        let found = check_source("use std::{\n    fmt,\n    fs,\n};");
        assert_eq!(found[0].line, Some(3));
    }

    #[test]
    fn impure_dependencies_fail_in_pure_crates_only() {
        let pure = member("uc-redline", &["tokio", "serde"]);
        let adapter = member("uc-image", &["tokio", "ureq"]);
        let found = check(&crates([pure, adapter]));
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("tokio"));
    }
}
