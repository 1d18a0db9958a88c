//! Messages: requests of the host, answers and events of the agent.

use serde::{Deserialize, Serialize};
use uc_model::{Bytes, Telling};
use uc_sandbox::{Exit, Limits, Stats, User};

use crate::{
    frame::{Bounds, Decoder, Frame},
    function,
};

/// Asks for something: in a frame of [`crate::Kind::Request`].
#[derive(Serialize, Deserialize)]
pub struct Request {
    /// The answer has the same number.
    pub id: u32,
    /// What is asked.
    pub call: Call,
}

/// Answers: in a frame of [`crate::Kind::Response`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Response {
    /// The request's number.
    pub id: u32,
    /// The answer.
    pub answer: Result<Answer, Telling>,
}

/// What a host asks.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// The first request after a boot.
    Greet(Greeting),
    /// The first after a snapshot was restored.
    Renew(Renewal),
    /// Fills a volume. The answer says that its content may be sent; a container that mounts it waits for all of it.
    Fill {
        /// The volume's name, in letters, digits and `-`.
        volume: String,
        /// The stream that brings a cpio archive (newc), whose entry `volume` is the volume.
        stream: u16,
    },
    /// Makes a container.
    Create(Box<Create>),
    /// Starts its program.
    Start {
        /// The container.
        container: String,
        /// What a function is called with: it may have been made for another call.
        process: Option<Box<GuestProcess>>,
    },
    /// Asks it to end, and ends it.
    Stop {
        /// The container.
        container: String,
        /// How long it may take.
        grace_ms: u64,
        /// The number of the signal.
        signal: i32,
    },
    /// Holds it, or lets it go on.
    Pause {
        /// The container.
        container: String,
        /// Whether it is held from now on.
        hold: bool,
    },
    /// Forgets it.
    Remove {
        /// The container.
        container: String,
    },
    /// What it uses.
    Stats {
        /// The container.
        container: String,
    },
    /// Opens the stream that will be the input of an `Exec`: what is sent before the answer is lost.
    OpenInput {
        /// The stream.
        stream: u16,
    },
    /// Runs one more program in it.
    Exec(Exec),
    /// Tries a port on the loopback.
    TcpConnect {
        /// The port.
        port: u16,
        /// Give up after this time.
        timeout_ms: u64,
    },
    /// Does what starting a function takes up to its first instruction, and undoes it.
    Rehearse {
        /// The container.
        container: String,
    },
    /// Whether the agent is alive. It keeps the machine's clock at the host's by this.
    Ping {
        /// Nanoseconds since 1970 on the host's clock.
        clock_ns: u64,
    },
    /// Ends everything, the machine included.
    ShutDown,
}

/// What an agent answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To a greeting.
    Welcome(Welcome),
    /// To `Create`.
    Created {
        /// What the user should know.
        warnings: Vec<String>,
    },
    /// To `Stop` and `Exec`.
    Ended(Exit),
    /// To `Stats`.
    Stats(Stats),
    /// To the others.
    Done,
}

/// What happened: in a frame of [`crate::Kind::Event`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The agent has started, and waits to be greeted.
    Booted {
        /// Its version of the protocol.
        version: u16,
    },
    /// A container's program has ended.
    Exited {
        /// The container.
        container: String,
        /// How.
        exit: Exit,
    },
}

/// What an agent must know of its machine.
#[derive(Serialize, Deserialize)]
pub struct Greeting {
    /// The version of the protocol.
    pub version: u16,
    /// The host name inside.
    pub hostname: String,
    /// Clock and randomness.
    pub renewal: Renewal,
    /// The network card's settings, where there is one.
    pub network: Option<Network>,
}

/// What is renewed in a machine that others were made from, too.
#[derive(Serialize, Deserialize)]
pub struct Renewal {
    /// Nanoseconds since 1970 on the host's clock.
    pub clock_ns: u64,
    /// 64 bytes of the host's randomness, in hexadecimal.
    pub entropy: String,
    /// The host name inside.
    pub hostname: String,
}

