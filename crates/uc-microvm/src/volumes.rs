//! What a container mounts of the host, packed for the guest.
//!
//! A guest has no way to the host's files, so it gets a copy. What it writes to a volume of the workload's own stays in the
//! machine, where all its containers see it; writing to a directory of the host is refused.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use uc_linux::IdMapping;
use uc_model::{Problem, Result};
use uc_sandbox::{HostMount, Mount, MountSource};

use crate::{erofs::Id, images::volume_ids, initramfs::Archive};

/// Most bytes of all files of a volume: they lie in the machine's memory.
const MAX_BYTES: u64 = 256 << 20;

/// Most files of a volume.
const MAX_FILES: usize = 65_536;

/// Deepest directory.
const MAX_DEPTH: usize = 64;

/// The name that a volume has in its archive.
const ENTRY: &str = "volume";

/// The name that a path of the host has as a volume.
pub(crate) fn name(host: &HostMount) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let digest = Sha256::digest(host.path.as_os_str().as_bytes());
    digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Checks that a mount means in a microVM what it means elsewhere.
pub(crate) fn check(mount: &Mount) -> Result<()> {
    match &mount.source {
        MountSource::Host(host) if !host.owned && !mount.read_only => Err(Problem::refused(
            "a microVM cannot write to a directory of the host",
        )
        .at(&mount.target)
        .found(host.path.display())
        .remedy("mount it with readOnly: true, or choose --runtime container or gvisor")),
        _ => Ok(()),
    }
}

/// A path of the host as an archive.
pub(crate) fn pack(host: &HostMount, mapping: &IdMapping) -> Result<Vec<u8>> {
    let mut packer = Packer {
        archive: Archive::new(),
        ids: ids(host, mapping),
        bytes: 0,
        files: 0,
        source: host.path.clone(),
    };
    // The last part may be a link: whoever named it means what it leads to.
    let real = fs::canonicalize(&host.path).map_err(|error| packer.unreadable(error))?;
    packer.add(&real, ENTRY, 0)?;
    packer.archive.finish()
}

/// The owner or group that a file has in the guest.
type Ids = Box<dyn Fn(Id) -> u32>;

/// The ids of a volume's files. What the caller made for the workload is the guest's root's, who hands it to the container
/// as the caller would have.
fn ids(host: &HostMount, mapping: &IdMapping) -> Ids {
    let known = volume_ids(mapping);
    let callers = Id::User(rustix::process::geteuid().as_raw());
    let callers_group = Id::Group(rustix::process::getegid().as_raw());
    let owned = host.owned;
    Box::new(move |id| match id {
        id if owned && (id == callers || id == callers_group) => 0,
        id => known(id),
    })
}

struct Packer {
    archive: Archive,
    ids: Ids,
    bytes: u64,
    files: usize,
    source: PathBuf,
}

impl Packer {
    fn unreadable(&self, error: std::io::Error) -> Problem {
        Problem::host("a volume cannot be read, which a microVM needs a copy of")
            .at(self.source.display())
            .found(error)
            .remedy("give yourself read permission on it")
    }

    fn too_large(&self, limit: impl std::fmt::Display) -> Problem {
        Problem::refused("a volume is too large for a microVM, which gets a copy of it")
            .at(self.source.display())
            .limit(limit)
            .remedy("mount less of it (subPath), put it into the image, or choose another runtime")
    }

    fn add(&mut self, path: &Path, name: &str, depth: usize) -> Result<()> {
        let metadata = fs::symlink_metadata(path).map_err(|error| self.unreadable(error))?;
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(self.too_large(format!("{MAX_FILES} files")));
        }
        if depth > MAX_DEPTH {
            return Err(self.too_large(format!("{MAX_DEPTH} directories within each other")));
        }
        let kind = metadata.file_type();
        if kind.is_dir() {
            self.archive.directory(name, metadata.mode());
            self.add_all(path, name, depth)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(|error| self.unreadable(error))?;
            self.archive.symlink(name, &target.to_string_lossy());
        } else if kind.is_file() {
            self.bytes = self.bytes.saturating_add(metadata.len());
            if self.bytes > MAX_BYTES {
                return Err(self.too_large(format!("{} MiB", MAX_BYTES >> 20)));
            }
            let bytes = crate::host_file::read(path, MAX_BYTES)?;
            self.archive.file(name, metadata.mode(), bytes);
        } else if depth == 0 {
            return Err(
                Problem::refused("a microVM cannot mount a device or socket of the host")
                    .at(self.source.display())
                    .remedy("choose --runtime container"),
            );
        } else {
            // A socket or a pipe leads to nobody in another machine.
            return Ok(());
        }
        let (uid, gid) = (Id::User(metadata.uid()), Id::Group(metadata.gid()));
        self.archive.give(name, (self.ids)(uid), (self.ids)(gid));
        Ok(())
    }

    fn add_all(&mut self, path: &Path, name: &str, depth: usize) -> Result<()> {
        for entry in fs::read_dir(path).map_err(|error| self.unreadable(error))? {
            let entry = entry.map_err(|error| self.unreadable(error))?;
            let below = entry.file_name().into_string().map_err(|name| {
                Problem::refused("a volume for a microVM has a file whose name is not UTF-8")
                    .at(self.source.display())
                    .found(format!("{name:?}"))
            })?;
            self.add(&entry.path(), &format!("{name}/{below}"), depth + 1)?;
        }
        Ok(())
    }
}
