//! Work done as the container's user: unpacking images into its ids, removing what it wrote.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use uc_model::{Problem, Result};
use uc_sandbox::HostMount;

use crate::{
    id_maps::write_id_maps,
    idmap::{IdMapping, MapWriter},
    sys,
};

/// Longest answer of a forked worker, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Hands a file of the caller's to the container's root and a group. Only root can; others already are user 0 inside.
///
/// # Errors
/// Those of chown(2).
pub fn give(mapping: &IdMapping, path: &Path, group: u32) -> std::io::Result<()> {
    std::os::unix::fs::lchown(path, mapping.host_uid(0), mapping.host_gid(group))
}

/// Hands a file or directory of the caller's, with all that is in it, to the container's root and a group. What has been
/// given already stays as it is: what programs made of it since is theirs.
///
/// # Errors
/// As for [`give`].
pub fn give_tree(mapping: &IdMapping, path: &Path, group: u32) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::symlink_metadata(path)?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    give(mapping, path, group)?;
    if std::fs::symlink_metadata(path)?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give_tree(mapping, &entry?.path(), group)?;
        }
    }
    Ok(())
}

/// Hands a volume that was made for the workload to the container's root, and to its group.
///
/// # Errors
/// Storage, where that cannot be done; refused, where the group has no host id.
pub fn give_volume(mapping: &IdMapping, host: &HostMount) -> Result<()> {
    if !host.owned {
        return Ok(());
    }
    mapping.require_groups(&[host.group])?;
    if mapping.writer == MapWriter::Helper && host.group != 0 {
        // What is there already is the user's own; only the group is for root inside to give.
        return give_to_group(mapping, &host.path, host.group);
    }
    give_tree(mapping, &host.path, host.group).map_err(|error| {
        Problem::storage("cannot hand a volume to the container")
            .at(host.path.display())
            .caused_by(error)
    })
}

/// A process that works in a user namespace of its own, as user 0 of it.
#[derive(Debug)]
pub struct Worker {
    pid: rustix::process::Pid,
    answer: File,
}

impl Worker {
    /// Forks a process that enters a new user namespace with `mapping`, changes into `directory` (as the caller), and
    /// runs `work`, whose bytes [`Worker::finish`] returns. The worker has no network and cannot gain privileges.
    ///
    /// Only the calling thread exists in the worker; `work` must not wait for others.
    pub fn fork(
        mapping: &IdMapping,
        directory: &Path,
        work: impl FnOnce() -> Vec<u8>,
    ) -> Result<Self> {
        let host = |what: &str, errno: rustix::io::Errno| {
            Problem::host(what).caused_by(std::io::Error::from(errno))
        };
        let (go_read, go_write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|e| host("cannot make a pipe", e))?;
        let (ready_read, ready_write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|e| host("cannot make a pipe", e))?;
        let (answer_read, answer_write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|e| host("cannot make a pipe", e))?;
        let can_set_groups = mapping.writer != MapWriter::OwnIdOnly;
        // SAFETY: glibc's fork leaves the allocator usable in the child, even if other threads exist; the child uses
        // nothing else that another thread could have locked, and leaves by _exit.
        match unsafe { libc::fork() } {
            -1 => Err(Problem::host("cannot fork").caused_by(std::io::Error::last_os_error())),
            0 => {
                drop((go_write, ready_read, answer_read));
                let entered = enter(directory, &go_read, &ready_write, can_set_groups);
                let bytes = if entered { work() } else { Vec::new() };
                let written = entered && File::from(answer_write).write_all(&bytes).is_ok();
                sys::exit_now(if written { 0 } else { 1 });
            }
            pid => {
                drop((go_read, ready_write, answer_write));
                let pid = rustix::process::Pid::from_raw(pid)
                    .ok_or_else(|| Problem::internal("fork returned no process id"))?;
                let worker = Self {
                    pid,
                    answer: File::from(answer_read),
                };
                worker.release(mapping, ready_read, go_write)?;
                Ok(worker)
            }
        }
    }

