//! What driver and supervisor tell one another.

use std::os::fd::RawFd;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uc_model::{Telling, workload::Network};

use crate::flavour::{Flavour, Platform};

/// Longest message between the two, in bytes.
pub(crate) const MAX_MESSAGE: usize = 128 << 10;

/// Longest order, in bytes: environment and arguments are the largest part, and the kernel allows them 2 MiB by default.
pub(crate) const MAX_ORDER: u64 = 8 << 20;

/// Where the supervisor builds what it needs: a file system in memory of its own, over a directory that every host has.
pub(crate) const PLACE: &str = "/tmp";

/// All that the supervisor must know, handed over in a file without a name, since it may hold secrets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The container's name for the runtime.
    pub(crate) id: String,
    pub(crate) flavour: Flavour,
    pub(crate) platform: Platform,
    pub(crate) network: Network,
    /// Whether the network namespace is new and must be set up.
    pub(crate) configure_network: bool,
    pub(crate) hostname: String,
    pub(crate) descriptors: Descriptors,
    /// What of the host is put in place.
    pub(crate) volumes: Vec<Volume>,
    /// The bundle's configuration.
    pub(crate) config: Value,
}

impl Order {
    /// Where volumes cover the image.
    pub(crate) fn covers(&self) -> Vec<String> {
        let mounts = self.config["mounts"].as_array();
        mounts
            .into_iter()
            .flatten()
            .filter(|mount| mount["type"] == "bind")
            .filter_map(|mount| Some(mount["destination"].as_str()?.to_owned()))
            .collect()
    }
}

/// Numbers of the descriptors that the supervisor inherits.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Descriptors {
    /// The socket to the driver.
    pub(crate) control: RawFd,
    /// The order.
    pub(crate) order: RawFd,
    /// The directory with `upper` and `work`.
    pub(crate) scratch: RawFd,
    /// The runtime's program.
    pub(crate) runtime: RawFd,
    /// The first of the layers, lowest first.
    pub(crate) first_layer: RawFd,
    pub(crate) layers: usize,
    /// The first of the volumes that come from the host.
    pub(crate) first_volume: RawFd,
}

/// A directory or file of the host for the bundle, in the order of the descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Volume {
    /// Where the bundle's configuration expects it, below [`PLACE`].
    pub(crate) place: String,
}

/// The driver to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Ids and network are in place: create the container.
    Create,
    /// Start its program.
    Start,
    /// Send its program a signal.
    Signal { signal: i32 },
    /// Hold its program, or let it go on, by the runtime's own command.
    Pause { number: u32, hold: bool },
    /// Run one more program; three descriptors come along.
    Exec { number: u32, process: Value },
    /// End it.
    EndExec { number: u32 },
}

/// The supervisor to the driver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Report {
    Created,
    Started,
    /// Creating or starting failed; the supervisor is about to end.
    Failed(Telling),
    /// The program has ended; the supervisor is about to end.
    Exited {
        code: u8,
        signal: Option<i32>,
    },
    /// What was asked under a number is done.
    Done {
        number: u32,
        result: Result<(), Telling>,
    },
    /// A further program has ended, or could not be started.
    ExecEnded {
        number: u32,
        result: Result<u8, Telling>,
    },
}
