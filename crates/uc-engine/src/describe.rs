//! What there is to say about the end of a container.

use uc_sandbox::{Exit, ExitReason};

/// More to say about an end than its code.
pub(crate) fn describe(exit: &Exit) -> Option<String> {
    match &exit.reason {
        ExitReason::Exited => None,
        ExitReason::ExitedBeyond { code } => Some(format!(
            "the program's own exit code was {code}; 0 to 255 can be passed on"
        )),
        ExitReason::Signalled { signal } => Some(format!("ended by signal {signal}")),
        ExitReason::OutOfMemory => {
            Some("out of memory: it needed more than limits.memory".to_owned())
        }
        ExitReason::Deadline => Some("it ran longer than allowed".to_owned()),
        ExitReason::Trapped { message } => Some(format!("trapped: {message}")),
        ExitReason::Stopped => Some("stopped on request".to_owned()),
        ExitReason::Unhealthy { message } => Some(format!("stopped, since its {message}")),
    }
}
