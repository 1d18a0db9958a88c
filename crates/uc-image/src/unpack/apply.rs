//! Applies entries to the layer's directory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags},
    io::Errno,
};
use uc_model::{Bytes, Digest, Problem, Result};

use super::{
    Options, Unpacked,
    attributes::{self, Dropped, failed_owner, timestamps},
    directories::{Directories, is_whiteout, open_below, set_opaque},
    entry::{Entry, Kind},
    name::{check_symlink_target, normalise, shown, split},
    remove::remove_tree,
    sparse::SparseMap,
    stream::Entries,
};

/// The prefix of whiteouts in a layer's archive (OCI image specification, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE_WHITEOUT: &[u8] = b".wh..wh..opq";
/// Names of the storage driver that invented whiteouts; nothing of an image.
const WHITEOUT_METADATA: &[u8] = b".wh..wh.";
/// The most bytes that remembered directories may take. Beyond it they get their modes and times early, and those that
/// something is made in afterwards lose their times.
const PENDING_BYTES: usize = 8 << 20;

/// What was unpacked, but for the digest that only the other thread knows.
pub(super) struct Applied {
    counts: Counts,
    implied: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Counts {
    bytes: u64,
    entries: u64,
    whiteouts: u64,
    skipped_devices: u64,
    dropped: Dropped,
}

impl Applied {
    pub(super) fn with_diff_id(self, diff_id: Digest) -> Unpacked {
        let counts = self.counts;
        Unpacked {
            diff_id,
            bytes: counts.bytes,
            entries: counts.entries,
            whiteouts: counts.whiteouts,
            skipped_devices: counts.skipped_devices,
            dropped_xattrs: counts.dropped.xattrs,
            dropped_capabilities: counts.dropped.capabilities,
            implied: self.implied,
        }
    }
}

/// Mode and time of a directory, set when nothing is made in it any more.
struct Pending {
    path: Box<[u8]>,
    mode: u32,
    modified: (i64, u32),
}

/// Applies entries below a directory.
pub(super) struct Applier<'root> {
    root: BorrowedFd<'root>,
    options: Options,
    directories: Directories<'root>,
    pending: Vec<Pending>,
    pending_bytes: usize,
    counts: Counts,
}

impl<'root> Applier<'root> {
    pub(super) fn new(root: BorrowedFd<'root>, options: Options) -> Self {
        Self {
            root,
            options,
            directories: Directories::new(root),
            pending: Vec::new(),
            pending_bytes: 0,
            counts: Counts::default(),
        }
    }

    /// Applies every entry, then reads the stream to its end.
    pub(super) fn apply_all(&mut self, entries: &mut Entries) -> Result<()> {
        while let Some(entry) = entries.next_entry()? {
            self.counts.entries += 1;
            if self.counts.entries > self.options.limits.entries {
                return Err(Problem::refused("the layer has too many entries")
                    .limit(self.options.limits.entries)
                    .remedy("use an image you trust"));
            }
            let path = normalise(&entry.name)?;
            self.apply(&path, &entry, entries)?;
        }
        entries.drain();
        Ok(())
    }

    /// Gives directories their modes and times, last of all.
    pub(super) fn finish(mut self) -> Result<Applied> {
        self.settle_directories()?;
        Ok(Applied {
            counts: self.counts,
            implied: self.directories.into_implied(),
        })
    }

    fn settle_directories(&mut self) -> Result<()> {
        self.pending_bytes = 0;
        for pending in std::mem::take(&mut self.pending) {
            // It may have been replaced by something else since.
            let Ok(directory) = open_itself(self.root, &pending.path) else {
                continue;
            };
            let times = timestamps(pending.modified);
            let mode = Mode::from_raw_mode(pending.mode);
            // The time first: without the right to search it, "." cannot be found any more.
            fs::utimensat(&directory, c".", &times, AtFlags::empty())
                .and_then(|()| fs::chmodat(&directory, c".", mode, AtFlags::empty()))
                .map_err(|error| self.failed(error).at(shown(&pending.path)))?;
        }
        Ok(())
    }

