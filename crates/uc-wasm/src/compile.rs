//! From the bytes of a module or component to machine code, after the checks that need the bytes.

use uc_model::{PayloadFormat, Problem, Result};
use wasmtime::Engine;

use crate::{
    engine,
    inspect::{inspect, to_binary},
    program,
};

/// Compiles a module or component, binary or text, for the guest of a microVM: for any processor of this architecture, so
/// that it also runs where the virtual processor has less than this host's. [`Function::load`](crate::Function::load) of the
/// same release of this crate takes the result.
///
/// # Errors
/// Invalid for bytes that are no WebAssembly program, refused for one that declares too much memory.
pub fn precompile_for_guest(bytes: &[u8]) -> Result<Vec<u8>> {
    compile(bytes, &engine::compiler_for_guest)
}

/// Compiles a package with an engine that is made after the checks that need its bytes.
pub(crate) fn compile(bytes: &[u8], compiler: &dyn Fn() -> Result<Engine>) -> Result<Vec<u8>> {
    let facts = inspect(bytes)?;
    program::check_memory_bytes(facts.memory_min_bytes, None)?;
    let binary = to_binary(bytes)?;
    let compiler = compiler()?;
    let compiled = match facts.format {
        PayloadFormat::WasmComponent => compiler.precompile_component(&binary),
        _ => compiler.precompile_module(&binary),
    };
    compiled.map_err(|error| {
        Problem::invalid("the WebAssembly program is not valid")
            .found(format!("{error:#}"))
            .limit("WebAssembly 3.0 without garbage collection, exceptions and shared memory")
            .remedy("rebuild it without these features, or run it as a container")
    })
}
