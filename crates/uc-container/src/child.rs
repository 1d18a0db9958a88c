//! What a container's first process does between clone and exec.
//!
//! Invariant: nothing here allocates, locks, panics or uses the standard library's I/O. All of it is system calls on
//! data prepared in a [`Plan`]. The process starts with the caller's ids and all capabilities *of its own user
//! namespace only*; it opens what the caller may open, becomes user 0 of the namespace, builds the file system, and
//! then gives everything up.

mod filesystem;

use std::{
    ffi::CStr,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
};

use rustix::{
    fs::{Access, AtFlags, Mode, OFlags},
    io::Errno,
    mount::UnmountFlags,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};

use uc_linux::{cgroup::Entrances, sys};

use crate::{
    plan::{Plan, Program},
    report::{Report, Step},
};

pub(crate) use filesystem::masked_paths;

/// Sent by the launcher when ids are in place.
pub(crate) const PREPARED: u8 = b'M';
/// Sent by the launcher to start the program.
pub(crate) const START: u8 = b'S';

/// A failed step.
pub(crate) struct Failure(pub(crate) Step, pub(crate) u16, pub(crate) Errno);

type Done<T = ()> = Result<T, Failure>;

/// Names the step of a system call's failure.
trait During<T> {
    fn during(self, step: Step) -> Done<T>;
    fn during_item(self, step: Step, index: usize) -> Done<T>;
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, step: Step) -> Done<T> {
        self.map_err(|errno| Failure(step, 0, errno))
    }

    fn during_item(self, step: Step, index: usize) -> Done<T> {
        self.map_err(|errno| Failure(step, index as u16, errno))
    }
}

/// Runs a container's first process to its exec; never returns.
pub(crate) fn run_container(plan: &Plan, groups: &Entrances, control: BorrowedFd<'_>) -> ! {
    let Err(failure) = container(plan, groups, control);
    fail(control, failure)
}

/// Runs one more program in a container whose namespaces have been joined; never returns.
pub(crate) fn run_exec(program: &Program, groups: &Entrances, control: BorrowedFd<'_>) -> ! {
    let Err(failure) = die_with_launcher()
        .and_then(|()| join_groups(groups))
        .and_then(|()| await_byte(control, PREPARED))
        .and_then(|()| become_root_inside(program.groups.is_some()))
        .and_then(|()| execute(program, control));
    fail(control, failure)
}

/// Reports a failure and ends the process.
pub(crate) fn fail(control: BorrowedFd<'_>, Failure(step, index, errno): Failure) -> ! {
    send(
        control,
        Report::Failed {
            step,
            index,
            errno: errno.raw_os_error(),
        },
    );
    sys::exit_now(1)
}

/// Sends a report; if nobody listens any more, the next read says so.
pub(crate) fn send(control: BorrowedFd<'_>, report: Report) {
    let _ = rustix::io::retry_on_intr(|| rustix::io::write(control, &report.encode()));
}

/// Sends a report with a descriptor for the launcher.
fn send_with(
    control: BorrowedFd<'_>,
    report: Report,
    descriptor: BorrowedFd<'_>,
) -> Result<(), Errno> {
    let bytes = report.encode();
    let parts = [std::io::IoSlice::new(&bytes)];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::io::retry_on_intr(|| sendmsg(control, &parts, &mut ancillary, SendFlags::NOSIGNAL))
        .map(drop)
}

