//! Work done as the container's user: unpacking images into its ids, removing what it wrote.

use std::path::Path;

use uc_model::{Problem, Result};
use uc_sandbox::HostMount;

use crate::{
    idmap::{IdMapping, MapWriter},
    worker,
};

/// Hands a file of the caller's to the container's root and a group. Only root can; others already are user 0 inside.
///
/// # Errors
/// Those of chown(2).
pub fn give(mapping: &IdMapping, path: &Path, group: u32) -> std::io::Result<()> {
    std::os::unix::fs::lchown(path, mapping.host_uid(0), mapping.host_gid(group))
}

/// Hands a file or directory of the caller's, with all that is in it, to the container's root and a group. What has been
/// given already stays as it is: what programs made of it since is theirs.
///
/// # Errors
/// As for [`give`].
pub fn give_tree(mapping: &IdMapping, path: &Path, group: u32) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::symlink_metadata(path)?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    give(mapping, path, group)?;
    if std::fs::symlink_metadata(path)?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give_tree(mapping, &entry?.path(), group)?;
        }
    }
    Ok(())
}

/// Hands a volume that was made for the workload to the container's root, and to its group.
///
/// # Errors
/// Storage, where that cannot be done; refused, where the group has no host id.
pub fn give_volume(mapping: &IdMapping, host: &HostMount) -> Result<()> {
    if !host.owned {
        return Ok(());
    }
    mapping.require_groups(&[host.group])?;
    if mapping.writer == MapWriter::Helper && host.group != 0 {
        // What is there already is the user's own; only the group is for root inside to give.
        return give_to_group(mapping, &host.path, host.group);
    }
    give_tree(mapping, &host.path, host.group).map_err(|error| {
        Problem::storage("cannot hand a volume to the container")
            .at(host.path.display())
            .caused_by(error)
    })
}

/// Removes a directory tree that containers may have written to under ids the caller does not own.
///
/// # Errors
/// [`uc_model::ProblemKind::Storage`] if something of it stays.
pub fn remove_tree(mapping: &IdMapping, directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error)
            if error.kind() == std::io::ErrorKind::PermissionDenied
                && mapping.writer != MapWriter::Direct => {}
        Err(error) => return Err(not_removed(directory, error)),
    }
    worker::run(mapping, directory, || {
        // What belongs to the caller itself is left for the caller, which is user 0 here too.
        let _ = remove_children(Path::new("."));
        Ok(())
    })?;
    std::fs::remove_dir_all(directory).map_err(|error| not_removed(directory, error))
}

/// Hands a directory tree of the caller's to a group of the container, unless it has it already.
///
/// # Errors
/// [`uc_model::ProblemKind::Storage`] if the group cannot be set.
fn give_to_group(mapping: &IdMapping, directory: &Path, group: u32) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let given = std::fs::metadata(directory)
        .is_ok_and(|found| Some(found.gid()) == mapping.host_gid(group));
    if given {
        return Ok(());
    }
    worker::run(mapping, directory, || {
        set_group(Path::new("."), group).map_err(|error| {
            Problem::storage("cannot hand a volume to the group of the container")
                .at(directory.display())
                .caused_by(error)
        })
    })
}

fn set_group(path: &Path, group: u32) -> std::io::Result<()> {
    if std::fs::symlink_metadata(path)?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            set_group(&entry?.path(), group)?;
        }
    }
    // Last, as it tells the next container that all of it is done.
    std::os::unix::fs::lchown(path, None, Some(group))
}

fn remove_children(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn not_removed(directory: &Path, error: std::io::Error) -> Problem {
    Problem::storage("cannot remove a directory")
        .at(directory.display())
        .caused_by(error)
}
