//! Snapshots: the state and memory of a machine that others start from.
//!
//! A snapshot is a directory, `NAME/` with `state`, `memory` and `note.json`, which appears whole or not at all. Its name is
//! the digest of everything that its machine was made of, so it is found by whoever wants the same and by nobody else.

use std::{
    fs::{self, File},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use uc_model::{Digest, Problem, Result};

use crate::monitor::Machine;

/// The names of a snapshot's two large files.
pub(crate) const STATE: &str = "state";
pub(crate) const MEMORY: &str = "memory";

/// Most snapshots that are kept; those unused for longest go.
const MAX_SNAPSHOTS: usize = 16;

/// Largest note, in bytes.
const MAX_NOTE: u64 = 64 << 10;

/// A directory of snapshots.
pub(crate) struct Snapshots {
    directory: PathBuf,
}

/// What is known of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Of the file with the state, in bytes: a file cut short is not loaded.
    state_bytes: u64,
    /// Of the file with the memory.
    memory_bytes: u64,
    /// The function that is in it, ready to be called.
    pub(crate) function: Option<ReadyFunction>,
}

/// A function that was loaded before the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadyFunction {
    pub(crate) container: String,
    pub(crate) streams: uc_guest_protocol::Streams,
    pub(crate) warnings: Vec<String>,
}

/// A snapshot, opened.
pub(crate) struct Snapshot {
    /// Its directory, for a monitor that opens files itself.
    pub(crate) place: PathBuf,
    pub(crate) state: File,
    pub(crate) memory: File,
    pub(crate) note: Note,
    /// Whether the machine that starts from it may be saved itself.
    pub(crate) keeps_memory: bool,
}

impl Snapshots {
    pub(crate) fn in_directory(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn place(&self, key: &Digest) -> PathBuf {
        self.directory.join(key.hex())
    }

    /// The snapshot of a key; `None` where there is none that is whole.
    pub(crate) fn find(&self, key: &Digest) -> Option<Snapshot> {
        let place = self.place(key);
        match open(&place) {
            Ok(snapshot) => Some(snapshot),
            Err(_) if !place.exists() => None,
            // Cut short, without one of its files, or not ours to read: the next one takes its place.
            Err(_) => {
                self.remove(key);
                None
            }
        }
    }

    /// Forgets a snapshot that does not work.
    pub(crate) fn remove(&self, key: &Digest) {
        let _ = fs::remove_dir_all(self.place(key));
    }

    /// Saves a machine.
    pub(crate) async fn save(
        &self,
        key: &Digest,
        machine: &mut Machine,
        function: Option<ReadyFunction>,
    ) -> Result<()> {
        let failed = |error: std::io::Error| {
            Problem::storage("cannot keep a microVM's snapshot")
                .at(self.directory.display())
                .remedy("free some space; without it every start is a cold one")
                .caused_by(error)
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .map_err(failed)?;
        self.make_room();
        let temporary = tempfile_in(&self.directory).map_err(failed)?;
        machine.save(&temporary.path).await?;
        let length = |name: &str| {
            fs::metadata(temporary.path.join(name))
                .map(|metadata| metadata.len())
                .map_err(failed)
        };
        let note = Note {
            state_bytes: length(STATE)?,
            memory_bytes: length(MEMORY)?,
            function,
        };
        let text = serde_json::to_vec(&note).unwrap_or_default();
        fs::write(temporary.path.join("note.json"), text).map_err(failed)?;
        match fs::rename(&temporary.path, self.place(key)) {
            // Somebody else was quicker.
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
            other => other.map_err(failed),
        }
    }

    /// Removes the snapshots that have not been used for longest.
    fn make_room(&self) {
        let used = |path: &Path| {
            let note = fs::metadata(path.join("note.json"));
            note.and_then(|note| note.modified())
                .unwrap_or(SystemTime::UNIX_EPOCH)
        };
        let mut all: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            // What is being made has another name.
            .filter(|path| path.join("note.json").exists())
            .map(|path| (used(&path), path))
            .collect();
        all.sort();
        let superfluous = (all.len() + 1).saturating_sub(MAX_SNAPSHOTS);
        for (_, path) in all.iter().take(superfluous) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

fn open(place: &Path) -> std::io::Result<Snapshot> {
    use std::io::Read as _;
    let broken = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let mut text = Vec::new();
    let note = File::open(place.join("note.json"))?;
    (&note).take(MAX_NOTE).read_to_end(&mut text)?;
    let parsed: Note = serde_json::from_slice(&text).map_err(|_| broken())?;
    let state = File::open(place.join(STATE))?;
    let memory = File::open(place.join(MEMORY))?;
    let whole = state.metadata()?.len() == parsed.state_bytes
        && memory.metadata()?.len() == parsed.memory_bytes;
    if !whole {
        return Err(broken());
    }
    let _ = note.set_modified(SystemTime::now());
    Ok(Snapshot {
        place: place.to_owned(),
        state,
        memory,
        note: parsed,
        keeps_memory: false,
    })
}

/// A directory that goes with this value, unless it has been renamed.
struct Temporary {
    path: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn tempfile_in(directory: &Path) -> std::io::Result<Temporary> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = directory.join(format!(".new-{}-{number}", std::process::id()));
    fs::create_dir(&path)?;
    Ok(Temporary { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(snapshots: &Snapshots, key: &Digest, state_bytes: u64) {
        let place = snapshots.place(key);
        fs::create_dir_all(&place).expect("made");
        for name in [STATE, MEMORY] {
            fs::write(place.join(name), [0; 100]).expect("written");
        }
        let note = Note {
            state_bytes,
            memory_bytes: 100,
            function: None,
        };
        fs::write(
            place.join("note.json"),
            serde_json::to_vec(&note).expect("JSON"),
        )
        .expect("written");
    }

    #[test]
    fn one_that_is_cut_short_is_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let snapshots = Snapshots::in_directory(directory.path().to_owned());
        let key = |number: u8| Digest::from_sha256(&[number; 32]);
        assert!(snapshots.find(&key(0)).is_none());
        put(&snapshots, &key(1), 100);
        assert!(snapshots.find(&key(1)).is_some());
        put(&snapshots, &key(2), 101);
        assert!(snapshots.find(&key(2)).is_none());
        assert!(!snapshots.place(&key(2)).exists());
        for name in ["note.json", "state", "memory"] {
            put(&snapshots, &key(3), 100);
            fs::remove_file(snapshots.place(&key(3)).join(name)).expect("removed");
            assert!(snapshots.find(&key(3)).is_none(), "without {name}");
            assert!(!snapshots.place(&key(3)).exists(), "without {name}");
        }
    }

    #[test]
    fn only_so_many_are_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let snapshots = Snapshots::in_directory(directory.path().to_owned());
        for number in 0..2 * MAX_SNAPSHOTS as u8 {
            put(&snapshots, &Digest::from_sha256(&[number; 32]), 100);
        }
        snapshots.make_room();
        let left = fs::read_dir(directory.path()).expect("read").count();
        assert_eq!(left, MAX_SNAPSHOTS - 1);
    }
}
