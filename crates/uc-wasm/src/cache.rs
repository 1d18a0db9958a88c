//! Compiled programs on disk, keyed by content and engine settings.
//!
//! Compiled code is machine code: whoever can write an entry can run anything as the caller. So the directory must
//! belong to the caller and be closed to everybody else, which is verified on its open descriptor before anything
//! below it is used, and entries are reached through that descriptor only.

use std::{
    fs::File,
    io::{ErrorKind, Write as _},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use rustix::fs::{AtFlags, Mode, OFlags};
use uc_model::{Digest, Problem, Result};

/// The most bytes all entries may have together; the oldest go first.
const CACHE_BYTES_MAX: u64 = 2 << 30;

/// The most entries.
const CACHE_ENTRIES_MAX: usize = 2_000;

/// A temporary file older than this was left by a writer that died.
const TEMPORARY_MAX_AGE: Duration = Duration::from_secs(600);

const ENTRY_SUFFIX: &str = ".cwasm";

const TEMPORARY_SUFFIX: &str = ".tmp";

/// A verified cache directory.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    directory: OwnedFd,
    compatibility: String,
}

/// A compiled program on disk.
#[derive(Debug)]
pub(crate) struct Entry {
    file: File,
}

impl Entry {
    /// A path to this very file, whatever happens to its name.
    pub(crate) fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.file.as_raw_fd())
    }

    /// The open file.
    pub(crate) fn into_file(self) -> File {
        self.file
    }
}

impl Cache {
    /// Opens the directory, making it where it is missing.
    ///
    /// # Errors
    /// It cannot be made or read, belongs to somebody else, or is open to others.
    pub(crate) fn open(path: &Path, compatibility: String) -> Result<Self> {
        let directory = open_directory(path)?;
        let stat = rustix::fs::fstat(&directory).map_err(|errno| unusable(path, errno.into()))?;
        let owner = rustix::process::geteuid().as_raw();
        if stat.st_uid != owner {
            return Err(untrusted(path)
                .limit(format!("owned by user {owner}"))
                .found(format!("owned by user {}", stat.st_uid))
                .remedy("name another cache directory, or remove this one"));
        }
        if stat.st_mode & 0o077 != 0 {
            return Err(untrusted(path)
                .limit("mode 0700")
                .found(format!("mode {:04o}", stat.st_mode & 0o7777))
                .remedy(format!(
                    "if nobody else can have written there, run: rm -f {0}/*.cwasm && chmod 700 {0}",
                    path.display()
                )));
        }
        Ok(Self {
            path: path.to_owned(),
            directory,
            compatibility,
        })
    }

    /// The entry of a program, if there is one.
    pub(crate) fn find(&self, content: &Digest) -> Option<Entry> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(&self.directory, self.name(content), flags, Mode::empty()).ok()?;
        Some(Entry { file: fd.into() })
    }

    /// Writes an entry, so that a reader sees all of it or nothing.
    ///
    /// # Errors
    /// The directory cannot be written or the disk is full.
    pub(crate) fn store(&self, content: &Digest, compiled: &[u8]) -> Result<Entry> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let temporary = format!(
            "{}-{}{TEMPORARY_SUFFIX}",
            std::process::id(),
            COUNTER.fetch_add(1, Ordering::Relaxed)
        );
        let written = self.write(&temporary, compiled).and_then(|()| {
            Ok(rustix::fs::renameat(
                &self.directory,
                &temporary,
                &self.directory,
                self.name(content),
            )?)
        });
        if let Err(error) = written {
            // It may not exist; what matters is that nothing half-made stays.
            let _ = rustix::fs::unlinkat(&self.directory, &temporary, AtFlags::empty());
            return Err(unwritable(&self.path, error));
        }
        self.prune();
        self.find(content).ok_or_else(|| {
            Problem::storage("a compiled WebAssembly program vanished from the cache")
                .at(self.path.display())
                .remedy("keep other programs from cleaning this directory, and try again")
        })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        // A file of this name is a leftover of a dead process with our process id.
        let _ = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(fd);
        file.write_all(bytes)?;
        // Without this a crash of the host can leave a complete name over missing content.
        file.sync_all()
    }

    fn name(&self, content: &Digest) -> String {
        format!("{}-{}{ENTRY_SUFFIX}", content.hex(), self.compatibility)
    }

    /// Removes abandoned temporary files, and the oldest entries while there are too many. Failures are harmless: the
    /// next store tries again.
    fn prune(&self) {
        let Ok(listing) = std::fs::read_dir(self.fd_path()) else {
            return;
        };
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for file in listing.flatten() {
            let name = file.file_name();
            let Some(name) = name.to_str() else { continue };
            let Ok(metadata) = file.metadata() else {
                continue;
            };
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if name.ends_with(ENTRY_SUFFIX) {
                entries.push((modified, metadata.len(), file.path()));
            } else if name.ends_with(TEMPORARY_SUFFIX)
                && modified.elapsed().is_ok_and(|age| age > TEMPORARY_MAX_AGE)
            {
                let _ = std::fs::remove_file(file.path());
            }
        }
        entries.sort_by_key(|(modified, ..)| std::cmp::Reverse(*modified));
        let mut total_bytes = 0_u64;
        for (index, (_, bytes, path)) in entries.iter().enumerate() {
            total_bytes = total_bytes.saturating_add(*bytes);
            // The newest stays whatever its size: it is about to be used.
            if index > 0 && (index >= CACHE_ENTRIES_MAX || total_bytes > CACHE_BYTES_MAX) {
                let _ = std::fs::remove_file(path);
            }
        }
    }

    fn fd_path(&self) -> String {
        format!("/proc/self/fd/{}", self.directory.as_fd().as_raw_fd())
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(directory) => return Ok(directory),
        Err(errno) if std::io::Error::from(errno).kind() == ErrorKind::NotFound => {}
        Err(errno) => return Err(unusable(path, errno.into())),
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| unwritable(path, error))?;
    }
    match rustix::fs::mkdir(path, Mode::RWXU) {
        // Another process may have been faster; who owns the directory is checked either way.
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(unwritable(path, errno.into())),
    }
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| unusable(path, errno.into()))
}

