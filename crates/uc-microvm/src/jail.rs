//! Starting a monitor (the program that runs a machine) with as little as it needs: in namespaces of its own, in a root
//! that holds only what it is given, as a user without rights.
//!
//! The parts serve both monitors and Firecracker's jailer: [`start`] clones a process and [`Started::executed`] sees it to
//! its program; [`enter`] shuts the process in. Invariant: between clone and exec nothing allocates, locks or panics; all
//! strings and numbers are made beforehand.

mod root;

use std::{
    ffi::{CStr, CString},
    io::Write as _,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use tokio::io::AsyncReadExt as _;
use uc_linux::{
    Extent, IdMapping, MapWriter,
    c_strings::PointerArray,
    cgroup::Entrances,
    exit::{Ending, watchable},
    id_maps::write_id_maps,
    namespaces::cannot_clone,
    network::{self, Link},
    sys::{self, Cloned},
};
use uc_model::{Problem, Result};
use uc_sandbox::PortForward;

pub(crate) use root::{Device, Mount, Root};

/// The number of the first descriptor that a monitor inherits.
pub(crate) const FIRST_DESCRIPTOR: RawFd = 10;

/// Most descriptors that a monitor inherits.
pub(crate) const MAX_DESCRIPTORS: usize = 24;

/// Numbers from here on are used for a moment only.
const TEMPORARY: RawFd = 512;

/// Most open files of a monitor: what Firecracker's jailer would set.
const MAX_OPEN_FILES: u64 = 2048;

/// How long a process may take until it executes its program.
const PATIENCE: Duration = Duration::from_secs(20);

/// The user that a monitor runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VmmUser {
    /// The user id; on the host never 0.
    pub uid: u32,
    /// The group id; on the host never 0.
    pub gid: u32,
}

impl VmmUser {
    /// For root the first id that is set aside for sandboxes, for others they themselves.
    ///
    /// # Errors
    /// Host, where root has no ids to give.
    pub fn of_caller() -> Result<Self> {
        let uid = rustix::process::geteuid();
        if !uid.is_root() {
            let gid = rustix::process::getegid().as_raw();
            return Ok(Self {
                uid: uid.as_raw(),
                gid,
            });
        }
        let mapping = IdMapping::for_caller()?;
        match (mapping.host_uid(0), mapping.host_gid(0)) {
            (Some(uid), Some(gid)) => Ok(Self { uid, gid }),
            _ => Err(Problem::internal("a mapping without its first id")),
        }
    }
}

/// Who a monitor is.
#[derive(Debug)]
pub(crate) enum Identity {
    /// A user of a user namespace with these ids.
    Mapped(IdMapping, VmmUser),
    /// A user of the host, which only root can become. It is given device nodes of its own.
    Host(VmmUser),
}

impl Identity {
    /// This user of the host: root becomes it, others have it already, with the groups that let them open devices. Root of
    /// a user namespace can make no device nodes: it makes another namespace, whose user 0 is this one.
    pub(crate) fn of(user: VmmUser) -> Result<Self> {
        if rustix::process::geteuid().is_root() {
            return match is_initial_namespace() {
                true => Ok(Self::Host(user)),
                false => IdMapping::for_caller()
                    .map(|mapping| Self::Mapped(mapping, VmmUser { uid: 0, gid: 0 })),
            };
        }
        let same = |id| {
            vec![Extent {
                inside: id,
                outside: id,
                count: 1,
            }]
        };
        let mapping = IdMapping {
            uids: same(user.uid),
            gids: same(user.gid),
            writer: MapWriter::OwnIdOnly,
        };
        Ok(Self::Mapped(mapping, user))
    }

    pub(crate) fn mapping(&self) -> Option<&IdMapping> {
        match self {
            Self::Mapped(mapping, _) => Some(mapping),
            Self::Host(_) => None,
        }
    }
}

/// Whether the ids that this process sees are those of the host, all of them.
fn is_initial_namespace() -> bool {
    let ids = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    ids.split_whitespace().eq(["0", "0", "4294967295"])
}

/// How a process is shut in, and what it executes.
pub(crate) struct Plan<'a> {
    pub(crate) root: Root,
    pub(crate) identity: Identity,
    /// The program in the new root.
    pub(crate) program: CString,
    pub(crate) arguments: PointerArray,
    pub(crate) environment: PointerArray,
    /// What it inherits, from [`FIRST_DESCRIPTOR`] on; [`MAX_DESCRIPTORS`] at most.
    pub(crate) descriptors: Vec<BorrowedFd<'a>>,
    pub(crate) streams: Streams,
    /// Whether it listens on ports of its network that only root may listen on.
    pub(crate) has_low_ports: bool,
}

/// What becomes the standard streams.
pub(crate) struct Streams {
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
}

