//! The life of a workload: resolve → verify → choose → create → start → watch → clean up.
//!
//! Layer 4. It takes drivers as `dyn Driver` and owns the directories below [`Home`]. Invariants: nothing is started
//! before every check has passed; what will exist outside a workload's directory is written down there first; a
//! workload's owner is whoever holds the lock in its directory, and nobody believes a record without asking for it.

pub mod decide;
mod describe;
mod environment;
mod expected;
pub mod footprints;
mod handlers;
pub mod home;
mod lifecycle;
mod models;
mod network;
pub mod output;
pub mod owner;
mod pausing;
mod probe_memory;
mod probes;
mod process;
pub mod record;
mod regular_file;
mod rehearsal;
mod removal;
pub mod resolve;
pub mod sbom;
mod seccomp_profile;
mod stop_signal;
mod stopper;
mod supervise;
pub mod timing;
mod tracing;
pub mod trust;
mod unpack;
mod volumes;

use std::sync::{Arc, Mutex, PoisonError};

pub use decide::{ContainerChoice, choose};
pub use home::Home;
pub use lifecycle::{OnStarted, Outcome, RunRequest};
pub use output::{Output, Sink};
pub use record::{Phase, Record, Status};
pub use resolve::{Resolved, ResolvedContainer};
pub use stopper::{StopLevel, Stopper};
pub use timing::{Stage, Timings};
use uc_image::unpack::Lease;
use uc_model::RuntimeKind;
use uc_sandbox::{Driver, Probe};

/// Everything needed to run workloads.
pub struct Engine {
    home: Home,
    drivers: Vec<Arc<dyn Driver>>,
    /// Layers that what this process runs is made of.
    leases: Mutex<Vec<Lease>>,
}

impl Engine {
    /// An engine over the directories of `home` and these drivers, at most one of a kind.
    pub fn new(home: Home, drivers: Vec<Arc<dyn Driver>>) -> Self {
        Self {
            home,
            drivers,
            leases: Mutex::default(),
        }
    }

    /// Keeps layers from being removed as long as this engine lives.
    pub(crate) fn keep(&self, lease: Lease) {
        self.leases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(lease);
    }

    /// The directories.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The driver of a kind.
    pub(crate) fn driver(&self, kind: RuntimeKind) -> Option<&Arc<dyn Driver>> {
        self.drivers.iter().find(|driver| driver.kind() == kind)
    }

    /// What every driver offers, found by trying now.
    pub fn probe_all(&self) -> Vec<Probe> {
        self.drivers
            .iter()
            .map(|driver| probe_memory::fresh(&self.home, &**driver))
            .collect()
    }

    /// What one driver offered at the last trial since the host started, or at a trial now.
    pub(crate) fn remembered_probe(&self, kind: RuntimeKind) -> Option<Probe> {
        self.driver(kind)
            .map(|driver| probe_memory::remembered(&self.home, &**driver))
    }

    /// What the drivers offered at the last trial since the host started, or at a trial now.
    pub(crate) fn remembered_probes(&self) -> Vec<Probe> {
        self.drivers
            .iter()
            .map(|driver| probe_memory::remembered(&self.home, &**driver))
            .collect()
    }
}
