//! A container's process as its agent is told of it.

use uc_guest_protocol::GuestProcess;
use uc_sandbox::{CreateRequest, Payload, Process};

/// Calls a function that has no name by that of its file, as it is called outside a machine.
pub(super) fn name_function(request: &mut CreateRequest) {
    if let Payload::Wasm { file, .. } = &request.payload
        && request.process.argv.is_empty()
    {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        request.process.argv.push(name.into_owned());
    }
}

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
