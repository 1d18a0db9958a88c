//! Names of Unix sockets: the kernel takes 107 bytes, and a directory deep in a home is longer than that.
//!
//! Firecracker runs in its own directory and is given names relative to it, so only those are bounded. From outside a
//! socket is opened by its name in that directory, without following links, since whoever runs the guest could have
//! broken out into it, and is reached through its descriptor, whose path is always short.

use std::{
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{FileType, Mode, OFlags},
    io::Errno,
};
use tokio::net::UnixStream;
use uc_model::{Problem, Result};

/// Longest path of a Unix socket in bytes: `sun_path` of unix(7) has 108, and the last is zero.
pub const MAX_SOCKET_PATH: usize = 107;

/// What a port adds to a path: an underscore and ten digits.
const PORT_SUFFIX: usize = 11;

/// Checks a path that Firecracker will make a socket at.
///
/// # Errors
/// Invalid, with both lengths.
pub fn check(path: &str) -> Result<()> {
    check_length(path, MAX_SOCKET_PATH)
}

/// Checks a path that Firecracker will make a socket at and append ports to.
///
/// # Errors
/// Invalid, with both lengths.
pub fn check_vsock(path: &str) -> Result<()> {
    check_length(path, MAX_SOCKET_PATH - PORT_SUFFIX)
}

fn check_length(path: &str, most: usize) -> Result<()> {
    if path.is_empty() || path.contains('\0') {
        return Err(Problem::invalid("this is no path of a socket").found(format!("{path:?}")));
    }
    if path.len() <= most {
        return Ok(());
    }
    Err(Problem::invalid("the path of a socket is too long")
        .limit(format!("{most} bytes"))
        .found(format!("{} bytes", path.len()))
        .remedy("use a name relative to the microVM's own directory, or a shorter directory"))
}

/// Opens the directory that sockets lie in.
///
/// # Errors
/// Storage, where it cannot be opened.
pub fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
        Problem::storage("cannot open a microVM's directory")
            .at(path.display())
            .caused_by(std::io::Error::from(errno))
    })
}

/// Connects to the socket of this name in a directory.
///
/// # Errors
/// Those of open(2) and connect(2): `NotFound` where there is none yet, `ConnectionRefused` where nobody listens;
/// `InvalidInput` where it is something else than a socket.
pub async fn connect(directory: &OwnedFd, name: &str) -> std::io::Result<UnixStream> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let socket = rustix::fs::openat(directory.as_fd(), name, flags, Mode::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&socket)?.st_mode);
    if kind != FileType::Socket {
        return Err(Errno::INVAL.into());
    }
    UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_is_refused_with_the_figures() {
        let problem = check(&"s".repeat(108)).expect_err("too long");
        assert_eq!(
            problem.to_string(),
            "the path of a socket is too long (expected: 107 bytes; found: 108 bytes)"
        );
        check(&"s".repeat(107)).expect("fits");
        check_vsock(&"s".repeat(97)).expect_err("no room for a port");
        check_vsock(&"s".repeat(96)).expect("fits");
    }

    #[tokio::test]
    async fn a_socket_deep_down_is_reached_and_a_link_is_not_followed() {
        let scratch = tempfile::tempdir().expect("a directory");
        let deep = scratch.path().join("d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&deep).expect("made");
        let directory = open_directory(&deep).expect("opens");
        assert_eq!(
            connect(&directory, "s").await.expect_err("absent").kind(),
            std::io::ErrorKind::NotFound
        );
        let short = scratch.path().join("s");
        let _listener = tokio::net::UnixListener::bind(&short).expect("listens");
        std::os::unix::fs::symlink(&short, deep.join("link")).expect("linked");
        connect(&directory, "link").await.expect_err("not followed");
        std::fs::rename(&short, deep.join("s")).expect("moved");
        connect(&directory, "s").await.expect("reached");
    }
}
