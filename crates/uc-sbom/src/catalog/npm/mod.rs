//! Node.js packages: `package.json` of what is installed, lock files of what is declared.

use serde_json::Value;
use uc_model::Problem;

use super::Found;
use crate::{
    licence::Licence,
    package::{Package, PackageKind},
    text,
};

pub mod lock;
pub mod pnpm;
pub mod yarn;

/// Reads a `package.json`. One without a name or a version marks a folder, not a package, and yields nothing.
pub fn read(bytes: &[u8]) -> Found {
    let value: Value = match serde_json::from_slice(strip_mark(bytes)) {
        Ok(value) => value,
        Err(error) => return Found::of(malformed("package.json", error)),
    };
    let mut found = Found::default();
    let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let Some(mut package) = named(field("name"), field("version")) else {
        return found;
    };
    package.licences = licences(&value);
    package.supplier = value.get("author").and_then(person);
    package.homepage = text::line(field("homepage").as_bytes());
    package.description = text::line(field("description").as_bytes());
    found.push(package);
    found
}

pub(super) fn malformed(what: &str, error: serde_json::Error) -> Problem {
    Problem::invalid(format!("the {what} is not well-formed"))
        .found(&error)
        .caused_by(error)
}

/// Some editors begin a file with a byte order mark.
fn strip_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// A package, if its name and version are what npm takes.
pub(super) fn named(name: &str, version: &str) -> Option<Package> {
    let name = text::word(name.as_bytes(), "the name").ok()?;
    let version = text::word(version.as_bytes(), "the version").ok()?;
    let is_version = version.starts_with(|c: char| c.is_ascii_digit() || c == 'v');
    is_version.then(|| Package::new(PackageKind::Npm, name, version.trim_start_matches('v')))
}

/// `license` as a string or an object with a type, or the old list `licenses` of either.
pub(super) fn licences(value: &Value) -> Vec<Licence> {
    let one = |value: &Value| {
        let text = value.as_str().or_else(|| value.get("type")?.as_str())?;
        Licence::parse(text)
    };
    let list = |value: &Value| match value {
        Value::Array(list) => list.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect::<Vec<_>>(),
    };
    let found = value.get("license").map(list).unwrap_or_default();
    if found.is_empty() {
        return value.get("licenses").map(list).unwrap_or_default();
    }
    found
}

/// `Name <address> (page)`, or an object.
fn person(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        let end = text.find(" (").unwrap_or(text.len());
        return text::line(text.get(..end)?.as_bytes());
    }
    let name = value.get("name")?.as_str()?;
    let text = match value.get("email").and_then(Value::as_str) {
        Some(address) => format!("{name} <{address}>"),
        None => name.to_owned(),
    };
    text::line(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_forms() {
        let text = br#"{"name":"@a/b","version":"v1.2.3","licenses":[{"type":"MIT"},"ISC"],
            "author":{"name":"N","email":"n@x"},"homepage":"https://x"}"#;
        let package = read(text).packages.remove(0);
        assert_eq!(
            (package.name.as_str(), package.version.as_str()),
            ("@a/b", "1.2.3")
        );
        assert_eq!(package.licences.len(), 2);
        assert_eq!(package.supplier.as_deref(), Some("N <n@x>"));
    }

    #[test]
    fn markers_yield_nothing_and_broken_files_a_warning() {
        let marker = read(br#"{"type":"module"}"#);
        assert!(marker.packages.is_empty() && marker.warnings.is_empty());
        assert_eq!(read(b"{").warnings.len(), 1);
        assert_eq!(read(&b"[".repeat(100_000)).warnings.len(), 1);
    }
}