impl Streams {
    /// Nothing to read, and one place for both outputs.
    pub(crate) fn into(output: OwnedFd) -> Result<Self> {
        let input = std::fs::File::open("/dev/null")
            .map_err(|error| Problem::host("cannot open /dev/null").caused_by(error))?;
        Ok(Self {
            input: input.into(),
            output,
        })
    }
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
    Ports = 6,
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
    const SIZE: usize = 6;

    fn encode(self) -> [u8; Self::SIZE] {
        let errno = self.errno.raw_os_error().to_ne_bytes();
        let step = self.step as u8;
        [step, self.index, errno[0], errno[1], errno[2], errno[3]]
    }

    /// The failure that these bytes tell.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::SIZE] = bytes.try_into().ok()?;
        let steps = [
            Step::Prepare,
            Step::Root,
            Step::Mount,
            Step::Device,
            Step::User,
            Step::Execute,
            Step::Ports,
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

/// What the indices of a failure mean.
#[derive(Debug, Default)]
pub(crate) struct Names {
    program: String,
    mounts: Vec<String>,
    devices: Vec<String>,
}

impl Names {
    /// Of a program that shuts itself in.
    pub(crate) fn of_program(program: impl std::fmt::Display) -> Self {
        Self {
            program: program.to_string(),
            ..Self::default()
        }
    }

    pub(crate) fn of(program: impl std::fmt::Display, root: &Root) -> Self {
        let text = |string: &CString| string.to_string_lossy().into_owned();
        let mounts = root.mounts.iter().map(|mount| text(&mount.source));
        let devices = root.devices.iter().map(|device| text(&device.source));
        Self {
            program: program.to_string(),
            mounts: mounts.collect(),
            devices: devices.collect(),
        }
    }

    /// The failure in a user's terms.
    fn explain(&self, failure: Failure) -> Problem {
        let name = |names: &[String]| names.get(usize::from(failure.index)).cloned();
        let problem = match failure.step {
            Step::Mount => Problem::host("a file cannot be given to the microVM's monitor")
                .at(name(&self.mounts).unwrap_or_default())
                .remedy("it must be there, and you must be able to reach it"),
            Step::Device => Problem::host("a device cannot be given to the microVM's monitor")
                .at(name(&self.devices).unwrap_or_default())
                .remedy("load its module: modprobe kvm_intel, kvm_amd or tun"),
            Step::Execute => Problem::host("the microVM's monitor cannot be executed")
                .at(&self.program)
                .remedy("everybody must be able to execute it (chmod a+rx), and it must be for this architecture"),
            Step::Ports => Problem::host("the microVM's monitor cannot listen on a containerPort below 1024")
                .at("/proc/sys/net/ipv4/ip_unprivileged_port_start")
                .remedy("let containers listen on 1024 or above, or run uc where /proc/sys can be written"),
            Step::Prepare | Step::Root | Step::User => {
                Problem::host("the microVM's monitor cannot be shut in").remedy("see `uc doctor`")
            }
        };
        problem.found(std::io::Error::from(failure.errno))
    }
}

/// What a process is cloned into.
pub(crate) struct Surroundings<'a> {
    /// The ids of a user namespace of its own.
    pub(crate) mapping: Option<&'a IdMapping>,
    /// Whether it shares the host's network. Otherwise it has one of its own.
    pub(crate) host_network: bool,
    /// Ports that lead into that, where it is linked to the host's.
    pub(crate) ports: Option<&'a [PortForward]>,
    /// The control groups that it is to be in.
    pub(crate) groups: &'a Entrances,
}

impl Surroundings<'_> {
    fn namespaces(&self) -> u64 {
        let mut flags =
            libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
        if !self.host_network {
            flags |= libc::CLONE_NEWNET;
        }
        if self.mapping.is_some() {
            flags |= libc::CLONE_NEWUSER;
        }
        flags as u64
    }
}

/// A monitor's process. It dies with this value.
pub(crate) struct Jailed {
    pub(crate) pid: u32,
    pub(crate) ending: Ending,
    /// The process that links its network to the host's.
    _link: Option<Link>,
}

/// A process that waits to be let go on.
pub(crate) struct Started {
    jailed: Jailed,
    control: UnixStream,
}

