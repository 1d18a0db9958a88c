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
#[cfg(feature = "compiler")]
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
#[cfg(feature = "compiler")]
pub(crate) fn powerless(errno: rustix::io::Errno) -> Exit {
    trapped(format!(
        "it has not run: its thread could not take on the user's rights ({})",
        std::io::Error::from(errno)
    ))
}

/// The end of a handler whose port could not be watched: it has answered nobody.
#[cfg(feature = "compiler")]
pub(crate) fn deaf(error: &std::io::Error) -> Exit {
    trapped(format!(
        "it has not run: its port cannot be watched ({error})"
    ))
}

/// The end that goes with a result; `denied` says whether growth was denied for the memory limit.
pub(crate) fn of(result: wasmtime::Result<u8>, denied: bool) -> Exit {
    let error = match result {
        Ok(code) => return Exit::with_code(code),
        Err(error) => error,
    };
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return exited(*code);
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

/// As a shell does, the low eight bits; but what is no success must not look like one.
fn exited(code: i32) -> Exit {
    match u8::try_from(code) {
        Ok(code) => Exit::with_code(code),
        Err(_) => Exit {
            code: code.to_le_bytes()[0].max(1),
            reason: ExitReason::ExitedBeyond { code },
        },
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_failure_looks_like_success() {
        for (code, shown) in [
            (0, 0),
            (255, 255),
            (256, 1),
            (257, 1),
            (300, 44),
            (-1, 255),
            (-256, 1),
        ] {
            let exit = exited(code);
            assert_eq!(exit.code, shown, "{code}");
            let beyond = exit.reason == ExitReason::ExitedBeyond { code };
            assert_eq!(beyond, !(0..=255).contains(&code), "{code}");
        }
    }
}
