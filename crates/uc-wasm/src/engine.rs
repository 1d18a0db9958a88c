//! The wasmtime engines: one that only runs, and those made for a compilation.

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
    Engine::new(&without_compiler(config())).map_err(|error| unusable(&error))
}

#[cfg(feature = "compiler")]
fn without_compiler(mut config: Config) -> Config {
    config.enable_compiler(false);
    config
}

/// A build without a compiler has no such switch.
#[cfg(not(feature = "compiler"))]
fn without_compiler(config: Config) -> Config {
    config
}

/// An engine with the compiler, whose output a [`runner`] accepts.
#[cfg(feature = "compiler")]
pub(crate) fn compiler() -> Result<Engine> {
    Engine::new(&config()).map_err(|error| unusable(&error))
}

/// An engine with the compiler, whose output a [`runner`] accepts on any processor of this architecture. A target that is
/// named is not asked what it has beyond its baseline.
#[cfg(feature = "compiler")]
pub(crate) fn compiler_for_guest() -> Result<Engine> {
    let mut config = config();
    config
        .target(&format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .and_then(|config| Engine::new(config))
        .map_err(|error| unusable(&error))
}

/// Sixteen hexadecimal digits that change whenever compiled code of an earlier engine cannot be used.
#[cfg(feature = "compiler")]
pub(crate) fn compatibility(runner: &Engine) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
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
