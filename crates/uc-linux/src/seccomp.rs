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

/// Makes a system call look absent to this thread and to all that it starts. It takes what any filter takes: no new
/// privileges, or administration.
///
/// # Errors
/// That of seccomp(2), or that this processor's calls are not known.
pub fn make_absent(call: c_long) -> Result<(), Errno> {
    let architecture = native().ok_or(Errno::OPNOTSUPP)?;
    let number = u32::try_from(call).map_err(|_| Errno::INVAL)?;
    let statement = |code: u32, k| sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let unless = |value, skipped| sock_filter {
        jf: skipped,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value)
    };
    let give = |verdict| statement(libc::BPF_RET | libc::BPF_K, verdict);
    install(&[
        load(ARCHITECTURE),
        unless(architecture, 3),
        load(NUMBER),
        unless(number, 1),
        give(libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
        give(libc::SECCOMP_RET_ALLOW),
    ])
}

/// Offsets in the kernel's `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// This processor's number in the kernel's audit.h.
fn native() -> Option<u32> {
    match std::env::consts::ARCH {
        "x86_64" => Some(0xc000_003e),
        "aarch64" => Some(0xc000_00b7),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_call_is_absent_for_its_thread_and_what_that_starts() {
        let query = || {
            // SAFETY: a query takes integers and changes nothing.
            let answer = unsafe { libc::syscall(libc::SYS_membarrier, 0, 0, 0) };
            (answer, std::io::Error::last_os_error().raw_os_error())
        };
        let absent = std::thread::spawn(move || {
            crate::sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).expect("set");
            make_absent(libc::SYS_membarrier).expect("installed");
            let child = std::thread::spawn(query).join().expect("ended");
            let other = std::fs::metadata("/").is_ok();
            (query(), child, other)
        });
        let absent = absent.join().expect("ended");
        let missing = (-1, Some(libc::ENOSYS));
        assert_eq!(absent, (missing, missing, true));
        assert_ne!(query(), missing, "other threads keep it");
    }
}
