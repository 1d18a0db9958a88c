//! The bundle's `config.json` (OCI runtime specification 1.0.2), made from a container's request.

use serde_json::{Value, json};
use uc_linux::seccomp_profile::MAX_PROFILE;
use uc_model::{Problem, Result, workload::Network};
use uc_sandbox::{CreateRequest, MountSource, Process, User};

use crate::{
    flavour::Flavour,
    order::{PLACE, Volume},
    seccomp,
};

/// The version of the specification that the oldest runtimes understood here know.
const VERSION: &str = "1.0.2";

/// Annotations by which gVisor knows what shares a kernel: those of the Kubernetes container runtime interface.
const CONTAINER_TYPE: &str = "io.kubernetes.cri.container-type";
const SANDBOX_ID: &str = "io.kubernetes.cri.sandbox-id";

/// The group that a runtime joins which always joins one; the supervisor puts files in its place.
pub(crate) const STAND_IN: &str = "undercurrent";

/// A configuration, and the volumes that it expects in place.
pub(crate) struct Bundle {
    pub(crate) config: Value,
    pub(crate) volumes: Vec<Volume>,
}

/// The bundle of a container, whose parts lie below `place` when the runtime reads it.
///
/// # Errors
/// Invalid or refused, where the seccomp profile is no good.
pub(crate) fn bundle(
    request: &CreateRequest,
    hostname: &str,
    flavour: Flavour,
    network: Network,
    place: &str,
) -> Result<Bundle> {
    let mut mounts = system_mounts(flavour, network);
    let mut volumes = Vec::new();
    for mount in &request.mounts {
        let access = if mount.read_only { "ro" } else { "rw" };
        match &mount.source {
            MountSource::Host(_) => {
                let below = format!("volumes/{}", volumes.len());
                mounts.push(json!({
                    "destination": mount.target, "type": "bind", "source": format!("{place}/{below}"),
                    "options": ["rbind", "nosuid", "nodev", "rprivate", access],
                }));
                volumes.push(Volume {
                    place: format!("{PLACE}/{below}"),
                });
            }
            MountSource::Memory { size_limit } => {
                let mut options = vec!["nosuid".to_owned(), "nodev".into(), "mode=1777".into()];
                options.extend(size_limit.map(|limit| format!("size={}", limit.0)));
                options.push(access.into());
                mounts.push(json!({
                    "destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": options,
                }));
            }
        }
    }
    let mut config = config(&request.process, &mounts, hostname, flavour, network, place);
    config["root"]["readonly"] = request.read_only_root.into();
    if flavour == Flavour::Youki {
        config["linux"]["cgroupsPath"] = format!("/{STAND_IN}").into();
    }
    if let Some(profile) = seccomp(request.seccomp_profile.as_deref(), flavour)? {
        config["linux"]["seccomp"] = profile;
    }
    Ok(Bundle { config, volumes })
}

/// The configuration of the first container of a kernel that others join: `program` is all that it runs.
pub(crate) fn of_kernel(program: &str, hostname: &str, network: Network) -> Value {
    let process = Process {
        argv: vec![program.to_owned()],
        env: Vec::new(),
        cwd: "/".into(),
        user: User::default(),
    };
    let flavour = Flavour::Runsc;
    let mounts = system_mounts(flavour, network);
    let mut config = config(&process, &mounts, hostname, flavour, network, PLACE);
    config["annotations"] = json!({CONTAINER_TYPE: "sandbox"});
    config
}

/// Lets a container join the kernel whose first container has this id.
pub(crate) fn join(config: &mut Value, kernel: &str) {
    config["annotations"] = json!({CONTAINER_TYPE: "container", SANDBOX_ID: kernel});
}

fn config(
    of: &Process,
    mounts: &[Value],
    hostname: &str,
    flavour: Flavour,
    network: Network,
    place: &str,
) -> Value {
    let mut namespaces = vec![
        json!({"type": "pid"}),
        json!({"type": "mount"}),
        json!({"type": "ipc"}),
        json!({"type": "uts"}),
    ];
    if flavour == Flavour::Runsc && network == Network::User {
        // gVisor takes over the interfaces of the namespace that it is given: the supervisor's, which is process 1.
        namespaces.push(json!({"type": "network", "path": "/proc/1/ns/net"}));
    }
    json!({
        "ociVersion": VERSION,
        "process": process(of),
        "root": {"path": format!("{place}/root"), "readonly": false},
        "hostname": hostname,
        "mounts": mounts,
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    })
}

/// A process without capabilities and without a way to gain any.
pub(crate) fn process(process: &Process) -> Value {
    let env: Vec<String> = process
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    json!({
        "terminal": false,
        "user": {
            "uid": process.user.uid, "gid": process.user.gid, "additionalGids": process.user.groups, "umask": 0o022,
        },
        "args": process.argv,
        "env": env,
        "cwd": if process.cwd.is_empty() { "/" } else { &process.cwd },
        "capabilities": {"bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": []},
        "noNewPrivileges": true,
        "rlimits": [{"type": "RLIMIT_CORE", "hard": 0, "soft": 0}],
    })
}

/// What the specification asks of every Linux container, and what programs expect.
fn system_mounts(flavour: Flavour, network: Network) -> Vec<Value> {
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
        json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}),
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]}),
    ];
    // A new sysfs needs a network of one's own; only gVisor makes up its own.
    if flavour == Flavour::Runsc || network != Network::Host {
        mounts.push(
            json!({"destination": "/sys", "type": "sysfs", "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"]}),
        );
    }
    mounts
}

/// Files of the host's kernel that no program needs and that tell or change too much.
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The system-call filter: the user's own within gVisor, whose kernel is no filter's business; the allow-list elsewhere, with the
/// user's own on top.
fn seccomp(own: Option<&[u8]>, flavour: Flavour) -> Result<Option<Value>> {
    match (own, flavour) {
        (None, Flavour::Runsc) => Ok(None),
        (Some(own), Flavour::Runsc) => read_profile(own).map(Some),
        (own, Flavour::Crun | Flavour::Runc | Flavour::Youki) => {
            seccomp::profile(own, flavour).map(Some)
        }
    }
}

fn read_profile(profile: &[u8]) -> Result<Value> {
    if profile.len() > MAX_PROFILE {
        return Err(Problem::invalid("the seccomp profile is too large")
            .limit("1 MiB")
            .found(format!("{} bytes", profile.len())));
    }
    serde_json::from_slice(profile).map_err(|error| {
        Problem::invalid("not an OCI seccomp profile")
            .at(format!("line {}", error.line()))
            .found(error)
            .remedy("see the OCI runtime specification, linux.seccomp")
    })
}
