//! Starting a supervisor: a clone with new namespaces or into those of its sandbox, and an exec.
//!
//! Invariant: between clone and exec nothing allocates, locks or panics; all strings and numbers are made beforehand.

use std::{
    ffi::CString,
    io::Write as _,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use rustix::{
    fs::{MemfdFlags, OFlags},
    io::Errno,
};
use uc_linux::{
    c_strings::PointerArray,
    cgroup::Entrances,
    exit::{wait_for, watchable},
    namespaces::{Namespaces, cannot_clone},
    sources::{open_as, open_volume, place},
    sys::{self, Cloned},
};
use uc_model::{Problem, Result};

use crate::{
    order::{Descriptors, MAX_ORDER, Order},
    supervisor,
};

/// Numbers left free below the planned ones, for descriptors that the child holds for a moment.
const TEMPORARY_FDS: RawFd = 16;

/// Sent when ids are in place.
const PREPARED: u8 = b'M';

/// What the child opens as its caller, in the order of their planned numbers.
pub(crate) struct Sources {
    pub(crate) scratch: CString,
    pub(crate) runtime: CString,
    pub(crate) layers: Vec<CString>,
    /// A path, and a path below it.
    pub(crate) volumes: Vec<(CString, Option<CString>)>,
}

/// All that a child needs.
pub(crate) struct Plan {
    sources: Sources,
    descriptors: Descriptors,
    /// The supervisor's program, opened as the caller, since the container's root may not be able to reach it.
    program: CString,
    program_fd: RawFd,
    argv: PointerArray,
    envp: PointerArray,
    streams: [OwnedFd; 3],
    can_set_groups: bool,
}

/// A supervisor on its way.
pub(crate) struct Spawned {
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) control: OwnedFd,
}

impl Plan {
    /// Prepares a start. All descriptors that the child inherits must be open by now.
    pub(crate) fn new(
        sources: Sources,
        program: CString,
        streams: [OwnedFd; 3],
        inherited: &[BorrowedFd<'_>],
        can_set_groups: bool,
    ) -> Result<Self> {
        let highest = streams
            .iter()
            .map(AsRawFd::as_raw_fd)
            .chain(inherited.iter().map(AsRawFd::as_raw_fd))
            .max()
            .unwrap_or(2);
        let first = highest + 1 + TEMPORARY_FDS;
        let layers = sources.layers.len();
        let count = |length: usize| RawFd::try_from(length).unwrap_or(RawFd::MAX / 4);
        let descriptors = Descriptors {
            control: first,
            order: first + 1,
            scratch: first + 2,
            runtime: first + 3,
            first_layer: first + 4,
            layers,
            first_volume: first + 4 + count(layers),
        };
        let program_fd = descriptors.first_volume + count(sources.volumes.len());
        let argument = |text: String| {
            CString::new(text).map_err(|_| Problem::internal("a zero byte in an argument"))
        };
        let argv = PointerArray::new(vec![
            argument(supervisor::NAME.to_owned())?,
            argument(descriptors.order.to_string())?,
        ]);
        Ok(Self {
            sources,
            descriptors,
            program,
            program_fd,
            argv,
            envp: PointerArray::new(Vec::new()),
            streams,
            can_set_groups,
        })
    }

    pub(crate) fn descriptors(&self) -> Descriptors {
        self.descriptors
    }
}

/// A file without a name for an order, which is written once the numbers of descriptors are planned.
pub(crate) fn order_file() -> Result<OwnedFd> {
    rustix::fs::memfd_create(c"order", MemfdFlags::CLOEXEC)
        .map_err(|errno| cannot_order(errno.into()))
}

fn cannot_order(error: std::io::Error) -> Problem {
    Problem::host("cannot hand a supervisor its order").caused_by(error)
}

/// Writes an order into its file.
pub(crate) fn write_order(file: OwnedFd, order: &Order) -> Result<OwnedFd> {
    let failed = cannot_order;
    let bytes = serde_json::to_vec(order).map_err(|error| failed(error.into()))?;
    if bytes.len() as u64 > MAX_ORDER {
        return Err(
            Problem::refused("arguments and environment are too large for a program")
                .limit(format!("{MAX_ORDER} bytes"))
                .found(format!("{} bytes", bytes.len())),
        );
    }
    let mut file = std::fs::File::from(file);
    file.write_all(&bytes).map_err(failed)?;
    Ok(file.into())
}

/// Starts a supervisor in new namespaces, or in those that `shared` holds. It waits for [`release`].
pub(crate) fn spawn(
    plan: &Plan,
    order: BorrowedFd<'_>,
    groups: &Entrances,
    shared: Option<&Namespaces>,
    own_network: bool,
    (near, far): (OwnedFd, OwnedFd),
) -> Result<Spawned> {
    let own = (libc::CLONE_NEWNS | libc::CLONE_NEWPID) as u64;
    let pid = match shared {
        None => {
            let network = if own_network { libc::CLONE_NEWNET } else { 0 };
            let all = own
                | (libc::CLONE_NEWUSER | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | network) as u64;
            // SAFETY: the child runs `child` alone, which keeps to system calls.
            match unsafe { sys::clone_process(all, groups.unified()) }.map_err(cannot_clone)? {
                Cloned::Child => child(plan, order, groups, far.as_fd()),
                Cloned::Parent(pid) => pid,
            }
        }
        Some(namespaces) => clone_within(namespaces, own, groups, || {
            child(plan, order, groups, far.as_fd())
        })?,
    };
    drop(far);
    Ok(Spawned {
        pid,
        pidfd: watchable(pid)?,
        control: near,
    })
}

/// Lets a supervisor go on whose ids are in place.
pub(crate) fn release(control: BorrowedFd<'_>) -> Result<()> {
    rustix::io::write(control, &[PREPARED])
        .map(drop)
        .map_err(|errno| {
            Problem::host("the container's supervisor died early")
                .found(std::io::Error::from(errno))
                .remedy("was it killed for want of memory? raise limits.memory")
        })
}

/// Clones by way of a process that joins the namespaces first, so that this one never leaves its own; its exit tells the
/// sibling's process id through a pipe.
fn clone_within(
    namespaces: &Namespaces,
    flags: u64,
    groups: &Entrances,
    run: impl FnOnce(),
) -> Result<u32> {
    let (read, write) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|errno| {
            Problem::host("cannot make a pipe").caused_by(std::io::Error::from(errno))
        })?;
    // SAFETY: both sides keep to system calls.
    match unsafe { sys::clone_process(0, None) }.map_err(cannot_clone)? {
        Cloned::Child => {
            let joined = namespaces.join();
            let flags = flags | libc::CLONE_PARENT as u64;
            // SAFETY: as above.
            match joined.and_then(|()| unsafe { sys::clone_process(flags, groups.unified()) }) {
                Ok(Cloned::Child) => {
                    run();
                    sys::exit_now(1)
                }
                Ok(Cloned::Parent(pid)) => {
                    let _ = rustix::io::write(&write, &pid.to_ne_bytes());
                    sys::exit_now(0)
                }
                Err(_) => sys::exit_now(1),
            }
        }
        Cloned::Parent(pid) => {
            wait_for(pid);
        }
    }
    let mut bytes = [0; 4];
    match rustix::io::read(&read, &mut bytes) {
        Ok(4) => Ok(u32::from_ne_bytes(bytes)),
        _ => Err(Problem::host(
            "cannot join the sandbox: its first process is gone",
        )),
    }
}