fn container(
    plan: &Plan,
    groups: &Entrances,
    control: BorrowedFd<'_>,
) -> Done<std::convert::Infallible> {
    die_with_launcher()?;
    join_groups(groups)?;
    await_byte(control, PREPARED)?;
    let filesystem = &plan.filesystem;
    sys::close_from(filesystem.first_unused_fd.unsigned_abs()).during(Step::Handshake)?;
    filesystem::open_sources(filesystem)?;
    become_root_inside(plan.program.groups.is_some())?;
    rustix::process::setsid()
        .map(drop)
        .or_else(ignore(Errno::PERM))
        .during(Step::BecomeRootInside)?;
    // Without its own cgroup namespace a container would see the host's cgroup paths; older kernels lack it.
    unshare_cgroup_namespace().during(Step::UnshareCgroup)?;
    rustix::system::sethostname(plan.hostname.to_bytes())
        .or_else(ignore(Errno::PERM))
        .during(Step::SetHostname)?;
    let root = filesystem::mount_root(filesystem)?;
    filesystem::mount_system(filesystem, root.as_fd())?;
    if plan.configure_network {
        configure_network(root.as_fd())?;
    }
    filesystem::mask_paths(filesystem, root.as_fd())?;
    for (index, volume) in filesystem.volumes.iter().enumerate() {
        filesystem::mount_volume(filesystem, root.as_fd(), volume, index)?;
    }
    filesystem::make_directories(root.as_fd(), &filesystem.cwd).during(Step::ChangeDirectory)?;
    if filesystem.read_only_root {
        sys::add_mount_attributes(root.as_fd(), libc::MOUNT_ATTR_RDONLY, false)
            .during(Step::MakeRootReadOnly)?;
    }
    enter_root(root.as_fd())?;
    execute(&plan.program, control)
}

fn die_with_launcher() -> Done {
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).during(Step::Handshake)
}

/// Enters the cgroups of version 1. A thread that moves itself keeps nobody waiting; a process that is moved by another
/// waits for the kernel's RCU, commonly ten milliseconds.
fn join_groups(groups: &Entrances) -> Done {
    for (index, tasks) in groups.tasks.iter().enumerate() {
        rustix::io::retry_on_intr(|| rustix::io::write(tasks, b"0"))
            .during_item(Step::JoinCgroup, index)?;
    }
    Ok(())
}

fn await_byte(control: BorrowedFd<'_>, expected: u8) -> Done {
    let mut byte = [0u8; 1];
    match rustix::io::retry_on_intr(|| rustix::io::read(control, &mut byte)) {
        Ok(1) if byte[0] == expected => Ok(()),
        // The launcher is gone: so are we.
        Ok(0) => sys::exit_now(1),
        Ok(_) => Err(Failure(Step::Handshake, 0, Errno::PROTO)),
        Err(errno) => Err(Failure(Step::Handshake, 0, errno)),
    }
}

/// Turns one error into success.
fn ignore(expected: Errno) -> impl FnOnce(Errno) -> Result<(), Errno> {
    move |errno| {
        if errno == expected {
            Ok(())
        } else {
            Err(errno)
        }
    }
}

fn become_root_inside(can_set_groups: bool) -> Done {
    if can_set_groups {
        sys::set_groups(&[]).during(Step::BecomeRootInside)?;
    }
    sys::set_group(0).during(Step::BecomeRootInside)?;
    sys::set_user(0).during(Step::BecomeRootInside)
}

fn unshare_cgroup_namespace() -> Result<(), Errno> {
    // SAFETY: only the cgroup namespace changes; this process has one thread.
    let result = unsafe { libc::unshare(libc::CLONE_NEWCGROUP) };
    if result == 0 {
        Ok(())
    } else {
        ignore(Errno::INVAL)(last_errno())
    }
}

fn last_errno() -> Errno {
    // SAFETY: errno is a thread-local integer.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// Brings loopback up and opens all ports to unprivileged programs: the network is the container's own.
fn configure_network(root: BorrowedFd<'_>) -> Done {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )
    .during(Step::ConfigureNetwork)?;
    sys::bring_loopback_up(socket.as_fd()).during(Step::ConfigureNetwork)?;
    let setting = c"proc/sys/net/ipv4/ip_unprivileged_port_start";
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(root, setting, flags, Mode::empty()) {
        Ok(file) => rustix::io::write(&file, b"0")
            .map(drop)
            .during(Step::ConfigureNetwork),
        // IPv4 is not built in: there are no ports to open.
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Failure(Step::ConfigureNetwork, 0, errno)),
    }
}

