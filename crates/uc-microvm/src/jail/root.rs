//! A root that holds only what a monitor is given: files and directories of the host under names of its own, and devices.
//!
//! Root makes the device nodes anew for the user that the monitor runs as, as Firecracker's jailer does; in a user
//! namespace the monitor is given the host's nodes, which its groups must let it open.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags},
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, UnmountFlags},
};
use uc_linux::{c_strings::path_c_string, sys};
use uc_model::{Problem, Result};

use super::{Failure, Step, VmmUser, at};

/// Room for names alone: every file of the root is a mount.
const ROOT_OPTIONS: &CStr = c"mode=0755,size=64k,nr_inodes=256";

const LOCKED: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;

/// A mount in the new root.
#[derive(Debug)]
pub(crate) struct Mount {
    /// Of the host.
    pub(crate) source: CString,
    /// In the new root, without a slash in front. Its parent is there already.
    pub(crate) target: CString,
    pub(crate) is_directory: bool,
    /// `MOUNT_ATTR_…`.
    pub(crate) attributes: u64,
}

impl Mount {
    pub(crate) fn file(source: CString, target: CString, writable: bool) -> Self {
        let read_only = if writable { 0 } else { libc::MOUNT_ATTR_RDONLY };
        Self {
            source,
            target,
            is_directory: false,
            attributes: LOCKED | read_only,
        }
    }

    pub(crate) fn writable_directory(source: CString, target: CString) -> Self {
        Self {
            source,
            target,
            is_directory: true,
            attributes: LOCKED,
        }
    }

    pub(crate) fn programs(source: CString, target: CString, is_directory: bool) -> Self {
        Self {
            source,
            target,
            is_directory,
            attributes: (LOCKED & !libc::MOUNT_ATTR_NOEXEC) | libc::MOUNT_ATTR_RDONLY,
        }
    }
}

/// A device node in the new root.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) source: CString,
    pub(crate) target: CString,
    pub(crate) number: u64,
}

impl Device {
    /// A device of the host under another name.
    ///
    /// # Errors
    /// Host, where it is missing.
    pub(crate) fn of(source: &Path, target: CString) -> Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = std::fs::metadata(source).map_err(|error| {
            Problem::host("a device is missing")
                .at(source.display())
                .caused_by(error)
        })?;
        Ok(Self {
            source: path_c_string(source)?,
            target,
            number: metadata.rdev(),
        })
    }
}

/// A root to be made.
#[derive(Debug)]
pub(crate) struct Root {
    /// A directory that it is put together in. Nothing that it holds is below that.
    pub(crate) place: CString,
    /// Made in the new root, parents first. One of them is `run`, or comes with the mounts.
    pub(crate) directories: Vec<CString>,
    pub(crate) mounts: Vec<Mount>,
    /// Whether `proc` is there, with this process alone where the kernel allows that.
    pub(crate) has_proc: bool,
    pub(crate) devices: Vec<Device>,
}

impl Root {
    /// Makes it the only one that this process sees; device nodes are made for `owner`, if there is one.
    /// Async-signal-safe.
    pub(crate) fn make(&self, owner: Option<VmmUser>) -> Result<(), Failure> {
        let failed = at(Step::Root);
        let everything = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change(c"/", everything).map_err(&failed)?;
        let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
        rustix::mount::mount(c"tmpfs", &self.place, c"tmpfs", flags, ROOT_OPTIONS)
            .map_err(&failed)?;
        let root = open_place(CWD, &self.place).map_err(&failed)?;
        for directory in &self.directories {
            rustix::fs::mkdirat(&root, directory, Mode::from_raw_mode(0o755)).map_err(&failed)?;
        }
        for (index, mount) in self.mounts.iter().enumerate() {
            attach(root.as_fd(), mount).map_err(|errno| Failure {
                index: index as u8,
                ..at(Step::Mount)(errno)
            })?;
        }
        if self.has_proc {
            mount_proc(root.as_fd(), owner.is_none()).map_err(&failed)?;
        }
        for (index, device) in self.devices.iter().enumerate() {
            make_device(root.as_fd(), device, owner).map_err(|errno| Failure {
                index: index as u8,
                ..at(Step::Device)(errno)
            })?;
        }
        enter_root(root.as_fd()).map_err(&failed)
    }
}

fn open_place(base: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(base, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

fn attach(root: BorrowedFd<'_>, mount: &Mount) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(0o755);
    if mount.is_directory {
        rustix::fs::mkdirat(root, &mount.target, mode)?;
    } else {
        rustix::fs::mknodat(root, &mount.target, FileType::RegularFile, mode, 0)?;
    }
    let source = open_place(CWD, &mount.source)?;
    let tree = sys::clone_mount_tree(source.as_fd())?;
    sys::add_mount_attributes(tree.as_fd(), mount.attributes, true)?;
    sys::attach_mount_tree(tree.as_fd(), open_place(root, &mount.target)?.as_fd())
}

/// Mounts the processes of this namespace. A user namespace cannot where its host hides part of its own; it may be given
/// that one, since its user has no rights over processes outside.
fn mount_proc(root: BorrowedFd<'_>, may_be_given: bool) -> Result<(), Errno> {
    let place = c"proc";
    rustix::fs::mkdirat(root, place, Mode::from_raw_mode(0o555))?;
    rustix::process::fchdir(root)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mounted = rustix::mount::mount(c"proc", place, c"proc", flags, None);
    if mounted.is_ok() || !may_be_given {
        return mounted;
    }
    let source = open_place(CWD, c"/proc")?;
    let tree = sys::clone_mount_tree(source.as_fd())?;
    sys::add_mount_attributes(tree.as_fd(), LOCKED | libc::MOUNT_ATTR_RDONLY, true)?;
    sys::attach_mount_tree(tree.as_fd(), open_place(root, place)?.as_fd())
}

fn make_device(root: BorrowedFd<'_>, device: &Device, owner: Option<VmmUser>) -> Result<(), Errno> {
    let Some(user) = owner else {
        let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;
        rustix::fs::mknodat(
            root,
            &device.target,
            FileType::RegularFile,
            Mode::empty(),
            0,
        )?;
        let source = open_place(CWD, &device.source)?;
        let tree = sys::clone_mount_tree(source.as_fd())?;
        sys::add_mount_attributes(tree.as_fd(), attributes, false)?;
        return sys::attach_mount_tree(tree.as_fd(), open_place(root, &device.target)?.as_fd());
    };
    let mode = Mode::RUSR | Mode::WUSR;
    let kind = FileType::CharacterDevice;
    rustix::fs::mknodat(root, &device.target, kind, mode, device.number)?;
    let owner = rustix::fs::Uid::from_raw(user.uid);
    let group = rustix::fs::Gid::from_raw(user.gid);
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(root, &device.target, Some(owner), Some(group), flags)
}

/// Makes the new root the only one, and closes it to writing.
fn enter_root(root: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::process::fchdir(root)?;
    rustix::process::pivot_root(c".", c".")?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    let root = open_place(CWD, c"/")?;
    sys::add_mount_attributes(root.as_fd(), libc::MOUNT_ATTR_RDONLY, false)?;
    rustix::process::chdir(c"/run")
}
