//! Snapshots: the state and memory of a machine that others start from.
//!
//! A snapshot is a directory, `NAME/` with `state`, `memory` and `note.json`, which appears whole or not at all, and
//! `verified`, which says when it was last read to its end. Its name is
//! the digest of everything that its machine was made of, so it is found by whoever wants the same and by nobody else.

mod imprint;

use std::{
    fs::{self, File},
    os::{fd::AsRawFd as _, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use imprint::Imprint;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use uc_model::{Digest, Problem, Result};

use crate::{monitor::Machine, restore::NotRestored};

/// The names of a snapshot's two large files.
pub(crate) const STATE: &str = "state";
pub(crate) const MEMORY: &str = "memory";

/// The name of a file with the run of this host in which the others were last read to their ends.
const VERIFIED: &str = "verified";

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
    /// Of its files: what is cut short or has been changed is not loaded.
    imprint: Imprint,
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

/// A snapshot that is being read to its end.
pub(crate) struct Verification(Option<oneshot::Receiver<std::io::Result<bool>>>);

impl Verification {
    /// Waits for what comes of it.
    ///
    /// # Errors
    /// Storage, where it is not what was saved, or where that cannot be told now.
    pub(crate) async fn done(self) -> Result<(), NotRestored> {
        let Some(done) = self.0 else {
            return Ok(());
        };
        match done.await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(NotRestored::by_snapshot(Problem::storage(
                "a microVM's snapshot is not what was saved",
            ))),
            Ok(Err(error)) => Err(unread(error).into()),
            Err(error) => Err(unread(std::io::Error::other(error)).into()),
        }
    }
}

fn unread(error: std::io::Error) -> Problem {
    Problem::storage("a microVM's snapshot cannot be read to its end").caused_by(error)
}

/// Whether a failure is of this host, which may have more to give the next time, and says nothing of a file.
fn is_shortage(error: &std::io::Error) -> bool {
    let shortages = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN];
    error
        .raw_os_error()
        .is_some_and(|errno| shortages.contains(&errno))
}

impl Snapshot {
    /// Has it read to its end in a thread, unless that has been done since this host was started. A monitor can load it
    /// meanwhile.
    ///
    /// # Errors
    /// Host, where there can be no such thread.
    pub(crate) fn verify(&self) -> Result<Verification> {
        let place = self.place.join(VERIFIED);
        let boot = this_boot();
        let known = fs::read(&place).unwrap_or_default();
        if !boot.is_empty() && known == boot {
            return Ok(Verification(None));
        }
        let failed = |error| {
            Problem::host("a microVM's snapshot cannot be read to its end").caused_by(error)
        };
        let (tell, done) = oneshot::channel();
        let reopened = |file: &File| reopened(file).map_err(failed);
        let another = Self {
            place: self.place.clone(),
            state: reopened(&self.state)?,
            memory: reopened(&self.memory)?,
            note: self.note.clone(),
            keeps_memory: false,
        };
        std::thread::Builder::new()
            .name("microvm-snapshot".into())
            .spawn(move || {
                let is_whole = another.is_whole();
                if matches!(is_whole, Ok(true)) {
                    // Nothing is lost without it but time.
                    let _ = fs::write(&place, &boot);
                }
                // Whoever does not wait any more leaves what is to be done to this thread.
                if let Err(Ok(false)) = tell.send(is_whole) {
                    another.remove();
                }
            })
            .map_err(failed)?;
        Ok(Verification(Some(done)))
    }

    /// Reads it to its end: whether it is what was saved.
    fn is_whole(&self) -> std::io::Result<bool> {
        match self.note.imprint.is_of(&self.state, &self.memory) {
            Err(error) if is_shortage(&error) => Err(error),
            // A disk that cannot give it back.
            Err(_) => Ok(false),
            told => told,
        }
    }

    /// Removes it, unless another has taken its place.
    pub(crate) fn remove(&self) {
        use std::os::unix::fs::MetadataExt as _;
        let file = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let there = fs::metadata(self.place.join(MEMORY)).map(file);
        let own = self.memory.metadata().map(file);
        if matches!((there, own), (Ok(there), Ok(own)) if there == own) {
            let _ = fs::remove_dir_all(&self.place);
        }
    }
}