    fn release(&self, mapping: &IdMapping, ready: OwnedFd, go: OwnedFd) -> Result<()> {
        let mut byte = [0u8; 1];
        File::from(ready).read_exact(&mut byte).map_err(|error| {
            Problem::host("cannot make a user namespace")
                .remedy("`uc doctor` shows why")
                .caused_by(error)
        })?;
        write_id_maps(mapping, self.pid.as_raw_nonzero().get().unsigned_abs())?;
        File::from(go).write_all(b"g").map_err(|error| {
            Problem::host("the worker in the user namespace died").caused_by(error)
        })
    }

    /// The worker's answer.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.answer)
            .take(MAX_ANSWER)
            .read_to_end(&mut bytes)
            .map_err(|error| Problem::internal("cannot read a worker's answer").caused_by(error))?;
        let status = rustix::io::retry_on_intr(|| {
            rustix::process::waitpid(Some(self.pid), rustix::process::WaitOptions::empty())
        })
        .map_err(|errno| {
            Problem::internal("cannot wait for a worker").caused_by(std::io::Error::from(errno))
        })?;
        match status {
            Some((_, status)) if status.exit_status() == Some(0) => Ok(bytes),
            other => {
                Err(Problem::host("the worker in the user namespace died")
                    .found(format!("{other:?}")))
            }
        }
    }
}

/// In the child: a new user namespace, its user 0, the directory. False if any of it fails.
fn enter(directory: &Path, go: &OwnedFd, ready: &OwnedFd, can_set_groups: bool) -> bool {
    let dies_with_parent = sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).is_ok();
    // SAFETY: this process has one thread, the one that forked it.
    let unshared =
        unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::CLONE_NEWIPC) }
            == 0;
    let mut byte = [0u8; 1];
    dies_with_parent
        && unshared
        && rustix::process::chdir(directory).is_ok()
        && rustix::io::write(ready, b"r").is_ok()
        && matches!(rustix::io::read(go.as_fd(), &mut byte), Ok(1))
        && (!can_set_groups || sys::set_groups(&[]).is_ok())
        && sys::set_group(0).is_ok()
        && sys::set_user(0).is_ok()
        && sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).is_ok()
        && sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).is_ok()
}

/// Removes a directory tree that containers may have written to under ids the caller does not own.
///
/// # Errors
/// [`uc_model::ProblemKind::Storage`] if something of it stays.
pub fn remove_tree(mapping: &IdMapping, directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error)
            if error.kind() == std::io::ErrorKind::PermissionDenied
                && mapping.writer != MapWriter::Direct => {}
        Err(error) => return Err(not_removed(directory, error)),
    }
    Worker::fork(mapping, directory, || {
        // What belongs to the caller itself is left for the caller, which is user 0 here too.
        let _ = remove_children(Path::new("."));
        Vec::new()
    })?
    .finish()?;
    std::fs::remove_dir_all(directory).map_err(|error| not_removed(directory, error))
}

/// Hands a directory tree of the caller's to a group of the container, unless it has it already.
///
/// # Errors
/// [`uc_model::ProblemKind::Storage`] if the group cannot be set.
fn give_to_group(mapping: &IdMapping, directory: &Path, group: u32) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let given = std::fs::metadata(directory)
        .is_ok_and(|found| Some(found.gid()) == mapping.host_gid(group));
    if given {
        return Ok(());
    }
    let failure = Worker::fork(mapping, directory, || {
        let given = set_group(Path::new("."), group);
        given.map_or_else(|error| error.to_string().into_bytes(), |()| Vec::new())
    })?
    .finish()?;
    if failure.is_empty() {
        return Ok(());
    }
    Err(
        Problem::storage("cannot hand a volume to the group of the container")
            .at(directory.display())
            .found(String::from_utf8_lossy(&failure)),
    )
}

fn set_group(path: &Path, group: u32) -> std::io::Result<()> {
    if std::fs::symlink_metadata(path)?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            set_group(&entry?.path(), group)?;
        }
    }
    // Last, as it tells the next container that all of it is done.
    std::os::unix::fs::lchown(path, None, Some(group))
}

fn remove_children(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn not_removed(directory: &Path, error: std::io::Error) -> Problem {
    Problem::storage("cannot remove a directory")
        .at(directory.display())
        .caused_by(error)
}