/// Settings of the network card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The machine's address, with the length of its prefix: `10.0.2.15/24`.
    pub address: String,
    /// The way out.
    pub gateway: String,
}

/// How a machine was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version of the protocol.
    pub version: u16,
    /// The kernel's release.
    pub kernel: String,
    /// Time since the kernel's start, in milliseconds.
    pub uptime_ms: u64,
    /// Memory of the machine, in bytes.
    pub memory_bytes: u64,
}

/// Makes a container.
#[derive(Serialize, Deserialize)]
pub struct Create {
    /// Its name.
    pub container: String,
    /// What it consists of.
    pub content: Content,
    /// What it executes.
    pub process: GuestProcess,
    /// Its streams.
    pub streams: Streams,
    /// What is mounted, in order.
    pub mounts: Vec<GuestMount>,
    /// Whether the root file system refuses writes.
    pub read_only_root: bool,
    /// What it may use.
    pub limits: Limits,
    /// A further seccomp profile.
    pub seccomp_profile: Option<String>,
    /// Whether it may use the machine's network.
    pub network: bool,
    /// The port at which a function that handles HTTP requests answers.
    pub port: Option<u16>,
}

/// What a container consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A Linux root file system.
    Rootfs(Disk),
    /// A function: `uc-function` and `program` in the root of a disk. Its program is loaded by `Create`, and called by `Start`.
    Function(Disk),
}

/// A disk of the machine, with an EROFS file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its serial number, where the machine tells one.
    pub serial: String,
    /// Its place among the disks.
    pub index: u8,
}

/// What a container executes.
#[derive(Clone, Serialize, Deserialize)]
pub struct GuestProcess {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The whole environment. It may hold secrets: not for logs.
    pub env: Vec<(String, String)>,
    /// The working directory.
    pub cwd: String,
    /// Who it runs as.
    pub user: User,
}

/// Numbers of a program's streams: each is used once in the life of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// Sent by the host.
    pub stdin: Option<u16>,
    /// Sent by the agent.
    pub stdout: u16,
    /// Sent by the agent.
    pub stderr: u16,
}

/// Something mounted in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestMount {
    /// What.
    pub source: Source,
    /// The path in the container.
    pub target: String,
    /// Whether writes are refused.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A fresh file system in memory.
    Memory {
        /// The most it may hold.
        size_limit: Option<Bytes>,
    },
    /// A volume. Those of one name are one volume, for all containers of the machine.
    Volume {
        /// Its name. What was not filled is an empty directory.
        name: String,
        /// A path in it.
        sub_path: Option<String>,
        /// Whether it was made for this workload, and so is handed to the container's user.
        owned: bool,
        /// The group that it is handed to then.
        group: u32,
    },
}

/// Runs one more program in a container.
#[derive(Debug, Serialize, Deserialize)]
pub struct Exec {
    /// The container.
    pub container: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Kill it after this time.
    pub timeout_ms: u64,
    /// Its streams; discarded when `None`. Its input has been opened before.
    pub streams: Option<Streams>,
}

/// Does with bytes of a stranger everything that a link does, for a fuzzer: cuts them into frames and reads every message.
pub fn read_all_for_fuzzing(bytes: &[u8]) {
    for bounds in [Bounds::BY_HOST, Bounds::BY_AGENT] {
        let mut decoder = Decoder::new(bounds);
        for chunk in bytes.chunks(1000) {
            decoder.push(chunk);
            while let Ok(Some(frame)) = decoder.next_frame() {
                read_message(&frame);
            }
        }
    }
}

fn read_message(frame: &Frame) {
    let _ = frame.credit();
    let _ = frame.message::<Request>();
    let _ = frame.message::<Response>();
    let _ = frame.message::<Event>();
    let _ = frame.message::<function::Report>();
    let _ = frame.message::<function::Call>();
}
