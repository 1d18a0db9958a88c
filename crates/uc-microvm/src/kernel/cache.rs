//! Prepared kernels on disk: `vmlinux-DIGEST`, and a note for each source file, so that it is hashed once.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uc_model::{Digest, Problem, Result};

use super::Kernel;

/// Changes when an earlier `uc` prepared kernels otherwise.
const FORMAT: u32 = 1;
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

#[derive(Serialize, Deserialize)]
struct Note {
    format: u32,
    /// The source, the prepared file, and the list of modules where there is one.
    stamps: Vec<Stamp>,
    kernel: Kernel,
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

    /// The kernel that was made of a file, if neither it nor what was made of it has changed.
    pub(super) fn kernel(&self, source: &Stamp) -> Option<Kernel> {
        let note = crate::host_file::read(&self.note(source), NOTE_BYTES).ok()?;
        let note: Note = serde_json::from_slice(&note).ok()?;
        let unchanged = |stamp: &Stamp| Stamp::of(&stamp.path).as_ref() == Some(stamp);
        let same = note.format == FORMAT
            && note.stamps.first() == Some(source)
            && note.stamps.iter().all(unchanged);
        same.then_some(note.kernel)
    }

    /// Remembers a kernel. Nothing is lost if it cannot be written: the next start prepares it again.
    pub(super) fn remember(&self, source: Stamp, modules: Option<&Path>, kernel: &Kernel) {
        let path = self.note(&source);
        let mut stamps = vec![source];
        stamps.extend(Stamp::of(&kernel.image));
        let lists = ["modules.builtin", "modules.dep"];
        let lists = modules.map(|tree| lists.map(|list| Stamp::of(&tree.join(list))));
        stamps.extend(lists.into_iter().flatten().flatten());
        let note = Note {
            format: FORMAT,
            stamps,
            kernel: kernel.clone(),
        };
        if let Ok(bytes) = serde_json::to_vec(&note) {
            let _ = self.replace(&path, &bytes);
        }
    }

    /// Keeps a prepared kernel under the digest of what it was made of, and says where.
    ///
    /// # Errors
    /// Storage where it cannot be written.
    pub(super) fn keep(&self, source: &Digest, elf: &[u8]) -> Result<PathBuf> {
        let name = format!("vmlinux-{FORMAT}-{}", source.hex());
        let path = self.directory.join(name);
        self.replace(&path, elf)?;
        Ok(path)
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
            .mode(0o600)
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
