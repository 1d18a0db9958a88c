//! The namespaces that Firecracker runs in when no jailer is used: a root that holds only what it is given, no network, no
//! other process, a user without rights.
//!
//! Root makes the device nodes anew for that user, as the jailer does; others make a user namespace and are given the
//! host's nodes, which their groups must let them open. Invariant: between clone and exec nothing allocates, locks or
//! panics; all strings are made beforehand.
#![expect(
    unsafe_code,
    reason = "clone3 and execve, and what may be done between them"
)]

use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags},
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, UnmountFlags},
};
use uc_linux::{c_strings::PointerArray, cgroup::Entrances, sys};

use super::launch::VmmUser;

/// Room for names alone: every file of the root is a mount.
const ROOT_OPTIONS: &CStr = c"mode=0755,size=64k,nr_inodes=256";

/// Most open files of Firecracker: what the jailer would set.
const MAX_OPEN_FILES: u64 = 2048;

const LOCKED: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;

/// A mount in the new root.
#[derive(Debug)]
pub(crate) struct Mount {
    /// Of the host.
    pub(crate) source: CString,
    /// In the new root, without a slash in front. Its parent is there already.
    pub(crate) target: CString,
    pub(crate) is_directory: bool,
    /// `MOUNT_ATTR_…`.
    pub(crate) attributes: u64,
}

impl Mount {
    pub(crate) fn file(source: CString, target: CString, writable: bool) -> Self {
        let read_only = if writable { 0 } else { libc::MOUNT_ATTR_RDONLY };
        Self {
            source,
            target,
            is_directory: false,
            attributes: LOCKED | read_only,
        }
    }

    pub(crate) fn writable_directory(source: CString, target: CString) -> Self {
        Self {
            source,
            target,
            is_directory: true,
            attributes: LOCKED,
        }
    }

    pub(crate) fn programs(source: CString, target: CString, is_directory: bool) -> Self {
        Self {
            source,
            target,
            is_directory,
            attributes: (LOCKED & !libc::MOUNT_ATTR_NOEXEC) | libc::MOUNT_ATTR_RDONLY,
        }
    }
}

/// A device node in the new root.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) source: CString,
    pub(crate) target: CString,
    pub(crate) number: u64,
}

/// All that the child needs.
pub(crate) struct Plan {
    /// An empty directory, which becomes the root.
    pub(crate) root: CString,
    /// Made in the new root, parents first.
    pub(crate) directories: Vec<CString>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) devices: Vec<Device>,
    /// Whether the caller is root, and this the user that it becomes.
    pub(crate) become_user: Option<VmmUser>,
    /// The program in the new root.
    pub(crate) program: CString,
    pub(crate) arguments: PointerArray,
    pub(crate) environment: PointerArray,
    pub(crate) streams: Streams,
}

/// What becomes the standard streams.
pub(crate) struct Streams {
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
}

/// What failed between clone and exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    Prepare = 0,
    Root = 1,
    Mount = 2,
    Device = 3,
    User = 4,
    Execute = 5,
}

/// A failure in a form that needs no memory: step, index, errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) index: u8,
    pub(crate) errno: Errno,
}

impl Failure {
    /// How many bytes it takes.
    pub(crate) const SIZE: usize = 6;

    fn encode(self) -> [u8; Self::SIZE] {
        let errno = self.errno.raw_os_error().to_ne_bytes();
        let step = self.step as u8;
        [step, self.index, errno[0], errno[1], errno[2], errno[3]]
    }

    /// The failure that these bytes tell.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::SIZE] = bytes.try_into().ok()?;
        let steps = [
            Step::Prepare,
            Step::Root,
            Step::Mount,
            Step::Device,
            Step::User,
            Step::Execute,
        ];
        let step = *steps.get(usize::from(bytes[0]))?;
        let errno = i32::from_ne_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
        Some(Self {
            step,
            index: bytes[1],
            errno: Errno::from_raw_os_error(errno),
        })
    }
}

/// Turns an error number into a failure of a step.
pub(crate) fn at(step: Step) -> impl Fn(Errno) -> Failure {
    move |errno| Failure {
        step,
        index: 0,
        errno,
    }
}

/// The child, from its clone to its exec. Async-signal-safe.
pub(crate) fn child(
    groups: &Entrances,
    control: BorrowedFd<'_>,
    run: impl FnOnce() -> Result<(), Failure>,
) -> ! {
    let done = wait_for_release(groups, control)
        .map_err(at(Step::Prepare))
        .and_then(|()| run());
    if let Err(failure) = done {
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(control, &failure.encode()));
    }
    sys::exit_now(1)
}

/// Ties this process to its owner, enters its groups, and waits until its ids are in place.
fn wait_for_release(groups: &Entrances, control: BorrowedFd<'_>) -> Result<(), Errno> {
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64)?;
    for tasks in &groups.tasks {
        rustix::io::retry_on_intr(|| rustix::io::write(tasks, b"0"))?;
    }
    let mut byte = [0; 1];
    match rustix::io::retry_on_intr(|| rustix::io::read(control, &mut byte))? {
        1 => Ok(()),
        _ => Err(Errno::PIPE),
    }
}

