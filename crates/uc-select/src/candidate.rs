//! What a kind of sandbox offers on this host.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use uc_model::{Figure, Isolation, PayloadFormat, RuntimeKind, workload::Network};

/// A kind of sandbox, able or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The kind.
    pub kind: RuntimeKind,
    /// Why no sandbox of it can be made, if so; what follows is then not looked at.
    pub unavailable: Option<Unavailable>,
    /// What it can run.
    pub formats: BTreeSet<PayloadFormat>,
    /// The networks that it can give.
    pub networks: BTreeSet<Network>,
    /// The limits that it can enforce.
    pub limits: BTreeSet<LimitKind>,
    /// The boundary that it puts up.
    pub isolation: Isolation,
    /// How much of the host's kernel a program can reach by itself: log2(1 + reachable calls / all calls), in bits. 0 where
    /// it can make none, 1 where it can make all.
    pub isolation_bits: Figure,
    /// Whether containers of a workload share a loopback.
    pub shared_loopback: bool,
    /// Whether it listens at ports of the host for a program that only answers HTTP requests.
    pub serves_handlers: bool,
    /// Whether it can run a second program in a running container.
    pub exec: bool,
    /// Whether it gives access to a GPU.
    pub gpu: bool,
    /// Time from request to the first instruction of the program, in ms.
    pub start_ms: Figure,
    /// Memory of the sandbox itself, in MiB.
    pub overhead_mib: Figure,
}

/// Why a sandbox cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailable {
    /// What is missing.
    pub what: String,
    /// How to get it.
    pub remedy: String,
}

/// A limit that can be enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitKind {
    /// Bytes of memory.
    Memory,
    /// CPU time per wall-clock time.
    Cpu,
    /// Number of processes and threads.
    Pids,
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Memory => "memory",
            Self::Cpu => "CPU",
            Self::Pids => "process",
        })
    }
}

impl Candidate {
    /// A kind for which this version has no driver.
    pub fn without_driver(kind: RuntimeKind) -> Self {
        Self::unknown(kind, "no driver in this version")
    }

    /// A kind that nobody looked for, since the workload asks for another.
    pub fn not_tried(kind: RuntimeKind) -> Self {
        Self::unknown(kind, "not tried, since another is asked for")
    }

    fn unknown(kind: RuntimeKind, why: &str) -> Self {
        let unknown = |unit: &str| Figure::assumed(0.0, unit, why);
        Self {
            kind,
            unavailable: Some(Unavailable {
                what: why.into(),
                // Nothing the user could install would help.
                remedy: String::new(),
            }),
            formats: BTreeSet::new(),
            networks: BTreeSet::new(),
            limits: BTreeSet::new(),
            isolation: kind.isolation(),
            isolation_bits: unknown("bit"),
            shared_loopback: false,
            serves_handlers: false,
            exec: false,
            gpu: false,
            start_ms: unknown("ms"),
            overhead_mib: unknown("MiB"),
        }
    }
}
