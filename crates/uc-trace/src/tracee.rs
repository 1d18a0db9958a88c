//! A program whose call waits: its memory, read a few bytes at a time, and whether it is a program yet.
#![expect(unsafe_code, reason = "process_vm_readv has no safe wrapper")]

use std::{
    ffi::{CStr, OsString},
    os::unix::ffi::OsStringExt as _,
    path::PathBuf,
};

use rustix::fs::{Mode, OFlags, open};

/// Longest path that is read; longer ones do not decide anything.
pub(crate) const MAX_PATH: usize = 512;

/// What a waiting call's arguments point to.
pub(crate) trait Memory {
    /// Reads from an address on; the number of bytes that could be read.
    fn read(&self, address: u64, into: &mut [u8]) -> usize;

    /// Where a descriptor leads, `None` for the working directory.
    fn directory(&self, descriptor: Option<i32>) -> Option<PathBuf>;

    /// A text that ends with a zero.
    fn path(&self, address: u64) -> Option<PathBuf> {
        let mut bytes = [0; MAX_PATH];
        let read = self.read(address, &mut bytes);
        let read = bytes.get(..read)?;
        let end = read.iter().position(|byte| *byte == 0)?;
        Some(PathBuf::from(OsString::from_vec(read.get(..end)?.to_vec())))
    }

    /// An integer.
    fn integer(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        (self.read(address, &mut bytes) == 8).then(|| u64::from_ne_bytes(bytes))
    }
}

/// A thread that waits in a call.
pub(crate) struct Tracee(pub(crate) u32);

/// Smallest page of the processors that are known: what lies in one page is there as a whole or not at all.
const PAGE: u64 = 4096;

impl Memory for Tracee {
    fn read(&self, address: u64, into: &mut [u8]) -> usize {
        let Ok(process) = libc::pid_t::try_from(self.0) else {
            return 0;
        };
        if process == 0 || address == 0 {
            return 0;
        }
        let in_page = usize::try_from(PAGE - address % PAGE).unwrap_or(1);
        let first = in_page.min(into.len());
        let local = libc::iovec {
            iov_base: into.as_mut_ptr().cast(),
            iov_len: into.len(),
        };
        let remote = [
            libc::iovec {
                iov_base: std::ptr::with_exposed_provenance_mut(address as usize),
                iov_len: first,
            },
            libc::iovec {
                iov_base: std::ptr::with_exposed_provenance_mut(
                    address.wrapping_add(first as u64) as usize
                ),
                iov_len: into.len() - first,
            },
        ];
        // SAFETY: the kernel writes at most `into.len()` bytes into `into`; the remote addresses are of another process and
        // may be anything.
        let read =
            unsafe { libc::process_vm_readv(process, &raw const local, 1, remote.as_ptr(), 2, 0) };
        usize::try_from(read).unwrap_or(0)
    }

    fn directory(&self, descriptor: Option<i32>) -> Option<PathBuf> {
        let link = match descriptor {
            None => format!("/proc/{}/cwd", self.0),
            Some(descriptor) => format!("/proc/{}/fd/{descriptor}", self.0),
        };
        std::fs::read_link(link).ok()
    }
}

/// Whether a process has executed a program since it was made; `None` where /proc does not tell. Allocates nothing.
pub(crate) fn has_executed(process: u32) -> Option<bool> {
    let (mut path, mut stat) = ([0; 32], [0; 1024]);
    let path = proc_path(process, "stat", &mut path)?;
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let length = rustix::io::read(&file, &mut stat).ok()?;
    let flags = process_flags(stat.get(..length)?)?;
    Some(flags & FORKED_NOT_EXECUTED == 0)
}

/// The kernel's `PF_FORKNOEXEC`.
const FORKED_NOT_EXECUTED: u64 = 0x40;

/// The ninth field of `/proc/PROCESS/stat`. The second, the name, stands in parentheses and may hold any characters.
fn process_flags(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let field = stat
        .get(name_end + 1..)?
        .split(|byte| *byte == b' ')
        .nth(7)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// `/proc/PROCESS/FILE`, written without allocating.
pub(crate) fn proc_path<'a>(process: u32, file: &str, room: &'a mut [u8; 32]) -> Option<&'a CStr> {
    let mut rest: &mut [u8] = room;
    std::io::Write::write_fmt(&mut rest, format_args!("/proc/{process}/{file}\0")).ok()?;
    CStr::from_bytes_until_nul(room).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_behind_any_name() {
        let stat = b"7 (a) b) R 1 7 7 0 -1 4194624 91 0";
        assert_eq!(process_flags(stat), Some(4_194_624));
        for other in [&b""[..], b"7 (a", b"7 (a) R 1 2", b"7 (a) R 1 7 7 0 -1 x 9"] {
            assert_eq!(process_flags(other), None);
        }
        assert_eq!(has_executed(std::process::id()), Some(true));
        assert_eq!(has_executed(u32::MAX), None);
    }
}
