//! System calls by number, with arguments that the kernel can neither read nor write beyond.

#![expect(unsafe_code, reason = "raw system calls, the point of this program")]

use std::ffi::CString;

use libc::c_long;

use crate::errno::{EINVAL, Errno};

/// More than any structure that a call made here fills in.
const SCRATCH_BYTES: usize = 64 << 10;

/// An argument of a system call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg<'a> {
    /// A number: a flag, a length, a descriptor, a process id.
    Int(i64),
    /// A pointer to a copy of these bytes, with zeroes behind them that the kernel may overwrite.
    Bytes(&'a [u8]),
    /// A pointer to this text with a zero byte behind it.
    Text(&'a str),
    /// No pointer.
    Null,
}

impl From<i32> for Arg<'_> {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

/// Makes a system call. It must not be one that changes the memory map or the flow of control of the caller.
pub(crate) fn call(number: c_long, arguments: &[Arg<'_>]) -> Result<i64, Errno> {
    let mut scratch: Vec<Vec<u8>> = Vec::new();
    let mut words = [0 as c_long; 6];
    if arguments.len() > words.len() {
        return Err(EINVAL);
    }
    for (word, argument) in words.iter_mut().zip(arguments) {
        let bytes = match *argument {
            Arg::Int(value) => {
                *word = value;
                continue;
            }
            Arg::Null => continue,
            Arg::Bytes(bytes) => bytes.to_vec(),
            Arg::Text(text) => CString::new(text)
                .map_err(|_| EINVAL)?
                .into_bytes_with_nul(),
        };
        let mut area = vec![0_u8; SCRATCH_BYTES.max(bytes.len())];
        area[..bytes.len()].copy_from_slice(&bytes);
        *word = area.as_mut_ptr() as c_long;
        scratch.push(area);
    }
    let [a, b, c, d, e, f] = words;
    // SAFETY: each pointer leads to an area of its own that outlives the call and is larger than what any call made
    // here writes; the numbers passed in are of calls that leave the caller's memory map and stack alone.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    let error = Errno::last();
    drop(scratch);
    if result == -1 { Err(error) } else { Ok(result) }
}

/// Makes a call that may return twice, as `clone` and `clone3` without a stack do; the second process ends at once.
pub(crate) fn call_that_forks(number: c_long, arguments: &[Arg<'_>]) -> Result<i64, Errno> {
    match call(number, arguments)? {
        // SAFETY: it ends this process; nothing of it is needed any more.
        0 => unsafe { libc::_exit(0) },
        pid => {
            // SAFETY: a null status pointer is allowed.
            unsafe { libc::waitpid(pid as i32, std::ptr::null_mut(), libc::__WALL) };
            Ok(pid)
        }
    }
}

/// Reads a byte of another process at an address where programs usually have something.
pub(crate) fn read_memory_of(pid: i32) -> Result<i64, Errno> {
    let mut byte = [0_u8; 1];
    let local = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    let remote = libc::iovec {
        iov_base: 0x40_0000 as *mut libc::c_void,
        iov_len: 1,
    };
    // SAFETY: `local` describes `byte`, which outlives the call; `remote` is an address of the other process alone.
    let result =
        unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    if result < 0 {
        Err(Errno::last())
    } else {
        Ok(result as i64)
    }
}

/// The soft and the hard limit of a resource.
pub(crate) fn limits_of(resource: libc::__rlimit_resource_t) -> Result<(u64, u64), Errno> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a structure of the right type that outlives the call.
    match unsafe { libc::getrlimit(resource, &raw mut limit) } {
        0 => Ok((limit.rlim_cur, limit.rlim_max)),
        _ => Err(Errno::last()),
    }
}

/// A call through the 32-bit entry of the kernel, with one number as its argument.
#[cfg(target_arch = "x86_64")]
pub(crate) fn call_i386(number: i32, argument: i32) -> Result<i64, Errno> {
    let mut result = i64::from(number);
    // SAFETY: the calls made here take numbers alone; rbx, which the compiler keeps for itself, is put back, and the
    // kernel leaves the stack alone.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {argument}",
            "int 0x80",
            "xchg rbx, {argument}",
            argument = inout(reg) i64::from(argument) => _,
            inout("rax") result,
            in("rcx") 0,
            in("rdx") 0,
            in("rsi") 0,
            in("rdi") 0,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    match result as i32 {
        error @ -4095..=-1 => Err(Errno(-error)),
        value => Ok(value.into()),
    }
}
