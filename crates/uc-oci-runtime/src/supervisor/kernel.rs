//! The work of a supervisor that has a gVisor kernel, which the containers of a Pod join and leave.
//!
//! The kernel's first container runs a program of a few instructions that never ends: so the kernel outlives each of the
//! others. Nothing here waits for a command of the runtime, so no container keeps another one waiting.

use std::{
    collections::BTreeMap,
    fs,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::PermissionsExt as _,
    },
    process::ExitCode,
};

use uc_model::{Problem, Result, Telling};

use super::{Core, Running, place, processes::Status, sacrifice};
use crate::{
    inside,
    order::{FIRST, PLACE, Report, Request, covers, place_of},
};

/// Most containers that are in one kernel at a time.
const MAX_CONTAINERS: usize = 256;

/// What a shell shows for a program that was killed.
const KILLED: u8 = 128 + libc::SIGKILL as u8;

/// A kernel and those in it.
#[derive(Default)]
pub(super) struct Kernel {
    /// The process that is the kernel, once it has been booted.
    main: Option<i32>,
    containers: BTreeMap<u32, Joined>,
}

/// A container that has joined.
struct Joined {
    id: String,
    covers: Vec<String>,
    state: State,
}

/// How far it has come; the numbers are those of the runtime's processes.
enum State {
    Created {
        streams: [OwnedFd; 3],
    },
    /// `run` is at it.
    Starting {
        run: i32,
        end_it: bool,
    },
    /// `wait` ends when the program has ended.
    Running {
        wait: i32,
    },
    /// `delete` is at it, where there is something to delete; then the errand is done that wants it removed.
    Ended {
        delete: Option<i32>,
        remove: Option<u32>,
    },
}

impl Kernel {
    /// Boots the kernel with its first container.
    pub(super) fn boot(&mut self, core: &mut Core) -> Result<()> {
        place::build(&core.order)?;
        let failed = |error| Problem::host("cannot prepare gVisor's kernel").caused_by(error);
        let program = inside::pause().ok_or_else(|| {
            Problem::host("no program is known that keeps a kernel alive on this processor")
                .found(std::env::consts::ARCH)
                .remedy("put each container into a Pod of its own")
        })?;
        let file = format!("{PLACE}/root{}", inside::PAUSE);
        fs::write(&file, program)
            .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o755)))
            .and_then(|()| fs::create_dir(format!("{PLACE}/containers")))
            .map_err(failed)?;
        place::write_config(&core.order)?;
        core.runtime.run(&core.order.id, &mut core.processes)?;
        let main = core.runtime.main_pid()?;
        sacrifice(main);
        self.main = Some(main);
        core.report(FIRST, Report::Created);
        Ok(())
    }

    /// Does what is asked of one container, and reports what fails: that is its end, and not that of the others.
    ///
    /// # Errors
    /// A container that cannot be ended: then all of them must be.
    pub(super) fn handle(
        &mut self,
        core: &Core,
        number: u32,
        request: Request,
        descriptors: Vec<OwnedFd>,
    ) -> Result<()> {
        let failed = |problem: &Problem| core.report(number, Report::Failed(Telling::of(problem)));
        match request {
            Request::Join { id } => match self.join(number, id, descriptors) {
                Ok(()) => core.report(number, Report::Created),
                Err(problem) => failed(&problem),
            },
            Request::Start => {
                if let Err(problem) = self.find(number)?.start(core, number) {
                    failed(&problem);
                }
            }
            Request::Signal { signal } => {
                let joined = self.find(number)?;
                // Before its start there is no program, and who does not hear of a signal is ended after a while.
                if matches!(joined.state, State::Running { .. }) {
                    let _ = core.runtime.signal(&joined.id, signal);
                }
            }
            Request::End => self.find(number)?.end(core, number)?,
            Request::Remove { errand } => {
                if self.find(number)?.is_removable(errand) {
                    self.remove(core, number, errand);
                }
            }
            _ => return Err(Problem::internal("no request to a container in a kernel")),
        }
        Ok(())
    }

    fn find(&mut self, number: u32) -> Result<&mut Joined> {
        self.containers
            .get_mut(&number)
            .ok_or_else(|| Problem::internal("no such container in this kernel").found(number))
    }

    fn join(&mut self, number: u32, id: String, descriptors: Vec<OwnedFd>) -> Result<()> {
        let [parts, streams @ ..]: [OwnedFd; 4] = descriptors
            .try_into()
            .map_err(|_| Problem::internal("a container joins with four descriptors"))?;
        if self.containers.len() >= MAX_CONTAINERS {
            return Err(Problem::refused("too many containers in one Pod").limit(MAX_CONTAINERS));
        }
        let place = place_of(number);
        place::attach(parts.as_fd(), &place)?;
        let covers = covers(&place::read_config(&place)?);
        let state = State::Created { streams };
        let joined = Joined { id, covers, state };
        self.containers.insert(number, joined);
        Ok(())
    }

    fn remove(&mut self, core: &Core, number: u32, errand: u32) {
        self.containers.remove(&number);
        place::remove(&place_of(number));
        core.runtime.forget(&place_of(number));
        let report = Report::ErrandEnded {
            number: errand,
            result: Ok(0),
        };
        core.report(number, report);
    }

    pub(super) fn running(&self, number: u32) -> Result<Running> {
        match self.containers.get(&number) {
            Some(joined) if matches!(joined.state, State::Running { .. }) => Ok(Running {
                id: joined.id.clone(),
                root: format!("{}/root", place_of(number)),
                covers: joined.covers.clone(),
            }),
            _ => Err(Problem::invalid("the container is not running")),
        }
    }

    /// Takes note of a process's end. The kernel's own is the end of everything, and so is a kernel that cannot tell how a
    /// program ended.
    pub(super) fn ended(&mut self, core: &Core, pid: i32, status: Status) -> Option<ExitCode> {
        if self.main == Some(pid) {
            return Some(ExitCode::FAILURE);
        }
        let found = self
            .containers
            .iter_mut()
            .find(|(_, joined)| joined.state.is_of(pid))?;
        let (number, joined) = (*found.0, found.1);
        match joined.state {
            State::Starting { end_it, .. } => {
                if let Err(problem) = joined.started(core, number, status, end_it) {
                    joined.discard(core);
                    core.report(number, Report::Failed(Telling::of(&problem)));
                }
            }
            State::Running { .. } => {
                let Some(code) = core.runtime.exit_code(&place_of(number)) else {
                    return Some(ExitCode::FAILURE);
                };
                joined.discard(core);
                core.report(number, Report::Exited { code, signal: None });
            }
            State::Ended { remove, .. } => {
                joined.state = State::Ended {
                    delete: None,
                    remove,
                };
                if let Some(errand) = remove {
                    self.remove(core, number, errand);
                }
            }
            State::Created { .. } => {}
        }
        None
    }
}

