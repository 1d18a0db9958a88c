//! Starting a monitor (the program that runs a machine) with as little as it needs: as nobody of the host, without
//! capabilities, in namespaces of its own, on a file system that it cannot write.
//!
//! Invariant: between clone and exec nothing allocates, locks or panics; all strings and numbers are made beforehand.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    mount::{MountFlags, MountPropagationFlags},
};
use uc_linux::{
    c_strings::{PointerArray, c_string, path_c_string},
    exit::{Ending, watchable},
    id_maps::write_id_maps,
    idmap::IdMapping,
    namespaces::cannot_clone,
    network::{self, Link},
    sys::{self, Cloned},
};
use uc_model::{Problem, Result};
use uc_sandbox::PortForward;

/// The number of the first descriptor that a monitor inherits.
pub(crate) const FIRST_DESCRIPTOR: RawFd = 10;

/// Most descriptors that a monitor inherits.
const MAX_DESCRIPTORS: usize = 24;

/// Numbers from here on are used for a moment only.
const TEMPORARY: RawFd = 512;

/// Directories of the host that a monitor does not see.
const HIDDEN: [&str; 8] = [
    "/tmp", "/run", "/var", "/home", "/root", "/mnt", "/media", "/srv",
];

/// Sent when ids and network are in place.
const PREPARED: u8 = b'M';

/// What a monitor is started with.
pub(crate) struct Order<'a> {
    /// Its program.
    pub(crate) program: &'a Path,
    /// Its arguments, its name first.
    pub(crate) argv: Vec<String>,
    /// What it inherits, from [`FIRST_DESCRIPTOR`] on.
    pub(crate) descriptors: Vec<BorrowedFd<'a>>,
    /// Where its standard output and error go.
    pub(crate) output: BorrowedFd<'a>,
    /// Ports that lead into its network, where that is linked to the host's.
    pub(crate) ports: Option<&'a [PortForward]>,
}

/// A monitor that has been started. It dies with this value.
pub(crate) struct Jailed {
    pub(crate) ending: Ending,
    /// The process that links its network to the host's.
    _link: Option<Link>,
}

struct Plan<'a> {
    program: CString,
    argv: PointerArray,
    envp: PointerArray,
    descriptors: Vec<BorrowedFd<'a>>,
    null: OwnedFd,
    output: BorrowedFd<'a>,
    hidden: Vec<CString>,
    can_set_groups: bool,
    has_network: bool,
}

/// Starts a monitor.
pub(crate) fn spawn(order: Order<'_>) -> Result<Jailed> {
    if order.descriptors.len() > MAX_DESCRIPTORS {
        return Err(Problem::refused("the microVM has too many disks").limit(MAX_DESCRIPTORS - 8));
    }
    let mapping = IdMapping::for_caller()?;
    let (ports, program) = (order.ports, order.program);
    let plan = Plan::new(order, &mapping)?;
    let (near, far) = std::os::unix::net::UnixStream::pair()
        .map_err(|error| Problem::host("cannot make a pair of sockets").caused_by(error))?;
    let namespaces = (libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS) as u64;
    // SAFETY: the child runs `child` alone, which keeps to system calls.
    let pid = match unsafe { sys::clone_process(namespaces, None) }.map_err(cannot_clone)? {
        Cloned::Child => child(&plan, far.as_fd()),
        Cloned::Parent(pid) => pid,
    };
    drop(far);
    let ending = Ending::new(watchable(pid)?)?;
    write_id_maps(&mapping, pid)?;
    let link = ports.map(|ports| network::link(pid, ports)).transpose()?;
    let released = rustix::io::write(&near, &[PREPARED]);
    let mut answer = [0; 8];
    // It closes when the program is executed.
    match released.and_then(|_| rustix::io::read(&near, &mut answer)) {
        Ok(0) => Ok(Jailed {
            ending,
            _link: link,
        }),
        Ok(_) => Err(failure(answer).at(program.display())),
        Err(errno) => Err(Problem::host("the microVM's monitor died early")
            .caused_by(std::io::Error::from(errno))),
    }
}

impl<'a> Plan<'a> {
    fn new(order: Order<'a>, mapping: &IdMapping) -> Result<Self> {
        let argv: Result<Vec<CString>> = order.argv.iter().map(|text| c_string(text)).collect();
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| {
                Problem::host("cannot open /dev/null").caused_by(std::io::Error::from(errno))
            })?;
        let hidden: Result<Vec<CString>> = HIDDEN
            .iter()
            .filter(|place| !order.program.starts_with(place))
            .map(|place| c_string(place))
            .collect();
        Ok(Self {
            program: path_c_string(order.program)?,
            argv: PointerArray::new(argv?),
            envp: PointerArray::new(Vec::new()),
            descriptors: order.descriptors,
            null,
            output: order.output,
            hidden: hidden?,
            can_set_groups: !mapping.is_own_id_only(),
            has_network: order.ports.is_some(),
        })
    }
}

/// What failed between clone and exec.
#[derive(Debug, Clone, Copy)]
enum Step {
    Prepare = 0,
    Mounts = 1,
    Execute = 2,
}

