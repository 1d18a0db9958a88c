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
    /// The name for the runtime: the container's, or that of a Pod's kernel.
    pub(crate) id: String,
    pub(crate) role: Role,
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

/// Where volumes cover the image, by a bundle's configuration.
pub(crate) fn covers(config: &Value) -> Vec<String> {
    let mounts = config["mounts"].as_array();
    mounts
        .into_iter()
        .flatten()
        .filter(|mount| mount["type"] == "bind")
        .filter_map(|mount| Some(mount["destination"].as_str()?.to_owned()))
        .collect()
}

/// What a supervisor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// One container, from its root file system to the end of its program.
    Container,
    /// One gVisor kernel, and the containers of a Pod that join it.
    Kernel,
    /// What one such container needs: it is built, handed over, and the supervisor ends.
    Stage,
}

/// Number of what a supervisor was started for; those that join its kernel count from 1.
pub(crate) const FIRST: u32 = 0;

/// Where the parts of a container lie that has joined a kernel.
pub(crate) fn place_of(number: u32) -> String {
    format!("{PLACE}/containers/{number}")
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
pub(crate) struct ToContainer {
    /// Which container it concerns.
    pub(crate) container: u32,
    pub(crate) request: Request,
}

/// The supervisor to the driver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FromContainer {
    /// Which container it concerns.
    pub(crate) container: u32,
    pub(crate) report: Report,
}

/// What a driver asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Ids and network are in place: create the container, boot the kernel, or build the parts.
    Create,
    /// Take a container into the kernel; its parts, as a detached mount tree, and its three streams come along.
    Join { id: String },
    /// Start its program.
    Start,
    /// Send its program a signal.
    Signal { signal: i32 },
    /// End a container that has joined, whatever it is doing.
    End,
    /// Forget one that has ended; an errand like those below.
    Remove { errand: u32 },
    /// Hold the program, or all those of the kernel, or let them go on, by the runtime's own command; an errand.
    Pause { errand: u32, hold: bool },
    /// Run one more program; three descriptors come along.
    Exec { number: u32, process: Value },
    /// Open and close a connection to a port of the kernel's network.
    Connect { number: u32, port: u16 },
    /// End such a program, or such an attempt.
    EndErrand { number: u32 },
}

/// What a supervisor tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Report {
    /// From a [`Role::Stage`] the parts come along.
    Created,
    Started,
    /// Creating or starting failed. Unless the container has joined a kernel, the supervisor is about to end.
    Failed(Telling),
    /// The program has ended. Unless it has joined a kernel, the supervisor is about to end.
    Exited {
        code: u8,
        signal: Option<i32>,
    },
    /// A further program or an attempt to connect has ended, or could not be started.
    ErrandEnded {
        number: u32,
        result: Result<u8, Telling>,
    },
}
