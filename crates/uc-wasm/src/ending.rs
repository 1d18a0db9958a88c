//! How a program ended, from what the engine returned.

use uc_sandbox::{Exit, ExitReason};
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// What a shell shows after SIGKILL: stopped, or out of memory.
const CODE_KILLED: u8 = 137;

/// What a shell shows after SIGABRT: a trap.
const CODE_TRAPPED: u8 = 134;

/// The most bytes of a trap's message.
const MESSAGE_BYTES_MAX: usize = 1_000;

/// The most functions named in a trap's message.
const FRAMES_SHOWN: usize = 4;

/// The end of a program that was stopped on request, before or after its start.
pub(crate) fn stopped() -> Exit {
    Exit {
        code: CODE_KILLED,
        reason: ExitReason::Stopped,
    }
}

/// The end of a program whose thread failed.
pub(crate) fn broken() -> Exit {
    trapped("the WebAssembly engine failed; this is a defect of the sandbox".into())
}

/// The end of a program whose thread could not take on its user: it has not run.
pub(crate) fn powerless(errno: rustix::io::Errno) -> Exit {
    trapped(format!(
        "it has not run: its thread could not take on the user's rights ({})",
        std::io::Error::from(errno)
    ))
}

/// The end that goes with a result; `denied` says whether growth was denied for the memory limit.
pub(crate) fn of(result: wasmtime::Result<u8>, denied: bool) -> Exit {
    let error = match result {
        Ok(code) => return Exit::with_code(code),
        Err(error) => error,
    };
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        // As a shell does, the low eight bits.
        return Exit::with_code(code.to_le_bytes()[0]);
    }
    let trap = error.downcast_ref::<Trap>();
    // Programs answer a failed allocation by aborting (`unreachable`) or by using the pointer they did not get. An
    // error that is no trap at all is a start that did not fit.
    let for_want_of_memory = matches!(
        trap,
        None | Some(
            Trap::UnreachableCodeReached | Trap::MemoryOutOfBounds | Trap::AllocationTooLarge
        )
    );
    if denied && for_want_of_memory {
        return Exit {
            code: CODE_KILLED,
            reason: ExitReason::OutOfMemory,
        };
    }
    let mut message = match trap {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        message.push_str(&called_from(backtrace));
    }
    trapped(message)
}

fn trapped(mut message: String) -> Exit {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    Exit {
        code: CODE_TRAPPED,
        reason: ExitReason::Trapped { message },
    }
}

/// ` in inner < outer`, for the innermost functions.
fn called_from(backtrace: &WasmBacktrace) -> String {
    let names: Vec<String> = backtrace
        .frames()
        .iter()
        .take(FRAMES_SHOWN)
        .map(|frame| match frame.func_name() {
            Some(name) => name.to_owned(),
            None => format!("function {}", frame.func_index()),
        })
        .collect();
    if names.is_empty() {
        return String::new();
    }
    format!(" in {}", names.join(" < "))
}
