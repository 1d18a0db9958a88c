//! The lowest layer of every root file system: places for what all containers get mounted.
//!
//! Without it each container whose image lacks them would make them anew in its writable layer, which costs more than
//! the mounts. What an image has of the same name covers it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use uc_model::{Problem, Result};

use crate::idmap::IdMapping;

/// Raised when the content changes, since a layer once made is used for ever.
const VERSION: u32 = 1;

const DIRECTORIES: [&str; 4] = ["proc", "dev", "sys", "etc"];
const FILES: [&str; 2] = ["etc/hosts", "etc/resolv.conf"];

/// The layer for a mapping below `directory`, made at the first call.
///
/// # Errors
/// Storage, where it cannot be made.
pub fn layer(directory: &Path, mapping: &IdMapping) -> Result<PathBuf> {
    let name = format!("{}-{VERSION}", mapping.key());
    let layer = directory.join(&name);
    if layer.is_dir() {
        return Ok(layer);
    }
    let unfinished = directory.join(format!(".{name}-{}", std::process::id()));
    let made = make(&unfinished, mapping).and_then(|()| match fs::rename(&unfinished, &layer) {
        // Another process was quicker.
        Err(_) if layer.is_dir() => fs::remove_dir_all(&unfinished),
        renamed => renamed,
    });
    made.map_err(|error| {
        let _ = fs::remove_dir_all(&unfinished);
        Problem::storage("cannot make the layer of mount points")
            .at(layer.display())
            .found(&error)
            .remedy("free some space, or choose another place with UC_HOME")
            .caused_by(error)
    })?;
    Ok(layer)
}

fn make(root: &Path, mapping: &IdMapping) -> io::Result<()> {
    fs::create_dir_all(root)?;
    for name in DIRECTORIES {
        fs::create_dir(root.join(name))?;
    }
    for name in FILES {
        fs::write(root.join(name), "")?;
    }
    for name in DIRECTORIES.iter().chain(&FILES).chain(&["."]) {
        let path = root.join(name);
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        // Only root must hand them over: others are the container's root themselves.
        std::os::unix::fs::lchown(&path, mapping.host_uid(0), mapping.host_gid(0))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_whole() {
        let temporary = tempfile::tempdir().expect("a directory");
        let Ok(mapping) = IdMapping::for_caller() else {
            println!("skipped: no ids to map");
            return;
        };
        let directory = temporary.path().join("mount-points");
        let first = layer(&directory, &mapping).expect("made");
        assert_eq!(layer(&directory, &mapping).expect("found"), first);
        assert!(first.join("etc/hosts").is_file() && first.join("proc").is_dir());
        assert_eq!(fs::read_dir(&directory).expect("listed").count(), 1);
    }
}
