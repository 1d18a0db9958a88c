//! Removes a tree below a directory descriptor, without following links and without recursion.

use std::{
    ffi::CString,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{self, AtFlags, Dir, Mode, OFlags},
    io::{self, Errno},
};

/// Directories nested deeper than this are moved up before they are removed, so that few descriptors are open at once.
const OPEN_DIRECTORIES: usize = 256;

/// Removes `name` and everything below it; what is not there is removed already.
pub(super) fn remove_tree(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    match fs::unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    let mut open = vec![open_directory(&parent, name)?];
    let mut names: Vec<Vec<u8>> = vec![name.to_vec()];
    while let Some(directory) = open.last() {
        match remove_files(directory)? {
            Some(below) if open.len() < OPEN_DIRECTORIES => {
                open.push(open_directory(directory, below.as_bytes())?);
                names.push(below.into_bytes());
            }
            Some(below) => lift(directory, below.as_bytes(), &open[0])?,
            None => {
                open.pop();
                if let Some(name) = names.pop() {
                    match open.last() {
                        Some(above) => fs::unlinkat(above, name.as_slice(), AtFlags::REMOVEDIR)?,
                        None => fs::unlinkat(&parent, name.as_slice(), AtFlags::REMOVEDIR)?,
                    }
                }
            }
        }
    }
    Ok(())
}

/// Removes everything of a directory but its first subdirectory, whose name it returns.
fn remove_files(directory: &OwnedFd) -> io::Result<Option<CString>> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match fs::unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR | Errno::PERM) => return Ok(Some(name.to_owned())),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Moves a directory that lies too deep up to the top of the tree under a free name.
fn lift(directory: &OwnedFd, name: &[u8], top: &OwnedFd) -> io::Result<()> {
    for attempt in 0..u32::MAX {
        let free = format!(".lifted-{attempt}");
        match fs::renameat_with(
            directory,
            name,
            top,
            free.as_str(),
            fs::RenameFlags::NOREPLACE,
        ) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
    }
    Err(Errno::EXIST)
}

/// Opens a directory for removal, giving its owner the right to change it first.
fn open_directory(parent: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let path_only = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = fs::openat(&parent, name, path_only, Mode::empty())?;
    let mode = fs::fstat(&found)?.st_mode;
    if mode & 0o700 != 0o700 {
        fs::chmodat(&parent, name, Mode::from_raw_mode(0o700), AtFlags::empty())?;
    }
    fs::openat(&parent, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn deep_and_closed_trees_go_and_links_are_not_followed() {
        let base = tempfile::tempdir().expect("makes a directory");
        std::fs::write(base.path().join("kept"), "x").expect("writes");
        let mut deep = base.path().join("tree");
        for _ in 0..400 {
            deep.push("d");
        }
        std::fs::create_dir_all(&deep).expect("makes directories");
        std::fs::write(deep.join("file"), "x").expect("writes");
        symlink("../kept", base.path().join("tree/link")).expect("links");
        let closed = base.path().join("tree/closed");
        std::fs::create_dir(&closed).expect("makes a directory");
        std::fs::write(closed.join("file"), "x").expect("writes");
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o000)).expect("closes");

        let parent = std::fs::File::open(base.path()).expect("opens");
        remove_tree(&parent, b"tree").expect("removes");
        remove_tree(&parent, b"tree").expect("is removed already");
        assert!(!base.path().join("tree").exists());
        assert!(base.path().join("kept").exists());
    }
}
