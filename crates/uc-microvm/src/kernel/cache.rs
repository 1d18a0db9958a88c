//! Prepared kernels on disk: `vmlinux-DIGEST`, and a note for each source file, so that it is hashed once.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uc_model::{Digest, Problem, Result, Telling};

use super::Kernel;

/// Changes when an earlier `uc` prepared kernels otherwise, or refused what is taken now.
const FORMAT: u32 = 1;
/// Prepared kernels that are kept; the oldest goes first. Each takes 20 to 60 MB.
const KEPT: usize = 4;
/// What the names of prepared kernels begin with.
const PREPARED: &str = "vmlinux-";
/// Most bytes of a note.
const NOTE_BYTES: u64 = 1 << 20;

/// A directory of prepared kernels.
#[derive(Debug)]
pub(super) struct Cache<'a> {
    directory: &'a Path,
}

/// What tells that a file is still the one it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds since 1970 and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// None where there is no such file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[derive(Deserialize)]
struct Note {
    format: u32,
    /// The source, the prepared file, and the lists of modules where there are any.
    stamps: Vec<Stamp>,
    ground: Ground,
    outcome: Outcome,
}

/// What an outcome rests on besides the kernel's file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ground {
    /// The version whose modules were looked for; empty where none were.
    pub(super) version: String,
    /// Where they were found.
    pub(super) modules: Option<PathBuf>,
}

/// What became of a kernel's file. Refusals are remembered too: a start must not decompress what it cannot use.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    Kernel(Box<Kernel>),
    Refusal(Telling),
}

impl<'a> Cache<'a> {
    /// # Errors
    /// Storage where the directory cannot be made.
    pub(super) fn open(directory: &'a Path) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| unwritable(directory, error))?;
        Ok(Self { directory })
    }

    /// What became of a file, if neither it nor what that rests on has changed.
    pub(super) fn known(
        &self,
        source: &Stamp,
        modules: &dyn Fn(&str) -> Option<PathBuf>,
    ) -> Option<Outcome> {
        let note = crate::host_file::read(&self.note(source), NOTE_BYTES).ok()?;
        let note: Note = serde_json::from_slice(&note).ok()?;
        let unchanged = |stamp: &Stamp| Stamp::of(&stamp.path).as_ref() == Some(stamp);
        let same = note.format == FORMAT
            && note.stamps.first() == Some(source)
            && note.stamps.iter().all(unchanged)
            && modules(&note.ground.version) == note.ground.modules;
        same.then_some(note.outcome)
    }

    /// Remembers what became of a file. Nothing is lost if it cannot be written: the next start prepares it again.
    pub(super) fn remember(&self, source: Stamp, ground: &Ground, outcome: &Outcome) {
        let path = self.note(&source);
        let mut stamps = vec![source];
        if let Outcome::Kernel(kernel) = outcome {
            stamps.extend(Stamp::of(&kernel.image));
        }
        let lists = ["modules.builtin", "modules.dep", "modules.order"];
        if let Some(tree) = &ground.modules {
            stamps.extend(lists.iter().filter_map(|list| Stamp::of(&tree.join(list))));
        }
        let note = serde_json::json!({
            "format": FORMAT, "stamps": stamps, "ground": ground, "outcome": outcome,
        });
        let _ = self.replace(&path, note.to_string().as_bytes());
    }

    /// Keeps a prepared kernel under the digest of what it was made of, and says where.
    ///
    /// # Errors
    /// Storage where it cannot be written.
    pub(super) fn keep(&self, source: &Digest, elf: &[u8]) -> Result<PathBuf> {
        let name = format!("{PREPARED}{FORMAT}-{}", source.hex());
        let path = self.directory.join(name);
        self.replace(&path, elf)?;
        self.forget_oldest();
        Ok(path)
    }

    /// Removes what is beyond [`KEPT`]. Whoever boots one of those has it open, or prepares it again.
    fn forget_oldest(&self) {
        let Ok(entries) = fs::read_dir(self.directory) else {
            return;
        };
        let prepared = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            let is_prepared = entry.file_name().to_str()?.starts_with(PREPARED);
            let modified = entry.metadata().ok()?.modified().ok()?;
            is_prepared.then(|| (modified, entry.path()))
        });
        let mut prepared: Vec<_> = prepared.collect();
        prepared.sort_unstable();
        for (_, path) in prepared.iter().rev().skip(KEPT) {
            let _ = fs::remove_file(path);
        }
    }

    fn note(&self, source: &Stamp) -> PathBuf {
        let hash: [u8; 32] = Sha256::digest(source.path.as_os_str().as_encoded_bytes()).into();
        let name = format!("note-{}.json", Digest::from_sha256(&hash).hex());
        self.directory.join(name)
    }

    /// Others see the old file or the whole new one.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("part-{}-{number}", std::process::id());
        let part = self.directory.join(name);
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            // A monitor opens it as nobody of the host; the directory is closed to others.
            .mode(0o644)
            .open(&part)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&part, path));
        written.map_err(|error| {
            let _ = fs::remove_file(&part);
            unwritable(path, error)
        })
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Problem {
    Problem::storage("cannot keep a prepared kernel")
        .at(path.display())
        .caused_by(error)
}
