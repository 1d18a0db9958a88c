//! The wish that this process ends, as a descriptor.
//!
//! It may be the first process of its container, for which the kernel drops signals that are neither handled nor blocked.
#![expect(unsafe_code, reason = "system calls that no safe crate wraps")]

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{FromRawFd as _, OwnedFd},
    ptr,
};

use uc_model::{Problem, Result};

/// A descriptor that is readable once the signal has come.
pub(crate) struct Termination(pub(crate) OwnedFd);

impl Termination {
    /// From now on SIGTERM no longer ends this process. For the calling thread, and those that it makes from now on.
    ///
    /// # Errors
    /// Host, where the kernel has no descriptor left.
    pub(crate) fn awaited() -> Result<Self> {
        let mut signals = MaybeUninit::uninit();
        // SAFETY: the first call makes the set, the second adds a signal that exists.
        let signals = unsafe {
            libc::sigemptyset(signals.as_mut_ptr());
            libc::sigaddset(signals.as_mut_ptr(), libc::SIGTERM);
            signals.assume_init()
        };
        // SAFETY: the set is a valid one; the old mask is not asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, ptr::null_mut()) };
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: the set is a valid one.
        let fd = unsafe { libc::signalfd(-1, &raw const signals, flags) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            return Err(Problem::host("cannot wait for a signal").caused_by(error));
        }
        // SAFETY: the kernel has just given it to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}
