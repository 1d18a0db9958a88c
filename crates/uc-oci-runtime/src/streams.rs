//! The standard streams of a program, as descriptors that a supervisor inherits or is sent.

use std::os::fd::{AsRawFd, OwnedFd};

use uc_linux::{IdMapping, idmap::MapWriter};
use uc_model::{Problem, Result};
use uc_sandbox::{Stdio, User};

/// Input, output and error, each under a number above 2, so that connecting one cannot overwrite another. Pipes that were
/// made for the container are handed to its user, who needs that to open `/dev/stdout`.
pub(crate) fn of(stdio: Stdio, mapping: &IdMapping, user: &User) -> Result<[OwnedFd; 3]> {
    let stdin = match stdio.stdin {
        Some(stdin) => stdin,
        None => open_null()?,
    };
    if stdio.owned && mapping.writer == MapWriter::Direct {
        for stream in [&stdio.stdout, &stdio.stderr] {
            let (uid, gid) = (mapping.host_uid(user.uid), mapping.host_gid(user.gid));
            std::os::unix::fs::fchown(stream, uid, gid).map_err(|error| {
                Problem::host("cannot hand a pipe to the container's user").caused_by(error)
            })?;
        }
    }
    Ok([
        above_standard(stdin)?,
        above_standard(stdio.stdout)?,
        above_standard(stdio.stderr)?,
    ])
}

/// Streams that read nothing and drop everything.
pub(crate) fn null() -> Result<[OwnedFd; 3]> {
    Ok([
        above_standard(open_null()?)?,
        above_standard(open_null()?)?,
        above_standard(open_null()?)?,
    ])
}

fn open_null() -> Result<OwnedFd> {
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map(OwnedFd::from)
        .map_err(|error| Problem::host("cannot open /dev/null").caused_by(error))
}

fn above_standard(fd: OwnedFd) -> Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    rustix::io::fcntl_dupfd_cloexec(&fd, 3).map_err(|error| {
        Problem::host("too many open files").caused_by(std::io::Error::from(error))
    })
}