fn failure(answer: [u8; 8]) -> Problem {
    let [step, _, _, _, rest @ ..] = answer;
    let error = std::io::Error::from_raw_os_error(i32::from_ne_bytes(rest));
    let problem = match step {
        step if step == Step::Execute as u8 && error.kind() == std::io::ErrorKind::NotFound => {
            Problem::host("the microVM's monitor is not there")
                .remedy("apt install qemu-system-x86, or let UC_QEMU name one that is there")
        }
        step if step == Step::Execute as u8 => Problem::host(
            "the microVM's monitor cannot be executed",
        )
        .remedy("let everybody read and execute it and the directories above it: chmod a+rx"),
        step if step == Step::Mounts as u8 => {
            Problem::host("the microVM's monitor cannot be confined: its mounts fail")
        }
        _ => Problem::host("the microVM's monitor cannot be confined"),
    };
    problem.found(error)
}

/// The child, from its clone to its exec. Async-signal-safe.
fn child(plan: &Plan<'_>, control: BorrowedFd<'_>) -> ! {
    let (step, errno) = match set_up(plan, control) {
        Err(failure) => failure,
        // SAFETY: both arrays end with a null pointer (PointerArray).
        Ok(()) => (Step::Execute, unsafe {
            sys::execve(&plan.program, plan.argv.as_ptr(), plan.envp.as_ptr())
        }),
    };
    let number = errno.raw_os_error().to_ne_bytes();
    let [a, b, c, d] = number;
    let message = [step as u8, 0, 0, 0, a, b, c, d];
    let _ = rustix::io::retry_on_intr(|| rustix::io::write(control, &message));
    sys::exit_now(1)
}

fn set_up(plan: &Plan<'_>, control: BorrowedFd<'_>) -> Result<(), (Step, Errno)> {
    let prepare = |errno| (Step::Prepare, errno);
    let dies_with_owner = || sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64);
    dies_with_owner().map_err(prepare)?;
    let mut byte = [0; 1];
    let released = rustix::io::retry_on_intr(|| rustix::io::read(control, &mut byte));
    if released.map_err(prepare)? != 1 {
        return Err(prepare(Errno::PIPE));
    }
    if plan.can_set_groups {
        sys::set_groups(&[]).map_err(prepare)?;
    }
    sys::set_group(0).map_err(prepare)?;
    sys::set_user(0).map_err(prepare)?;
    // A change of ids cancels it.
    dies_with_owner().map_err(prepare)?;
    if plan.has_network {
        open_all_ports().map_err(prepare)?;
    }
    confine_mounts(plan).map_err(|errno| (Step::Mounts, errno))?;
    inherit(plan, control).map_err(prepare)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(prepare)?;
    sys::clear_capabilities().map_err(prepare)
}

/// Lets a monitor listen on any port of its network, where the ports lead that are forwarded to its machine.
fn open_all_ports() -> Result<(), Errno> {
    let setting = c"/proc/sys/net/ipv4/ip_unprivileged_port_start";
    match rustix::fs::open(setting, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => rustix::io::write(&file, b"0").map(drop),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn confine_mounts(plan: &Plan<'_>) -> Result<(), Errno> {
    rustix::mount::mount_change(
        c"/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    let root = rustix::fs::open(c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    sys::add_mount_attributes(
        root.as_fd(),
        libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID,
        true,
    )?;
    const OPTIONS: &CStr = c"mode=555,size=0";
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    for place in &plan.hidden {
        match rustix::mount::mount(c"tmpfs", &**place, c"tmpfs", flags, Some(OPTIONS)) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Puts descriptors under their numbers, and closes the rest but `control`, which closes by itself.
fn inherit(plan: &Plan<'_>, control: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut moved = [-1; MAX_DESCRIPTORS];
    for (slot, descriptor) in moved.iter_mut().zip(&plan.descriptors) {
        *slot = duplicate_above(descriptor.as_raw_fd())?;
    }
    let control = duplicate_above(control.as_raw_fd())?;
    for (number, stream) in [(0, plan.null.as_fd()), (1, plan.output), (2, plan.output)] {
        duplicate_to(stream.as_raw_fd(), number, 0)?;
    }
    let mut number = FIRST_DESCRIPTOR;
    for descriptor in moved.iter().take_while(|descriptor| **descriptor >= 0) {
        duplicate_to(*descriptor, number, 0)?;
        number += 1;
    }
    duplicate_to(control, number, libc::O_CLOEXEC)?;
    sys::close_on_exec_from(number.unsigned_abs())?;
    // What was open between the standard streams and the first of these.
    // SAFETY: integers only; what is closed belongs to this process's copy of the table.
    sys::check(unsafe { libc::syscall(libc::SYS_close_range, 3, FIRST_DESCRIPTOR - 1, 0) })
        .map(drop)
}

fn duplicate_above(descriptor: RawFd) -> Result<RawFd, Errno> {
    // SAFETY: fcntl takes integers.
    let duplicate = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, TEMPORARY) };
    sys::check(duplicate.into()).map(|_| duplicate)
}

fn duplicate_to(descriptor: RawFd, number: RawFd, flags: libc::c_int) -> Result<(), Errno> {
    // SAFETY: dup3 takes integers; what is replaced belongs to this process's copy of the table.
    sys::check(unsafe { libc::dup3(descriptor, number, flags) }.into()).map(drop)
}
