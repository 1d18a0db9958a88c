//! Makes a layer fit the layers below it where it names files without their directories.
//!
//! A layer may hold `bin/tool` and nothing about `bin`. Unpacked alone it gets a plain directory `bin`, and overlayfs
//! would let that hide what lower layers have there: a symbolic link to `usr/bin`, or a directory with a mode of its
//! own such as `tmp`. Other tools unpack into the merged tree and so never see the question. Grafting answers it the
//! same way afterwards: such a directory moves to where the lower layers' links point, and takes the lower directory's
//! mode, owner and time.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{self, AtFlags, Dir, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid},
    io::Errno,
};
use uc_model::{Problem, Result};

use super::{
    directories::open_below,
    name::{shown, split},
    remove::remove_tree,
    stack::{Found, LayerStack},
};

/// Directories merged into each other deeper than this are refused.
const DEPTH: usize = 256;

/// Grafts a layer onto `lowers` (lowest first). `implied` is what [`super::Unpacked::implied`] says.
///
/// # Errors
/// Storage where the layer cannot be changed, naming the directory.
pub fn graft(layer: BorrowedFd<'_>, lowers: &[BorrowedFd<'_>], implied: &[Vec<u8>]) -> Result<()> {
    let below = LayerStack::from_descriptors(lowers)?;
    let mut implied_paths: BTreeSet<Vec<u8>> = implied.iter().cloned().collect();
    for path in implied {
        let Some(found) = below.find(path)? else {
            continue;
        };
        if found.file_type() != FileType::Directory {
            continue;
        }
        let described = |error: Errno| {
            Problem::storage("cannot fit a layer onto those below it")
                .at(shown(path))
                .caused_by(error)
        };
        if found.path != *path {
            relocate(layer, path, &found.path, &mut implied_paths).map_err(described)?;
        }
        if implied_paths.contains(&found.path) {
            take_after(layer, &found).map_err(described)?;
        }
    }
    Ok(())
}

/// Moves what is in `from` to `to`, and notes the directories made on the way.
fn relocate(
    layer: BorrowedFd<'_>,
    from: &[u8],
    to: &[u8],
    implied: &mut BTreeSet<Vec<u8>>,
) -> rustix::io::Result<()> {
    let (from_parent, from_name) = split(from);
    let from_parent = match open_below(layer, from_parent) {
        // It went along when a directory above it moved.
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        other => other?,
    };
    if open_directory(&from_parent, from_name).is_err() {
        return Ok(());
    }
    let ends = to
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at);
    for end in ends.chain([to.len()]) {
        let (parent, name) = split(&to[..end]);
        match fs::mkdirat(open_below(layer, parent)?, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                implied.insert(to[..end].to_vec());
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    merge(
        &open_directory(&from_parent, from_name)?,
        &open_below(layer, to)?,
        0,
    )?;
    remove_tree(&from_parent, from_name)
}

/// Moves every entry of a directory into another; directories that both have are merged.
fn merge(from: &OwnedFd, to: &OwnedFd, depth: usize) -> rustix::io::Result<()> {
    if depth > DEPTH {
        return Err(Errno::NAMETOOLONG);
    }
    let entries: Vec<_> = Dir::read_from(from)?.collect::<Result<_, _>>()?;
    for entry in entries {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match fs::renameat_with(from, name, to, name, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EXIST) => match (
                open_directory(from, name.to_bytes()),
                open_directory(to, name.to_bytes()),
            ) {
                (Ok(inner_from), Ok(inner_to)) => merge(&inner_from, &inner_to, depth + 1)?,
                _ => {
                    remove_tree(to, name.to_bytes())?;
                    fs::renameat(from, name, to, name)?;
                }
            },
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn open_directory(parent: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::empty())
}

/// Gives a directory of the layer the owner, mode and time of the one it covers.
fn take_after(layer: BorrowedFd<'_>, lower: &Found) -> rustix::io::Result<()> {
    let directory = match open_below(layer, &lower.path) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        other => other?,
    };
    let stat = &lower.stat;
    match fs::chownat(
        &directory,
        c".",
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
        AtFlags::empty(),
    ) {
        // A process with a single id owns everything anyway.
        Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
        Err(error) => return Err(error),
    }
    let time = Timespec {
        tv_sec: stat.st_mtime,
        tv_nsec: stat.st_mtime_nsec as _,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    fs::utimensat(&directory, c".", &times, AtFlags::empty())?;
    fs::chmodat(
        &directory,
        c".",
        Mode::from_raw_mode(stat.st_mode),
        AtFlags::empty(),
    )
}