    fn apply(&mut self, path: &[u8], entry: &Entry, entries: &mut Entries) -> Result<()> {
        if path.is_empty() {
            return match entry.kind {
                Kind::Directory => self.describe_directory(path, entry),
                _ => Err(Problem::refused("the layer's root is not a directory")),
            };
        }
        let (parent, name) = split(path);
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.whiteout(parent, name, hidden);
        }
        match &entry.kind {
            Kind::Directory => self.directory(path, entry),
            Kind::File { sparse } => self.file(path, entry, sparse.as_ref(), entries),
            Kind::Symlink => self.symlink(path, entry),
            Kind::HardLink => self.hard_link(path, entry),
            Kind::Fifo => self.fifo(path, entry),
            Kind::Device if path.starts_with(b"dev/") => {
                self.counts.skipped_devices += 1;
                Ok(())
            }
            Kind::Device => Err(Problem::refused("the layer contains a device")
                .limit("devices below dev/ only, which are left out: a sandbox has its own /dev")
                .remedy("build the image without device files")),
        }
    }

    fn whiteout(&mut self, parent: &[u8], name: &[u8], hidden: &[u8]) -> Result<()> {
        if name == OPAQUE_WHITEOUT {
            self.counts.whiteouts += 1;
            self.directories.get_or_make(parent)?;
            let directory = open_below(self.root, parent).map_err(|error| self.failed(error))?;
            return set_opaque(&directory);
        }
        if name.starts_with(WHITEOUT_METADATA) {
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Problem::refused(
                "the whiteout names nothing that can be removed",
            ));
        }
        self.counts.whiteouts += 1;
        let parent = self.directories.get_or_make(parent)?;
        match fs::mknodat(parent, hidden, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            // The layer removes what is below and brings its own: only a directory lets what is below show through.
            Err(Errno::EXIST) => match open_itself(parent, hidden) {
                Ok(directory) => set_opaque(&directory),
                Err(_) => Ok(()),
            },
            Err(Errno::PERM) => Err(Problem::host("cannot make an overlayfs whiteout")
                .limit("Linux 5.8 or newer, and a file system that takes device files")
                .remedy("put the data directory on another file system")),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn directory(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        let (parent, name) = split(path);
        let made =
            |directory: BorrowedFd<'_>| fs::mkdirat(directory, name, Mode::from_raw_mode(0o700));
        match made(self.directories.get_or_make(parent)?) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let parent_directory = self.directories.get_or_make(parent)?;
                let stat = fs::statat(parent_directory, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|error| self.failed(error))?;
                // A directory that is there keeps what is in it.
                if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                    let was_whiteout = self.clear(parent, name)?;
                    let parent_directory = self.directories.get_or_make(parent)?;
                    made(parent_directory).map_err(|error| self.failed(error))?;
                    if was_whiteout {
                        let parent_directory = self.directories.get_or_make(parent)?;
                        let directory = open_itself(parent_directory, name);
                        set_opaque(&directory.map_err(|error| self.failed(error))?)?;
                    }
                }
            }
            Err(error) => return Err(self.failed(error)),
        }
        self.describe_directory(path, entry)
    }

    /// Owner and attributes of a directory now, mode and time at the end.
    fn describe_directory(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        let directory = open_itself(self.root, path).map_err(|error| self.failed(error))?;
        if let Some((uid, gid)) = attributes::owner(entry, self.options.ownership)? {
            fs::chownat(&directory, c".", Some(uid), Some(gid), AtFlags::empty())
                .map_err(|error| failed_owner(error, entry))?;
        }
        if !entry.xattrs.is_empty() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let readable = fs::openat(&directory, c".", flags, Mode::empty())
                .map_err(|error| self.failed(error))?;
            self.xattrs(&readable, entry)?;
        }
        self.pending_bytes += path.len() + size_of::<Pending>();
        if self.pending_bytes > PENDING_BYTES {
            self.settle_directories()?;
        }
        self.pending.push(Pending {
            path: path.into(),
            mode: entry.mode,
            modified: entry.modified,
        });
        Ok(())
    }

    fn file(
        &mut self,
        path: &[u8],
        entry: &Entry,
        sparse: Option<&SparseMap>,
        entries: &mut Entries,
    ) -> Result<()> {
        let size = sparse.map_or(entry.stored, |map| map.real_size);
        self.counts.bytes = self.counts.bytes.saturating_add(size);
        if self.counts.bytes > self.options.limits.bytes {
            return Err(Problem::refused("the layer's files are too large together")
                .limit(Bytes(self.options.limits.bytes))
                .found(format!("at least {}", Bytes(self.counts.bytes)))
                .remedy("it looks like a decompression bomb: use an image you trust"));
        }
        let file = self.make(path, |directory, name| {
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            fs::openat(directory, name, flags, Mode::from_raw_mode(0o600))
        })?;
        match sparse {
            None => self.copy(&file, 0, entry.stored, entries)?,
            Some(map) => {
                fs::ftruncate(&file, map.real_size)
                    .map_err(|error| self.failed_write(error, size))?;
                for segment in &map.segments {
                    self.copy(&file, segment.offset, segment.length, entries)?;
                }
            }
        }
        if let Some((uid, gid)) = attributes::owner(entry, self.options.ownership)? {
            fs::fchown(&file, Some(uid), Some(gid)).map_err(|error| failed_owner(error, entry))?;
        }
        // After the owner: changing it takes the set-user-id bit away.
        fs::fchmod(&file, Mode::from_raw_mode(entry.mode)).map_err(|error| self.failed(error))?;
        self.xattrs(&file, entry)?;
        fs::futimens(&file, &timestamps(entry.modified)).map_err(|error| self.failed(error))
    }

    fn copy(
        &self,
        file: &OwnedFd,
        mut offset: u64,
        mut left: u64,
        entries: &mut Entries,
    ) -> Result<()> {
        while left > 0 {
            let bytes = entries.data()?;
            let most = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let written = match rustix::io::pwrite(file, &bytes[..most], offset) {
                Ok(0) => return Err(self.failed_write(Errno::NOSPC, left)),
                Ok(written) => written,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(self.failed_write(error, left)),
            };
            entries.consume(written);
            offset += written as u64;
            left -= written as u64;
        }
        Ok(())
    }

    fn symlink(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        check_symlink_target(&entry.link)?;
        self.make(path, |directory, name| {
            fs::symlinkat(entry.link.as_slice(), directory, name)
        })?;
        self.describe(path, entry)
    }

    fn fifo(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        self.make(path, |directory, name| {
            fs::mknodat(
                directory,
                name,
                FileType::Fifo,
                Mode::from_raw_mode(0o600),
                0,
            )
        })?;
        self.describe(path, entry)?;
        let (parent, name) = split(path);
        let directory = self.directories.get_or_make(parent)?;
        fs::chmodat(
            directory,
            name,
            Mode::from_raw_mode(entry.mode),
            AtFlags::empty(),
        )
        .map_err(|error| self.failed(error))
    }

    /// Owner and time of what has just been made and has no descriptor.
    fn describe(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        self.counts.dropped.count(entry);
        let owner = attributes::owner(entry, self.options.ownership)?;
        let (parent, name) = split(path);
        let directory = self.directories.get_or_make(parent)?;
        if let Some((uid, gid)) = owner {
            fs::chownat(
                directory,
                name,
                Some(uid),
                Some(gid),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .map_err(|error| failed_owner(error, entry))?;
        }
        fs::utimensat(
            directory,
            name,
            &timestamps(entry.modified),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(|error| self.failed(error))
    }

    fn hard_link(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        let target = normalise(&entry.link)?;
        let missing = || {
            Problem::refused("the target of the hard link is not in the layer")
                .found(shown(&entry.link))
                .remedy("build the image again: a hard link and its target must be in one layer")
        };
        if target == path {
            return Ok(());
        }
        let (target_parent, target_name) = split(&target);
        let target_directory = self.directories.find(target_parent)?.ok_or_else(missing)?;
        match fs::statat(&target_directory, target_name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile | FileType::Symlink | FileType::Fifo => {}
                FileType::CharacterDevice => return Err(missing()),
                _ => {
                    return Err(
                        Problem::refused("the target of the hard link is a directory")
                            .found(shown(&target)),
                    );
                }
            },
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(missing()),
            Err(error) => return Err(self.failed(error)),
        }
        self.make(path, |directory, name| {
            fs::linkat(
                &target_directory,
                target_name,
                directory,
                name,
                AtFlags::empty(),
            )
        })
    }

    /// Makes something at a path, in place of what is there.
    fn make<T>(
        &mut self,
        path: &[u8],
        make: impl Fn(BorrowedFd<'_>, &[u8]) -> rustix::io::Result<T>,
    ) -> Result<T> {
        let (parent, name) = split(path);
        match make(self.directories.get_or_make(parent)?, name) {
            Err(Errno::EXIST) => {
                self.clear(parent, name)?;
                make(self.directories.get_or_make(parent)?, name)
            }
            other => other,
        }
        .map_err(|error| self.failed(error))
    }

    /// Removes what an entry replaces. Returns whether it was a whiteout.
    fn clear(&mut self, parent: &[u8], name: &[u8]) -> Result<bool> {
        let directory = self.directories.get_or_make(parent)?;
        let was_whiteout = is_whiteout(directory, name);
        remove_tree(directory, name).map_err(|error| self.failed(error))?;
        // An open directory may be gone, or a link on the way to it.
        self.directories.forget();
        Ok(was_whiteout)
    }

    fn xattrs(&mut self, file: &OwnedFd, entry: &Entry) -> Result<()> {
        attributes::set_xattrs(file, entry, &mut self.counts.dropped)
            .map_err(|error| self.failed(error).found("an extended attribute"))
    }

    fn failed(&self, error: Errno) -> Problem {
        self.failed_write(error, 0)
    }

    fn failed_write(&self, error: Errno, needed: u64) -> Problem {
        if !matches!(error, Errno::NOSPC | Errno::DQUOT) {
            return Problem::storage("cannot write an entry of the layer")
                .remedy("check that the data directory is writable")
                .caused_by(error);
        }
        let free = fs::fstatvfs(self.root).map_or_else(
            |_| "an unknown amount".to_owned(),
            |stat| Bytes(stat.f_bavail.saturating_mul(stat.f_frsize)).to_string(),
        );
        let mut problem = Problem::storage("the disk is full")
            .found(format!("{free} free"))
            .remedy("free some space, for example with: uc image rm IMAGE")
            .caused_by(error);
        if needed > 0 {
            problem = problem.limit(format!("{} more for this file", Bytes(needed)));
        }
        problem
    }
}

/// Opens the directory at a path, not one that a link at its end points to.
fn open_itself(root: impl AsFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let (parent, name) = split(path);
    let name = if name.is_empty() { b"." } else { name };
    let parent = open_below(root, parent)?;
    fs::openat(
        &parent,
        name,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}
