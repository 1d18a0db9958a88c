//! The container's file system: what it is made of, built by its first process for itself.
//!
//! The invariant of the parent module holds here: system calls on prepared data, and nothing else. Every mount point is
//! resolved by the kernel below the new root, so a hostile image can neither redirect a mount nor see what is outside.

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags},
    io::Errno,
    mount::{MountFlags, MountPropagationFlags},
};

use super::{Done, During as _, Failure, ignore};
use uc_linux::{
    sources::{open_as, open_volume, place},
    sys,
};

use crate::{
    plan::{Filesystem, Target, VolumeMount, VolumeSource},
    report::Step,
};

/// Opens, as the caller, everything of the host the container will be given.
pub(super) fn open_sources(filesystem: &Filesystem) -> Done {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open_as(&filesystem.scratch, directory, filesystem.scratch_fd).during(Step::OpenScratch)?;
    for (index, layer) in filesystem.layers.iter().enumerate() {
        open_as(layer, directory, filesystem.first_layer_fd + index as RawFd)
            .during_item(Step::OpenLayer, index)?;
    }
    for (index, volume) in filesystem.volumes.iter().enumerate() {
        if let VolumeSource::Host { path, sub_path, fd } = &volume.source {
            open_volume(path, sub_path.as_deref(), *fd)
                .during_item(Step::OpenMountSource, index)?;
        }
    }
    Ok(())
}

fn borrow(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: planned numbers stay open from `open_sources` until the exec closes them.
    unsafe { BorrowedFd::borrow_raw(number) }
}

pub(super) fn mount_root(filesystem: &Filesystem) -> Done<OwnedFd> {
    rustix::mount::mount_change(
        c"/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .during(Step::MakeMountsPrivate)?;
    rustix::mount::mount(
        c"overlay",
        &*filesystem.root_path,
        c"overlay",
        MountFlags::NOSUID | MountFlags::NODEV,
        Some(&*filesystem.overlay_options),
    )
    .during(Step::MountRoot)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(
        borrow(filesystem.scratch_fd),
        c"upper",
        flags,
        Mode::empty(),
    )
    .during(Step::MountRoot)
}

/// What is expected at a mount point.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Directory,
    File,
}

/// How symbolic links on the way to a mount point are treated.
#[derive(Clone, Copy)]
enum Links {
    /// The image may not redirect it.
    Refuse,
    /// They are followed, but never out of the root.
    Within,
}

/// Opens a place below the root for mounting, making what is missing.
fn open_target(
    root: BorrowedFd<'_>,
    target: &Target,
    kind: Kind,
    links: Links,
) -> Result<OwnedFd, Errno> {
    match resolve(root, &target.path, links) {
        Err(Errno::NOENT) => {}
        found => return found,
    }
    for parent in &target.parents {
        make_below(root, parent, Kind::Directory, links)?;
    }
    make_below(root, &target.path, kind, links)?;
    resolve(root, &target.path, links)
}

fn resolve(root: BorrowedFd<'_>, path: &CStr, links: Links) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT
        | ResolveFlags::NO_MAGICLINKS
        | match links {
            Links::Refuse => ResolveFlags::NO_SYMLINKS,
            Links::Within => ResolveFlags::empty(),
        };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::io::retry_on_intr(|| rustix::fs::openat2(root, path, flags, Mode::empty(), resolve))
}

/// Makes the last component of a path whose parents exist.
fn make_below(root: BorrowedFd<'_>, path: &CStr, kind: Kind, links: Links) -> Result<(), Errno> {
    let bytes = path.to_bytes_with_nul();
    let split = bytes.iter().rposition(|&byte| byte == b'/');
    let (parent, name) = match split {
        None => (None, path),
        Some(slash) => {
            let name = CStr::from_bytes_with_nul(&bytes[slash + 1..]).map_err(|_| Errno::INVAL)?;
            (Some(&bytes[..slash]), name)
        }
    };
    let opened;
    let directory = match parent {
        None => root,
        Some(parent) => {
            let mut buffer = [0u8; libc::PATH_MAX as usize];
            let room = buffer.get_mut(..parent.len()).ok_or(Errno::NAMETOOLONG)?;
            room.copy_from_slice(parent);
            let end = buffer.get(..=parent.len()).ok_or(Errno::NAMETOOLONG)?;
            let parent = CStr::from_bytes_with_nul(end).map_err(|_| Errno::INVAL)?;
            opened = resolve(root, parent, links)?;
            opened.as_fd()
        }
    };
    let made = match kind {
        Kind::Directory => rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o755)),
        Kind::File => rustix::fs::openat(
            directory,
            name,
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::from_raw_mode(0o644),
        )
        .map(drop),
    };
    made.or_else(ignore(Errno::EXIST))
}

