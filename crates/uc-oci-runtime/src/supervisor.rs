//! The supervisor: process 1 of a container's namespaces. It builds the root file system, runs the runtime's commands, and
//! ends when the container's program has ended.
//!
//! It has one thread and is told what to do over a socket; when that closes, it ends, and the kernel ends everything that
//! it started.

mod barriers;
mod cgroups;
mod place;
mod processes;
mod program;
mod runtime;

use std::{
    collections::BTreeMap,
    io::Read as _,
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    process::ExitCode,
};

use uc_model::{Problem, Result, Telling};

use crate::{
    control,
    order::{MAX_ORDER, Order, Report, Request},
};
use processes::{Event, Processes};
use runtime::Runtime;

/// The name under which `uc` is a supervisor: its argument 0.
pub const NAME: &str = "uc-supervisor";

/// Most programs that run in a container beside its own at a time.
const MAX_EXECS: usize = 64;

/// Runs as a supervisor, whose order lies under the descriptor that the first argument names.
pub fn supervise() -> ExitCode {
    match Supervisor::from_arguments() {
        Ok(supervisor) => supervisor.run(),
        // Nobody but a driver starts one, and that sees the socket close.
        Err(_) => ExitCode::FAILURE,
    }
}

struct Supervisor {
    order: Order,
    control: OwnedFd,
    runtime: Runtime,
    processes: Processes,
    /// The process that ends when the container's program ends, and as it ends: the program itself, or gVisor's kernel.
    main: Option<i32>,
    execs: BTreeMap<u32, Exec>,
}

struct Exec {
    pid: i32,
    /// Where the runtime writes the process id that the program has inside.
    pid_file: String,
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
        Ok(Self {
            runtime: Runtime::new(&order),
            processes: Processes::new()?,
            control,
            order,
            main: None,
            execs: BTreeMap::new(),
        })
    }

    fn run(mut self) -> ExitCode {
        loop {
            match self.processes.next(self.control.as_fd()) {
                Ok(Event::Message) => match control::receive(&self.control) {
                    Ok(Some((request, descriptors))) => {
                        if let Err(problem) = self.handle(request, &descriptors) {
                            self.report(&Report::Failed(Telling::of(&problem)));
                            return ExitCode::FAILURE;
                        }
                    }
                    // The driver is gone, or speaks nonsense.
                    Ok(None) | Err(_) => return ExitCode::FAILURE,
                },
                Ok(Event::Ended { pid, status }) => {
                    if let Some((code, signal)) = self.ended(pid, status) {
                        self.report(&Report::Exited { code, signal });
                        return ExitCode::SUCCESS;
                    }
                }
                Err(_) => return ExitCode::FAILURE,
            }
        }
    }

    fn report(&self, report: &Report) {
        // A driver that does not listen any more is about to close the socket.
        let _ = control::send(&self.control, report, &[]);
    }

    /// Does what is asked; an error ends the container.
    fn handle(&mut self, request: Request, descriptors: &[OwnedFd]) -> Result<()> {
        match request {
            Request::Create => {
                place::build(&self.order)?;
                let covers = self.order.covers();
                program::find(
                    &mut self.order.config["process"],
                    &covers,
                    self.order.flavour,
                )?;
                place::write_config(&self.order)?;
                // A second process of runsc would cost a fifth of the start; what it needs has been tried by the probe.
                if !self.order.flavour.has_own_kernel() {
                    self.runtime.create(&mut self.processes)?;
                }
                self.report(&Report::Created);
            }
            Request::Start => {
                if self.order.flavour.has_own_kernel() {
                    self.runtime.run(&mut self.processes)?;
                    sacrifice(self.runtime.main_pid()?);
                } else {
                    self.runtime.start(&mut self.processes)?;
                }
                // If it has ended by now, that is still to be heard.
                self.main = Some(self.runtime.main_pid()?);
                self.report(&Report::Started);
            }
            Request::Signal { signal } => self.runtime.signal(signal)?,
            Request::Pause { number, hold } => {
                let result = self.runtime.pause(hold, &mut self.processes);
                let result = result.map_err(|problem| Telling::of(&problem));
                self.report(&Report::Done { number, result });
            }
            Request::Exec {
                number,
                mut process,
            } => {
                if let Err(problem) = self.exec(number, &mut process, descriptors) {
                    self.exec_ended(number, Err(Telling::of(&problem)));
                }
            }
            Request::EndExec { number } => {
                if let Some(exec) = self.execs.get(&number) {
                    self.runtime.end_exec(exec.pid, &exec.pid_file);
                }
            }
        }
        Ok(())
    }

    fn exec(
        &mut self,
        number: u32,
        process: &mut serde_json::Value,
        descriptors: &[OwnedFd],
    ) -> Result<()> {
        let [stdin, stdout, stderr] = descriptors else {
            return Err(Problem::internal("three streams are needed"));
        };
        if self.execs.len() >= MAX_EXECS {
            return Err(Problem::refused("too many programs run in this container")
                .limit(MAX_EXECS)
                .remedy("probe less often"));
        }
        program::find(process, &self.order.covers(), self.order.flavour)?;
        let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let (pid, pid_file) = self.runtime.exec(number, process, streams)?;
        self.execs.insert(number, Exec { pid, pid_file });
        Ok(())
    }

    fn exec_ended(&self, number: u32, result: std::result::Result<u8, Telling>) {
        self.report(&Report::ExecEnded { number, result });
    }

    /// Takes note of a process's end; the exit of the container's program, if that was it.
    fn ended(&mut self, pid: i32, status: processes::Status) -> Option<(u8, Option<i32>)> {
        let exec = self.execs.iter().find(|(_, exec)| exec.pid == pid);
        if let Some((&number, _)) = exec {
            self.execs.remove(&number);
            self.exec_ended(number, Ok(status.code()));
            return None;
        }
        (self.main == Some(pid)).then(|| (status.code(), status.signal()))
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
