//! The directories of machines that need one. Each goes with its owner; what an owner left that was killed goes when the
//! next is made.
//!
//! An owner holds a lock on its directory, which the kernel gives up with its process. Directories are made and given up
//! under a lock on the one that they are in, so that none is taken for abandoned before it is locked.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::{FlockOperation, flock};
use uc_linux::cgroup;
use uc_model::{Problem, Result};

use crate::firecracker::launch::make_directory;

/// Most directories that are looked at before one is made.
const LOOKED_AT: usize = 1024;

/// A directory of one machine.
#[derive(Debug)]
pub(crate) struct Place {
    id: String,
    path: PathBuf,
    _held: File,
}

impl Place {
    /// A new directory in another, which is made if it is not there.
    pub(crate) fn within(parent: &Path) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let failed = |error: std::io::Error| {
            Problem::storage("cannot make a microVM's directory")
                .at(parent.display())
                .remedy("set UC_HOME to a directory of yours")
                .caused_by(error)
        };
        fs::create_dir_all(parent).map_err(failed)?;
        let making = File::open(parent).map_err(failed)?;
        flock(&making, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
        remove_abandoned(parent);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", std::process::id());
        let path = parent.join(&id);
        make_directory(&path)?;
        let held = File::open(&path).map_err(failed)?;
        flock(&held, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| failed(errno.into()))?;
        Ok(Self {
            id,
            path,
            _held: held,
        })
    }

    /// Its name, which no other machine has.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what owners left that were killed.
pub(crate) fn sweep(parent: &Path) {
    let Ok(making) = File::open(parent) else {
        return;
    };
    if flock(&making, FlockOperation::LockExclusive).is_ok() {
        remove_abandoned(parent);
    }
}

fn remove_abandoned(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.take(LOOKED_AT) {
        let path = entry.path();
        let abandoned = File::open(&path)
            .is_ok_and(|held| flock(&held, FlockOperation::NonBlockingLockExclusive).is_ok());
        if abandoned {
            // Its groups are recorded in it; what of them cannot be removed is looked at again.
            if cgroup::reclaim(&path).is_ok() {
                let _ = fs::remove_dir_all(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_goes_and_what_is_held_stays() {
        let scratch = tempfile::tempdir().expect("a directory");
        let parent = scratch.path().join("machines");
        let first = Place::within(&parent).expect("made");
        let left = parent.join("1-0");
        fs::create_dir_all(left.join("vm")).expect("made");
        let second = Place::within(&parent).expect("made");
        assert_ne!(first.id(), second.id());
        assert!(first.path().exists() && !left.exists());
        fs::create_dir_all(&left).expect("made");
        sweep(&parent);
        assert!(first.path().exists() && !left.exists());
        drop((first, second));
        assert_eq!(fs::read_dir(parent).expect("readable").count(), 0);
    }
}