/// The child, from its clone to its exec. Async-signal-safe.
fn child(plan: &Plan, order: BorrowedFd<'_>, groups: &Entrances, control: BorrowedFd<'_>) -> ! {
    if let Err(failure) = set_up(plan, order, groups, control) {
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(control, &failure.encode()));
    }
    sys::exit_now(1)
}

/// What failed between clone and exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Prepare = 0,
    OpenScratch = 1,
    OpenRuntime = 2,
    OpenLayer = 3,
    OpenVolume = 4,
    OpenSupervisor = 5,
    Execute = 6,
}

/// A failure in a form that needs no memory: this mark, step, index, errno. No JSON text begins like it.
struct Failure(Step, u16, Errno);

const FAILURE: u8 = 0xff;

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self(Step::Prepare, 0, errno)
    }
}

impl Failure {
    fn encode(&self) -> [u8; 8] {
        let index = self.1.to_ne_bytes();
        let errno = self.2.raw_os_error().to_ne_bytes();
        [
            FAILURE,
            self.0 as u8,
            index[0],
            index[1],
            errno[0],
            errno[1],
            errno[2],
            errno[3],
        ]
    }
}

/// The failure that a packet tells, in a user's terms; `None` where it is something else.
pub(crate) fn failure(packet: &[u8], sources: &Names) -> Option<Problem> {
    let packet: &[u8; 8] = packet.try_into().ok()?;
    if packet[0] != FAILURE {
        return None;
    }
    let index = usize::from(u16::from_ne_bytes([packet[2], packet[3]]));
    let errno = i32::from_ne_bytes([packet[4], packet[5], packet[6], packet[7]]);
    let error = std::io::Error::from_raw_os_error(errno);
    let name = |names: &[String]| names.get(index).cloned().unwrap_or_default();
    let problem = match packet[1] {
        step if step == Step::OpenVolume as u8 => {
            Problem::host(format!("cannot mount {}", name(&sources.volumes)))
                .remedy("the source must exist and be reachable by you")
        }
        step if step == Step::OpenLayer as u8 => {
            Problem::storage("an unpacked image layer cannot be opened")
                .at(name(&sources.layers))
                .remedy("remove the image and let it be unpacked again")
        }
        step if step == Step::OpenRuntime as u8 => {
            Problem::host("the runtime's program cannot be opened").at(&sources.runtime)
        }
        step if step == Step::OpenSupervisor as u8 || step == Step::Execute as u8 => {
            Problem::host("the program of `uc` cannot be executed by the container's user")
                .at(&sources.supervisor)
                .remedy("let everybody read and execute it: chmod a+rx")
        }
        _ => Problem::host("a supervisor could not be set up").remedy("see `uc doctor`"),
    };
    Some(problem.found(error))
}

