//! The supervisor: process 1 of a container's namespaces. It builds the root file system, runs the runtime's commands, and
//! ends when the container's program has ended. Where containers of a Pod share a gVisor kernel, one supervisor serves that
//! kernel for all of them, and another builds the parts of each and hands them over.
//!
//! It has one thread and is told what to do over a socket; when that closes, it ends, and the kernel ends everything that
//! it started.

mod barriers;
mod casualties;
mod cgroups;
mod errands;
mod kernel;
mod place;
mod processes;
mod program;
mod runtime;
mod sole;

use std::{
    io::Read as _,
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    path::Path,
    process::ExitCode,
};

use uc_model::{Problem, Result, Telling};

use crate::{
    control,
    order::{
        FIRST, FromContainer, MAX_ORDER, Order, PLACE, Report, Request, Role, ToContainer, covers,
    },
};
use errands::Errands;
use kernel::Kernel;
use processes::{Event, Processes, Status};
use runtime::Runtime;
use sole::Sole;

/// The name under which `uc` is a supervisor: its argument 0.
pub const NAME: &str = "uc-supervisor";

/// Runs as a supervisor, whose order lies under the descriptor that the first argument names.
pub fn supervise() -> ExitCode {
    match Supervisor::from_arguments() {
        Ok(supervisor) => supervisor.run(),
        // Nobody but a driver starts one, and that sees the socket close.
        Err(_) => ExitCode::FAILURE,
    }
}

struct Supervisor {
    core: Core,
    work: Work,
}

/// What every supervisor has.
struct Core {
    order: Order,
    control: OwnedFd,
    runtime: Runtime,
    processes: Processes,
    errands: Errands,
}

/// What it is for.
enum Work {
    Container(Sole),
    Kernel(Kernel),
    Stage,
}

impl Supervisor {
    fn from_arguments() -> Result<Self> {
        let nonsense = || Problem::internal("a supervisor without an order");
        let number: RawFd = std::env::args()
            .nth(1)
            .and_then(|text| text.parse().ok())
            .filter(|number| *number > 2)
            .ok_or_else(nonsense)?;
        // SAFETY: the driver that executed this program left the descriptor open, and nothing else owns it.
        let file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(number) });
        let mut bytes = Vec::new();
        // The driver has written it, and its offset stands at the end.
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))
            .map_err(|errno| nonsense().caused_by(std::io::Error::from(errno)))?;
        file.take(MAX_ORDER)
            .read_to_end(&mut bytes)
            .map_err(|error| nonsense().caused_by(error))?;
        let order: Order =
            serde_json::from_slice(&bytes).map_err(|error| nonsense().caused_by(error))?;
        // SAFETY: as above.
        let control = unsafe { OwnedFd::from_raw_fd(order.descriptors.control) };
        close_on_exec(&order);
        if order.flavour.has_own_kernel() {
            barriers::spare();
        }
        let work = match order.role {
            Role::Container => Work::Container(Sole::default()),
            Role::Kernel => Work::Kernel(Kernel::default()),
            Role::Stage => Work::Stage,
        };
        let core = Core {
            runtime: Runtime::new(&order),
            processes: Processes::new()?,
            errands: Errands::default(),
            control,
            order,
        };
        Ok(Self { core, work })
    }

    fn run(mut self) -> ExitCode {
        loop {
            match self.core.processes.next(self.core.control.as_fd()) {
                Ok(Event::Message) => match control::receive(&self.core.control) {
                    Ok(Some((message, descriptors))) => {
                        if self.handle(message, descriptors).is_err() {
                            return ExitCode::FAILURE;
                        }
                    }
                    // The driver is gone, or speaks nonsense.
                    Ok(None) | Err(_) => return ExitCode::FAILURE,
                },
                Ok(Event::Ended { pid, status }) => {
                    if let Some(code) = self.ended(pid, status) {
                        return code;
                    }
                }
                Err(_) => return ExitCode::FAILURE,
            }
        }
    }

    /// Does what is asked, and reports what fails; an error then ends the supervisor.
    fn handle(&mut self, message: ToContainer, descriptors: Vec<OwnedFd>) -> Result<(), Fatal> {
        let ToContainer { container, request } = message;
        let core = &mut self.core;
        match request {
            Request::Exec {
                number,
                mut process,
            } => {
                let done = self
                    .work
                    .running(&core.order, container)
                    .and_then(|running| core.exec(number, &mut process, running, &descriptors));
                core.tell_failed_errand(number, done);
                return Ok(());
            }
            Request::Pause { errand, hold } => {
                let id = core.order.id.clone();
                let done = core.runtime.pause(&id, hold, &mut core.processes);
                let result = done.map(|()| 0).map_err(|problem| Telling::of(&problem));
                core.report(
                    FIRST,
                    Report::ErrandEnded {
                        number: errand,
                        result,
                    },
                );
                return Ok(());
            }
            Request::Connect { number, port } => {
                let id = core.order.id.clone();
                let done = core.errands.connect(&core.runtime, number, id, port);
                core.tell_failed_errand(number, done);
                return Ok(());
            }
            Request::EndErrand { number } => {
                core.errands.end(&core.runtime, number);
                return Ok(());
            }
            request => match &mut self.work {
                Work::Container(sole) => sole.handle(core, &request),
                Work::Kernel(kernel) if container == FIRST => kernel.boot(core),
                Work::Kernel(kernel) => kernel.handle(core, container, request, descriptors),
                Work::Stage => core.stage(),
            },
        }
        .map_err(|problem| {
            core.report(FIRST, Report::Failed(Telling::of(&problem)));
            Fatal
        })
    }

    /// Takes note of a process's end; a code where the supervisor's work is done.
    fn ended(&mut self, pid: i32, status: Status) -> Option<ExitCode> {
        let core = &mut self.core;
        if let Some((number, result)) = core.errands.ended(pid, status) {
            core.report(FIRST, Report::ErrandEnded { number, result });
            return None;
        }
        match &mut self.work {
            Work::Container(sole) => sole.ended(core, pid, status),
            Work::Kernel(kernel) => kernel.ended(core, pid, status),
            Work::Stage => None,
        }
    }
}

