//! Changing what is mounted, and where the root is.

use std::path::Path;

use libc::c_long;

use crate::{
    attempt::{Attempt, Outcome},
    errno::{EACCES, EINVAL, ENOSYS, EPERM, Errno},
    syscall::{Arg, call},
};

const REFUSED: &[Errno] = &[EPERM, ENOSYS];
/// `AT_FDCWD`, as a number for any argument.
const HERE: i64 = libc::AT_FDCWD as i64;
const FSOPEN_CLOEXEC: i64 = 1;
const OPEN_TREE_CLONE: i64 = 1;
const MOVE_MOUNT_F_EMPTY_PATH: i64 = 4;

pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt::new("mount-tmpfs", REFUSED, || mount("none", "tmpfs", 0)),
    Attempt::new("mount-proc", REFUSED, || mount("none", "proc", 0)),
    Attempt::new("mount-sysfs", REFUSED, || mount("none", "sysfs", 0)),
    Attempt::new("mount-cgroup2", REFUSED, || mount("none", "cgroup2", 0)),
    Attempt::new("mount-cgroup1", REFUSED, || mount("memory", "cgroup", 0)),
    Attempt::new("mount-debugfs", REFUSED, || mount("none", "debugfs", 0)),
    Attempt::new("mount-tracefs", REFUSED, || mount("none", "tracefs", 0)),
    Attempt::new("mount-mqueue", REFUSED, || mount("none", "mqueue", 0)),
    Attempt::new("mount-devpts", REFUSED, || mount("none", "devpts", 0)),
    Attempt::new("mount-bind", REFUSED, || {
        mount("/", "", libc::MS_BIND | libc::MS_REC)
    }),
    Attempt::new("mount-shared", REFUSED, || {
        mount("none", "", libc::MS_SHARED)
    }),
    Attempt::new("remount-root-writable", REFUSED, || remount("/")),
    Attempt::new("remount-proc-writable", REFUSED, || remount("/proc")),
    Attempt::new("remount-proc-sys-writable", REFUSED, || {
        remount("/proc/sys")
    }),
    Attempt::new("umount-proc", REFUSED, || umount("/proc")),
    Attempt::new("umount-masked-file", REFUSED, || umount("/proc/keys")),
    Attempt::new("umount-read-only-file", REFUSED, || umount("/proc/sys")),
    Attempt::new("pivot-root", REFUSED, pivot_root),
    Attempt::new("chroot", REFUSED, chroot),
    Attempt::new("fsopen", REFUSED, fsopen),
    Attempt::new("open-tree-clone", REFUSED, open_tree_clone),
    Attempt::new("move-mount", REFUSED, move_mount),
    Attempt::new("mount-setattr", REFUSED, mount_setattr),
    Attempt::new("open-by-handle", REFUSED, open_by_handle),
    Attempt::new("fanotify", &[EPERM, ENOSYS, EINVAL], fanotify),
    Attempt::new("quotactl", &[EPERM, ENOSYS, EACCES], quotactl),
];

/// Mounts on the root's own folder: it is there in every container.
fn mount(source: &str, kind: &str, flags: libc::c_ulong) -> Outcome {
    let result = call(
        libc::SYS_mount,
        &[
            source.into(),
            "/".into(),
            kind.into(),
            Arg::Int(flags as i64),
            Arg::Null,
        ],
    );
    if result.is_ok() && flags & libc::MS_SHARED == 0 {
        // What lies over the root now is taken away again, so that later attempts see the container as it was.
        let _ = call(libc::SYS_umount2, &["/".into(), libc::MNT_DETACH.into()]);
    }
    Outcome::of(result, "the root was mounted over")
}

fn remount(target: &str) -> Outcome {
    let flags = (libc::MS_REMOUNT | libc::MS_BIND) as i64;
    let result = call(
        libc::SYS_mount,
        &[
            "none".into(),
            target.into(),
            "".into(),
            flags.into(),
            Arg::Null,
        ],
    );
    Outcome::of(result, "it was remounted without flags")
}

fn umount(target: &str) -> Outcome {
    if !Path::new(target).exists() {
        return Outcome::Skipped(format!("there is no {target}"));
    }
    let result = call(libc::SYS_umount2, &[target.into(), libc::MNT_DETACH.into()]);
    Outcome::of(result, "it was unmounted")
}

fn pivot_root() -> Outcome {
    Outcome::of(
        call(libc::SYS_pivot_root, &["/".into(), "/".into()]),
        "the root was changed",
    )
}

fn chroot() -> Outcome {
    Outcome::of(
        call(libc::SYS_chroot, &["/".into()]),
        "the root was changed",
    )
}

fn fsopen() -> Outcome {
    let result = call(libc::SYS_fsopen, &["tmpfs".into(), FSOPEN_CLOEXEC.into()]);
    Outcome::of(result, "a file system was opened")
}

fn open_tree_clone() -> Outcome {
    let result = call(
        libc::SYS_open_tree,
        &[HERE.into(), "/".into(), OPEN_TREE_CLONE.into()],
    );
    Outcome::of(result, "a copy of the mounts was made")
}

fn move_mount() -> Outcome {
    let arguments = [
        HERE.into(),
        "/proc".into(),
        HERE.into(),
        "/".into(),
        MOVE_MOUNT_F_EMPTY_PATH.into(),
    ];
    Outcome::of(call(libc::SYS_move_mount, &arguments), "a mount was moved")
}

/// `struct mount_attr { attr_set, attr_clr, propagation, userns_fd }`, each of 64 bits; clears the read-only flag.
fn mount_setattr() -> Outcome {
    let mut attributes = [0_u8; 32];
    attributes[8] = 1;
    let arguments = [
        HERE.into(),
        "/".into(),
        Arg::Int(0),
        Arg::Bytes(&attributes),
        Arg::Int(attributes.len() as i64),
    ];
    Outcome::of(
        call(libc::SYS_mount_setattr, &arguments),
        "the root's flags were changed",
    )
}

/// The shocker: a handle made up from an inode's number opens any file of the file system below a mount.
/// `struct file_handle { handle_bytes: 8, handle_type: 1, inode 2, generation 0 }`.
fn open_by_handle() -> Outcome {
    let handle = [8_u8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
    let number: c_long = libc::SYS_open_by_handle_at;
    let result = call(
        number,
        &[HERE.into(), Arg::Bytes(&handle), libc::O_RDONLY.into()],
    );
    Outcome::of(result, "inode 2 of the file system was opened")
}

/// Watching a whole file system, with the right to answer for others.
fn fanotify() -> Outcome {
    const FAN_CLASS_CONTENT: i64 = 4;
    let result = call(
        libc::SYS_fanotify_init,
        &[FAN_CLASS_CONTENT.into(), libc::O_RDONLY.into()],
    );
    Outcome::of(result, "file accesses can be watched")
}

/// `Q_GETQUOTA` for user 0, on a device that does not exist: the kernel looks for the device first.
fn quotactl() -> Outcome {
    const Q_GETQUOTA_USER: i64 = 0x0080_0007 << 8;
    let arguments = [
        Q_GETQUOTA_USER.into(),
        "/no/device".into(),
        Arg::Int(0),
        Arg::Bytes(&[]),
    ];
    match call(libc::SYS_quotactl, &arguments) {
        Err(crate::errno::ENOENT) => {
            Outcome::Contained("the call is open, without a device".into())
        }
        result => Outcome::of(result, "a quota was read"),
    }
}
