//! The section `.dep-v0` that cargo-auditable writes: compressed JSON of the crates in a program.

use std::io::Read as _;

use flate2::read::ZlibDecoder;
use serde::Deserialize;
use uc_model::{Problem, Result};

use super::Found;
use crate::{
    package::{Package, PackageKind},
    text,
};

/// The section's name.
pub(super) const SECTION: &str = ".dep-v0";
/// The largest section, in bytes.
pub(super) const COMPRESSED_BYTES: u64 = 4 << 20;
/// The largest list once inflated, in bytes.
const INFLATED_BYTES: u64 = 16 << 20;

#[derive(Deserialize)]
struct List {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    #[serde(default)]
    kind: Option<String>,
}

/// The crates that were linked in; those that only helped to build are left out.
///
/// # Errors
/// Invalid if the section is not what it should be; refused if it is too large once inflated.
pub(super) fn parse(compressed: &[u8]) -> Result<Found> {
    let mut json = Vec::new();
    ZlibDecoder::new(compressed)
        .take(INFLATED_BYTES + 1)
        .read_to_end(&mut json)
        .map_err(|error| {
            Problem::invalid("the list of crates cannot be inflated").caused_by(error)
        })?;
    if json.len() as u64 > INFLATED_BYTES {
        return Err(
            Problem::refused("the list of crates is too large once inflated")
                .limit(format!("{INFLATED_BYTES} bytes")),
        );
    }
    let list: List = serde_json::from_slice(&json).map_err(|error| {
        Problem::invalid("the list of crates is not well-formed")
            .found(&error)
            .caused_by(error)
    })?;
    let mut found = Found::default();
    for one in list.packages {
        if one.kind.as_deref().unwrap_or("runtime") != "runtime" {
            continue;
        }
        let name = text::word(one.name.as_bytes(), "the name of a crate");
        let version = text::word(one.version.as_bytes(), "the version of a crate");
        match (name, version) {
            (Ok(name), Ok(version)) => {
                if !found.push(Package::new(PackageKind::Cargo, name, version)) {
                    break;
                }
            }
            (Err(problem), _) | (_, Err(problem)) => found.warn(problem),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn compress(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("writes");
        encoder.finish().expect("finishes")
    }

    #[test]
    fn build_dependencies_are_left_out() {
        let list = br#"{"packages":[{"name":"app","version":"0.1.0","source":"local","root":true},
            {"name":"cc","version":"1.0.0","source":"crates.io","kind":"build"}]}"#;
        let found = parse(&compress(list)).expect("parses");
        assert_eq!(found.packages.len(), 1);
        assert_eq!(found.packages[0].name, "app");
    }

    #[test]
    fn bombs_and_garbage_are_refused() {
        let bomb = compress(&vec![b' '; INFLATED_BYTES as usize + 10]);
        assert!(parse(&bomb).is_err());
        assert!(parse(b"garbage").is_err());
        assert!(parse(&compress(b"{}")).is_err());
    }
}
