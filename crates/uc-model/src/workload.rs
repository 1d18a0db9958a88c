//! A workload: one Pod, resolved and validated, in terms every runtime understands.

use std::{collections::BTreeMap, fmt, net::IpAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    problem::Problem,
    quantity::{Bytes, MilliCpu},
    runtime::{Isolation, RuntimeChoice},
};

/// One Pod. Field names follow the Kubernetes API where it has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Where it comes from.
    pub origin: Origin,
    /// `metadata.name`: an RFC 1123 label.
    pub name: String,
    /// `metadata.namespace`, `default` when absent.
    pub namespace: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// Which runtime is asked for, through the RuntimeClass' handler.
    pub runtime: RuntimeChoice,
    /// The weakest boundary the author accepts (annotation `undercurrent.dev/isolation`).
    pub isolation: Isolation,
    /// What the workload may reach (annotation `undercurrent.dev/network`, `spec.hostNetwork`).
    pub network: Network,
    /// `spec.hostname`, else the name.
    pub hostname: String,
    /// Run one after the other, each to success, before `containers`.
    pub init_containers: Vec<Container>,
    /// Run together.
    pub containers: Vec<Container>,
    /// What containers mount.
    pub volumes: Vec<Volume>,
    /// `securityContext.fsGroup`: the group that shares the volumes made for the workload.
    pub fs_group: Option<u32>,
    /// `spec.restartPolicy`; `None` where the file is silent: never in the foreground, always when detached.
    pub restart_policy: Option<RestartPolicy>,
    /// `spec.activeDeadlineSeconds`.
    pub active_deadline: Option<Duration>,
    /// `spec.terminationGracePeriodSeconds`, 30 s when absent.
    pub termination_grace: Duration,
    /// Whether limits that this host cannot enforce are skipped with a warning instead of being refused
    /// (annotation `undercurrent.dev/unenforceable-limits: ignore`).
    pub ignore_unenforceable_limits: bool,
    /// Whether a red line that would be a warning is a refusal (annotation `undercurrent.dev/red-line-warnings: refuse`).
    #[serde(default)]
    pub refuse_red_line_warnings: bool,
}

/// Where a workload comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A manifest: problems name its fields.
    Manifest {
        /// The file, as its user named it.
        file: String,
    },
    /// An image or module named on the command line: there are no fields to name.
    CommandLine,
}

impl Origin {
    /// Names the field that a problem is about, if there is one.
    #[must_use]
    pub fn blame(&self, field: &str, problem: Problem) -> Problem {
        match self {
            Self::Manifest { file } => problem.within(format!("{file}: {field}")),
            Self::CommandLine => problem,
        }
    }
}

/// What a workload may reach.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Only its own loopback.
    #[default]
    None,
    /// Outgoing HTTP requests through the host, for WebAssembly.
    Http,
    /// Its own network stack with a user-mode link to the host's network.
    User,
    /// The host's network, as it is.
    Host,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Http => "http",
            Self::User => "user",
            Self::Host => "host",
        })
    }
}

/// `spec.restartPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Restart whatever the exit code.
    Always,
    /// Restart after a non-zero exit code.
    OnFailure,
    /// Never restart.
    Never,
}

/// One container of a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// An RFC 1123 label, unique in the workload.
    pub name: String,
    /// What it runs.
    pub image: ImageSource,
    /// When a registry is asked.
    pub pull_policy: PullPolicy,
    /// Replaces the image's entrypoint.
    pub command: Option<Vec<String>>,
    /// Replaces the image's arguments.
    pub args: Option<Vec<String>>,
    /// Set on top of the image's environment, in order, `$(NAME)` already expanded.
    pub env: Vec<EnvVar>,
    /// Replaces the image's working directory.
    pub working_dir: Option<String>,
    /// Limits and requests.
    pub resources: Resources,
    /// Who it runs as and how confined.
    pub security: Security,
    /// Volumes mounted in it.
    pub mounts: Vec<VolumeMount>,
    /// Ports it listens on.
    pub ports: Vec<Port>,
    /// Holds the other probes back until it succeeds.
    pub startup_probe: Option<Probe>,
    /// Whether it can serve.
    pub readiness_probe: Option<Probe>,
    /// Whether it must be restarted.
    pub liveness_probe: Option<Probe>,
    /// Whether it gets `uc`'s standard input; else it reads end of file.
    pub stdin: bool,
}

