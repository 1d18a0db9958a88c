//! Well-known programs that no package manager put there: each carries its version in a form of its own.
//!
//! Base images build their interpreters and servers from source, so no database lists them.

use uc_model::Result;

use crate::{
    collector::ReadSeek,
    package::{Package, PackageKind},
    window::Window,
};

/// Larger files are not searched, in bytes.
const SEARCHED_BYTES: u64 = 256 << 20;
const CHUNK_BYTES: usize = 256 << 10;
/// The longest marker with its version, in bytes: what chunks overlap by.
const OVERLAP_BYTES: usize = 64;
/// The longest version, in bytes.
const VERSION_BYTES: usize = 24;

/// A program, and how to find its version.
struct Program {
    name: &'static str,
    /// Whether a file name is of it.
    is_named: fn(&str) -> bool,
    /// What stands right before the version.
    marker: &'static [u8],
    /// Distributions call their packages of it so, or begin their names so.
    packaged: &'static [&'static str],
}

const PROGRAMS: [Program; 9] = [
    Program {
        name: "bash",
        is_named: |name| name == "bash",
        marker: b"@(#)Bash version ",
        packaged: &["bash"],
    },
    Program {
        name: "busybox",
        is_named: |name| name == "busybox",
        marker: b"BusyBox v",
        packaged: &["busybox"],
    },
    Program {
        name: "httpd",
        is_named: |name| name == "httpd",
        marker: b"Apache/",
        packaged: &["apache2", "httpd"],
    },
    Program {
        name: "nginx",
        is_named: |name| name == "nginx",
        marker: b"nginx version: nginx/",
        packaged: &["nginx"],
    },
    Program {
        name: "node",
        is_named: |name| name == "node" || name == "nodejs",
        marker: b"node.js/v",
        packaged: &["node"],
    },
    Program {
        name: "openssl",
        is_named: |name| name == "openssl" || name.starts_with("libcrypto.so"),
        marker: b"OpenSSL ",
        packaged: &["openssl", "libssl"],
    },
    Program {
        name: "postgresql",
        is_named: |name| name == "postgres",
        marker: b"PostgreSQL ",
        packaged: &["postgresql"],
    },
    Program {
        name: "python",
        is_named: |name| {
            let rest = name
                .strip_prefix("libpython")
                .or_else(|| name.strip_prefix("python"));
            rest.is_some_and(|rest| rest.starts_with("3."))
        },
        marker: b"\0" as &[u8],
        packaged: &["python3"],
    },
    Program {
        name: "ruby",
        is_named: |name| name == "ruby" || name.starts_with("libruby.so"),
        marker: b"ruby ",
        packaged: &["ruby"],
    },
];

/// The package of a program, if the file name is of one that is known and its version is found.
pub(crate) fn read(file_name: &str, reader: &mut dyn ReadSeek) -> Option<Package> {
    let program = PROGRAMS.iter().find(|one| (one.is_named)(file_name))?;
    // Python's version stands alone: the file's name says which one to look for.
    let wanted = match program.name {
        "python" => {
            let digits = file_name.get(file_name.find("3.")?..)?;
            let end = digits.get(2..)?.find(|c: char| !c.is_ascii_digit());
            digits.get(..end.map_or(digits.len(), |end| end + 2))?
        }
        _ => "",
    };
    let version = search(reader, program.marker, wanted).ok()??;
    Some(Package::new(PackageKind::Other, program.name, version))
}

/// Whether a distribution's package, by its name or its source's, brings the program along.
pub(crate) fn is_packaged(program: &Package, packages: &[Package]) -> bool {
    let Some(known) = PROGRAMS.iter().find(|one| one.name == program.name) else {
        return false;
    };
    packages
        .iter()
        .filter(|package| package.kind.is_of_distribution())
        .any(|package| {
            let source = package.source.as_ref().map(|source| source.name.as_str());
            known.packaged.iter().any(|prefix| {
                package.name.starts_with(prefix)
                    || source.is_some_and(|source| source.starts_with(prefix))
            })
        })
}

/// The first version behind the marker that begins as wanted.
fn search(reader: &mut dyn ReadSeek, marker: &[u8], wanted: &str) -> Result<Option<String>> {
    let mut window = Window::whole(reader)?;
    let end = window.len().min(SEARCHED_BYTES);
    let mut at = 0;
    let mut buffer = vec![0; CHUNK_BYTES];
    while at < end {
        let length = usize::try_from(end - at).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        let Some(chunk) = buffer.get_mut(..length) else {
            break;
        };
        window.read_at(at, chunk)?;
        if let Some(version) = in_chunk(chunk, marker, wanted) {
            return Ok(Some(version));
        }
        if length < CHUNK_BYTES {
            break;
        }
        at += (length - OVERLAP_BYTES) as u64;
    }
    Ok(None)
}

fn in_chunk(chunk: &[u8], marker: &[u8], wanted: &str) -> Option<String> {
    let first = marker.first()?;
    let mut rest = chunk;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = rest.get(at..)?;
        if let Some(after) = rest.strip_prefix(marker)
            && let Some(version) = version(after)
            && version
                .strip_prefix(wanted)
                .is_some_and(|more| wanted.is_empty() || more.starts_with('.'))
        {
            return Some(version);
        }
        rest = rest.get(1..)?;
    }
    None
}

/// Numbers and dots, two numbers at least, and what may follow them.
fn version(bytes: &[u8]) -> Option<String> {
    let end = bytes
        .iter()
        .take(VERSION_BYTES)
        .position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
    let digits = std::str::from_utf8(bytes.get(..end)?).ok()?;
    // OpenSSL counts its patches by letters.
    let letters: String = bytes
        .get(end..)?
        .iter()
        .take(2)
        .take_while(|byte| byte.is_ascii_lowercase())
        .map(|byte| char::from(*byte))
        .collect();
    let is_version =
        digits.split('.').count() > 1 && digits.split('.').all(|part| !part.is_empty());
    is_version.then(|| format!("{digits}{letters}"))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn found(name: &str, bytes: &[u8]) -> Option<String> {
        read(name, &mut Cursor::new(bytes)).map(|package| package.version)
    }

    #[test]
    fn versions_are_found_wherever_they_are() {
        let mut bytes = vec![0xff; CHUNK_BYTES - 12];
        bytes.extend_from_slice(b"BusyBox v1.35.0 (Debian)\0 BusyBox vx");
        bytes.resize(3 * CHUNK_BYTES, 0);
        assert_eq!(found("busybox", &bytes).as_deref(), Some("1.35.0"));
        assert_eq!(found("other", &bytes), None);
        assert_eq!(
            found("openssl", b"OpenSSL x OpenSSL 1.1.1w  11 Sep").as_deref(),
            Some("1.1.1w")
        );
        assert_eq!(
            found("libpython3.11.so.1.0", b"\x003.1\0\x003.12.1\0\x003.11.4\0").as_deref(),
            Some("3.11.4")
        );
        assert_eq!(found("python3.1", b"\x003.11.4\0"), None);
        assert_eq!(found("bash", b"@(#)Bash version 5."), None);
    }

    #[test]
    fn what_a_distribution_packages_is_its_own() {
        let program = Package::new(PackageKind::Other, "busybox", "1");
        let owner = Package::new(PackageKind::Deb, "busybox-static", "1");
        let other = Package::new(PackageKind::Npm, "busybox", "1");
        assert!(is_packaged(&program, &[owner]));
        assert!(!is_packaged(&program, &[other]));
    }
}
