//! Disks and archives that machines start from: made once, kept by the digest of what they were made of.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use uc_linux::{IdMapping, MapWriter, worker};
use uc_model::{Digest, Problem, Result};

use crate::{
    Program, Programs,
    erofs::{self, Id, Owner, Tree},
    initramfs::Archive,
    kernel::Kernel,
    machine::DiskImage,
};

/// Changes whenever the same source gives other bytes.
const FORMAT: u32 = 1;

/// Largest disk, in bytes. The red line on images is far below.
const MAX_DISK: u64 = 16 << 30;

/// The first of the ids that containers have in a guest, whose root has no entry in `/etc/subuid`: see
/// [`IdMapping::for_caller`].
const GUEST_IDS: u32 = 1_879_048_192;

/// The id of what belongs to nobody that the guest knows.
const NOBODY: u32 = 65_534;

/// A directory of disks and archives.
pub(crate) struct Images {
    directory: PathBuf,
}

impl Images {
    /// In a directory that is private to the caller.
    pub(crate) fn in_directory(directory: PathBuf) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|error| cannot_write(&directory, error))?;
        Ok(Self { directory })
    }

    /// The archive that a kernel starts with: the agent, the kernel's modules, and two devices.
    pub(crate) fn initramfs(&self, kernel: &Kernel, agent: &Program) -> Result<(PathBuf, Digest)> {
        let mut hash = hash("initramfs");
        agent.identify(&mut hash)?;
        for module in &kernel.modules {
            hash.update(module.name.as_bytes());
        }
        hash.update(kernel.digest.to_string());
        let digest = digest(hash);
        let path = self.keep("initramfs", &digest, |file| {
            let mut archive = Archive::new();
            archive.device("dev/console", 0o600, 5, 1);
            archive.device("dev/null", 0o666, 1, 3);
            archive.file("init", 0o755, agent.bytes()?);
            for (index, module) in kernel.modules.iter().enumerate() {
                let name = format!("modules/{index:03}-{}.ko", module.name);
                archive.file(&name, 0o644, module.bytes()?);
            }
            let bytes = archive.finish()?;
            std::io::Write::write_all(&mut &*file, &bytes)
                .map_err(|error| cannot_write(&self.directory, error))
        })?;
        Ok((path, digest))
    }

    /// A disk with the root file system of an image's layers, lowest first.
    pub(crate) fn root(&self, layers: &[PathBuf]) -> Result<DiskImage> {
        let mapping = IdMapping::for_caller()?;
        let mut hash = hash("root");
        hash.update(mapping.key().as_bytes());
        for layer in layers {
            identify_layer(layer, &mut hash)?;
        }
        let digest = digest(hash);
        let path = self.keep("root", &digest, |file| {
            let ids = ids_in_guest(&mapping);
            worker::run_as_reader(&mapping, &self.directory, || {
                erofs::write_layers(layers, &ids, MAX_DISK, file).map(drop)
            })
        })?;
        Ok(DiskImage { path, digest })
    }

    /// A disk with a function: its runner and its program, which `precompile` makes of the package.
    pub(crate) fn function(
        &self,
        programs: &Programs,
        package: &Path,
        precompile: &dyn Fn(&[u8]) -> Result<Vec<u8>>,
    ) -> Result<DiskImage> {
        let bytes = crate::host_file::read(package, MAX_PACKAGE)?;
        let mut hash = hash("function");
        programs.function.identify(&mut hash)?;
        hash.update(Sha256::digest(&bytes));
        let digest = digest(hash);
        let path = self.keep("function", &digest, |file| {
            let owner = Owner {
                uid: GUEST_IDS,
                gid: GUEST_IDS,
            };
            let mut tree = Tree::new();
            tree.file("uc-function", 0o755, owner, programs.function.bytes()?)?;
            tree.file("program", 0o444, owner, precompile(&bytes)?)?;
            for directory in ["proc", "sys", "dev", "tmp"] {
                tree.directory(directory, 0o755, owner)?;
            }
            erofs::write(&tree, MAX_DISK, file).map(drop)
        })?;
        Ok(DiskImage { path, digest })
    }

    /// The file of a digest, made if it is not there. Two who make the same at once make it twice, and one stays.
    fn keep(
        &self,
        kind: &str,
        digest: &Digest,
        make: impl FnOnce(&File) -> Result<()>,
    ) -> Result<PathBuf> {
        let path = self
            .directory
            .join(format!("{kind}-{FORMAT}-{}", digest.hex()));
        if path.exists() {
            // For whoever clears the cache by age.
            let _ = File::open(&path).map(|file| file.set_modified(std::time::SystemTime::now()));
            return Ok(path);
        }
        let temporary = self.directory.join(format!(
            ".{kind}-{}-{}",
            std::process::id(),
            unique_number()
        ));
        let made = File::create_new(&temporary)
            .map_err(|error| cannot_write(&temporary, error))
            .and_then(|file| {
                make(&file)?;
                // A monitor opens it as nobody; the directory is closed to others.
                file.set_permissions(fs::Permissions::from_mode(0o444))
                    .map_err(|error| cannot_write(&temporary, error))?;
                fs::rename(&temporary, &path).map_err(|error| cannot_write(&path, error))
            });
        if made.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        made.map(|()| path)
    }
}