pub(super) fn make_directories(root: BorrowedFd<'_>, target: &Target) -> Result<(), Errno> {
    open_target(root, target, Kind::Directory, Links::Within).map(drop)
}

/// Opens a fixed place, such as `proc`, that the image may not turn into a link.
fn fixed_target(
    filesystem: &Filesystem,
    root: BorrowedFd<'_>,
    path: &CStr,
    kind: Kind,
) -> Result<(), Errno> {
    let opened = match resolve(root, path, Links::Refuse) {
        Err(Errno::NOENT) => {
            make_below(root, path, kind, Links::Refuse)?;
            resolve(root, path, Links::Refuse)?
        }
        other => other?,
    };
    place(opened, filesystem.target_fd)
}

/// A file system every container gets: where, type, options.
type SystemMount = (
    &'static CStr,
    &'static CStr,
    MountFlags,
    Option<&'static CStr>,
);

const NO_EXEC: MountFlags = MountFlags::NOSUID.union(MountFlags::NOEXEC);
const INERT: MountFlags = NO_EXEC.union(MountFlags::NODEV);

/// After /proc and /dev, which are handled by name.
const SYSTEM_MOUNTS: [SystemMount; 3] = [
    (
        c"dev/pts",
        c"devpts",
        NO_EXEC,
        Some(c"newinstance,ptmxmode=0666,mode=0620"),
    ),
    (
        c"dev/shm",
        c"tmpfs",
        INERT,
        Some(c"mode=1777,size=67108864"),
    ),
    (c"dev/mqueue", c"mqueue", INERT, None),
];

/// Device nodes, bound from the host: on it, then in the container.
const DEVICES: [(&CStr, &CStr); 6] = [
    (c"/dev/null", c"dev/null"),
    (c"/dev/zero", c"dev/zero"),
    (c"/dev/full", c"dev/full"),
    (c"/dev/random", c"dev/random"),
    (c"/dev/urandom", c"dev/urandom"),
    (c"/dev/tty", c"dev/tty"),
];

/// Links in /dev: content, then name.
const DEVICE_LINKS: [(&CStr, &CStr); 5] = [
    (c"/proc/self/fd", c"dev/fd"),
    (c"/proc/self/fd/0", c"dev/stdin"),
    (c"/proc/self/fd/1", c"dev/stdout"),
    (c"/proc/self/fd/2", c"dev/stderr"),
    (c"pts/ptmx", c"dev/ptmx"),
];

pub(super) fn mount_system(filesystem: &Filesystem, root: BorrowedFd<'_>) -> Done {
    fixed_target(filesystem, root, c"proc", Kind::Directory).during(Step::MakeMountPoint)?;
    rustix::mount::mount(c"proc", &*filesystem.target_path, c"proc", INERT, None)
        .during(Step::MountProc)?;
    fixed_target(filesystem, root, c"dev", Kind::Directory).during(Step::MakeMountPoint)?;
    let options = Some(c"mode=755,size=65536");
    rustix::mount::mount(
        c"tmpfs",
        &*filesystem.target_path,
        c"tmpfs",
        NO_EXEC,
        options,
    )
    .during(Step::MountDev)?;
    for (device, path) in DEVICES {
        bind_device(filesystem, root, device, path).during(Step::MountDev)?;
    }
    for (content, path) in DEVICE_LINKS {
        rustix::fs::symlinkat(content, root, path).during(Step::MountDev)?;
    }
    for (path, kind, flags, options) in SYSTEM_MOUNTS {
        fixed_target(filesystem, root, path, Kind::Directory).during(Step::MakeMountPoint)?;
        rustix::mount::mount(kind, &*filesystem.target_path, kind, flags, options)
            .during(Step::MountDev)?;
    }
    mount_sysfs(filesystem, root)
}

/// /sys is a convenience (processor counts, page sizes): it is empty where the kernel will not show it, as with the
/// host's network, whose namespace is not ours.
fn mount_sysfs(filesystem: &Filesystem, root: BorrowedFd<'_>) -> Done {
    fixed_target(filesystem, root, c"sys", Kind::Directory).during(Step::MakeMountPoint)?;
    let flags = INERT | MountFlags::RDONLY;
    let _ = rustix::mount::mount(c"sysfs", &*filesystem.target_path, c"sysfs", flags, None);
    Ok(())
}

fn bind_device(
    filesystem: &Filesystem,
    root: BorrowedFd<'_>,
    device: &CStr,
    path: &CStr,
) -> Result<(), Errno> {
    fixed_target(filesystem, root, path, Kind::File)?;
    rustix::mount::mount_bind(device, &*filesystem.target_path)
}

/// Files that are covered by the null device.
const MASKED_FILES: [&CStr; 8] = [
    c"proc/kcore",
    c"proc/keys",
    c"proc/latency_stats",
    c"proc/timer_list",
    c"proc/timer_stats",
    c"proc/sched_debug",
    c"proc/kallsyms",
    c"proc/sysrq-trigger",
];