/// The names that a failure's index refers to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) layers: Vec<String>,
    pub(crate) volumes: Vec<String>,
    pub(crate) runtime: String,
    pub(crate) supervisor: String,
}

fn set_up(
    plan: &Plan,
    order: BorrowedFd<'_>,
    groups: &Entrances,
    control: BorrowedFd<'_>,
) -> Result<(), Failure> {
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64)?;
    for tasks in &groups.tasks {
        rustix::io::retry_on_intr(|| rustix::io::write(tasks, b"0"))?;
    }
    let mut byte = [0; 1];
    if rustix::io::retry_on_intr(|| rustix::io::read(control, &mut byte))? != 1 {
        return Err(Errno::PIPE.into());
    }
    let numbers = &plan.descriptors;
    open_sources(plan)?;
    place(rustix::io::dup(control)?, numbers.control)?;
    place(rustix::io::dup(order)?, numbers.order)?;
    for (stream, number) in plan.streams.iter().zip(0..) {
        // SAFETY: dup2 takes integers; 0 to 2 are the container's from here on.
        if unsafe { libc::dup2(stream.as_raw_fd(), number) } == -1 {
            return Err(Errno::BADF.into());
        }
    }
    keep_only(numbers.control, plan.program_fd)?;
    if plan.can_set_groups {
        sys::set_groups(&[])?;
    }
    sys::set_group(0)?;
    sys::set_user(0)?;
    // A change of ids cancels it.
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    execute(plan)
}

fn open_sources(plan: &Plan) -> Result<(), Failure> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let file = OFlags::PATH | OFlags::CLOEXEC;
    let (sources, numbers) = (&plan.sources, &plan.descriptors);
    let failed = |step| move |errno| Failure(step, 0, errno);
    open_as(&sources.scratch, directory, numbers.scratch).map_err(failed(Step::OpenScratch))?;
    open_as(&sources.runtime, file, numbers.runtime).map_err(failed(Step::OpenRuntime))?;
    for (index, layer) in sources.layers.iter().enumerate() {
        open_as(layer, directory, numbers.first_layer + index as RawFd)
            .map_err(|errno| Failure(Step::OpenLayer, index as u16, errno))?;
    }
    for (index, (path, below)) in sources.volumes.iter().enumerate() {
        open_volume(
            path,
            below.as_deref(),
            numbers.first_volume + index as RawFd,
        )
        .map_err(|errno| Failure(Step::OpenVolume, index as u16, errno))?;
    }
    open_as(&plan.program, file, plan.program_fd).map_err(failed(Step::OpenSupervisor))
}

/// Closes all but the standard streams and `first..last`, which survive the exec, and `last`, which does not.
fn keep_only(first: RawFd, last: RawFd) -> Result<(), Errno> {
    close_between(3, first.unsigned_abs() - 1)?;
    sys::close_from(last.unsigned_abs() + 1)?;
    for number in first..last {
        // SAFETY: fcntl takes integers.
        if unsafe { libc::fcntl(number, libc::F_SETFD, 0) } == -1 {
            return Err(Errno::BADF);
        }
    }
    Ok(())
}

fn close_between(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: integers only; what is closed belongs to this process's copy of the table.
    sys::check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

fn execute(plan: &Plan) -> Result<(), Failure> {
    // SAFETY: an open descriptor, an empty path, and two arrays that end with a null pointer (PointerArray).
    sys::check(unsafe {
        libc::syscall(
            libc::SYS_execveat,
            plan.program_fd,
            c"".as_ptr(),
            plan.argv.as_ptr(),
            plan.envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    })
    .map(drop)
    .map_err(|errno| Failure(Step::Execute, 0, errno))
}