fn untrusted(path: &Path) -> Problem {
    Problem::refused("the cache of compiled WebAssembly could hold somebody else's machine code")
        .at(path.display())
}

fn unusable(path: &Path, error: std::io::Error) -> Problem {
    Problem::storage("the cache of compiled WebAssembly cannot be opened")
        .at(path.display())
        .limit("a directory, not a symbolic link")
        .found(error.to_string())
        .remedy("name another cache directory, or remove what is there")
        .caused_by(error)
}

fn unwritable(path: &Path, error: std::io::Error) -> Problem {
    let remedy = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free disk space, or name a cache directory on another disk"
        }
        _ => "make it writable, or name a cache directory that is",
    };
    Problem::storage("the cache of compiled WebAssembly cannot be written")
        .at(path.display())
        .found(error.to_string())
        .remedy(remedy)
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use uc_model::ProblemKind;

    use super::*;

    fn digest() -> Digest {
        Digest::from_sha256(&[7; 32])
    }

    #[test]
    fn an_entry_is_found_again_under_the_same_settings_only() {
        let home = tempfile::tempdir().expect("temporary directory");
        let path = home.path().join("made/on/demand");
        let cache = Cache::open(&path, "aaaa".into()).expect("opens");
        assert!(cache.find(&digest()).is_none());
        cache.store(&digest(), b"code").expect("stores");
        assert!(cache.find(&digest()).is_some());
        let other = Cache::open(&path, "bbbb".into()).expect("opens");
        assert!(other.find(&digest()).is_none());
        let mode = std::fs::metadata(&path)
            .expect("exists")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        let names: Vec<_> = std::fs::read_dir(&path).expect("lists").flatten().collect();
        assert_eq!(names.len(), 1, "no temporary file stays: {names:?}");
    }

    #[test]
    fn the_newest_stay_within_number_and_size() {
        let home = tempfile::tempdir().expect("temporary directory");
        let path = home.path().join("cache");
        let cache = Cache::open(&path, "aaaa".into()).expect("opens");
        let entry = |name: &str, age_s: u64, bytes: u64| {
            let file = File::create(path.join(format!("{name}{ENTRY_SUFFIX}"))).expect("made");
            // A hole takes no space on disk.
            file.set_len(bytes).expect("sized");
            file.set_modified(SystemTime::now() - Duration::from_secs(age_s))
                .expect("aged");
        };
        for number in 0..CACHE_ENTRIES_MAX + 2 {
            entry(&format!("n{number}"), 10 + number as u64, 1);
        }
        cache.store(&digest(), b"code").expect("stores");
        let count = || std::fs::read_dir(&path).expect("lists").count();
        assert_eq!(count(), CACHE_ENTRIES_MAX);
        assert!(
            !path
                .join(format!("n{CACHE_ENTRIES_MAX}{ENTRY_SUFFIX}"))
                .exists()
        );
        entry("large", 5, CACHE_BYTES_MAX);
        cache.store(&digest(), b"code").expect("stores");
        assert_eq!(count(), 1, "what is older than the large one goes with it");
        assert!(cache.find(&digest()).is_some());
    }

    #[test]
    fn a_directory_open_to_others_is_refused_with_a_remedy() {
        let home = tempfile::tempdir().expect("temporary directory");
        let path = home.path().join("cache");
        std::fs::create_dir(&path).expect("made");
        for mode in [0o770, 0o705, 0o777] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
            let problem = Cache::open(&path, "aaaa".into()).expect_err("refused");
            assert_eq!(problem.kind(), ProblemKind::Refused);
            assert!(
                problem
                    .remedy_text()
                    .is_some_and(|remedy| remedy.contains("chmod 700"))
            );
        }
    }

    #[test]
    fn a_symbolic_link_or_a_file_is_no_cache_directory() {
        let home = tempfile::tempdir().expect("temporary directory");
        let real = home.path().join("real");
        Cache::open(&real, "aaaa".into()).expect("opens");
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        let problem = Cache::open(&link, "aaaa".into()).expect_err("refused");
        assert_eq!(problem.kind(), ProblemKind::Storage);
        let file = home.path().join("file");
        std::fs::write(&file, "").expect("written");
        Cache::open(&file.join("below"), "aaaa".into()).expect_err("refused");
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let home = tempfile::tempdir().expect("temporary directory");
        let path = home.path().join("cache");
        Cache::open(&path, "aaaa".into()).expect("opens");
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_err() {
            println!("skipped: only root can give a directory away");
            return;
        }
        let problem = Cache::open(&path, "aaaa".into()).expect_err("refused");
        assert_eq!(problem.kind(), ProblemKind::Refused);
    }

    #[test]
    fn an_unwritable_cache_is_a_storage_problem() {
        let problem = Cache::open(Path::new("/proc/uc-wasm-cache"), "aaaa".into())
            .expect_err("procfs takes no directories");
        assert_eq!(problem.kind(), ProblemKind::Storage);
        assert!(problem.remedy_text().is_some());
    }
}
