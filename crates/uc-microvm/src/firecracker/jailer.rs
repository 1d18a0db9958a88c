//! Firecracker's jailer: its options, and the process that starts it.
//!
//! The jailer becomes another user, at which the kernel forgets that a process dies with its owner. So its parent is a
//! process of ours, the first of a process namespace, which keeps its user: when it dies, the kernel ends all that is
//! in there. Invariant: that process allocates nothing, takes no lock and cannot panic.
#![expect(
    unsafe_code,
    reason = "a clone that is followed by an exec in one process and by waiting in the other"
)]

use std::{
    ffi::{CString, OsString},
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    process::{Pid, WaitOptions},
};
use uc_linux::{
    c_strings::PointerArray,
    sys::{self, Cloned},
};
use uc_model::{Problem, Result};

use super::launch::{Launch, VmmUser};
use crate::jail::{self, Failure, Step, Streams};

/// The jailer and what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jailer {
    /// The program, of the same release as Firecracker.
    pub program: PathBuf,
    /// Which control groups it makes: version 1 or 2.
    pub cgroup_version: u8,
    /// What it sets there, such as `cpuset.cpus=0`. The group stays when the microVM has ended; [`Launch::groups`] are those
    /// that their maker removes.
    pub cgroups: Vec<String>,
    /// The group that its own is made in, or that it joins (version 2, nothing to set).
    pub parent_cgroup: Option<String>,
    /// What bounds the process: `fsize=BYTES`, `no-file=COUNT`.
    pub resource_limits: Vec<String>,
}

impl Jailer {
    /// A jailer that makes no control groups.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            cgroup_version: 2,
            cgroups: Vec::new(),
            parent_cgroup: None,
            resource_limits: Vec::new(),
        }
    }
}

/// The root that the jailer makes below its base.
pub(crate) fn root(launch: &Launch) -> Result<PathBuf> {
    let program = std::fs::canonicalize(&launch.program).map_err(|error| {
        Problem::host("cannot find Firecracker's program")
            .at(launch.program.display())
            .caused_by(error)
    })?;
    let name = program.file_name().unwrap_or_default();
    Ok(launch.directory.join(name).join(&launch.id).join("root"))
}

/// The jailer's arguments, with Firecracker's own behind `--`.
pub(crate) fn arguments(
    jailer: &Jailer,
    launch: &Launch,
    user: VmmUser,
    own: &[OsString],
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["jailer".into()];
    let mut add = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
        arguments.push(name.into());
        arguments.push(value.as_ref().to_owned());
    };
    add("--id", &launch.id);
    add("--exec-file", &launch.program);
    add("--uid", &user.uid.to_string());
    add("--gid", &user.gid.to_string());
    add("--chroot-base-dir", &launch.directory);
    if !jailer.cgroups.is_empty() || jailer.parent_cgroup.is_some() {
        add("--cgroup-version", &jailer.cgroup_version.to_string());
    }
    for cgroup in &jailer.cgroups {
        add("--cgroup", cgroup);
    }
    if let Some(parent) = &jailer.parent_cgroup {
        add("--parent-cgroup", parent);
    }
    for limit in &jailer.resource_limits {
        add("--resource-limit", limit);
    }
    arguments.push("--".into());
    arguments.extend(own.iter().cloned());
    arguments
}

/// Puts a file where the jailed Firecracker finds it: by another name for it, or where that cannot be or its user could not
/// read it, as a copy of that user's.
pub(crate) fn place(source: &Path, target: &Path, writable: bool, user: VmmUser) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |error: std::io::Error| {
        Problem::storage("cannot put a file into the jail")
            .at(source.display())
            .caused_by(error)
    };
    let source = std::fs::canonicalize(source).map_err(failed)?;
    let mode = source.metadata().map_err(failed)?.permissions().mode();
    let readable = writable || mode & 0o004 != 0;
    match std::fs::hard_link(&source, target) {
        Ok(()) if readable => return Ok(()),
        Ok(()) => std::fs::remove_file(target).map_err(failed)?,
        Err(error) if writable => {
            return Err(
                failed(error).remedy("put the microVM's directory on the file system of its disks")
            );
        }
        Err(_) => {}
    }
    std::fs::copy(&source, target).map_err(failed)?;
    std::os::unix::fs::chown(target, Some(user.uid), Some(user.gid)).map_err(failed)
}

/// All that the first process needs.
pub(crate) struct Plan {
    pub(crate) program: CString,
    pub(crate) arguments: PointerArray,
    pub(crate) environment: PointerArray,
    pub(crate) streams: Streams,
}

/// Starts the jailer, waits for its end, and ends like it; returns only on failure. Async-signal-safe.
pub(crate) fn supervise(plan: &Plan) -> Result<(), Failure> {
    let failed = jail::at(Step::Prepare);
    // SAFETY: both sides keep to system calls.
    match unsafe { sys::clone_process(0, None) }.map_err(&failed)? {
        Cloned::Child => {
            jail::connect_streams(&plan.streams).map_err(jail::at(Step::Execute))?;
            jail::execute(&plan.program, &plan.arguments, &plan.environment)
        }
        Cloned::Parent(pid) => {
            // What stays open here would keep others from seeing its end.
            sys::close_from(0).map_err(&failed)?;
            sys::exit_now(wait(pid).unwrap_or(1))
        }
    }
}

/// Waits for one child, reaping others that come this way.
fn wait(child: u32) -> Result<i32, Errno> {
    let child = Pid::from_raw(child as i32).ok_or(Errno::CHILD)?;
    loop {
        let ended = rustix::io::retry_on_intr(|| rustix::process::wait(WaitOptions::empty()))?;
        let Some((pid, status)) = ended else { continue };
        if pid == child {
            let signal = status
                .terminating_signal()
                .map(|signal| 128 + (signal & 0x7f));
            return Ok(status.exit_status().or(signal).unwrap_or(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_the_published_ones() {
        let jailer = Jailer {
            cgroup_version: 1,
            cgroups: vec!["cpuset.cpus=0".to_owned()],
            parent_cgroup: Some("uc".to_owned()),
            resource_limits: vec!["no-file=1024".to_owned()],
            ..Jailer::new("/usr/bin/jailer")
        };
        let launch = Launch::new("/usr/bin/firecracker", "a-1", "/srv/x");
        let user = VmmUser { uid: 123, gid: 100 };
        let own = ["--api-sock".into(), "/run/api.sock".into()];
        let line: Vec<String> = arguments(&jailer, &launch, user, &own)
            .into_iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        assert_eq!(
            line.join(" "),
            "jailer --id a-1 --exec-file /usr/bin/firecracker --uid 123 --gid 100 --chroot-base-dir /srv/x \
             --cgroup-version 1 --cgroup cpuset.cpus=0 --parent-cgroup uc --resource-limit no-file=1024 -- \
             --api-sock /run/api.sock"
        );
    }
}
