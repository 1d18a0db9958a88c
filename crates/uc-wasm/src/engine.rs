//! The wasmtime engines: one that only runs, and one made for each compilation.

use std::hash::{DefaultHasher, Hash, Hasher};

use uc_model::{Problem, Result};
use wasmtime::{Config, Engine};

/// Native stack a program may use, in bytes; recursion beyond it traps.
const WASM_STACK_BYTES: usize = 1 << 20;

/// Native stack of the program and the host functions it calls, in bytes.
const FIBER_STACK_BYTES: usize = 2 << 20;

/// The most frames named in a trap's backtrace.
const BACKTRACE_FRAMES: std::num::NonZeroUsize = std::num::NonZeroUsize::new(8).unwrap();

/// An engine without a compiler: starting it costs microseconds, and only code from the cache can enter it.
pub(crate) fn runner() -> Result<Engine> {
    Engine::new(config().enable_compiler(false)).map_err(|error| unusable(&error))
}

/// An engine with the compiler, whose output a [`runner`] accepts.
pub(crate) fn compiler() -> Result<Engine> {
    Engine::new(&config()).map_err(|error| unusable(&error))
}

/// Sixteen hexadecimal digits that change whenever compiled code of an earlier engine cannot be used.
pub(crate) fn compatibility(runner: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    runner.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Everything that decides how code is compiled must be the same for both engines.
fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES))
        .memory_init_cow(true);
    config
}

fn unusable(error: &wasmtime::Error) -> Problem {
    Problem::host("the WebAssembly engine cannot start on this host")
        .found(format!("{error:#}"))
        .remedy("check `ulimit -v`: the engine reserves address space for each program")
}