impl State {
    fn is_of(&self, pid: i32) -> bool {
        match self {
            Self::Created { .. } => false,
            Self::Starting { run, .. } => *run == pid,
            Self::Running { wait } => *wait == pid,
            Self::Ended { delete, .. } => *delete == Some(pid),
        }
    }
}

impl Joined {
    fn start(&mut self, core: &Core, number: u32) -> Result<()> {
        let State::Created { streams } = &self.state else {
            return Err(Problem::invalid("the container has been started already"));
        };
        let streams = [streams[0].as_fd(), streams[1].as_fd(), streams[2].as_fd()];
        let run = core
            .runtime
            .run_joined(&self.id, &place_of(number), streams)
            .inspect_err(|_| self.discard(core))?;
        // The streams are the program's from here on: a reader sees their end with it.
        self.state = State::Starting { run, end_it: false };
        Ok(())
    }

    fn started(&mut self, core: &Core, number: u32, status: Status, end_it: bool) -> Result<()> {
        let place = place_of(number);
        if status.code() != 0 {
            return Err(core.runtime.did_not_run(&place, status));
        }
        let wait = core.runtime.wait(&self.id, &place)?;
        self.state = State::Running { wait };
        core.report(number, Report::Started);
        if end_it {
            core.runtime.signal(&self.id, libc::SIGKILL)?;
        }
        Ok(())
    }

    fn end(&mut self, core: &Core, number: u32) -> Result<()> {
        match &mut self.state {
            State::Created { .. } => {
                self.state = State::Ended {
                    delete: None,
                    remove: None,
                };
                let signal = Some(libc::SIGKILL);
                let code = KILLED;
                core.report(number, Report::Exited { code, signal });
                Ok(())
            }
            State::Starting { end_it, .. } => {
                *end_it = true;
                Ok(())
            }
            State::Running { .. } => core.runtime.signal(&self.id, libc::SIGKILL),
            State::Ended { .. } => Ok(()),
        }
    }

    /// Lets the runtime forget a container that has ended, with the process that served its files.
    fn discard(&mut self, core: &Core) {
        self.state = State::Ended {
            delete: core.runtime.delete(&self.id).ok(),
            remove: None,
        };
    }

    /// Whether it can be removed now; else it will be.
    fn is_removable(&mut self, errand: u32) -> bool {
        match &mut self.state {
            State::Ended { delete: None, .. } => true,
            State::Ended { remove, .. } => {
                *remove = Some(errand);
                false
            }
            // The driver removes what has ended only.
            _ => false,
        }
    }
}
