//! From a loaded program to one call after the other.

use uc_guest_protocol::function::{Call, Report, STDERR, STDOUT};
use uc_model::{Problem, Result};
use uc_sandbox::Exit;
use uc_wasm::{Directory, Function, Streams};

use crate::{Options, input::Input, output::Output, prefault, signal::Termination};

/// Loads the program, then answers calls until the input ends. A program that handles HTTP requests is called once.
///
/// # Errors
/// The program cannot be loaded or called, or the input is no conversation.
#[expect(unsafe_code, reason = "the program is machine code")]
pub(crate) fn run(options: &Options, input: &Input, output: &Output) -> Result<()> {
    // SAFETY: the host compiled the program, and it lies on a disk that is read-only for this whole machine. It could do no
    // harm here that it could not do by itself: this process has nothing but what the program was granted, and the walls
    // around both are the container and the machine.
    let function = unsafe { Function::load(&options.program)? };
    if options.prefault {
        prefault::own_program();
        prefault::range(function.image());
    }
    output.report(&Report::Ready)?;
    while let Some(call) = input.next_call()? {
        let streams = Streams {
            stdin: Some(input.stdin()),
            stdout: output.stream(STDOUT),
            stderr: output.stream(STDERR),
        };
        if call.rehearsal {
            function.rehearse(streams)?;
            output.report(&Report::Ready)?;
            continue;
        }
        if function.handles_http() {
            serve(&function, call, input, output)?;
            return output.report(&Report::Done(Exit::with_code(0)));
        }
        let exit = function.call(&granted(call), streams)?;
        output.report(&Report::Done(exit))?;
    }
    Ok(())
}

fn serve(function: &Function, call: Call, input: &Input, output: &Output) -> Result<()> {
    let port = call.port.ok_or_else(|| {
        Problem::refused("an HTTP handler needs a port to answer at")
            .remedy("name a containerPort: ports: [{containerPort: 8080}]")
    })?;
    let until = input.end(Termination::awaited()?);
    let streams = (output.stream(STDOUT), output.stream(STDERR));
    function.serve(&granted(call), port, streams, &until)
}

fn granted(call: Call) -> uc_wasm::Call {
    uc_wasm::Call {
        argv: call.argv,
        env: call.env,
        cwd: call.cwd,
        directories: call
            .directories
            .into_iter()
            .map(|directory| Directory {
                path: directory.path,
                read_only: directory.read_only,
            })
            .collect(),
        memory_limit_bytes: call.memory_limit_bytes,
        sockets: call.sockets,
    }
}
