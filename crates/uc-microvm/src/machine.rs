//! What both monitors have in common: the shape of a machine.

use std::{fs::File, net::Ipv4Addr, path::PathBuf};

use serde::{Deserialize, Serialize};
use uc_guest_protocol::{Descriptor, Disk};
use uc_linux::tap_link::Addresses;
use uc_model::{Digest, Problem, Result};
use uc_sandbox::PortForward;

use crate::kernel::Kernel;

/// What executes a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// A translator: works everywhere, and takes several times as long.
    Tcg,
}

impl Accelerator {
    /// The name that QEMU has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
        }
    }
}

/// A disk that a machine can only read.
#[derive(Debug, Clone)]
pub(crate) struct DiskImage {
    /// The file with its file system.
    pub(crate) path: PathBuf,
    /// Of what it was made of, not of its bytes.
    pub(crate) digest: Digest,
}

/// What a machine consists of.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) kernel: Kernel,
    /// The archive with the agent.
    pub(crate) initramfs: PathBuf,
    /// Of the agent and all else in it.
    pub(crate) initramfs_digest: Digest,
    pub(crate) memory_mib: u64,
    pub(crate) vcpus: u32,
    pub(crate) disks: Vec<DiskImage>,
    /// Ports that lead to it, where it has a network.
    pub(crate) ports: Option<Vec<PortForward>>,
}

impl Shape {
    /// The disk made of this, as the agent knows it.
    pub(crate) fn disk(&self, digest: &Digest) -> Option<Disk> {
        let index = self.disks.iter().position(|disk| disk.digest == *digest)?;
        let index = u8::try_from(index).ok()?;
        Some(Disk {
            serial: serial(index.into()),
            index,
        })
    }
}

/// What a guest is told of its network: what QEMU's of user mode has by default.
pub(crate) const ADDRESSES: Addresses = Addresses {
    guest: Ipv4Addr::new(10, 0, 2, 15),
    prefix: 24,
    gateway: Ipv4Addr::new(10, 0, 2, 2),
    // Of those that anybody may choose: each guest is alone on its wire.
    card: [2, 0, 10, 0, 2, 15],
};

/// The serial number of a disk.
pub(crate) fn serial(index: usize) -> String {
    format!("uc{index}")
}

/// Opens a file that a monitor inherits.
pub(crate) fn open(path: &std::path::Path) -> Result<File> {
    File::open(path).map_err(|error| {
        Problem::storage("a file of the microVM cannot be opened")
            .at(path.display())
            .caused_by(error)
    })
}

/// What every guest's kernel is told: to say little, and to trust the processor's randomness.
pub(crate) const QUIET: &str = "quiet loglevel=4 random.trust_cpu=on";

/// The number of the processor's feature `cx16` (cmpxchg16b) for Linux: word 4, bit 13.
const CX16: u32 = 4 * 32 + 13;

/// The kernel command line of a guest of QEMU's.
pub(crate) fn command_line(kernel: &Kernel, accelerator: Accelerator) -> String {
    let mut line = format!("console={} reboot=t panic=-1 {QUIET}", kernel.console);
    if accelerator == Accelerator::Tcg {
        // Timers are what they should be, and checking them takes long.
        line.push_str(" no_timer_check");
        // With QEMU 7.2, guests' kernels crashed now and then right behind a cmpxchg16b, with nonsense in the flags: two of
        // four runs of fifty restores, and none of five without it. So the kernel is kept from using it; programs still
        // see the feature, which some need.
        line.push_str(&format!(" clearcpuid={CX16}"));
        if let Some(khz) = processor_khz().filter(|_| kernel.needs_acpi) {
            // Without it the guest waits for a timer that it does not have.
            line.push_str(&format!(" tsc_early_khz={khz}"));
        }
    }
    line
}

fn processor_khz() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let mhz: f64 = text
        .lines()
        .find_map(|line| line.strip_prefix("cpu MHz")?.split(':').nth(1))?
        .trim()
        .parse()
        .ok()?;
    Some((mhz * 1000.0) as u64)
}

/// A pair of sockets, the first for us.
pub(crate) fn line() -> Result<(Descriptor, std::os::fd::OwnedFd)> {
    let failed = |error: std::io::Error| {
        Problem::host("cannot make a pair of sockets")
            .remedy("raise the limit on open files (ulimit -n)")
            .caused_by(error)
    };
    let (near, far) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
    let near = Descriptor::exclusive(near.into()).map_err(|errno| failed(errno.into()))?;
    Ok((near, far.into()))
}
