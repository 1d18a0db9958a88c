//! What a driver offers on this host.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uc_model::{Facility, Figure, Isolation, PayloadFormat, RuntimeKind, workload::Network};

/// The answer of [`crate::Driver::probe`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The kind of sandbox.
    pub kind: RuntimeKind,
    /// Whether a sandbox can be made at all.
    pub availability: Availability,
    /// What it can do here; meaningful only where it is available.
    pub offer: Offer,
    /// The facilities that were tried, for `uc doctor`.
    pub facilities: Vec<Facility>,
}

/// Whether a sandbox can be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Availability {
    /// It can.
    Ready,
    /// It cannot.
    Missing {
        /// What is missing, as found by trying.
        what: String,
        /// How to get it.
        remedy: String,
    },
}

/// What a driver can do here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// What it can run.
    pub formats: BTreeSet<PayloadFormat>,
    /// The networks it can give.
    pub networks: BTreeSet<Network>,
    /// The limits it can enforce.
    pub limits: BTreeSet<Limit>,
    /// The boundary it puts up.
    pub isolation: Isolation,
    /// How much of the host's kernel a program can reach by itself: log2(1 + reachable calls / all calls), in bits.
    pub isolation_bits: Figure,
    /// Whether containers of a sandbox share a loopback.
    pub shared_loopback: bool,
    /// Whether it listens at ports of the host itself for a component that handles HTTP requests: one that needs nothing else
    /// of a network can do without one of its own.
    pub serves_handlers: bool,
    /// Whether it can run a second program in a running container.
    pub exec: bool,
    /// Time from request to the first instruction of the program, in ms.
    pub start_ms: Figure,
    /// Memory of the sandbox itself, in MiB.
    pub overhead_mib: Figure,
}

/// A limit that can be enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Bytes of memory.
    Memory,
    /// CPU time per wall-clock time.
    Cpu,
    /// Number of processes and threads.
    Pids,
}