fn enter_root(root: BorrowedFd<'_>) -> Done {
    rustix::process::fchdir(root).during(Step::PivotRoot)?;
    // The old root ends up on top of the new one and is then let go of (pivot_root(2), "pivot_root(".", ".")").
    rustix::process::pivot_root(c".", c".").during(Step::PivotRoot)?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH).during(Step::PivotRoot)?;
    rustix::process::chdir(c"/").during(Step::PivotRoot)
}

/// The end of every launch: give up everything, say so, wait for the word, execute.
fn execute(program: &Program, control: BorrowedFd<'_>) -> Done<std::convert::Infallible> {
    connect_streams(program)?;
    sys::close_on_exec_from(3).during(Step::DropPrivileges)?;
    drop_privileges(program)?;
    rustix::process::chdir(&*program.cwd).during(Step::ChangeDirectory)?;
    let found = find_program(program)?;
    for filter in &program.filters {
        crate::seccomp::install(filter).during(Step::InstallSeccomp)?;
    }
    match &program.report {
        None => send(control, Report::Ready),
        Some(filter) => {
            let listener = crate::seccomp::install_listener(filter).during(Step::InstallSeccomp)?;
            send_with(control, Report::Ready, listener.as_fd()).during(Step::InstallSeccomp)?;
        }
    }
    await_byte(control, START)?;
    // SAFETY: both arrays end with a null pointer (PointerArray).
    let errno = unsafe { sys::execve(found, program.argv.as_ptr(), program.envp.as_ptr()) };
    Err(Failure(Step::ExecuteProgram, 0, errno))
}

fn connect_streams(program: &Program) -> Done {
    if program.streams.given_by_child {
        for (stream, number) in [(&program.streams.stdout, 1), (&program.streams.stderr, 2)] {
            sys::give_file(stream.as_fd(), program.uid, program.gid)
                .during_item(Step::ConnectStreams, number)?;
        }
    }
    let streams = [
        &program.streams.stdin,
        &program.streams.stdout,
        &program.streams.stderr,
    ];
    for (number, stream) in streams.into_iter().enumerate() {
        // SAFETY: dup2 takes integers; numbers 0-2 are the container's from here on.
        if unsafe { libc::dup2(stream.as_raw_fd(), number as RawFd) } == -1 {
            return Err(Failure(Step::ConnectStreams, number as u16, last_errno()));
        }
    }
    Ok(())
}

const NO_CORE: rustix::process::Rlimit = rustix::process::Rlimit {
    current: Some(0),
    maximum: Some(0),
};

fn drop_privileges(program: &Program) -> Done {
    const HIGHEST_CAPABILITY: u64 = 63;
    sys::join_new_session_keyring()
        .or_else(ignore(Errno::NOSYS))
        .during(Step::DropPrivileges)?;
    for capability in 0..=HIGHEST_CAPABILITY {
        match sys::prctl(libc::PR_CAPBSET_DROP, capability) {
            // Past the last capability this kernel knows.
            Err(Errno::INVAL) => break,
            other => other.during(Step::DropPrivileges)?,
        }
    }
    if let Some(groups) = &program.groups {
        sys::set_groups(groups).during(Step::DropPrivileges)?;
    }
    sys::set_group(program.gid).during(Step::DropPrivileges)?;
    sys::set_user(program.uid).during(Step::DropPrivileges)?;
    // A core would be handed to a program of the host's, with the host's privileges.
    rustix::process::setrlimit(rustix::process::Resource::Core, NO_CORE)
        .during(Step::DropPrivileges)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).during(Step::DropPrivileges)?;
    sys::clear_capabilities().during(Step::DropPrivileges)?;
    // A change of ids cancels it.
    die_with_launcher()?;
    let _ = rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

/// The first candidate that exists and may be executed; otherwise the more telling of the errors.
fn find_program(program: &Program) -> Done<&CStr> {
    let mut worst = Errno::NOENT;
    for candidate in &program.candidates {
        match rustix::fs::accessat(
            rustix::fs::CWD,
            &**candidate,
            Access::EXEC_OK,
            AtFlags::EACCESS,
        ) {
            Ok(()) => return Ok(candidate),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => worst = errno,
        }
    }
    Err(Failure(Step::FindProgram, 0, worst))
}