/// Largest WebAssembly package, in bytes: that of the Wasm sandbox.
const MAX_PACKAGE: u64 = 50 << 20;

fn cannot_write(path: &Path, error: std::io::Error) -> Problem {
    Problem::storage("cannot write a microVM's disk")
        .at(path.display())
        .remedy("free some space, or set UC_HOME to a larger file system")
        .caused_by(error)
}

pub(crate) fn hash(what: &str) -> Sha256 {
    let mut hash = Sha256::new();
    hash.update(what.as_bytes());
    hash.update(FORMAT.to_le_bytes());
    hash
}

pub(crate) fn digest(hash: Sha256) -> Digest {
    Digest::from_sha256(&hash.finalize().into())
}

fn unique_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What tells a layer from another: a directory of the store never changes once it is there, and has a name of its own;
/// the time of its last change tells what was unpacked anew.
fn identify_layer(layer: &Path, hash: &mut Sha256) -> Result<()> {
    let unreadable = |error: std::io::Error| {
        Problem::storage("an unpacked image layer cannot be opened")
            .at(layer.display())
            .remedy("remove the image and let it be unpacked again")
            .caused_by(error)
    };
    let real = fs::canonicalize(layer).map_err(unreadable)?;
    let metadata = fs::metadata(&real).map_err(unreadable)?;
    hash.update(real.to_string_lossy().as_bytes());
    for number in [
        metadata.dev(),
        metadata.ino(),
        metadata.ctime() as u64,
        metadata.ctime_nsec() as u64,
    ] {
        hash.update(number.to_le_bytes());
    }
    Ok(())
}

/// Who owns a file in the guest, from who owns it as the process sees it that reads the layers: root sees the host's ids,
/// others act as user 0 of the containers' namespace and see ids of containers.
fn ids_in_guest(mapping: &IdMapping) -> impl Fn(Id) -> u32 + use<> {
    let direct = mapping.writer == MapWriter::Direct;
    let (users, groups) = (mapping.uids.clone(), mapping.gids.clone());
    move |id| {
        let (seen, extents) = match id {
            Id::User(seen) => (seen, &users),
            Id::Group(seen) => (seen, &groups),
        };
        let inside = match direct {
            false => Some(seen),
            true => extents.iter().find_map(|extent| {
                let offset = seen.checked_sub(extent.outside)?;
                (offset < extent.count).then(|| extent.inside + offset)
            }),
        };
        inside
            .filter(|inside| *inside < NOBODY)
            .map_or(NOBODY, |inside| GUEST_IDS + inside)
    }
}

/// The same for files of volumes.
pub(crate) fn volume_ids(mapping: &IdMapping) -> impl Fn(Id) -> u32 + use<> {
    ids_in_guest(mapping)
}
