//! The work of a supervisor that has one container.

use std::process::ExitCode;

use uc_model::{Problem, Result};

use super::{Core, processes::Status, sacrifice};
use crate::order::{FIRST, Report, Request};

/// A container that has the supervisor for itself.
#[derive(Default)]
pub(super) struct Sole {
    /// The process that ends when the container's program ends, and as it ends: the program itself, or gVisor's kernel.
    main: Option<i32>,
}

impl Sole {
    pub(super) fn handle(&mut self, core: &mut Core, request: &Request) -> Result<()> {
        let has_own_kernel = core.order.flavour.has_own_kernel();
        match request {
            Request::Create => {
                core.build()?;
                // A second process of runsc would cost a fifth of the start; what it needs has been tried by the probe.
                if !has_own_kernel {
                    core.runtime.create(&core.order.id, &mut core.processes)?;
                }
                core.report(FIRST, Report::Created);
            }
            Request::Start => {
                if has_own_kernel {
                    core.runtime.run(&core.order.id, &mut core.processes)?;
                    sacrifice(core.runtime.main_pid()?);
                } else {
                    core.runtime.start(&core.order.id, &mut core.processes)?;
                }
                // If it has ended by now, that is still to be heard.
                self.main = Some(core.runtime.main_pid()?);
                core.report(FIRST, Report::Started);
            }
            Request::Signal { signal } => core.runtime.signal(&core.order.id, *signal)?,
            _ => return Err(Problem::internal("no request to a container on its own")),
        }
        Ok(())
    }

    /// The end of the program is the end of the supervisor.
    pub(super) fn ended(&self, core: &Core, pid: i32, status: Status) -> Option<ExitCode> {
        if self.main != Some(pid) {
            return None;
        }
        let (code, signal) = (status.code(), status.signal());
        core.report(FIRST, Report::Exited { code, signal });
        Some(ExitCode::SUCCESS)
    }
}
