//! Looks names up in a stack of unpacked layers the way overlayfs would, without mounting anything.
//!
//! Symbolic links are followed by this module within the stack and never by the kernel, so a lookup cannot leave it.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{self, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};
use uc_model::{Bytes, Problem, Result};

use super::{directories::OPAQUE, name::shown};

/// The most symbolic links on the way to one name, as in Linux.
const LINKS: usize = 40;
/// The longest target of a symbolic link, in bytes.
const TARGET_BYTES: usize = 4096;

/// Unpacked layers, looked at together.
#[derive(Debug)]
pub struct LayerStack {
    /// Uppermost first.
    layers: Vec<OwnedFd>,
}

/// What a lookup found.
#[derive(Debug)]
pub struct Found {
    /// The name without symbolic links, relative to the root.
    pub path: Vec<u8>,
    /// What it is, from the uppermost layer that has it.
    pub stat: Stat,
    /// Opened for its path only.
    descriptor: OwnedFd,
}

impl Found {
    /// What kind of file it is.
    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

/// Where a walk is: the name so far, and at each of its parts the layers (uppermost first) that contribute.
struct Walk {
    parts: Vec<Vec<u8>>,
    visible: Vec<Vec<usize>>,
}

enum Step {
    Missing,
    Directory(Vec<usize>),
    Other,
}

impl LayerStack {
    /// Opens layers, lowest first.
    ///
    /// # Errors
    /// Storage, naming the directory.
    pub fn open(directories: &[impl AsRef<Path>]) -> Result<Self> {
        let layers = directories
            .iter()
            .rev()
            .map(|directory| {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                fs::open(directory.as_ref(), flags, Mode::empty()).map_err(|error| {
                    Problem::storage("cannot open an unpacked layer")
                        .at(directory.as_ref().display())
                        .caused_by(error)
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { layers })
    }

    /// Takes layers that are open already, lowest first.
    ///
    /// # Errors
    /// Host, where descriptors run out.
    pub fn from_descriptors(layers: &[BorrowedFd<'_>]) -> Result<Self> {
        let layers = layers
            .iter()
            .rev()
            .map(|layer| {
                layer.try_clone_to_owned().map_err(|error| {
                    Problem::host("cannot duplicate a file descriptor").caused_by(error)
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { layers })
    }

    /// Looks a name up, following every symbolic link. Absolute targets start at the stack's root, and `..` stops there.
    ///
    /// # Errors
    /// Refused for loops of links; storage where a layer cannot be read.
    pub fn find(&self, path: &[u8]) -> Result<Option<Found>> {
        let mut walk = Walk {
            parts: Vec::new(),
            visible: vec![(0..self.layers.len()).collect()],
        };
        let mut todo: Vec<Vec<u8>> = parts_reversed(path);
        let mut links = 0;
        let mut found = None;
        while let Some(part) = todo.pop() {
            if part == b".." {
                walk.parts.pop();
                walk.visible.truncate(walk.parts.len() + 1);
                found = None;
                continue;
            }
            let (step, entry) = self.step(&walk, &part)?;
            match (step, entry) {
                (Step::Directory(visible), Some(entry)) => {
                    walk.parts.push(part);
                    walk.visible.push(visible);
                    found = Some(entry);
                }
                (Step::Other, Some((stat, descriptor))) => {
                    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                        links += 1;
                        if links > LINKS {
                            return Err(Problem::refused("too many symbolic links")
                                .at(shown(path))
                                .limit(LINKS));
                        }
                        let target = link_target(&descriptor)?;
                        if target.first() == Some(&b'/') {
                            walk.parts.clear();
                            walk.visible.truncate(1);
                        }
                        todo.extend(parts_reversed(&target));
                        found = None;
                    } else if todo.is_empty() {
                        walk.parts.push(part);
                        found = Some((stat, descriptor));
                    } else {
                        return Ok(None);
                    }
                }
                _ => return Ok(None),
            }
        }
        self.found(&walk, found)
    }

    /// A whole file of at most `limit` bytes.
    ///
    /// # Errors
    /// Refused where it is larger or no regular file; those of [`Self::find`].
    pub fn read_file(&self, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(found) = self.find(path)? else {
            return Ok(None);
        };
        if found.file_type() != FileType::RegularFile {
            return Err(Problem::refused("not a regular file").at(shown(path)));
        }
        let unreadable = |error: std::io::Error| {
            Problem::storage("cannot read a file of the image")
                .at(shown(path))
                .caused_by(error)
        };
        // A descriptor for the path alone cannot be read; its /proc link opens the very same file.
        let link = format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&found.descriptor)
        );
        let file = File::open(link).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > limit {
            return Err(Problem::refused("the file of the image is too large")
                .at(shown(path))
                .limit(Bytes(limit)));
        }
        Ok(Some(bytes))
    }

    /// The end of a walk. After `..` or a link to the root the last directory has yet to be opened.
    fn found(&self, walk: &Walk, found: Option<(Stat, OwnedFd)>) -> Result<Option<Found>> {
        let path = walk.parts.join(&b'/');
        let found = match found {
            Some(found) => Some(found),
            None => match walk.visible.last().and_then(|visible| visible.first()) {
                Some(&layer) => self.entry(layer, &path)?,
                None => None,
            },
        };
        Ok(found.map(|(stat, descriptor)| Found {
            path,
            stat,
            descriptor,
        }))
    }

    /// One part further down.
    fn step(&self, walk: &Walk, part: &[u8]) -> Result<(Step, Option<(Stat, OwnedFd)>)> {
        let mut path = walk.parts.join(&b'/');
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(part);
        let mut visible = Vec::new();
        let mut uppermost = None;
        for &layer in walk.visible.last().map_or(&[][..], Vec::as_slice) {
            let Some((stat, descriptor)) = self.entry(layer, &path)? else {
                continue;
            };
            let directory = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => true,
                // A whiteout.
                FileType::CharacterDevice if stat.st_rdev == 0 => break,
                _ => false,
            };
            if !directory {
                if visible.is_empty() {
                    return Ok((Step::Other, Some((stat, descriptor))));
                }
                break;
            }
            visible.push(layer);
            let opaque = is_opaque(&descriptor)?;
            uppermost.get_or_insert((stat, descriptor));
            if opaque {
                break;
            }
        }
        Ok(match uppermost {
            Some(entry) => (Step::Directory(visible), Some(entry)),
            None => (Step::Missing, None),
        })
    }

    /// What one layer has at a name without symbolic links.
    fn entry(&self, layer: usize, path: &[u8]) -> Result<Option<(Stat, OwnedFd)>> {
        let path = if path.is_empty() { b"." } else { path };
        let opened = fs::openat2(
            self.layers[layer].as_fd(),
            path,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        );
        match opened.and_then(|descriptor| Ok((fs::fstat(&descriptor)?, descriptor))) {
            Ok(entry) => Ok(Some(entry)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Ok(None),
            Err(error) => Err(Problem::storage("cannot look into an unpacked layer")
                .at(shown(path))
                .caused_by(error)),
        }
    }
}

fn parts_reversed(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .rev()
        .map(<[u8]>::to_vec)
        .collect()
}

fn link_target(link: &OwnedFd) -> Result<Vec<u8>> {
    let target = fs::readlinkat(link, c"", Vec::with_capacity(TARGET_BYTES)).map_err(|error| {
        Problem::storage("cannot read a symbolic link of the image").caused_by(error)
    })?;
    Ok(target.into_bytes())
}

fn is_opaque(directory: &OwnedFd) -> Result<bool> {
    let mut value = [0u8; 8];
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let read = fs::openat(directory, c".", flags, Mode::empty())
        .and_then(|readable| fs::fgetxattr(&readable, OPAQUE.0, &mut value[..]));
    match read {
        Ok(length) => Ok(value[..length] == *OPAQUE.1),
        Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE) => Ok(false),
        Err(error) => Err(Problem::storage("cannot look into an unpacked layer").caused_by(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs as std_fs, os::unix::fs::symlink};

    use super::*;
    use crate::unpack::directories::{open_below, set_opaque};

    #[test]
    fn whiteouts_opaque_directories_and_links_are_honoured() {
        let base = tempfile::tempdir().expect("makes a directory");
        let (lower, upper) = (base.path().join("lower"), base.path().join("upper"));
        for directory in [
            "lower/etc",
            "lower/usr/bin",
            "lower/gone",
            "lower/covered",
            "upper/covered",
            "upper/usr",
        ] {
            std_fs::create_dir_all(base.path().join(directory)).expect("makes");
        }
        for file in [
            "lower/etc/passwd",
            "lower/usr/bin/sh",
            "lower/gone/x",
            "lower/covered/x",
            "upper/covered/y",
        ] {
            std_fs::write(base.path().join(file), file).expect("writes");
        }
        symlink("usr/bin", lower.join("bin")).expect("links");
        symlink("/../../../../etc/passwd", lower.join("escape")).expect("links");
        symlink("loop", lower.join("loop")).expect("links");
        let upper_fd = std_fs::File::open(&upper).expect("opens");
        if fs::mknodat(
            &upper_fd,
            c"gone",
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        )
        .is_err()
        {
            println!("skipped: this system makes no whiteouts");
            return;
        }
        set_opaque(&open_below(&upper_fd, b"covered").expect("opens")).expect("marks");

        let stack = LayerStack::open(&[lower, upper]).expect("opens");
        let path_of = |name: &str| {
            stack
                .find(name.as_bytes())
                .expect(name)
                .map(|found| String::from_utf8(found.path).expect("text"))
        };
        assert_eq!(path_of("/bin/sh").as_deref(), Some("usr/bin/sh"));
        assert_eq!(path_of("escape").as_deref(), Some("etc/passwd"));
        assert_eq!(path_of("bin/..").as_deref(), Some("usr"));
        assert_eq!(path_of("gone"), None);
        assert_eq!(path_of("gone/x"), None);
        assert_eq!(path_of("covered/x"), None);
        assert_eq!(path_of("covered/y").as_deref(), Some("covered/y"));
        assert!(stack.find(b"loop").is_err());
        assert_eq!(
            stack
                .read_file(b"etc/passwd", 100)
                .expect("reads")
                .as_deref(),
            Some(&b"lower/etc/passwd"[..])
        );
        assert!(stack.read_file(b"etc/passwd", 3).is_err());
    }
}
