//! A microVM at rest: the state of its devices and processors, its memory, and a record of both.
//!
//! Firecracker checks a sum over the state and nothing of the memory, and says of a file of another version only that it
//! cannot be read. The record holds what is needed to say before anything starts that a file was cut off, or that another
//! Firecracker made it.

use std::{
    fs::{self, File},
    io::Read as _,
    os::{
        fd::BorrowedFd,
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uc_model::{Problem, Result};

use super::launch::GivenFile;

/// The state's name, in a snapshot's directory and to Firecracker.
pub(crate) const STATE: &str = "state";

/// The memory's name.
pub(crate) const MEMORY: &str = "memory";

/// The record's name.
const RECORD: &str = "snapshot.json";

/// Version of the record itself.
const FORMAT: u32 = 1;

/// Largest record that is read, in bytes.
const MAX_RECORD: u64 = 4096;

/// Largest state that is read, in bytes: what Firecracker itself reads.
const MAX_STATE: u64 = 10_000_000;

const ANEW: &str = "remove the snapshot and make it anew";

/// A snapshot in a directory of its own, whole as far as can be told without reading the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    directory: PathBuf,
    record: Record,
}

/// What is noted of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    format: u32,
    /// The version of the Firecracker that made it.
    pub firecracker_version: String,
    /// Size of the state, in bytes.
    pub state_bytes: u64,
    /// SHA-256 of the state, in hexadecimal digits.
    pub state_sha256: String,
    /// Size of the memory, in bytes.
    pub memory_bytes: u64,
}

impl Snapshot {
    /// Opens a snapshot and checks that it is whole.
    ///
    /// # Errors
    /// Not found, where there is none; invalid, with the figures, where a file was cut off or changed.
    pub fn open(directory: &Path) -> Result<Self> {
        let record = read_record(directory)?;
        let memory = directory.join(MEMORY);
        check_size(&memory, record.memory_bytes)?;
        let state = directory.join(STATE);
        check_size(&state, record.state_bytes)?;
        if digest(&state)? != record.state_sha256 {
            return Err(Problem::invalid("the snapshot's state is damaged")
                .at(state.display())
                .remedy(ANEW));
        }
        Ok(Self {
            directory: directory.to_owned(),
            record,
        })
    }

    /// Takes over the two files that a Firecracker has written into the directory that it may write to, and records them. The
    /// new directory is private to the caller; moving is quick where both are on one file system.
    ///
    /// # Errors
    /// Storage, where they cannot be moved or are no files.
    pub(crate) fn take(
        from: BorrowedFd<'_>,
        into: &Path,
        firecracker_version: &str,
    ) -> Result<Self> {
        super::launch::make_directory(into)?;
        Self::record_in(from, into, firecracker_version).inspect_err(|_| {
            let _ = fs::remove_dir_all(into);
        })
    }

    fn record_in(from: BorrowedFd<'_>, into: &Path, firecracker_version: &str) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Problem::storage("cannot keep a snapshot")
                .at(into.display())
                .caused_by(error)
        };
        for name in [STATE, MEMORY] {
            bring(from, name, &into.join(name)).map_err(failed)?;
        }
        let state = into.join(STATE);
        let size = |path: &Path| fs::metadata(path).map(|metadata| metadata.len());
        let record = Record {
            format: FORMAT,
            firecracker_version: firecracker_version.to_owned(),
            state_bytes: size(&state).map_err(failed)?,
            state_sha256: digest(&state)?,
            memory_bytes: size(&into.join(MEMORY)).map_err(failed)?,
        };
        let text = serde_json::to_vec(&record)
            .map_err(|error| Problem::internal("cannot write a record").caused_by(error))?;
        // Last, and by one step: a snapshot without a record is none.
        let new = into.join("snapshot.json.new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, into.join(RECORD)))
            .map_err(failed)?;
        Ok(Self {
            directory: into.to_owned(),
            record,
        })
    }

    /// Checks that a Firecracker of this version made it.
    ///
    /// # Errors
    /// Invalid, with both versions. The states of two versions differ without saying how.
    pub fn check_version(&self, version: &str) -> Result<()> {
        if self.record.firecracker_version == version {
            return Ok(());
        }
        Err(
            Problem::invalid("the snapshot was made by another version of Firecracker")
                .at(self.directory.display())
                .limit(format!("version {version}, which is in use"))
                .found(format!("version {}", self.record.firecracker_version))
                .remedy("make the snapshot anew, or use the Firecracker that made it"),
        )
    }

    /// What is noted of it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What a Firecracker that restores it must be given besides the disks, which must have the names they had.
    pub fn files(&self) -> [GivenFile; 2] {
        [STATE, MEMORY].map(|name| GivenFile::read_only(name, self.directory.join(name)))
    }
}

fn read_record(directory: &Path) -> Result<Record> {
    let path = directory.join(RECORD);
    let mut bytes = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(MAX_RECORD).read_to_end(&mut bytes))
        .map_err(|error| {
            Problem::not_found("there is no snapshot here")
                .at(directory.display())
                .remedy(ANEW)
                .caused_by(error)
        })?;
    let record: Record = serde_json::from_slice(&bytes).map_err(|error| {
        Problem::invalid("the snapshot's record cannot be read")
            .at(path.display())
            .found(error)
            .remedy(ANEW)
    })?;
    if record.format != FORMAT {
        return Err(
            Problem::invalid("the snapshot's record is of another version")
                .at(path.display())
                .limit(FORMAT)
                .found(record.format)
                .remedy(ANEW),
        );
    }
    Ok(record)
}

