//! The memory of a program whose call waits, read a few bytes at a time.
#![expect(unsafe_code, reason = "process_vm_readv has no safe wrapper")]

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _, path::PathBuf};

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
