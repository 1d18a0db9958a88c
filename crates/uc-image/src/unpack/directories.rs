//! The directories of a layer: found once by the kernel below the layer's root, then kept open for their neighbours.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags, XattrFlags},
    io::Errno,
};
use uc_model::{Bytes, Problem, Result};

use super::name::{shown, split};

/// Open directories that are kept: archives list neighbours together.
const KEPT: usize = 64;
/// The most bytes that names of implied directories may take.
const IMPLIED_BYTES: usize = 8 << 20;
/// Marks a directory that hides what lower layers have under its name.
pub(super) const OPAQUE: (&str, &[u8]) = ("user.overlay.opaque", b"y");

/// Finds directories below the root of a layer.
pub(super) struct Directories<'root> {
    root: BorrowedFd<'root>,
    /// Least recently used first.
    kept: Vec<(Vec<u8>, OwnedFd)>,
    implied: Vec<Vec<u8>>,
    implied_bytes: usize,
}

impl<'root> Directories<'root> {
    pub(super) fn new(root: BorrowedFd<'root>) -> Self {
        Self {
            root,
            kept: Vec::new(),
            implied: Vec::new(),
            implied_bytes: 0,
        }
    }

    /// Directories that were made because an entry needs them, parents first.
    pub(super) fn into_implied(self) -> Vec<Vec<u8>> {
        self.implied
    }

    /// Forgets every open directory: after one of them, or a link on the way to one, has been replaced.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }

    /// The directory of a normalised name, made with its parents where it is missing.
    pub(super) fn get_or_make(&mut self, path: &[u8]) -> Result<BorrowedFd<'_>> {
        if path.is_empty() {
            return Ok(self.root);
        }
        if let Some(at) = self.kept.iter().rposition(|(kept, _)| kept == path) {
            if at + 1 != self.kept.len() {
                let found = self.kept.remove(at);
                self.kept.push(found);
            }
        } else {
            let opened = match open_below(self.root, path) {
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    self.make(path)?;
                    open_below(self.root, path)
                }
                other => other,
            }
            .map_err(|error| unreachable_directory(path, error))?;
            if self.kept.len() >= KEPT {
                self.kept.remove(0);
            }
            self.kept.push((path.to_vec(), opened));
        }
        match self.kept.last() {
            Some((_, directory)) => Ok(directory.as_fd()),
            None => Err(Problem::internal("an open directory was lost")),
        }
    }

    /// The directory of a normalised name, if it is there.
    pub(super) fn find(&mut self, path: &[u8]) -> Result<Option<OwnedFd>> {
        match open_below(self.root, path) {
            Ok(directory) => Ok(Some(directory)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(unreachable_directory(path, error)),
        }
    }

    /// Makes what is missing of a path, from the top.
    fn make(&mut self, path: &[u8]) -> Result<()> {
        let ends = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let directory = &path[..end];
            let (parent, name) = split(directory);
            let parent = open_below(self.root, parent)
                .map_err(|error| unreachable_directory(directory, error))?;
            match fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) => self.note_implied(directory)?,
                Err(Errno::EXIST) if is_whiteout(&parent, name) => {
                    // The layer removes what is below and puts something new in its place.
                    fs::unlinkat(&parent, name, AtFlags::empty())
                        .and_then(|()| fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)))
                        .map_err(|error| unreachable_directory(directory, error))?;
                    let made = open_below(self.root, directory)
                        .map_err(|error| unreachable_directory(directory, error))?;
                    set_opaque(&made)?;
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(unreachable_directory(directory, error)),
            }
        }
        Ok(())
    }

    fn note_implied(&mut self, path: &[u8]) -> Result<()> {
        self.implied_bytes += path.len() + size_of::<Vec<u8>>();
        if self.implied_bytes > IMPLIED_BYTES {
            return Err(Problem::refused(
                "the layer has too many entries without their directories",
            )
            .limit(format!("{} of names", Bytes(IMPLIED_BYTES as u64))));
        }
        self.implied.push(path.to_vec());
        Ok(())
    }
}

/// Opens a directory below `root`. Symbolic links are followed as long as they stay below it.
pub(super) fn open_below(root: impl AsFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    fs::openat2(
        root,
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    )
}

/// Whether a name is an overlayfs whiteout.
pub(super) fn is_whiteout(parent: impl AsFd, name: &[u8]) -> bool {
    fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
    })
}

/// Makes a directory hide what lower layers have under its name.
pub(super) fn set_opaque(directory: &OwnedFd) -> Result<()> {
    // Attributes need a descriptor that is open for more than its path.
    fs::openat(
        directory,
        c".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .and_then(|readable| fs::fsetxattr(&readable, OPAQUE.0, OPAQUE.1, XattrFlags::empty()))
    .map_err(|error| {
        Problem::storage("cannot mark a directory as opaque")
            .limit("a file system with user extended attributes")
            .remedy("put the data directory on ext4, xfs, btrfs, or tmpfs of Linux 6.6 or newer")
            .caused_by(error)
    })
}

fn unreachable_directory(path: &[u8], error: Errno) -> Problem {
    match error {
        Errno::XDEV => {
            Problem::refused("the entry's directory is a symbolic link that leads out of the layer")
                .found(shown(path))
                .remedy("use an image you trust")
        }
        Errno::LOOP => {
            Problem::refused("the entry's directory is a loop of symbolic links").found(shown(path))
        }
        Errno::NOENT => Problem::refused("the entry's directory is a symbolic link to nothing")
            .found(shown(path)),
        Errno::NOTDIR => {
            Problem::refused("the entry's directory is not a directory").found(shown(path))
        }
        error => Problem::storage("cannot make the entry's directory")
            .found(shown(path))
            .caused_by(error),
    }
}
