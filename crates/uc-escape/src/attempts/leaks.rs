//! What the runtime may have forgotten to close, clear or hide.

use std::{env, fs, os::unix::fs::MetadataExt as _, path::Path};

use crate::{
    attempt::{Attempt, Outcome},
    errno::{EACCES, ELOOP, ENOENT, EPERM},
};

const HIDDEN: &[crate::errno::Errno] = &[EACCES, ELOOP, ENOENT, EPERM];

/// Variables that no image sets and that hosts have; the suite sets the first on the host.
const HOST_VARIABLES: &[&str] = &[
    "UC_ESCAPE_SENTINEL",
    "DBUS_SESSION_BUS_ADDRESS",
    "KUBECONFIG",
    "LISTEN_FDS",
    "LS_COLORS",
    "NOTIFY_SOCKET",
    "SSH_AUTH_SOCK",
    "SSH_CONNECTION",
    "SUDO_USER",
    "XDG_RUNTIME_DIR",
];
/// Beginnings of names of secrets and of what runtimes pass to themselves.
const HOST_PREFIXES: &[&str] = &[
    "AWS_",
    "CARGO_",
    "DOCKER_",
    "GITHUB_",
    "_LIBCONTAINER_",
    "UC_STATE",
];

pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt::new("inherited-descriptors", &[], inherited_descriptors),
    Attempt::new("inherited-environment", &[], inherited_environment),
    Attempt::new("dot-dot-above-root", HIDDEN, dot_dot_above_root),
    Attempt::new("root-of-pid-1", HIDDEN, root_of_pid_1),
    Attempt::new(
        "working-directory-outside",
        HIDDEN,
        working_directory_outside,
    ),
    Attempt::new("host-paths-in-mounts", HIDDEN, host_paths_in_mounts),
];

fn inherited_descriptors() -> Outcome {
    let leaked = super::inherited_descriptors();
    if leaked.is_empty() {
        Outcome::Contained("none beyond 2".into())
    } else {
        Outcome::Succeeded(leaked.join(", "))
    }
}

fn inherited_environment() -> Outcome {
    let is_of_host = |name: &String| {
        HOST_VARIABLES.contains(&name.as_str())
            || HOST_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    let leaked: Vec<String> = env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(is_of_host)
        .collect();
    if leaked.is_empty() {
        Outcome::Contained("no variable of a host".into())
    } else {
        Outcome::Succeeded(leaked.join(", "))
    }
}

fn dot_dot_above_root() -> Outcome {
    same_folder(Path::new("/../../../../../../../.."))
}

/// The first process of the container has the container's root.
fn root_of_pid_1() -> Outcome {
    same_folder(Path::new("/proc/1/root"))
}

/// CVE-2024-21626: a working directory outside the root leads to the host by `..`.
fn working_directory_outside() -> Outcome {
    match fs::read_link("/proc/self/cwd") {
        Ok(path) if path.is_absolute() && !path.starts_with("(unreachable)") => {
            same_folder(Path::new("../../../../../../../../../../../.."))
        }
        Ok(path) => Outcome::Succeeded(format!("the working directory is {}", path.display())),
        Err(error) => Outcome::Denied(error.into()),
    }
}

fn same_folder(path: &Path) -> Outcome {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    match (identity(path), identity(Path::new("/"))) {
        (Ok(there), Ok(root)) if there == root => Outcome::Contained("it is the own root".into()),
        (Ok(_), Ok(_)) => {
            Outcome::Succeeded(format!("{} is another folder than /", path.display()))
        }
        (Err(error), _) | (_, Err(error)) => Outcome::Denied(error.into()),
    }
}

/// Mounts of the host that a container has no use for.
fn host_paths_in_mounts() -> Outcome {
    const FORBIDDEN: &[&str] = &[
        "/boot",
        "/lib/modules",
        "/run/containerd",
        "/run/docker.sock",
        "/run/podman",
        "/run/systemd",
        "/sys/kernel/debug",
        "/sys/kernel/tracing",
        "/var/lib/kubelet",
        "/var/run/docker.sock",
    ];
    match fs::read_to_string("/proc/self/mountinfo") {
        Err(error) => Outcome::Denied(error.into()),
        Ok(mounts) => {
            let targets: Vec<&str> = mounts
                .lines()
                .filter_map(|line| line.split(' ').nth(4))
                .filter(|target| FORBIDDEN.contains(target))
                .collect();
            if targets.is_empty() {
                Outcome::Contained("no mount of the host's".into())
            } else {
                Outcome::Succeeded(targets.join(", "))
            }
        }
    }
}