/// What cannot be gone on from; it has been told.
struct Fatal;

/// A container in which further programs can be run.
struct Running {
    id: String,
    /// Its root file system.
    root: String,
    /// Where volumes cover the image.
    covers: Vec<String>,
}

impl Work {
    fn running(&self, order: &Order, container: u32) -> Result<Running> {
        match self {
            Self::Container(_) => Ok(Running {
                id: order.id.clone(),
                root: format!("{PLACE}/root"),
                covers: covers(&order.config),
            }),
            Self::Kernel(kernel) => kernel.running(container),
            Self::Stage => Err(Problem::internal("nothing runs here")),
        }
    }
}

impl Core {
    fn report(&self, container: u32, report: Report) {
        self.hand_over(container, report, &[]);
    }

    fn hand_over(&self, container: u32, report: Report, descriptors: &[BorrowedFd<'_>]) {
        let message = FromContainer { container, report };
        // A driver that does not listen any more is about to close the socket.
        let _ = control::send(&self.control, &message, descriptors);
    }

    /// Builds the parts of a container: its root file system with its volumes, and its bundle.
    fn build(&mut self) -> Result<()> {
        place::build(&self.order)?;
        let covers = covers(&self.order.config);
        let root = Path::new(PLACE).join("root");
        let flavour = self.order.flavour;
        program::find(&mut self.order.config["process"], &root, &covers, flavour)?;
        place::write_config(&self.order)
    }

    fn stage(&mut self) -> Result<()> {
        self.build()?;
        let parts = place::detach()?;
        self.hand_over(FIRST, Report::Created, &[parts.as_fd()]);
        Ok(())
    }

    fn exec(
        &mut self,
        number: u32,
        process: &mut serde_json::Value,
        running: Running,
        descriptors: &[OwnedFd],
    ) -> Result<()> {
        let [stdin, stdout, stderr] = descriptors else {
            return Err(Problem::internal("three streams are needed"));
        };
        let (root, flavour) = (Path::new(&running.root), self.order.flavour);
        program::find(process, root, &running.covers, flavour)?;
        let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        self.errands
            .exec(&self.runtime, number, running.id, process, streams)
    }

    fn tell_failed_errand(&self, number: u32, begun: Result<()>) {
        if let Err(problem) = begun {
            let result = Err(Telling::of(&problem));
            self.report(FIRST, Report::ErrandEnded { number, result });
        }
    }
}

/// Makes a process the first that the host's kernel ends for want of memory: the sandbox ends as a whole then, and does not
/// go on without one of its parts.
fn sacrifice(pid: i32) {
    let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000");
}

/// What was inherited is for the supervisor, not for what it starts.
fn close_on_exec(order: &Order) {
    let numbers = &order.descriptors;
    let last = numbers.first_volume + order.volumes.len() as RawFd;
    for number in numbers.control..last {
        // SAFETY: fcntl takes integers.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// A descriptor inherited under a planned number.
fn inherited(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: planned numbers stay open as long as this process lives; nothing owns them.
    unsafe { BorrowedFd::borrow_raw(number) }
}