/// Directories that are covered by an empty file system.
const MASKED_DIRECTORIES: [&CStr; 6] = [
    c"proc/acpi",
    c"proc/asound",
    c"proc/scsi",
    c"sys/firmware",
    c"sys/devices/virtual/powercap",
    c"sys/fs",
];

/// Directories that can be read but not written.
const READ_ONLY_DIRECTORIES: [&CStr; 5] = [
    c"proc/bus",
    c"proc/fs",
    c"proc/irq",
    c"proc/sys",
    c"proc/pressure",
];

/// The masked paths in the order of the indices in failure reports.
pub(crate) fn masked_paths() -> Vec<String> {
    MASKED_FILES
        .iter()
        .chain(&MASKED_DIRECTORIES)
        .chain(&READ_ONLY_DIRECTORIES)
        .map(|path| format!("/{}", path.to_string_lossy()))
        .collect()
}

/// Covers a path whose place is held under the planned number (also given as a descriptor).
type Cover<'a> = &'a mut dyn FnMut(&CStr, BorrowedFd<'_>) -> Result<(), Errno>;

pub(super) fn mask_paths(filesystem: &Filesystem, root: BorrowedFd<'_>) -> Done {
    let mut index = 0;
    let mut each = |paths: &[&CStr], cover: Cover<'_>| -> Done {
        for path in paths {
            match resolve(root, path, Links::Refuse) {
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(Failure(Step::MaskPath, index, errno)),
                Ok(opened) => place(opened, filesystem.target_fd)
                    .and_then(|()| cover(path, borrow(filesystem.target_fd)))
                    .during_item(Step::MaskPath, index.into())?,
            }
            index += 1;
        }
        Ok(())
    };
    each(&MASKED_FILES, &mut |_, _| {
        rustix::mount::mount_bind(c"/dev/null", &*filesystem.target_path)
    })?;
    // One empty file system covers all: each more would have to be made and unmade.
    let mut empty: Option<OwnedFd> = None;
    each(&MASKED_DIRECTORIES, &mut |path, place| {
        if let Some(empty) = &empty {
            return sys::attach_mount_tree(sys::clone_mount_tree(empty.as_fd())?.as_fd(), place);
        }
        let options = Some(c"size=0,mode=555");
        let flags = INERT | MountFlags::RDONLY;
        rustix::mount::mount(c"tmpfs", &*filesystem.target_path, c"tmpfs", flags, options)?;
        empty = Some(resolve(root, path, Links::Refuse)?);
        Ok(())
    })?;
    each(&READ_ONLY_DIRECTORIES, &mut |_, place| {
        let tree = sys::clone_mount_tree(place)?;
        sys::add_mount_attributes(tree.as_fd(), libc::MOUNT_ATTR_RDONLY, true)?;
        sys::attach_mount_tree(tree.as_fd(), place)
    })
}

pub(super) fn mount_volume(
    filesystem: &Filesystem,
    root: BorrowedFd<'_>,
    volume: &VolumeMount,
    index: usize,
) -> Done {
    let attributes = libc::MOUNT_ATTR_NOSUID
        | libc::MOUNT_ATTR_NODEV
        | if volume.read_only {
            libc::MOUNT_ATTR_RDONLY
        } else {
            0
        };
    match &volume.source {
        VolumeSource::Host { fd, .. } => {
            let source = borrow(*fd);
            let kind = kind_of(source).during_item(Step::MountVolume, index)?;
            let target = open_target(root, &volume.target, kind, Links::Within)
                .during_item(Step::MountVolume, index)?;
            sys::clone_mount_tree(source)
                .and_then(|tree| {
                    sys::add_mount_attributes(tree.as_fd(), attributes, true)?;
                    sys::attach_mount_tree(tree.as_fd(), target.as_fd())
                })
                .during_item(Step::MountVolume, index)
        }
        VolumeSource::Memory { options } => {
            open_target(root, &volume.target, Kind::Directory, Links::Within)
                .and_then(|target| place(target, filesystem.target_fd))
                .and_then(|()| {
                    let read_only = if volume.read_only {
                        MountFlags::RDONLY
                    } else {
                        MountFlags::empty()
                    };
                    let flags = MountFlags::NOSUID | MountFlags::NODEV | read_only;
                    rustix::mount::mount(
                        c"tmpfs",
                        &*filesystem.target_path,
                        c"tmpfs",
                        flags,
                        Some(&**options),
                    )
                })
                .during_item(Step::MountVolume, index)
        }
    }
}

fn kind_of(fd: BorrowedFd<'_>) -> Result<Kind, Errno> {
    let stat = rustix::fs::fstat(fd)?;
    let directory =
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory;
    Ok(if directory {
        Kind::Directory
    } else {
        Kind::File
    })
}
