//! Opening, as the caller, what a sandbox will be given of the host. Callable between `clone3` and `execve`.

use std::{
    ffi::CStr,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags},
    io::Errno,
};

/// Opens a path of the host, or a path below it that cannot leave it, under a planned number.
///
/// # Errors
/// Those of open(2) and openat2(2).
pub fn open_volume(path: &CStr, sub_path: Option<&CStr>, number: RawFd) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let base = rustix::fs::open(path, flags, Mode::empty())?;
    match sub_path {
        None => place(base, number),
        Some(sub_path) => {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            place(
                rustix::fs::openat2(&base, sub_path, flags, Mode::empty(), resolve)?,
                number,
            )
        }
    }
}

/// Opens a path under a planned number.
///
/// # Errors
/// Those of open(2).
pub fn open_as(path: &CStr, flags: OFlags, number: RawFd) -> Result<(), Errno> {
    place(rustix::fs::open(path, flags, Mode::empty())?, number)
}

/// Moves a descriptor to a planned number.
///
/// # Errors
/// `EBADF`, where the number cannot be had.
pub fn place(fd: OwnedFd, number: RawFd) -> Result<(), Errno> {
    if fd.as_raw_fd() == number {
        std::mem::forget(fd);
        return Ok(());
    }
    // SAFETY: dup3 takes integers; whatever was open under the planned number belongs to the launcher's copy.
    if unsafe { libc::dup3(fd.as_raw_fd(), number, libc::O_CLOEXEC) } == -1 {
        return Err(Errno::BADF);
    }
    Ok(())
}
