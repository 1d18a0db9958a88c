//! Putting a filter in force. Callable between `clone3` and `execve`.

use rustix::io::Errno;

/// Installs a seccomp filter on this thread.
pub(crate) fn install(program: &[seccompiler::sock_filter]) -> Result<(), Errno> {
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
            0,
            &raw const program,
        )
    };
    uc_linux::sys::check(result).map(drop)
}
