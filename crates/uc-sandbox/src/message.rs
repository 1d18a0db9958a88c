//! Requests and responses of the seam.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use uc_model::{
    Bytes, MilliCpu,
    workload::{Network, Protocol},
};

/// Sets up a sandbox.
#[derive(Debug)]
pub struct PrepareRequest {
    /// Unique on this host; `[a-z0-9-]`, at most 80 characters. Names of cgroups derive from it, so that they can be
    /// found again after a crash.
    pub id: String,
    /// The host name inside.
    pub hostname: String,
    /// What the sandbox may reach.
    pub network: Network,
    /// Ports forwarded from the host.
    pub ports: Vec<PortForward>,
    /// A directory for the sandbox alone, for what is small; it may be in memory. It makes it if it needs it, in a parent
    /// that is private to the caller (0700), and has removed it after `destroy`.
    pub directory: PathBuf,
    /// The same for what may grow, such as files that programs write: on disk.
    pub storage: PathBuf,
    /// Skip limits that cannot be enforced here instead of refusing.
    pub ignore_unenforceable_limits: bool,
    /// The containers to come, as far as they are known. A sandbox whose size and disks are fixed at its start may refuse
    /// others.
    pub containers: Vec<ExpectedContainer>,
}

/// A container to come.
#[derive(Debug, Clone)]
pub struct ExpectedContainer {
    /// Its name.
    pub container: String,
    /// What it consists of.
    pub payload: Payload,
    /// What it may use.
    pub limits: Limits,
    /// Whether it runs alone, and ends before the others begin.
    pub is_init: bool,
}

/// A port forwarded from the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortForward {
    /// Address on the host.
    pub host_ip: IpAddr,
    /// Port on the host.
    pub host_port: u16,
    /// Port in the sandbox.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// Makes a container.
#[derive(Debug)]
pub struct CreateRequest {
    /// Unique in the sandbox; an RFC 1123 label.
    pub container: String,
    /// What it consists of.
    pub payload: Payload,
    /// What it executes.
    pub process: Process,
    /// Where its standard streams go.
    pub stdio: Stdio,
    /// What is mounted, in order.
    pub mounts: Vec<Mount>,
    /// Whether the root file system refuses writes.
    pub read_only_root: bool,
    /// What it may use.
    pub limits: Limits,
    /// A further seccomp profile (bytes of an OCI seccomp JSON file), on top of the built-in allow-list.
    pub seccomp_profile: Option<Vec<u8>>,
    /// Who hears of the system calls of its program. A driver that cannot tell of them refuses.
    pub call_listener: Option<CallListener>,
}

/// Who hears of a program's system calls: called with the descriptor of a seccomp listener before the program starts. Every
/// call waits until it is let go on, so somebody must listen from then on.
pub struct CallListener(pub Box<dyn FnOnce(OwnedFd) + Send>);

impl std::fmt::Debug for CallListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallListener")
    }
}

/// What a container consists of.
#[derive(Debug, Clone)]
pub enum Payload {
    /// A WebAssembly module or component.
    Wasm {
        /// The binary or text file.
        file: PathBuf,
        /// Which outgoing HTTP requests are allowed.
        http: HttpGrant,
        /// Whose rights it has on the host's files; the caller's where that is `None`.
        act_as: Option<HostUser>,
        /// The port at which it answers, where it is a component that handles HTTP requests.
        port: Option<HandlerPort>,
    },
    /// Unpacked layers of a Linux root file system, lowest first; at least one.
    Rootfs {
        /// The directories.
        layers: Vec<PathBuf>,
    },
}

/// Where a component that handles HTTP requests answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandlerPort {
    /// The port in the sandbox.
    pub container_port: u16,
    /// The address of the host at which requests come, if they do: for a sandbox that shares the host's network.
    pub host: Option<SocketAddr>,
}

/// A user of the host, for a program that has none of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostUser {
    /// The user id, never 0.
    pub uid: u32,
    /// The group id, never 0.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Which outgoing HTTP requests a WebAssembly program may make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HttpGrant {
    /// None.
    #[default]
    None,
    /// To any host.
    Any,
}

/// What a container executes.
#[derive(Clone, PartialEq, Eq)]
pub struct Process {
    /// The program and its arguments. Empty for a WebAssembly payload without arguments; its program name is the
    /// driver's to give.
    pub argv: Vec<String>,
    /// The whole environment, in order. It may hold secrets: `Debug` leaves the values out.
    pub env: Vec<(String, String)>,
    /// The absolute working directory.
    pub cwd: String,
    /// Who it runs as, inside the sandbox.
    pub user: User,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Process")
            .field("argv", &self.argv)
            .field("env", &names)
            .field("cwd", &self.cwd)
            .field("user", &self.user)
            .finish()
    }
}

