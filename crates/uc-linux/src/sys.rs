//! System calls that rustix does not offer, as safe as they can be made.
//!
//! Everything here is callable between `clone3` and `execve`: nothing allocates, locks or unwinds.

use std::{
    ffi::CStr,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use libc::{c_char, c_int, c_ulong};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use tokio::io::unix::AsyncFd;

/// `struct clone_args` of clone3(2), up to and including `cgroup`.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// The result of a system call, or its error number.
pub fn check(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result == -1 {
        // SAFETY: errno is a thread-local integer.
        Err(Errno::from_raw_os_error(unsafe {
            *libc::__errno_location()
        }))
    } else {
        Ok(result)
    }
}

/// clone3(2): the new process is in the group that `cgroup` refers to (Linux 5.7).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of a clone this is.
pub enum Cloned {
    /// The new process.
    Child,
    /// The caller, with the child's process id.
    Parent(u32),
}

/// Clones this process with new namespaces (`CLONE_NEW…`) or as a sibling (`CLONE_PARENT`), copying its memory; if asked,
/// straight into a cgroup of version 2, given by its directory.
///
/// # Safety
/// The child must call nothing but async-signal-safe code until it executes a program or exits: another thread may
/// have held a lock at the moment of the clone.
pub unsafe fn clone_process(flags: u64, group: Option<BorrowedFd<'_>>) -> Result<Cloned, Errno> {
    let sibling = flags & libc::CLONE_PARENT as u64 != 0;
    let args = CloneArgs {
        flags: flags | group.map_or(0, |_| CLONE_INTO_CGROUP),
        cgroup: group.map_or(0, |group| group.as_raw_fd().unsigned_abs().into()),
        // With CLONE_PARENT the kernel takes the signal of the caller's own creation and wants 0 here.
        exit_signal: if sibling { 0 } else { libc::SIGCHLD as u64 },
        ..CloneArgs::default()
    };
    // SAFETY: `args` is a valid clone_args of the size given; without CLONE_VM the child has its own copy of memory
    // and runs on a copy of this stack.
    let pid =
        check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) })?;
    Ok(match u32::try_from(pid) {
        Ok(0) | Err(_) => Cloned::Child,
        Ok(pid) => Cloned::Parent(pid),
    })
}

/// Ends this process at once, without running destructors or exit handlers.
pub fn exit_now(code: c_int) -> ! {
    // SAFETY: _exit takes an integer and does not return.
    unsafe { libc::_exit(code) }
}

/// A file descriptor for a process that is a child of this one.
pub fn pidfd_open(pid: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: takes two integers; a non-negative result is a new descriptor that nobody else owns.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) })?;
    // SAFETY: see above; descriptors fit in an int.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Sends a signal to the process behind a pidfd.
pub fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: c_int) -> Result<(), Errno> {
    // SAFETY: a valid descriptor and integers; the info pointer may be null.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    check(result).map(drop)
}

/// Joins the namespaces `flags` names, of a process (pidfd) or of one namespace file.
pub fn setns(fd: BorrowedFd<'_>, flags: c_int) -> Result<(), Errno> {
    // SAFETY: a valid descriptor and an integer.
    check(unsafe { libc::setns(fd.as_raw_fd(), flags) }.into()).map(drop)
}

/// Executes a program; returns only on failure.
///
/// # Safety
/// `argv` and `envp` must be arrays of pointers to C strings that end with a null pointer.
pub unsafe fn execve(
    program: &CStr,
    argv: *const *const c_char,
    envp: *const *const c_char,
) -> Errno {
    // SAFETY: promised by the caller.
    let result = unsafe { libc::execve(program.as_ptr(), argv, envp) };
    check(result.into()).err().unwrap_or(Errno::INVAL)
}

/// One prctl(2) with integer arguments.
pub fn prctl(option: c_int, argument: c_ulong) -> Result<(), Errno> {
    // SAFETY: every option used in this crate takes integers only.
    check(unsafe { libc::prctl(option, argument, 0 as c_ulong, 0 as c_ulong, 0 as c_ulong) }.into())
        .map(drop)
}

/// Gives up every capability of this thread: effective, permitted, inheritable.
pub fn clear_capabilities() -> Result<(), Errno> {
    const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [LINUX_CAPABILITY_VERSION_3, 0];
    let sets = [0u32; 6];
    // SAFETY: the header and the two data structures of version 3 have these sizes and layouts (capset(2)).
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) }).map(drop)
}

/// Sets real, effective and saved user id of this thread only, with no help from libc (whose version signals other
/// threads, which a clone has not).
pub fn set_user(uid: u32) -> Result<(), Errno> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// Sets real, effective and saved group id, as [`set_user`].
pub fn set_group(gid: u32) -> Result<(), Errno> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// Sets the supplementary groups, as [`set_user`].
pub fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: the pointer is valid for the count given; the kernel only reads.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Adds attributes (`MOUNT_ATTR_…`) to the mount behind a descriptor and, if asked, to those below it.
pub fn add_mount_attributes(
    mount: BorrowedFd<'_>,
    attributes: u64,
    recursive: bool,
) -> Result<(), Errno> {
    let change = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: valid descriptor, C string and structure of the size given; the kernel only reads.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result).map(drop)
}

