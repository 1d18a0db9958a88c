//! Who uses an unpacked layer, and how much it takes.
//!
//! The roots of running containers are the unpacked layers themselves. Each user holds a shared lock on the layer's
//! directory, which the kernel takes away when the user ends, however it ends; whoever removes a layer needs the exclusive one.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// Layers in use: as long as this lives, nobody removes them.
#[derive(Debug)]
pub struct Lease {
    _held: Vec<File>,
}

impl Lease {
    /// Takes the layers; `None` where one is being removed, or has been.
    pub(super) fn take(layers: &[PathBuf]) -> Option<Self> {
        let mut held = Vec::with_capacity(layers.len());
        for layer in layers {
            match File::open(layer) {
                Ok(directory) => {
                    flock(&directory, FlockOperation::NonBlockingLockShared).ok()?;
                    if !is_still(layer, &directory) {
                        return None;
                    }
                    held.push(directory);
                }
                // A root directory that its caller cannot read cannot be locked: see `claim`.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
                Err(_) => return None,
            }
        }
        Some(Self { _held: held })
    }
}

/// A layer that nobody uses, claimed for its removal. One that cannot be asked for counts as used.
pub(super) fn claim(layer: &Path) -> Option<File> {
    let directory = File::open(layer).ok()?;
    flock(&directory, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(directory)
}

fn is_still(path: &Path, opened: &File) -> bool {
    match (fs::metadata(path), opened.metadata()) {
        (Ok(there), Ok(here)) => (there.dev(), there.ino()) == (here.dev(), here.ino()),
        _ => false,
    }
}

/// Bytes that a directory tree takes on disk; what cannot be read is left out.
pub fn disk_bytes(directory: &Path) -> u64 {
    let mut linked = BTreeSet::new();
    let mut bytes = 0;
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        let first = metadata.is_dir()
            || metadata.nlink() == 1
            || linked.insert((metadata.dev(), metadata.ino()));
        if first {
            // In units of 512 bytes, whatever the file system's own are (stat(2)).
            bytes += metadata.blocks() * 512;
        }
        if metadata.is_dir()
            && let Ok(entries) = fs::read_dir(&path)
        {
            pending.extend(entries.flatten().map(|entry| entry.path()));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_in_use_cannot_be_claimed_and_a_claimed_one_cannot_be_used() {
        let temporary = tempfile::tempdir().expect("a directory");
        let layer = temporary.path().join("layer");
        fs::create_dir(&layer).expect("made");
        let layers = [layer.clone()];
        let lease = Lease::take(&layers).expect("free");
        let second = Lease::take(&layers).expect("shared");
        assert!(claim(&layer).is_none());
        drop((lease, second));
        let claimed = claim(&layer).expect("nobody uses it");
        assert!(Lease::take(&layers).is_none());
        drop(claimed);
        fs::remove_dir(&layer).expect("removed");
        assert!(Lease::take(&layers).is_none());
    }

    #[test]
    fn a_file_with_two_names_counts_once() {
        let temporary = tempfile::tempdir().expect("a directory");
        let empty = disk_bytes(temporary.path());
        let file = temporary.path().join("one");
        fs::write(&file, vec![1; 1 << 20]).expect("written");
        fs::hard_link(&file, temporary.path().join("two")).expect("linked");
        let taken = disk_bytes(temporary.path()) - empty;
        assert!((1 << 20..3 << 19).contains(&taken), "{taken}");
    }
}
