//! What a workload needs of its sandbox.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uc_model::{Bytes, Isolation, MilliCpu, PayloadFormat, RuntimeChoice, workload::Network};

use crate::footprint::Footprint;

/// What a workload needs of its sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// The formats of its containers, init containers included; all must run in one sandbox.
    pub formats: BTreeSet<PayloadFormat>,
    /// What it must reach.
    pub network: Network,
    /// Whether all that it needs of its network is that HTTP requests come from a port of the host: it reaches nothing itself.
    pub only_answers: bool,
    /// The largest memory limit that it sets.
    pub memory_limit: Option<Bytes>,
    /// The largest CPU limit that it sets.
    pub cpu_limit: Option<MilliCpu>,
    /// The largest limit of processes that it sets.
    pub pids_limit: Option<u32>,
    /// Whether limits may go unenforced.
    pub ignore_unenforceable_limits: bool,
    /// The weakest boundary that it accepts.
    pub isolation: Isolation,
    /// Which runtime it asks for.
    pub runtime: RuntimeChoice,
    /// Whether it has several containers that run at a time: they reach each other on the loopback that they share.
    pub shared_loopback: bool,
    /// Whether it has exec probes.
    pub exec_probes: bool,
    /// What its program asks of a kernel, where that is known.
    #[serde(skip)]
    pub footprint: Option<Footprint>,
    /// Whether it needs a GPU.
    pub gpu: bool,
}
