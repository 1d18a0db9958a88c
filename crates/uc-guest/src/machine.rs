//! The machine as a whole: its randomness, its name, its end.

use std::{fs, os::fd::AsRawFd, process::ExitCode};

use uc_guest_protocol::{Renewal, Welcome};
use uc_model::{Problem, Result};

use crate::clock;

/// Most bytes of randomness that are taken at once.
const MAX_ENTROPY: usize = 256;

/// Takes on what must not be the same in two machines that come of one snapshot: the clock, the random generator's state
/// and the name.
pub(crate) fn renew(renewal: &Renewal) -> Result<()> {
    // First, since its time passes.
    clock::set(renewal.clock_ns)?;
    add_entropy(&bytes_of(&renewal.entropy)?)?;
    rustix::system::sethostname(renewal.hostname.as_bytes()).map_err(|errno| {
        Problem::host("the microVM's host name cannot be set")
            .found(&renewal.hostname)
            .caused_by(std::io::Error::from(errno))
    })
}

fn bytes_of(hexadecimal: &str) -> Result<Vec<u8>> {
    let nonsense = || Problem::invalid("randomness must be pairs of hexadecimal digits");
    if !hexadecimal.is_ascii() || hexadecimal.len() > 2 * MAX_ENTROPY {
        return Err(nonsense());
    }
    hexadecimal
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            std::str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .ok_or_else(nonsense)
        })
        .collect()
}

/// `_IOW('R', 0x03, int[2])` of linux/random.h.
const RNDADDENTROPY: libc::Ioctl = 0x4008_5203;

/// `_IO('R', 0x07)` of linux/random.h.
const RNDRESEEDCRNG: libc::Ioctl = 0x5207;

/// Mixes bytes into the kernel's random generator, and makes it derive its key from them at once: without that a clone
/// would go on with the key of the snapshot for minutes.
fn add_entropy(bytes: &[u8]) -> Result<()> {
    #[repr(C)]
    struct PoolInfo {
        entropy_bits: libc::c_int,
        size_bytes: libc::c_int,
        bytes: [u8; MAX_ENTROPY],
    }
    let mut info = PoolInfo {
        entropy_bits: (bytes.len() * 8) as libc::c_int,
        size_bytes: bytes.len() as libc::c_int,
        bytes: [0; MAX_ENTROPY],
    };
    for (slot, byte) in info.bytes.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    let failed = |error| Problem::host("the random generator cannot be renewed").caused_by(error);
    let device = fs::OpenOptions::new()
        .write(true)
        .open("/dev/urandom")
        .map_err(failed)?;
    // SAFETY: the structure begins as rand_pool_info does and has room for `size_bytes` bytes, which the kernel only reads.
    let added = unsafe { libc::ioctl(device.as_raw_fd(), RNDADDENTROPY, &raw const info) };
    // SAFETY: this request takes no argument.
    let reseeded = unsafe { libc::ioctl(device.as_raw_fd(), RNDRESEEDCRNG) };
    if added != 0 || reseeded != 0 {
        return Err(failed(std::io::Error::last_os_error()));
    }
    Ok(())
}

/// What a host should know of this machine.
pub(crate) fn welcome() -> Welcome {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let seconds: f64 = text("/proc/uptime")
        .split(' ')
        .next()
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or_default();
    let kib: u64 = text("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_default();
    Welcome {
        version: uc_guest_protocol::VERSION,
        kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        uptime_ms: (seconds * 1000.0) as u64,
        memory_bytes: kib << 10,
    }
}

/// Ends the machine. A restart is what ends it under both monitors, since neither restarts.
pub(crate) fn end() -> ExitCode {
    rustix::fs::sync();
    // SAFETY: a request's number.
    unsafe { libc::reboot(libc::LINUX_REBOOT_CMD_RESTART) };
    ExitCode::FAILURE
}
