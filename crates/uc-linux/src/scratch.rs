//! The writable layer of a container: a directory with what overlayfs wants.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use uc_model::{Problem, Result};

use crate::{idmap::IdMapping, userns};

/// Most mounts of a container, the built-in ones left out.
const MAX_MOUNTS: usize = 256;
/// Most layers, that of the mount points included; overlayfs options must fit in one page.
const MAX_LAYERS: usize = 129;

/// Makes the directories `upper` and `work`, owned by the container's root.
///
/// # Errors
/// Storage, where they cannot be made.
pub fn make(mapping: &IdMapping, scratch: &Path) -> Result<()> {
    let failed = |error: std::io::Error| {
        Problem::storage("cannot make a container's writable layer")
            .at(scratch.display())
            .remedy("free some space, or choose another place with UC_HOME")
            .caused_by(error)
    };
    fs::create_dir_all(scratch).map_err(failed)?;
    for part in ["upper", "work"] {
        let directory = scratch.join(part);
        fs::create_dir(&directory).map_err(failed)?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        userns::give(mapping, &directory, 0).map_err(failed)?;
    }
    userns::give(mapping, scratch, 0).map_err(failed)
}

/// Checks that a root file system can be built of so many parts.
///
/// # Errors
/// Refused, where they are too many.
pub fn check_counts(layers: usize, mounts: usize) -> Result<()> {
    bounded("image layers", layers, MAX_LAYERS)?;
    bounded("mounts", mounts, MAX_MOUNTS)
}

fn bounded(what: &str, count: usize, limit: usize) -> Result<()> {
    if count <= limit {
        return Ok(());
    }
    Err(Problem::refused(format!("too many {what}"))
        .limit(limit)
        .found(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_and_layers_are_counted() {
        for (what, limit) in [("mounts", MAX_MOUNTS), ("image layers", MAX_LAYERS)] {
            bounded(what, limit, limit).expect("at the limit");
            let problem = bounded(what, limit + 1, limit).expect_err("beyond it");
            assert!(problem.to_string().contains(what), "{problem}");
        }
        assert_eq!((MAX_MOUNTS, MAX_LAYERS), (256, 129));
    }
}