/// Where a container's content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ImageSource {
    /// `oci:DIR[:TAG]`: an OCI image layout directory.
    OciLayout {
        /// The directory, absolute or relative to the working directory of `uc`.
        directory: PathBuf,
        /// The `org.opencontainers.image.ref.name`; without one the layout must hold a single image.
        tag: Option<String>,
    },
    /// `oci-archive:FILE[:TAG]`: the same in a tar file.
    OciArchive {
        /// The tar file.
        file: PathBuf,
        /// As for a layout.
        tag: Option<String>,
    },
    /// A registry reference, normalised to `host[:port]/path[:tag][@digest]`.
    Registry {
        /// The reference as normalised.
        reference: String,
    },
    /// A `.wasm` or `.wat` file.
    WasmFile {
        /// The file.
        file: PathBuf,
    },
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tagged =
            |f: &mut fmt::Formatter<'_>, scheme: &str, path: &PathBuf, tag: &Option<String>| {
                write!(f, "{scheme}:{}", path.display())?;
                match tag {
                    Some(tag) => write!(f, ":{tag}"),
                    None => Ok(()),
                }
            };
        match self {
            Self::OciLayout { directory, tag } => tagged(f, "oci", directory, tag),
            Self::OciArchive { file, tag } => tagged(f, "oci-archive", file, tag),
            Self::Registry { reference } => f.write_str(reference),
            Self::WasmFile { file } => write!(f, "{}", file.display()),
        }
    }
}

/// `imagePullPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Ask the registry each time.
    Always,
    /// Ask only when the image is not stored here.
    #[default]
    IfNotPresent,
    /// Never ask.
    Never,
}

/// One environment variable.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVar {
    /// The name.
    pub name: String,
    /// The value. It may be a secret: `Debug` leaves it out.
    pub value: String,
}

impl fmt::Debug for EnvVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=…", self.name)
    }
}

/// `resources`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// `limits.cpu`.
    pub cpu_limit: Option<MilliCpu>,
    /// `requests.cpu`: the weight under contention.
    pub cpu_request: Option<MilliCpu>,
    /// `limits.memory`.
    pub memory_limit: Option<Bytes>,
    /// `requests.memory`.
    pub memory_request: Option<Bytes>,
    /// Largest number of processes and threads (annotation `undercurrent.dev/pids-limit`).
    pub pids_limit: Option<u32>,
}

/// The effective security context of one container (the Pod's and its own merged).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Security {
    /// `runAsUser`, inside the user namespace.
    pub run_as_user: Option<u32>,
    /// `runAsGroup`.
    pub run_as_group: Option<u32>,
    /// Refuse to start as user 0.
    pub run_as_non_root: bool,
    /// `supplementalGroups` and `fsGroup`.
    pub supplemental_groups: Vec<u32>,
    /// `readOnlyRootFilesystem`.
    pub read_only_root: bool,
    /// A further seccomp profile (`Localhost`), applied on top of the built-in allow-list, never instead of it.
    pub seccomp_profile: Option<PathBuf>,
}

/// A volume of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The name that mounts refer to.
    pub name: String,
    /// What it holds.
    pub source: VolumeSource,
}

/// What a volume holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum VolumeSource {
    /// An empty directory that lives as long as the workload, on disk.
    EmptyDir,
    /// An empty directory in memory.
    Memory {
        /// The most it may hold.
        size_limit: Option<Bytes>,
    },
    /// A file or directory of the host.
    HostPath {
        /// The absolute path, or one made absolute against the manifest's directory.
        path: PathBuf,
        /// `type`: what must be there (or may be made).
        must_be: HostPathType,
    },
    /// Files given in the manifest (configMap, secret, downwardAPI, projected).
    Files {
        /// The files, in order; no two share a path.
        files: Vec<ProjectedFile>,
    },
}

/// `hostPath.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum HostPathType {
    /// No check (the empty string in Kubernetes).
    #[default]
    Any,
    /// Must be a directory.
    Directory,
    /// Must be a regular file.
    File,
    /// Must be a Unix socket.
    Socket,
}

/// A file of a projected volume.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectedFile {
    /// The path below the mount point: relative, without `..`.
    pub path: String,
    /// The content. It may be a secret: `Debug` leaves it out.
    pub content: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
}

impl fmt::Debug for ProjectedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({} B, mode {:o})",
            self.path,
            self.content.len(),
            self.mode
        )
    }
}

/// `volumeMounts[]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// The volume's name.
    pub volume: String,
    /// The absolute path in the container, normalised.
    pub path: String,
    /// A path below the volume: relative, without `..`.
    pub sub_path: Option<String>,
    /// Whether writes are refused. A hostPath is read-only unless the file says `readOnly: false`.
    pub read_only: bool,
}

/// `ports[]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// `name`.
    pub name: Option<String>,
    /// `containerPort`.
    pub container_port: u16,
    /// `hostPort`: forwarded from the host's `host_ip`.
    pub host_port: Option<u16>,
    /// `hostIP`, loopback when absent.
    pub host_ip: Option<IpAddr>,
    /// `protocol`.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// A probe with its timing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is tried.
    pub action: ProbeAction,
    /// Wait before the first try.
    pub initial_delay: Duration,
    /// Wait between tries.
    pub period: Duration,
    /// A try that takes longer has failed.
    pub timeout: Duration,
    /// So many successes in a row make it pass.
    pub success_threshold: u32,
    /// So many failures in a row make it fail.
    pub failure_threshold: u32,
}

/// What a probe tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ProbeAction {
    /// Runs a command in the container: exit code 0 is success.
    Exec {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// Opens a TCP connection inside the workload's network.
    Tcp {
        /// The port.
        port: u16,
    },
}
