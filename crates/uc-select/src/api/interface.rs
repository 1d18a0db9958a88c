//! The interfaces that programs are written against.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uc_model::{Problem, Provenance, RuntimeKind};

/// What a runtime offers its programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// WASI preview 1: files, clocks, randomness; no sockets of the program's own.
    #[serde(rename = "wasm")]
    WasiP1,
    /// WASI preview 2: those, TCP, UDP and HTTP.
    #[serde(rename = "wasm-p2")]
    WasiP2,
    /// Linux behind the system-call filter of a rootless container.
    Container,
    /// The kernel of gVisor.
    Gvisor,
    /// A Linux kernel of its own, in Kata, Firecracker or any other microVM.
    Microvm,
}

impl Interface {
    /// Every interface, smallest first.
    pub const ALL: [Self; 5] = [
        Self::WasiP1,
        Self::WasiP2,
        Self::Container,
        Self::Gvisor,
        Self::Microvm,
    ];

    /// The name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::WasiP1 => "wasm",
            Self::WasiP2 => "wasm-p2",
            Self::Container => "container",
            Self::Gvisor => "gvisor",
            Self::Microvm => "microvm",
        }
    }

    /// The name in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::WasiP1 => "WASI preview 1",
            Self::WasiP2 => "WASI preview 2",
            Self::Container => "rootless container",
            Self::Gvisor => "gVisor",
            Self::Microvm => "microVM (Kata, Firecracker)",
        }
    }

    /// Where it is known from what the interface offers.
    pub fn provenance(self) -> Provenance {
        Provenance::Assumed(
            match self {
                Self::WasiP1 => "wasi_snapshot_preview1 as of wasmtime 48; which calls of Linux its functions stand for is our reading of wasi-libc",
                Self::WasiP2 => "WASI 0.2 as of wasmtime 48; which calls of Linux its functions stand for is our reading of wasi-libc",
                Self::Container => "the system-call filter of uc-container",
                Self::Gvisor => "the sources of gVisor, release 20240729.0",
                Self::Microvm => "the table of Linux 6.18; a guest with an older or smaller kernel has less",
            }
            .into(),
        )
    }

    /// How programs reach a network.
    pub fn network(self) -> &'static str {
        match self {
            Self::WasiP1 => "sockets that the engine has opened",
            Self::WasiP2 => "TCP, UDP and HTTP by functions of WASI",
            Self::Container => "the kernel's own, in a namespace or the host's",
            Self::Gvisor => "Netstack, TCP/IP in user space",
            Self::Microvm => "virtio-net: a network card of the guest",
        }
    }

    /// How programs reach files.
    pub fn storage(self) -> &'static str {
        match self {
            Self::WasiP1 | Self::WasiP2 => "directories that the engine has opened",
            Self::Container => "overlay and bind mounts of the kernel",
            Self::Gvisor => "a gofer process, by 9P's successor LISAFS",
            Self::Microvm => "virtio-blk, or virtio-fs for shared directories",
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a program of that kind of sandbox meets; inside a fused one that is the container. Components of WebAssembly meet
/// [`Interface::WasiP2`], modules [`Interface::WasiP1`]: the smaller is taken.
impl From<RuntimeKind> for Interface {
    fn from(kind: RuntimeKind) -> Self {
        match kind {
            RuntimeKind::Wasm => Self::WasiP1,
            RuntimeKind::Container | RuntimeKind::Fused => Self::Container,
            RuntimeKind::Gvisor => Self::Gvisor,
            RuntimeKind::Microvm => Self::Microvm,
        }
    }
}

/// Names that stand for an interface, its own first.
const NAMES: [(&str, Interface); 11] = [
    ("wasm", Interface::WasiP1),
    ("wasm-p2", Interface::WasiP2),
    ("container", Interface::Container),
    ("gvisor", Interface::Gvisor),
    ("microvm", Interface::Microvm),
    ("kata", Interface::Microvm),
    ("firecracker", Interface::Microvm),
    ("wasm-p1", Interface::WasiP1),
    ("wasi", Interface::WasiP1),
    ("runsc", Interface::Gvisor),
    ("fused", Interface::Container),
];

impl Interface {
    /// The names that [`FromStr`] takes.
    pub fn accepted_names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().map(|(name, _)| name)
    }
}

impl FromStr for Interface {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let known = NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, interface)| *interface).ok_or_else(|| {
            let problem = Problem::invalid("no runtime of that name has a set of calls")
                .limit("wasm, wasm-p2, container, gvisor, or microvm (also kata and firecracker)")
                .found(text);
            let wanted = text.to_ascii_lowercase();
            match Self::accepted_names()
                .map(|name| (strsim::damerau_levenshtein(&wanted, name), name))
                .min()
            {
                Some((slips, name)) if slips <= 2 => {
                    problem.remedy(format!("did you mean {name}?"))
                }
                _ => problem,
            }
        })
    }
}