/// Copies the mount tree below a descriptor as a detached tree.
pub fn clone_mount_tree(source: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = libc::OPEN_TREE_CLONE
        | libc::OPEN_TREE_CLOEXEC
        | (libc::AT_EMPTY_PATH | libc::AT_RECURSIVE) as u32;
    // SAFETY: valid descriptor and C string; a non-negative result is a new descriptor that nobody else owns.
    let fd = check(unsafe {
        libc::syscall(libc::SYS_open_tree, source.as_raw_fd(), c"".as_ptr(), flags)
    })?;
    // SAFETY: see above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Attaches a detached mount tree on the place behind a descriptor.
pub fn attach_mount_tree(tree: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Errno> {
    const F_EMPTY_PATH: u32 = 0x4;
    const T_EMPTY_PATH: u32 = 0x40;
    // SAFETY: valid descriptors and C strings.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            place.as_raw_fd(),
            c"".as_ptr(),
            F_EMPTY_PATH | T_EMPTY_PATH,
        )
    };
    check(result).map(drop)
}

/// Gives an open file to a user and a group of this user namespace.
pub fn give_file(file: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<(), Errno> {
    // SAFETY: a valid descriptor and integers.
    check(unsafe { libc::fchown(file.as_raw_fd(), uid, gid) }.into()).map(drop)
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: u32) -> Result<(), Errno> {
    close_range(first, 0)
}

/// Marks every descriptor from `first` on to be closed when a program is executed.
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    close_range(first, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: u32, flags: u32) -> Result<(), Errno> {
    // SAFETY: integers only; what is closed belongs to this process's copy of the table.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) }).map(drop)
}

/// Leaves the caller's session keyring for a new anonymous one.
pub fn join_new_session_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_int = 1;
    // SAFETY: the name may be null: the keyring is anonymous then.
    check(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<c_char>(),
        )
    })
    .map(drop)
}

/// Brings the loopback interface of this network namespace up.
pub fn bring_loopback_up(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: an all-zero ifreq is a valid value of this plain C structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(*b"lo") {
        *slot = byte as c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq whose name is terminated (the rest is zero).
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into())
        .map(drop)
}

/// Lets a descriptor be inherited by the program that is executed next.
pub fn keep_on_exec(descriptor: c_int) -> Result<(), Errno> {
    // SAFETY: fcntl takes integers.
    check(unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) }.into()).map(drop)
}

/// Makes an interface of the kind that user-mode networks use; it goes with this process.
pub fn make_tap() -> Result<(), Errno> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let device = rustix::fs::open(c"/dev/net/tun", flags, Mode::empty())?;
    // SAFETY: an all-zero ifreq is a valid value of this plain C structure; without a name the kernel chooses one.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes an ifreq.
    check(unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) }.into())
        .map(drop)
}

/// A descriptor that tasks of this thread's runtime can wait for.
pub fn watch(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and keeps its number until the `AsyncFd` that owns it drops it.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::fd::AsFd as _, path::Path};

    use super::*;

    /// A new group of version 2, gone at the end.
    struct Group(std::path::PathBuf);

    impl Group {
        fn new() -> Option<Self> {
            ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
                .iter()
                .filter(|root| Path::new(root).join("cgroup.controllers").exists())
                .map(|root| Path::new(root).join(format!("uc-test-{}", std::process::id())))
                .find(|path| fs::create_dir(path).is_ok())
                .map(Self)
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            let _ = fs::remove_dir(&self.0);
        }
    }

    #[test]
    fn a_process_is_cloned_into_its_group() {
        let Some(group) = Group::new() else {
            println!("skipped: no control group of version 2 can be made here");
            return;
        };
        let directory = fs::File::open(&group.0).expect("opens");
        // SAFETY: the child only waits for a signal.
        let pid = match unsafe { clone_process(0, Some(directory.as_fd())) }.expect("cloned") {
            Cloned::Child => loop {
                // SAFETY: pause takes nothing.
                unsafe { libc::pause() };
            },
            Cloned::Parent(pid) => pid,
        };
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("there");
        let pidfd = pidfd_open(pid).expect("opens");
        pidfd_signal(pidfd.as_fd(), libc::SIGKILL).expect("killed");
        let pid = rustix::process::Pid::from_raw(pid as i32).expect("a process id");
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).expect("reaped");
        let name = group.0.file_name().expect("a name").to_string_lossy();
        assert!(
            groups
                .lines()
                .any(|line| line.starts_with("0::") && line.ends_with(&*name)),
            "{groups}"
        );
    }
}