/// Shuts this process in and executes Firecracker; returns only on failure. Async-signal-safe.
pub(crate) fn enter(plan: &Plan, control: BorrowedFd<'_>) -> Result<(), Failure> {
    make_root(plan)?;
    limit().map_err(at(Step::Prepare))?;
    drop_rights(plan.become_user).map_err(at(Step::User))?;
    // A change of user forgets this; whoever died meanwhile has closed the other end.
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).map_err(at(Step::User))?;
    require_owner(control).map_err(at(Step::User))?;
    connect_streams(&plan.streams).map_err(at(Step::Execute))?;
    execute(&plan.program, &plan.arguments, &plan.environment)
}

/// Fails where the other end of the control socket is closed.
fn require_owner(control: BorrowedFd<'_>) -> Result<(), Errno> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut watched = [PollFd::from_borrowed_fd(control, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut watched, Some(&now))?;
    if watched[0].revents().contains(PollFlags::HUP) {
        return Err(Errno::PIPE);
    }
    Ok(())
}

/// Makes the standard streams those of the plan; all else ends with the exec.
pub(crate) fn connect_streams(streams: &Streams) -> Result<(), Errno> {
    rustix::stdio::dup2_stdin(&streams.input)?;
    rustix::stdio::dup2_stdout(&streams.output)?;
    rustix::stdio::dup2_stderr(&streams.output)?;
    sys::close_on_exec_from(3)
}

/// Executes a program; returns only on failure.
pub(crate) fn execute(
    program: &CStr,
    arguments: &PointerArray,
    environment: &PointerArray,
) -> Result<(), Failure> {
    // SAFETY: two arrays that end with a null pointer (PointerArray).
    let errno = unsafe { sys::execve(program, arguments.as_ptr(), environment.as_ptr()) };
    Err(at(Step::Execute)(errno))
}

fn make_root(plan: &Plan) -> Result<(), Failure> {
    let failed = at(Step::Root);
    let everything = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change(c"/", everything).map_err(&failed)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    rustix::mount::mount(c"tmpfs", &plan.root, c"tmpfs", flags, ROOT_OPTIONS).map_err(&failed)?;
    let root = open_place(CWD, &plan.root).map_err(&failed)?;
    for directory in &plan.directories {
        rustix::fs::mkdirat(&root, directory, Mode::from_raw_mode(0o755)).map_err(&failed)?;
    }
    for (index, mount) in plan.mounts.iter().enumerate() {
        attach(root.as_fd(), mount).map_err(|errno| Failure {
            index: index as u8,
            ..at(Step::Mount)(errno)
        })?;
    }
    for (index, device) in plan.devices.iter().enumerate() {
        make_device(root.as_fd(), device, plan.become_user).map_err(|errno| Failure {
            index: index as u8,
            ..at(Step::Device)(errno)
        })?;
    }
    enter_root(root.as_fd()).map_err(&failed)
}

fn open_place(base: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(base, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

fn attach(root: BorrowedFd<'_>, mount: &Mount) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(0o755);
    if mount.is_directory {
        rustix::fs::mkdirat(root, &mount.target, mode)?;
    } else {
        rustix::fs::mknodat(root, &mount.target, FileType::RegularFile, mode, 0)?;
    }
    let source = open_place(CWD, &mount.source)?;
    let tree = sys::clone_mount_tree(source.as_fd())?;
    sys::add_mount_attributes(tree.as_fd(), mount.attributes, true)?;
    sys::attach_mount_tree(tree.as_fd(), open_place(root, &mount.target)?.as_fd())
}

fn make_device(
    root: BorrowedFd<'_>,
    device: &Device,
    become_user: Option<VmmUser>,
) -> Result<(), Errno> {
    let Some(user) = become_user else {
        let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;
        rustix::fs::mknodat(
            root,
            &device.target,
            FileType::RegularFile,
            Mode::empty(),
            0,
        )?;
        let source = open_place(CWD, &device.source)?;
        let tree = sys::clone_mount_tree(source.as_fd())?;
        sys::add_mount_attributes(tree.as_fd(), attributes, false)?;
        return sys::attach_mount_tree(tree.as_fd(), open_place(root, &device.target)?.as_fd());
    };
    let mode = Mode::RUSR | Mode::WUSR;
    let kind = FileType::CharacterDevice;
    rustix::fs::mknodat(root, &device.target, kind, mode, device.number)?;
    let owner = rustix::fs::Uid::from_raw(user.uid);
    let group = rustix::fs::Gid::from_raw(user.gid);
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(root, &device.target, Some(owner), Some(group), flags)
}

/// Makes the new root the only one, and closes it to writing.
fn enter_root(root: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::process::fchdir(root)?;
    rustix::process::pivot_root(c".", c".")?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    let root = open_place(CWD, c"/")?;
    sys::add_mount_attributes(root.as_fd(), libc::MOUNT_ATTR_RDONLY, false)?;
    rustix::process::chdir(c"/run")
}

fn limit() -> Result<(), Errno> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let exactly = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    // A core file would hold the guest's memory.
    setrlimit(Resource::Core, exactly(0))?;
    setrlimit(Resource::Nofile, exactly(MAX_OPEN_FILES))
}

fn drop_rights(become_user: Option<VmmUser>) -> Result<(), Errno> {
    if let Some(user) = become_user {
        sys::set_groups(&[])?;
        sys::set_group(user.gid)?;
        sys::set_user(user.uid)?;
    }
    sys::clear_capabilities()?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}
