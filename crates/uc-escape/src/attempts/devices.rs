//! Device nodes: those that are there, those that could be made, and terminals.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::{
    attempt::{Attempt, Outcome},
    errno::{EACCES, EINVAL, EIO, ENOENT, ENOSYS, ENOTTY, ENXIO, EPERM, EROFS, Errno},
    syscall::{Arg, call},
};

const NOT_MADE: &[Errno] = &[EPERM, EACCES, ENOENT, ENOSYS, EROFS];
const NODES_LIMIT: usize = 4096;
const DEPTH_LIMIT: usize = 4;

/// Devices that give nothing of the host away, by major and minor number.
const HARMLESS: &[(u32, u32)] = &[
    (1, 3),
    (1, 5),
    (1, 7),
    (1, 8),
    (1, 9),
    (5, 0),
    (5, 1),
    (5, 2),
];
/// Majors of Unix98 pseudo-terminals.
const TERMINALS: std::ops::RangeInclusive<u32> = 136..=143;

pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt::new("device-nodes", &[ENOENT], device_nodes),
    Attempt::new("mknod-character", NOT_MADE, || mknod(libc::S_IFCHR, 1, 1)),
    Attempt::new("mknod-block", NOT_MADE, || mknod(libc::S_IFBLK, 8, 0)),
    Attempt::new("mknod-overlay-whiteout", NOT_MADE, || {
        mknod(libc::S_IFCHR, 0, 0)
    }),
    Attempt::new(
        "terminal-inject",
        &[EPERM, EACCES, EIO, ENOENT, ENOTTY, ENXIO, ENOSYS, EINVAL],
        terminal_inject,
    ),
    Attempt::new("terminal-hang-up", &[EPERM, ENOSYS], || {
        Outcome::of(call(libc::SYS_vhangup, &[]), "the terminal was hung up")
    }),
];

/// Any device that is not one of the harmless ones must not even open.
fn device_nodes() -> Outcome {
    let mut nodes = Vec::new();
    collect(Path::new("/dev"), DEPTH_LIMIT, &mut nodes);
    let opened: Vec<String> = nodes
        .iter()
        .filter(|path| is_open_to_us(path))
        .map(|path| path.display().to_string())
        .collect();
    if opened.is_empty() {
        Outcome::Contained(format!("{} nodes, none of the host's opens", nodes.len()))
    } else {
        Outcome::Succeeded(opened.join(", "))
    }
}

fn collect(folder: &Path, depth: usize, nodes: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if nodes.len() >= NODES_LIMIT {
            return;
        }
        if kind.is_dir() && depth > 0 {
            collect(&entry.path(), depth - 1, nodes);
        } else if kind.is_char_device() || kind.is_block_device() {
            nodes.push(entry.path());
        }
    }
}

fn is_open_to_us(path: &Path) -> bool {
    let Ok(found) = fs::metadata(path) else {
        return false;
    };
    let (major, minor) = (libc::major(found.rdev()), libc::minor(found.rdev()));
    let is_harmless = found.file_type().is_char_device()
        && (HARMLESS.contains(&(major, minor)) || TERMINALS.contains(&major));
    let opens = || {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
            .is_ok()
    };
    !is_harmless && opens()
}

fn mknod(kind: libc::mode_t, major: u32, minor: u32) -> Outcome {
    const PATH: &str = "/tmp/uc-escape-node";
    let arguments = [
        libc::AT_FDCWD.into(),
        Arg::Text(PATH),
        Arg::Int(i64::from(kind | 0o600)),
        Arg::Int(libc::makedev(major, minor) as i64),
    ];
    let result = call(libc::SYS_mknodat, &arguments);
    if result.is_err() {
        return Outcome::of(result, "");
    }
    // Some mounts let the node be made and do not let it be opened.
    let opened = OpenOptions::new().read(true).open(PATH);
    let _ = fs::remove_file(PATH);
    match opened {
        Ok(_) => Outcome::Succeeded(format!("device {major}:{minor} was made and opened")),
        Err(error) => Outcome::Contained(format!("made, and not opened: {error}")),
    }
}

/// Typing into the terminal that the host's user sits at.
fn terminal_inject() -> Outcome {
    let terminal = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open("/dev/tty");
    match terminal {
        Err(error) => Outcome::Denied(error.into()),
        Ok(file) => {
            use std::os::fd::AsRawFd as _;
            let arguments = [
                file.as_raw_fd().into(),
                Arg::Int(libc::TIOCSTI as i64),
                Arg::Bytes(b" "),
            ];
            Outcome::of(
                call(libc::SYS_ioctl, &arguments),
                "a key was pressed on the terminal",
            )
        }
    }
}
