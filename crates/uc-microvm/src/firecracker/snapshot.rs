//! The files that Firecracker writes of a microVM at rest, taken out of the directory that it may write to.
//!
//! Whoever runs the guest could have broken out into that directory: what lies there is moved without following links,
//! and looked at only where nobody else can replace it.

use std::{
    fs::{self, File},
    os::{
        fd::BorrowedFd,
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags},
    io::Errno,
};
use uc_model::{Problem, Result};

use crate::snapshot::{MEMORY, STATE};

/// Takes over the two files into a directory that is private to the caller; quick where both are on one file system.
///
/// # Errors
/// Storage, where they cannot be moved or are no files.
pub(crate) fn take(from: BorrowedFd<'_>, into: &Path) -> Result<()> {
    for name in [STATE, MEMORY] {
        bring(from, name, &into.join(name)).map_err(|error| {
            Problem::storage("cannot keep a snapshot")
                .at(into.display())
                .caused_by(error)
        })?;
    }
    Ok(())
}

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

    #[test]
    fn files_are_taken_and_a_link_is_not_taken_for_one() {
        let scratch = tempfile::tempdir().expect("a directory");
        let (from, into) = (scratch.path().join("run"), scratch.path().join("kept"));
        fs::create_dir(&from).expect("made");
        fs::create_dir(&into).expect("made");
        let opened = File::open(&from).expect("opens");
        fs::write(from.join(STATE), b"some state").expect("written");
        fs::write(from.join(MEMORY), [7; 4096]).expect("written");
        take(opened.as_fd(), &into).expect("taken");
        assert!(!from.join(STATE).exists());
        assert_eq!(fs::read(into.join(STATE)).expect("readable"), b"some state");
        fs::remove_file(into.join(STATE)).expect("removed");
        std::os::unix::fs::symlink("/etc/hostname", from.join(STATE)).expect("linked");
        fs::write(from.join(MEMORY), b"memory").expect("written");
        take(opened.as_fd(), &into).expect_err("a link");
    }
}