/// What tells one run of this host from another; empty where nothing does.
fn this_boot() -> Vec<u8> {
    fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// A file opened once more: a position of its own, whatever has become of its name.
fn reopened(file: &File) -> std::io::Result<File> {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
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
            Err(error) if is_shortage(&error) || !place.exists() => None,
            // Cut short, without one of its files, or not ours to read: the next one takes its place.
            Err(_) => {
                self.remove(key);
                None
            }
        }
    }

    /// Whether there is one of a key, whatever it is worth.
    pub(crate) fn has(&self, key: &Digest) -> bool {
        self.place(key).exists()
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
        let imprint = imprint_of(&temporary.path).await.map_err(failed)?;
        let note = Note { imprint, function };
        let text = serde_json::to_vec(&note).unwrap_or_default();
        fs::write(temporary.path.join("note.json"), text).map_err(failed)?;
        fs::write(temporary.path.join(VERIFIED), this_boot()).map_err(failed)?;
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

/// Reads what has just been written, in threads of its own: who saves a machine also carries its streams.
async fn imprint_of(place: &Path) -> std::io::Result<Imprint> {
    let (state, memory) = (
        File::open(place.join(STATE))?,
        File::open(place.join(MEMORY))?,
    );
    let (tell, done) = oneshot::channel();
    std::thread::spawn(move || {
        // Whoever does not wait any more does not want the snapshot.
        let _ = tell.send(Imprint::of(&state, &memory));
    });
    done.await.map_err(std::io::Error::other)?
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
    if !parsed.imprint.is_like(&state, &memory)? {
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

    fn put(snapshots: &Snapshots, key: &Digest) -> PathBuf {
        let place = snapshots.place(key);
        fs::create_dir_all(&place).expect("made");
        for name in [STATE, MEMORY] {
            fs::write(place.join(name), [0; 100]).expect("written");
        }
        let opened = |name: &str| File::open(place.join(name)).expect("opened");
        let note = Note {
            imprint: Imprint::of(&opened(STATE), &opened(MEMORY)).expect("read"),
            function: None,
        };
        fs::write(
            place.join("note.json"),
            serde_json::to_vec(&note).expect("JSON"),
        )
        .expect("written");
        place
    }

    #[tokio::test]
    async fn one_is_read_to_its_end_once_in_a_run_of_the_host() {
        let directory = tempfile::tempdir().expect("a directory");
        let snapshots = Snapshots::in_directory(directory.path().to_owned());
        let key = Digest::from_sha256(&[7; 32]);
        let place = put(&snapshots, &key);
        let found = snapshots.find(&key).expect("whole");
        let reading = found.verify().expect("a thread");
        assert!(reading.0.is_some());
        reading.done().await.expect("what was saved");
        let is_read = |snapshot: &Snapshot| snapshot.verify().expect("a thread").0.is_none();
        assert!(is_read(&found));
        // A disk that rots changes no time.
        let memory = place.join(MEMORY);
        let before = fs::metadata(&memory).expect("known").modified();
        fs::write(&memory, [1; 100]).expect("written");
        let file = File::options().write(true).open(&memory).expect("opened");
        file.set_modified(before.expect("known")).expect("set");
        assert!(is_read(&snapshots.find(&key).expect("like it")));
        fs::write(place.join(VERIFIED), "another run").expect("written");
        let another = snapshots.find(&key).expect("like it");
        let reading = another.verify().expect("a thread");
        let failed = reading.done().await.expect_err("another memory");
        assert!(failed.by_snapshot);
        assert!(failed.problem.to_string().contains("not what was saved"));
        // Who does not wait for it has it removed all the same.
        drop(another.verify().expect("a thread"));
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while snapshots.has(&key) {
            assert!(std::time::Instant::now() < until, "it stays");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    #[test]
    fn only_the_one_that_was_found_is_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let snapshots = Snapshots::in_directory(directory.path().to_owned());
        let key = Digest::from_sha256(&[7; 32]);
        let place = put(&snapshots, &key);
        let first = snapshots.find(&key).expect("whole");
        fs::rename(&place, directory.path().join("kept")).expect("moved");
        put(&snapshots, &key);
        first.remove();
        let second = snapshots.find(&key).expect("still there");
        second.remove();
        assert!(!snapshots.has(&key));
        second.remove();
    }

    #[test]
    fn a_host_that_is_short_of_something_says_nothing_of_a_snapshot() {
        let error = std::io::Error::from_raw_os_error;
        assert!(is_shortage(&error(libc::EMFILE)));
        assert!(!is_shortage(&error(libc::EIO)));
        assert!(!is_shortage(&std::io::ErrorKind::InvalidData.into()));
    }

    #[test]
    fn one_that_is_cut_short_is_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let snapshots = Snapshots::in_directory(directory.path().to_owned());
        let key = |number: u8| Digest::from_sha256(&[number; 32]);
        assert!(snapshots.find(&key(0)).is_none());
        put(&snapshots, &key(1));
        assert!(snapshots.find(&key(1)).is_some());
        let cut = put(&snapshots, &key(2)).join(STATE);
        fs::write(cut, [0; 99]).expect("written");
        assert!(snapshots.find(&key(2)).is_none());
        assert!(!snapshots.place(&key(2)).exists());
        for name in ["note.json", "state", "memory"] {
            put(&snapshots, &key(3));
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
            put(&snapshots, &Digest::from_sha256(&[number; 32]));
        }
        snapshots.make_room();
        let left = fs::read_dir(directory.path()).expect("read").count();
        assert_eq!(left, MAX_SNAPSHOTS - 1);
    }
}