/// Clones a process, which runs `run` once it is let go on; that keeps to system calls and leaves by exec or exit.
pub(crate) fn start(
    surroundings: &Surroundings<'_>,
    run: impl FnOnce(BorrowedFd<'_>) -> Result<(), Failure>,
) -> Result<Started> {
    let (near, far) = UnixStream::pair()
        .map_err(|error| Problem::host("cannot make a pair of sockets").caused_by(error))?;
    let groups = surroundings.groups;
    // SAFETY: the child runs `child` alone, which keeps to system calls and leaves by exec or exit.
    let cloned = unsafe { sys::clone_process(surroundings.namespaces(), groups.unified()) };
    let pid = match cloned.map_err(cannot_clone)? {
        Cloned::Child => child(groups, far.as_fd(), run),
        Cloned::Parent(pid) => pid,
    };
    let ending = Ending::new(watchable(pid)?)?;
    if let Some(mapping) = surroundings.mapping {
        write_id_maps(mapping, pid)?;
    }
    let link = surroundings
        .ports
        .map(|ports| network::link_within(pid, ports, groups));
    Ok(Started {
        jailed: Jailed {
            pid,
            ending,
            _link: link.transpose()?,
        },
        control: near,
    })
}

impl Started {
    /// Lets the process go on and waits until it has executed its program.
    pub(crate) async fn executed(self, names: &Names) -> Result<Jailed> {
        let internal = |error| Problem::internal("cannot talk to a child process").caused_by(error);
        let mut control = self.control;
        // Who is dead already has said why.
        let _ = control.write_all(b"M");
        control.set_nonblocking(true).map_err(internal)?;
        let control = tokio::net::UnixStream::from_std(control).map_err(internal)?;
        let mut told = Vec::new();
        let mut control = control.take(Failure::SIZE as u64);
        // It closes when the program is executed.
        let read = tokio::time::timeout(PATIENCE, control.read_to_end(&mut told)).await;
        match (read, Failure::decode(&told)) {
            (Ok(Ok(_)), None) => Ok(self.jailed),
            (_, Some(failure)) => Err(names.explain(failure)),
            (Ok(Err(error)), None) => Err(internal(error)),
            (Err(_), None) => Err(
                Problem::host("the microVM's monitor is not shut in in time")
                    .limit(format!("{} ms", PATIENCE.as_millis())),
            ),
        }
    }
}

/// The child, from its clone to its exec. Async-signal-safe.
fn child(
    groups: &Entrances,
    control: BorrowedFd<'_>,
    run: impl FnOnce(BorrowedFd<'_>) -> Result<(), Failure>,
) -> ! {
    let done = wait_for_release(groups, control)
        .map_err(at(Step::Prepare))
        .and_then(|()| run(control));
    if let Err(failure) = done {
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(control, &failure.encode()));
    }
    sys::exit_now(1)
}

/// Ties this process to its owner, enters its groups, and waits until its ids and network are in place.
fn wait_for_release(groups: &Entrances, control: BorrowedFd<'_>) -> Result<(), Errno> {
    die_with_owner()?;
    // A terminal's signals are for its owner, which ends the machine in order.
    rustix::process::setsid()?;
    groups.enter_tasks()?;
    let mut byte = [0; 1];
    match rustix::io::retry_on_intr(|| rustix::io::read(control, &mut byte))? {
        1 => Ok(()),
        _ => Err(Errno::PIPE),
    }
}

fn die_with_owner() -> Result<(), Errno> {
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64)
}

/// Shuts this process in and executes its program; returns only on failure. Async-signal-safe.
pub(crate) fn enter(plan: &Plan<'_>, control: BorrowedFd<'_>) -> Result<(), Failure> {
    let user = at(Step::User);
    let open_ports = || match plan.has_low_ports {
        true => open_all_ports().map_err(at(Step::Ports)),
        false => Ok(()),
    };
    match &plan.identity {
        // Only its own ids can own what it makes.
        Identity::Mapped(mapping, own) => {
            become_user(*own, !mapping.is_own_id_only()).map_err(&user)?;
            open_ports()?;
            plan.root.make(None)?;
        }
        Identity::Host(own) => {
            open_ports()?;
            plan.root.make(Some(*own))?;
            become_user(*own, true).map_err(&user)?;
        }
    }
    limit().map_err(at(Step::Prepare))?;
    sys::clear_capabilities().map_err(&user)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(&user)?;
    // A change of user forgets this; whoever died meanwhile has closed the other end.
    die_with_owner().map_err(&user)?;
    require_owner(control).map_err(&user)?;
    inherit(plan, control).map_err(at(Step::Execute))?;
    execute(&plan.program, &plan.arguments, &plan.environment)
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

fn become_user(user: VmmUser, clears_groups: bool) -> Result<(), Errno> {
    if clears_groups {
        sys::set_groups(&[])?;
    }
    sys::set_group(user.gid)?;
    sys::set_user(user.uid)
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

/// The same, and puts descriptors under their numbers. `control` closes by itself.
fn inherit(plan: &Plan<'_>, control: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut moved = [-1; MAX_DESCRIPTORS];
    for (slot, descriptor) in moved.iter_mut().zip(&plan.descriptors) {
        *slot = duplicate_above(descriptor.as_raw_fd())?;
    }
    let control = duplicate_above(control.as_raw_fd())?;
    connect_streams(&plan.streams)?;
    let mut number = FIRST_DESCRIPTOR;
    for descriptor in moved.iter().take_while(|descriptor| **descriptor >= 0) {
        duplicate_to(*descriptor, number, 0)?;
        number += 1;
    }
    duplicate_to(control, number, libc::O_CLOEXEC)
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
