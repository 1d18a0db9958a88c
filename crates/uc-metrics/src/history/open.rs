//! Opening the file: beginning it, repairing it, moving it aside.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use redb::Database;
use uc_model::{Problem, Result};

use super::store::{Fault, Store};

/// Pages kept in memory, in bytes. The head is in memory anyway, and the rest is read once in a while.
const CACHE_BYTES: usize = 8 << 20;
/// Damaged files kept; then the last is replaced.
const KEPT_ASIDE: u32 = 9;
/// How often a file that others move aside meanwhile is tried again.
const ATTEMPTS: usize = 3;

/// Opens the file; one that is damaged beyond repair is moved aside, and told of.
pub(super) fn open_or_move_aside(path: &Path) -> Result<(Store, Option<Problem>)> {
    let mut moved_aside = None;
    for _ in 0..ATTEMPTS {
        let inode = begin(path)?;
        let fault = match open(path) {
            Ok(store) => return Ok((store, moved_aside)),
            Err(fault) => fault,
        };
        if !is_damage(&fault) {
            return Err(problem(path, fault));
        }
        // Whoever else found it damaged may have begun a new one already.
        if fs::metadata(path).is_ok_and(|metadata| metadata.ino() == inode) {
            let aside = aside(path);
            fs::rename(path, &aside).map_err(|error| unwritable(path, error))?;
            moved_aside = Some(problem(path, fault).remedy(format!(
                "a new history was begun; the old file is {}",
                aside.display()
            )));
        }
    }
    Err(Problem::storage("the history is damaged again each time it is begun").at(path.display()))
}

/// Opens the file anew after a failure. It is not moved aside: a full disk is no damage.
pub(super) fn reopen(path: &Path) -> Result<Store> {
    begin(path)?;
    open(path).map_err(|fault| problem(path, fault))
}

/// Makes the file where there is none, for the user alone: names of workloads are nobody else's business.
fn begin(path: &Path) -> Result<u64> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .and_then(|file| file.metadata())
        .map(|metadata| metadata.ino())
        .map_err(|error| unwritable(path, error))
}

fn open(path: &Path) -> Result<Store, Fault> {
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        // Without it a page that was damaged since is found when it is read, or not at all.
        .set_check_integrity_on_open(true)
        .create(path)?;
    Store::load(database)
}

/// Whether the file itself is at fault, so that waiting or mending permissions would not help.
fn is_damage(fault: &Fault) -> bool {
    match fault {
        Fault::Damaged(_) => true,
        Fault::Foreign(_) | Fault::Exhausted => false,
        Fault::Database(error) => match error {
            redb::Error::Io(error) => matches!(
                error.kind(),
                // What does not begin as a database does, or ends too early.
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ),
            redb::Error::DatabaseAlreadyOpen
            | redb::Error::LockProtocolMismatch
            | redb::Error::PreviousIo
            | redb::Error::DatabaseClosed => false,
            redb::Error::Corrupted(_)
            // Formats older than any history.
            | redb::Error::UpgradeRequired(_)
            | redb::Error::RepairAborted
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableDoesNotExist(_) => true,
            _ => false,
        },
    }
}

/// The first free name, else the last.
fn aside(path: &Path) -> PathBuf {
    let name = |number: u32| {
        let mut name: OsString = path.as_os_str().to_owned();
        name.push(format!(".corrupt-{number}"));
        PathBuf::from(name)
    };
    (1..KEPT_ASIDE)
        .map(name)
        .find(|name| name.symlink_metadata().is_err())
        .unwrap_or_else(|| name(KEPT_ASIDE))
}

fn unwritable(path: &Path, error: io::Error) -> Problem {
    Problem::storage("cannot write the history")
        .at(path.display())
        .remedy("check that its directory exists, is writable and has room")
        .caused_by(error)
}

/// What went wrong with the file, for a person.
pub(super) fn problem(path: &Path, fault: Fault) -> Problem {
    let problem = match fault {
        Fault::Database(
            error @ (redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch),
        ) => Problem::storage("the history is in use by another process")
            .limit("one process at a time")
            .remedy("stop the other one, or name another file")
            .caused_by(error),
        Fault::Database(redb::Error::Io(error)) if !is_damage_kind(error.kind()) => {
            return unwritable(path, error);
        }
        Fault::Database(error) => Problem::storage("the history is damaged or cannot be used")
            .remedy("try again; if that does not help, move the file away")
            .caused_by(error),
        Fault::Damaged(how) => Problem::storage("the history is damaged").found(how),
        Fault::Foreign(None) => {
            Problem::storage("the file is a database, but no history").remedy("name another file")
        }
        Fault::Foreign(Some(schema)) => Problem::storage("the history is of another release")
            .found(format!("layout {schema}"))
            .remedy("use the release that wrote it, or name another file"),
        Fault::Exhausted => Problem::storage("the history has had too many series")
            .limit("four billion")
            .remedy("remove the file"),
    };
    problem.at(path.display())
}

fn is_damage_kind(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}
