//! The kinds of sandbox, what they isolate, and what they run.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// A kind of sandbox, lightest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeKind {
    /// A WebAssembly module or component in an embedded engine.
    Wasm,
    /// A rootless Linux container without capabilities.
    Container,
    /// A container on gVisor's user-space kernel.
    Gvisor,
    /// A virtual machine with its own kernel.
    Microvm,
    /// A function in a container in a microVM.
    Fused,
}

impl RuntimeKind {
    /// Every kind, lightest first.
    pub const ALL: [Self; 5] = [
        Self::Wasm,
        Self::Container,
        Self::Gvisor,
        Self::Microvm,
        Self::Fused,
    ];

    /// The name used on the command line, as RuntimeClass handler and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Container => "container",
            Self::Gvisor => "gvisor",
            Self::Microvm => "microvm",
            Self::Fused => "fused",
        }
    }

    /// The strongest boundary between the workload and the host that this kind puts up.
    pub fn isolation(self) -> Isolation {
        match self {
            Self::Wasm => Isolation::Software,
            Self::Container => Isolation::SharedKernel,
            Self::Gvisor => Isolation::UserKernel,
            Self::Microvm | Self::Fused => Isolation::Hardware,
        }
    }
}

impl fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which runtime a workload asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeChoice {
    /// Let `uc` choose, and say why.
    #[default]
    Auto,
    /// This kind or none.
    Fixed(RuntimeKind),
}

impl FromStr for RuntimeChoice {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        RuntimeKind::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .map(Self::Fixed)
            .ok_or_else(|| {
                Problem::invalid("unknown runtime")
                    .limit("auto, wasm, container, gvisor, microvm or fused")
                    .found(text)
            })
    }
}

impl fmt::Display for RuntimeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Fixed(kind) => f.pad(kind.name()),
        }
    }
}

/// What separates a workload from the host. The order is the order of `isolation` annotations: each level satisfies
/// a wish for itself and for those before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// The host's kernel, filtered: namespaces, no capabilities, a system-call allow-list.
    #[default]
    SharedKernel,
    /// Bounds-checked code that reaches the host only through functions granted by name.
    Software,
    /// A second kernel in user space between the workload and the host's.
    UserKernel,
    /// A virtual machine.
    Hardware,
}

impl Isolation {
    /// The name used in annotations and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::SharedKernel => "shared-kernel",
            Self::Software => "software",
            Self::UserKernel => "user-kernel",
            Self::Hardware => "hardware",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Isolation {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        [
            Self::SharedKernel,
            Self::Software,
            Self::UserKernel,
            Self::Hardware,
        ]
        .into_iter()
        .find(|level| level.name() == text)
        .ok_or_else(|| {
            Problem::invalid("unknown isolation level")
                .limit("shared-kernel, software, user-kernel or hardware")
                .found(text)
        })
    }
}

/// What a container of a workload consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PayloadFormat {
    /// A core WebAssembly module (WASI preview 1).
    WasmModule,
    /// A WebAssembly component (WASI preview 2).
    WasmComponent,
    /// A Linux root file system.
    LinuxRootfs,
}

impl fmt::Display for PayloadFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::WasmModule => "WebAssembly module",
            Self::WasmComponent => "WebAssembly component",
            Self::LinuxRootfs => "Linux root file system",
        })
    }
}