/// A user inside the sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// The standard streams of a container. The sandbox owns them from `create` on and closes its copies when the
/// program has ended, so that a reader sees end of file.
#[derive(Debug)]
pub struct Stdio {
    /// Read by the program; end of file at once when `None`.
    pub stdin: Option<OwnedFd>,
    /// Written by the program.
    pub stdout: OwnedFd,
    /// Written by the program.
    pub stderr: OwnedFd,
    /// Whether output and error are pipes made for this container. They may then be handed to the user it runs as, who
    /// needs that to open `/dev/stdout` and its like; what is the caller's own stays the caller's.
    pub owned: bool,
}

/// Something mounted in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// The absolute, normalised path in the container. It is made if it is missing.
    pub target: String,
    /// Whether writes are refused.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A file or directory of the host.
    Host(HostMount),
    /// A fresh file system in memory.
    Memory {
        /// The most it may hold.
        size_limit: Option<Bytes>,
    },
}

/// A file or directory of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMount {
    /// The path on the host.
    pub path: PathBuf,
    /// A path below it, resolved without leaving it (symbolic links included).
    pub sub_path: Option<PathBuf>,
    /// Whether it was made for this workload, and so may be handed to the sandbox's user.
    pub owned: bool,
    /// The group inside the sandbox that an owned one is handed to; 0 for the sandbox's own.
    pub group: u32,
}

/// What a container may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory.
    pub memory: Option<Bytes>,
    /// CPU time per wall-clock time.
    pub cpu: Option<MilliCpu>,
    /// The share of CPU under contention.
    pub cpu_weight: Option<MilliCpu>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// A container has been made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateResponse {
    /// The host's process id of the program-to-be, for kinds that have one.
    pub pid: Option<u32>,
    /// What the user should know, such as limits skipped on request.
    pub warnings: Vec<String>,
    /// The parts of making it, where they are worth telling apart.
    pub parts: Vec<Part>,
}

/// A part of making a container, measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// How it was done.
    pub how: String,
    /// How long it took.
    pub duration: Duration,
}

/// Starts a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartRequest {
    /// Its name.
    pub container: String,
}

/// A container has been started: its program runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartResponse {}

/// Waits for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitRequest {
    /// Its name.
    pub container: String,
}

/// Ends a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopRequest {
    /// Its name.
    pub container: String,
    /// How long it may take to end by itself.
    pub grace: Duration,
    /// The number of the signal that asks a program to end, where this kind can send one.
    pub signal: i32,
}

/// Holds a running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseRequest {
    /// Its name.
    pub container: String,
}

/// Lets a paused container go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeRequest {
    /// Its name.
    pub container: String,
}

/// Forgets an ended container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveRequest {
    /// Its name.
    pub container: String,
}

/// Runs one more program in a running container.
#[derive(Debug)]
pub struct ExecRequest {
    /// The container's name.
    pub container: String,
    /// The program and its arguments; environment, directory and user are the container's.
    pub command: Vec<String>,
    /// Kill it after this time; its [`Exit`] then says [`ExitReason::Deadline`].
    pub timeout: Duration,
    /// Where its streams go; discarded when `None`.
    pub stdio: Option<Stdio>,
}

/// Tries a TCP port inside the sandbox's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpConnectRequest {
    /// The port, on the sandbox's loopback.
    pub port: u16,
    /// Give up after this time.
    pub timeout: Duration,
}

/// Asks what a container uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsRequest {
    /// Its name.
    pub container: String,
}

/// What a container uses; `None` where this kind or host cannot tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Memory that could not be given back under pressure (anonymous), in bytes.
    pub memory_anon_bytes: Option<u64>,
    /// All memory charged, page cache included, in bytes.
    pub memory_bytes: Option<u64>,
    /// The highest value of `memory_bytes` so far.
    pub memory_peak_bytes: Option<u64>,
    /// The memory limit in force.
    pub memory_limit_bytes: Option<u64>,
    /// CPU time used, in microseconds.
    pub cpu_us: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Processes killed for want of memory.
    pub oom_kills: Option<u64>,
}

/// Ends a sandbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DestroyRequest {}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The code a shell would show: the program's own, or 128 + signal.
    pub code: u8,
    /// Why it ended.
    pub reason: ExitReason,
}

impl Exit {
    /// The program ended by itself.
    pub fn with_code(code: u8) -> Self {
        Self {
            code,
            reason: ExitReason::Exited,
        }
    }
}

/// Why a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum ExitReason {
    /// By itself.
    Exited,
    /// By itself, with a code that no shell can show: [`Exit::code`] is its low eight bits, or 1 where these are 0.
    ExitedBeyond {
        /// The program's own code.
        code: i32,
    },
    /// By a signal that was not ours.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// It asked for more memory than its limit.
    OutOfMemory,
    /// It ran longer than allowed.
    Deadline,
    /// A WebAssembly trap.
    Trapped {
        /// The engine's words.
        message: String,
    },
    /// On request ([`crate::Sandbox::stop`]).
    Stopped,
    /// Stopped by the engine, since a probe of it failed. No sandbox says so.
    Unhealthy {
        /// Which probe, and how it failed.
        message: String,
    },
}
