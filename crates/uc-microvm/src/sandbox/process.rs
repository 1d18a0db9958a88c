//! A container's process as its agent is told of it.

use uc_guest_protocol::GuestProcess;
use uc_sandbox::Process;

/// A process with all that is known of it.
pub(super) fn guest_process(process: &Process) -> GuestProcess {
    GuestProcess {
        argv: process.argv.clone(),
        env: process.env.clone(),
        cwd: process.cwd.clone(),
        user: process.user.clone(),
    }
}

/// A process of which nothing is known yet but who it runs as.
pub(super) fn anonymous_process(process: &Process) -> GuestProcess {
    GuestProcess {
        argv: Vec::new(),
        env: Vec::new(),
        cwd: "/".to_owned(),
        user: process.user.clone(),
    }
}
