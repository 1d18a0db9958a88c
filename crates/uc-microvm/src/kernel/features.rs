//! What a kernel has: by the list of its built-in modules, by its module files, or by the names in its own bytes.

use memchr::memmem;
use serde::{Deserialize, Serialize};

/// Something that guests need of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Feature {
    /// Devices without a PCI bus.
    VirtioMmio,
    /// The link to the agent.
    VirtioConsole,
    /// Disks.
    VirtioBlk,
    /// The file system of images.
    Erofs,
    /// Writable layers over images.
    Overlay,
    /// Limits of memory and processors, version 2.
    Cgroup2,
    /// The network.
    VirtioNet,
    /// Randomness from the host.
    VirtioRng,
    /// Sockets between guest and host.
    Vsock,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 9] = [
        Self::VirtioMmio,
        Self::VirtioConsole,
        Self::VirtioBlk,
        Self::Erofs,
        Self::Overlay,
        Self::Cgroup2,
        Self::VirtioNet,
        Self::VirtioRng,
        Self::Vsock,
    ];

    /// Without these no guest is reached at all.
    pub const INDISPENSABLE: [Self; 3] = [Self::VirtioMmio, Self::VirtioConsole, Self::VirtioBlk];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::VirtioMmio => "virtio devices without PCI",
            Self::VirtioConsole => "virtio console",
            Self::VirtioBlk => "virtio disks",
            Self::Erofs => "file system EROFS",
            Self::Overlay => "overlay file system",
            Self::Cgroup2 => "control groups",
            Self::VirtioNet => "virtio network",
            Self::VirtioRng => "virtio randomness",
            Self::Vsock => "sockets to the host (vsock)",
        }
    }

    /// The option of the kernel's configuration.
    pub fn option(self) -> &'static str {
        match self {
            Self::VirtioMmio => "CONFIG_VIRTIO_MMIO",
            Self::VirtioConsole => "CONFIG_VIRTIO_CONSOLE",
            Self::VirtioBlk => "CONFIG_VIRTIO_BLK",
            Self::Erofs => "CONFIG_EROFS_FS",
            Self::Overlay => "CONFIG_OVERLAY_FS",
            Self::Cgroup2 => "CONFIG_CGROUPS",
            Self::VirtioNet => "CONFIG_VIRTIO_NET",
            Self::VirtioRng => "CONFIG_HW_RANDOM_VIRTIO",
            Self::Vsock => "CONFIG_VIRTIO_VSOCKETS",
        }
    }

    /// The module, with underscores; control groups cannot be one.
    pub(super) fn module(self) -> Option<&'static str> {
        match self {
            Self::VirtioMmio => Some("virtio_mmio"),
            Self::VirtioConsole => Some("virtio_console"),
            Self::VirtioBlk => Some("virtio_blk"),
            Self::Erofs => Some("erofs"),
            Self::Overlay => Some("overlay"),
            Self::Cgroup2 => None,
            Self::VirtioNet => Some("virtio_net"),
            Self::VirtioRng => Some("virtio_rng"),
            Self::Vsock => Some("vmw_vsock_virtio_transport"),
        }
    }

    /// The name that its driver or file system registers under: a text of its own in the kernel's bytes.
    fn registered_name(self) -> &'static str {
        match self {
            Self::VirtioMmio => "virtio-mmio",
            Self::Cgroup2 => "cgroup2",
            other => other.module().unwrap_or_default(),
        }
    }
}

/// What an uncompressed kernel shows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inside {
    /// As `uname -r` says it; empty where it is not found.
    pub(super) version: String,
    /// What is built in, as far as names tell.
    pub(super) features: Vec<Feature>,
    /// Whether devices can be named on the command line.
    pub(super) devices_by_command_line: bool,
    /// Whether it drives serial ports of PCs.
    pub(super) serial: bool,
}

impl Inside {
    /// Looks through a kernel's bytes.
    pub(super) fn of(kernel: &[u8]) -> Self {
        let features = Feature::ALL.into_iter();
        Self {
            version: banner(kernel).unwrap_or_default(),
            features: features
                .filter(|feature| has_text(kernel, feature.registered_name()))
                .collect(),
            devices_by_command_line: has_text(kernel, "virtio_mmio.device"),
            serial: has_text(kernel, "ttyS"),
        }
    }
}

/// Whether the bytes hold a text that zeros enclose.
fn has_text(kernel: &[u8], text: &str) -> bool {
    let enclosed = [b"\0", text.as_bytes(), b"\0"].concat();
    memmem::find(kernel, &enclosed).is_some()
}

/// The version in `Linux version 6.1.0 (…`.
fn banner(kernel: &[u8]) -> Option<String> {
    memmem::find_iter(kernel, b"Linux version ").find_map(|at| {
        let text = &kernel[at + 14..kernel.len().min(at + 14 + 64)];
        let end = text.iter().position(|byte| *byte == b' ')?;
        let word = std::str::from_utf8(&text[..end]).ok()?;
        is_version(word).then(|| word.to_owned())
    })
}

/// Whether a text can be a version: it becomes part of paths.
pub(super) fn is_version(text: &str) -> bool {
    let safe =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+' | b'~');
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(safe)
}
