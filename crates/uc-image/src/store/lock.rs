//! Locks between processes, and files that are replaced as a whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};
use uc_model::{Problem, Result};

/// A lock that other processes see; the kernel takes it away when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until nobody else has the lock of this file. The file stays.
    pub(crate) fn exclusive(path: &Path) -> Result<Self> {
        Self::take(path, FlockOperation::LockExclusive)?
            .ok_or_else(|| Problem::internal("a lock was not waited for"))
    }

    /// Waits until nobody has the lock for itself.
    pub(crate) fn shared(path: &Path) -> Result<Self> {
        Self::take(path, FlockOperation::LockShared)?
            .ok_or_else(|| Problem::internal("a lock was not waited for"))
    }

    /// The lock, if nobody else has it.
    pub(crate) fn try_exclusive(path: &Path) -> Result<Option<Self>> {
        Self::take(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// Waits until nobody else has the lock of a directory itself, so that no file is left in it.
    pub(crate) fn of_directory(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| failed(path, error))?;
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed(path, error.into())),
            }
        }
    }

    fn take(path: &Path, operation: FlockOperation) -> Result<Option<Self>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| failed(path, error))?;
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(failed(path, error.into())),
            }
        }
    }
}

fn failed(path: &Path, error: io::Error) -> Problem {
    Problem::storage("cannot lock")
        .at(path.display())
        .remedy("check that the directory is writable")
        .caused_by(error)
}

/// Replaces a file so that a reader sees the old content or the new, and a crash leaves one of them. Only under a lock.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
    let written = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        Problem::storage("cannot write")
            .at(path.display())
            .remedy("check that the data directory is writable and that the disk is not full")
            .caused_by(error)
    })
}