fn check_size(path: &Path, expected: u64) -> Result<()> {
    let found = fs::metadata(path).map_err(|error| {
        Problem::not_found("a file of the snapshot is missing")
            .at(path.display())
            .remedy(ANEW)
            .caused_by(error)
    })?;
    if found.len() == expected {
        return Ok(());
    }
    Err(
        Problem::invalid("a file of the snapshot was cut off or changed")
            .at(path.display())
            .limit(format!("{expected} bytes"))
            .found(format!("{} bytes", found.len()))
            .remedy(ANEW),
    )
}

fn digest(path: &Path) -> Result<String> {
    let failed = |error: std::io::Error| {
        Problem::storage("cannot read a snapshot")
            .at(path.display())
            .caused_by(error)
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_STATE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_STATE {
        return Err(
            Problem::invalid("this is no state of a snapshot: it is too large")
                .at(path.display())
                .limit(format!("{MAX_STATE} bytes"))
                .remedy(ANEW),
        );
    }
    let digits = Sha256::digest(&bytes);
    Ok(digits.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Moves a file out of a directory that is not trusted, nor is the path to it. It is looked at only where nobody else can
/// replace it.
fn bring(from: BorrowedFd<'_>, name: &str, to: &Path) -> std::io::Result<()> {
    match rustix::fs::renameat(from, name, CWD, to) {
        Ok(()) => {}
        Err(Errno::XDEV) => {
            let mut source = open_file(from, Path::new(name))?;
            let mut target = File::create_new(to)?;
            std::io::copy(&mut source, &mut target)?;
            rustix::fs::unlinkat(from, name, AtFlags::empty())?;
        }
        Err(errno) => return Err(errno.into()),
    }
    let file = open_file(CWD, to)?;
    let uid = rustix::process::geteuid().as_raw();
    if file.metadata()?.uid() != uid {
        std::os::unix::fs::fchown(&file, Some(uid), Some(rustix::process::getegid().as_raw()))?;
    }
    // Others than the owner must be able to read it in the root that they are given; its directory is closed to them.
    file.set_permissions(fs::Permissions::from_mode(0o444))
}

/// Opens a regular file, following no link and waiting for nobody.
fn open_file(directory: BorrowedFd<'_>, path: &Path) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(directory, path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(std::io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    /// A snapshot of version `1.2.3` as a Firecracker could have written it.
    fn taken(scratch: &Path) -> Snapshot {
        let from = scratch.join("run");
        fs::create_dir(&from).expect("made");
        fs::write(from.join(STATE), b"some state").expect("written");
        fs::write(from.join(MEMORY), [7; 4096]).expect("written");
        let from = File::open(from).expect("opens");
        Snapshot::take(from.as_fd(), &scratch.join("kept"), "1.2.3").expect("taken")
    }

    #[test]
    fn what_was_taken_is_opened_again() {
        let scratch = tempfile::tempdir().expect("a directory");
        let snapshot = taken(scratch.path());
        assert_eq!(
            Snapshot::open(snapshot.directory()).expect("whole"),
            snapshot
        );
        assert!(!scratch.path().join("run").join(STATE).exists());
        snapshot.check_version("1.2.3").expect("the same");
        let problem = snapshot.check_version("1.3.0").expect_err("another");
        let words = "(expected: version 1.3.0, which is in use; found: version 1.2.3)";
        assert!(problem.to_string().ends_with(words), "{problem}");
    }

    #[test]
    fn what_was_cut_off_or_changed_is_refused_with_the_figures() {
        let scratch = tempfile::tempdir().expect("a directory");
        let snapshot = taken(scratch.path());
        let replace = |name: &str, bytes: &[u8]| {
            let path = snapshot.directory().join(name);
            fs::remove_file(&path).expect("removed");
            fs::write(path, bytes).expect("written");
            Snapshot::open(snapshot.directory()).map(drop)
        };
        let problem = replace(MEMORY, &[7; 4000]).expect_err("cut off");
        assert!(
            problem
                .to_string()
                .contains("expected: 4096 bytes; found: 4000 bytes")
        );
        replace(MEMORY, &[7; 4096]).expect("whole again");
        let problem = replace(STATE, b"other byte").expect_err("changed");
        assert!(problem.to_string().contains("damaged"), "{problem}");
        let problem = replace(RECORD, b"{}").expect_err("no record");
        assert!(problem.to_string().contains("cannot be read"), "{problem}");
        fs::remove_file(snapshot.directory().join(RECORD)).expect("removed");
        let problem = Snapshot::open(snapshot.directory()).expect_err("none");
        assert_eq!(problem.kind(), uc_model::ProblemKind::NotFound);
    }

    #[test]
    fn a_link_is_not_taken_for_a_file() {
        let scratch = tempfile::tempdir().expect("a directory");
        let from = scratch.path().join("run");
        fs::create_dir(&from).expect("made");
        std::os::unix::fs::symlink("/etc/hostname", from.join(STATE)).expect("linked");
        fs::write(from.join(MEMORY), b"memory").expect("written");
        let from = File::open(from).expect("opens");
        Snapshot::take(from.as_fd(), &scratch.path().join("kept"), "1.2.3").expect_err("a link");
        assert!(!scratch.path().join("kept").exists());
    }
}
