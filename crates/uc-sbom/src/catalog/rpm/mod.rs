//! RPM's databases: SQLite, ndb and Berkeley DB hold the same headers.

use uc_model::{Problem, Result};

use super::Found;
use crate::{collector::ReadSeek, package::SourcePackage, window::Window};

mod bdb;
mod header;
mod ndb;
mod sqlite;

/// The largest header of one package, in bytes; file lists make them large.
const HEADER_BYTES: u64 = 64 << 20;
/// The most headers of a database.
const HEADERS: usize = 100_000;

/// Reads `rpmdb.sqlite`.
pub fn read_sqlite(reader: &mut dyn ReadSeek) -> Found {
    gather(reader, sqlite::headers)
}

/// Reads ndb's `Packages.db`.
pub fn read_ndb(reader: &mut dyn ReadSeek) -> Found {
    gather(reader, ndb::headers)
}

/// Reads Berkeley DB's `Packages`.
pub fn read_bdb(reader: &mut dyn ReadSeek) -> Found {
    gather(reader, bdb::headers)
}

/// Reads one header, as the databases hold it.
pub fn read_header(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    take(&mut found, bytes);
    found
}

/// What a database's reader calls for each header; `false` ends the walk.
type Sink<'a> = dyn FnMut(Result<Vec<u8>>) -> bool + 'a;

fn gather(
    reader: &mut dyn ReadSeek,
    walk: fn(&mut Window<'_>, &mut Sink<'_>) -> Result<()>,
) -> Found {
    let mut found = Found::default();
    let mut count = 0;
    let walked = Window::whole(reader).and_then(|mut window| {
        walk(&mut window, &mut |header| {
            count += 1;
            if count > HEADERS {
                found.warn(
                    Problem::refused("the RPM database holds too many headers").limit(HEADERS),
                );
                return false;
            }
            match header {
                Ok(bytes) => take(&mut found, &bytes),
                Err(problem) => found.warn(problem),
            }
            true
        })
    });
    if let Err(problem) = walked {
        found.warn(problem);
    }
    found
}

fn take(found: &mut Found, bytes: &[u8]) {
    match header::package(bytes) {
        // Keys of signers are kept as packages.
        Ok(package) if package.name == "gpg-pubkey" => {}
        Ok(package) => {
            found.push(package);
        }
        Err(problem) => found.warn(problem),
    }
}

/// `bash-5.1.8-6.el9.src.rpm` to its name and version. A source has the epoch of what is built from it, as a rule.
pub(crate) fn source_package(file: &str, version: &str) -> Option<SourcePackage> {
    let bare = file.strip_suffix(".rpm")?;
    let (bare, _) = bare.rsplit_once('.')?;
    let (rest, release) = bare.rsplit_once('-')?;
    let (name, number) = rest.rsplit_once('-')?;
    let epoch = version
        .split_once(':')
        .map_or_else(String::new, |(epoch, _)| format!("{epoch}:"));
    Some(SourcePackage {
        name: name.to_owned(),
        version: format!("{epoch}{number}-{release}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_named_by_their_file() {
        let source =
            source_package("gcc-toolset-12-gcc-12.2.1-7.el9.src.rpm", "2:12").expect("a source");
        assert_eq!(source.name, "gcc-toolset-12-gcc");
        assert_eq!(source.version, "2:12.2.1-7.el9");
        assert_eq!(source_package("x.rpm", ""), None);
    }
}
