//! npm's `package-lock.json`, versions 1 to 3.

use serde_json::{Map, Value};

use super::{licences, malformed, named};
use crate::catalog::Found;

/// How deep dependencies of version 1 nest within dependencies.
const DEPTH: usize = 64;

/// Reads a lock file: every package it pins, except links into the project itself.
pub fn read(bytes: &[u8]) -> Found {
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => return Found::of(malformed("package-lock.json", error)),
    };
    let mut found = Found::default();
    if let Some(Value::Object(packages)) = value.get("packages") {
        by_path(packages, &mut found);
    } else if let Some(Value::Object(dependencies)) = value.get("dependencies") {
        by_name(dependencies, &mut found);
    }
    found
}

/// Versions 2 and 3: keys are paths, the last `node_modules/` of which comes before the name.
fn by_path(packages: &Map<String, Value>, found: &mut Found) {
    const FOLDER: &str = "node_modules/";
    for (path, value) in packages {
        let Some(at) = path.rfind(FOLDER) else {
            continue;
        };
        if value.get("link").and_then(Value::as_bool) == Some(true) {
            continue;
        }
        let name = value
            .get("name")
            .and_then(Value::as_str)
            .or_else(|| path.get(at + FOLDER.len()..));
        let version = value.get("version").and_then(Value::as_str);
        if let Some(mut package) = named(name.unwrap_or_default(), version.unwrap_or_default()) {
            package.licences = licences(value);
            if !found.push(package) {
                return;
            }
        }
    }
}

/// Version 1: keys are names, and what is not hoisted stands within.
fn by_name(dependencies: &Map<String, Value>, found: &mut Found) {
    let mut queue = vec![(0, dependencies)];
    while let Some((depth, dependencies)) = queue.pop() {
        for (name, value) in dependencies {
            let version = value.get("version").and_then(Value::as_str);
            if let Some(package) = named(name, version.unwrap_or_default())
                && !found.push(package)
            {
                return;
            }
            if let Some(Value::Object(inner)) = value.get("dependencies")
                && depth < DEPTH
            {
                queue.push((depth + 1, inner));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let found = read(text.as_bytes());
        assert!(found.warnings.is_empty());
        let list = found.packages.into_iter();
        let mut names: Vec<_> = list
            .map(|one| format!("{}@{}", one.name, one.version))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn every_version_of_the_format() {
        let one = r#"{"lockfileVersion":1,"dependencies":{"a":{"version":"1.0.0","dependencies":{"b":{"version":"2.0.0"}}},
            "git":{"version":"git+https://x"}}}"#;
        assert_eq!(names(one), ["a@1.0.0", "b@2.0.0"]);
        let three = r#"{"lockfileVersion":3,"packages":{"":{"name":"root","version":"0.0.1"},
            "node_modules/a/node_modules/@s/b":{"version":"2.0.0","license":"MIT"},
            "node_modules/own":{"link":true,"resolved":"own"},"node_modules/alias":{"name":"real","version":"3.0.0"}}}"#;
        assert_eq!(names(three), ["@s/b@2.0.0", "real@3.0.0"]);
    }
}
