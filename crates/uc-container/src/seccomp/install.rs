//! Putting a filter in force. Callable between `clone3` and `execve`.

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

use libc::c_ulong;
use rustix::io::Errno;

/// Installs a seccomp filter on this thread.
pub(crate) fn install(program: &[seccompiler::sock_filter]) -> Result<(), Errno> {
    set(program, 0).map(drop)
}

/// Installs a filter that reports calls; whoever has the descriptor hears of them and lets them go on.
pub(crate) fn install_listener(program: &[seccompiler::sock_filter]) -> Result<OwnedFd, Errno> {
    /// A call that is being looked at waits through signals that do not kill (Linux 5.19). Without it runtimes that interrupt
    /// their threads all the time, such as Go's, would make their calls over and over.
    const WAIT_KILLABLE: c_ulong = 1 << 5;
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let descriptor = match set(program, listener | WAIT_KILLABLE) {
        Err(Errno::INVAL) => set(program, listener)?,
        other => other?,
    };
    // SAFETY: with this flag the kernel gives a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) })
}

fn set(program: &[seccompiler::sock_filter], flags: c_ulong) -> Result<libc::c_long, Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog {
        len: length,
        // The two crates declare the same four-field C structure.
        filter: program.as_ptr().cast_mut().cast::<libc::sock_filter>(),
    };
    // SAFETY: `program` points to `len` valid instructions, which the kernel copies and checks.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    uc_linux::sys::check(result)
}
