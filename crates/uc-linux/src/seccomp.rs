//! Putting a system-call filter in force. Callable between clone and `execve`: nothing allocates, locks or unwinds.

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

use libc::{c_long, c_ulong};
use rustix::io::Errno;
use seccompiler::sock_filter;

use crate::sys::check;

/// Installs a filter on this thread.
///
/// # Errors
/// That of seccomp(2).
pub fn install(program: &[sock_filter]) -> Result<(), Errno> {
    set(program, 0).map(drop)
}

/// Installs a filter that reports calls; whoever has the descriptor hears of them and lets them go on.
///
/// # Errors
/// That of seccomp(2).
pub fn install_listener(program: &[sock_filter]) -> Result<OwnedFd, Errno> {
    // A call that is being looked at waits through signals that do not kill (Linux 5.19). Without it runtimes that interrupt
    // their threads all the time, such as Go's, would make their calls over and over.
    const WAIT_KILLABLE: c_ulong = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let descriptor = match set(program, listener | WAIT_KILLABLE) {
        Err(Errno::INVAL) => set(program, listener)?,
        other => other?,
    };
    // SAFETY: with this flag the kernel gives a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) })
}

fn set(program: &[sock_filter], flags: c_ulong) -> Result<c_long, Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::INVAL)?,
        // The two crates declare the same four-field C structure.
        filter: program.as_ptr().cast_mut().cast::<libc::sock_filter>(),
    };
    // SAFETY: `program` points to `len` valid instructions, which the kernel copies and checks.
    check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    })
}
