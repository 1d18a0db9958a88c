//! Reading the filters of a running process.
#![expect(unsafe_code, reason = "ptrace has no safe wrapper")]

use std::io;

use uc_model::{Problem, Result};

use super::follow::Instruction;

/// Most filters read of a process; the kernel's own bound on instructions is reached before.
const MAX_FILTERS: usize = 64;

/// Most instructions of one filter (BPF_MAXINSNS).
const MAX_INSTRUCTIONS: usize = 4096;

const SECCOMP_GET_FILTER: libc::c_uint = 0x420c;

/// The filters of a process, the newest first; none where it has none.
pub(super) fn of(pid: u32) -> Result<Vec<Vec<Instruction>>> {
    let failed = |error: io::Error| {
        Problem::host("the system-call filters of a process cannot be read")
            .at(format!("process {pid}"))
            .remedy("this takes root and a kernel with CONFIG_CHECKPOINT_RESTORE")
            .caused_by(error)
    };
    let seized = Seized::new(pid.cast_signed()).map_err(failed)?;
    let mut filters = Vec::new();
    while filters.len() < MAX_FILTERS {
        match seized.filter(filters.len()) {
            Ok(filter) => filters.push(filter),
            // No more of them, or none at all.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => {
                break;
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(filters)
}

/// A process stopped by us, which goes on when this is dropped.
struct Seized(libc::pid_t);

impl Seized {
    fn new(pid: libc::pid_t) -> io::Result<Self> {
        ptrace(libc::PTRACE_SEIZE, pid, 0, std::ptr::null_mut())?;
        let seized = Self(pid);
        ptrace(libc::PTRACE_INTERRUPT, pid, 0, std::ptr::null_mut())?;
        let mut status = 0;
        // SAFETY: the pointer is valid for writing.
        if unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(seized)
    }

    fn filter(&self, index: usize) -> io::Result<Vec<Instruction>> {
        let mut filter = vec![Instruction::default(); MAX_INSTRUCTIONS];
        // The kernel writes as many instructions as the filter has, at most BPF_MAXINSNS.
        let length = ptrace(
            SECCOMP_GET_FILTER,
            self.0,
            index,
            filter.as_mut_ptr().cast(),
        )?;
        filter.truncate(length);
        Ok(filter)
    }
}

impl Drop for Seized {
    fn drop(&mut self) {
        let _ = ptrace(libc::PTRACE_DETACH, self.0, 0, std::ptr::null_mut());
    }
}

fn ptrace(
    request: libc::c_uint,
    pid: libc::pid_t,
    address: usize,
    data: *mut libc::c_void,
) -> io::Result<usize> {
    // SAFETY: every request made here takes an integer for its address, and null or a buffer of BPF_MAXINSNS instructions
    // for its data.
    let result = unsafe { libc::ptrace(request, pid, address, data) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
