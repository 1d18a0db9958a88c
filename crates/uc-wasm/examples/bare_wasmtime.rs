//! The peer that our start-up time is measured against: the least that embeds wasmtime and runs a WASI preview 1 module.
//!
//! `bare_wasmtime compile IN.wat OUT.cwasm`, then `hyperfine 'bare_wasmtime run OUT.cwasm'`;
//! `bare_wasmtime instantiate OUT.cwasm` prints the median time of one instantiation.

#![allow(unsafe_code, reason = "loading compiled code is the point")]
#![allow(clippy::print_stdout, reason = "the result of a measurement")]

use std::{env, fs, time::Instant};

use wasmtime::{Config, Engine, Linker, Module, Result, Store, error::Context as _};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder, p1};

const ROUNDS: usize = 2_001;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["compile", input, output] => {
            let bytes = wat::parse_file(input)?;
            fs::write(output, Engine::default().precompile_module(&bytes)?)?;
            Ok(())
        }
        ["run", file] => run(file),
        ["instantiate", file] => instantiate(file),
        _ => Err(wasmtime::Error::msg(
            "compile IN OUT, run FILE or instantiate FILE",
        )),
    }
}

fn load(file: &str) -> Result<(Engine, Module)> {
    let engine = Engine::new(Config::new().enable_compiler(false))?;
    // SAFETY: the file is what `compile` wrote.
    let module = unsafe { Module::deserialize_file(&engine, file)? };
    Ok((engine, module))
}

fn run(file: &str) -> Result<()> {
    let (engine, module) = load(file)?;
    let mut linker = Linker::new(&engine);
    p1::add_to_linker_sync(&mut linker, |wasi| wasi)?;
    let wasi = WasiCtxBuilder::new()
        .inherit_stdio()
        .arg("program")
        .build_p1();
    let mut store = Store::new(&engine, wasi);
    let instance = linker.instantiate(&mut store, &module)?;
    let start = instance
        .get_typed_func::<(), ()>(&mut store, "_start")
        .context("no _start")?;
    match start.call(&mut store, ()) {
        Err(error)
            if error
                .downcast_ref::<I32Exit>()
                .is_none_or(|exit| exit.0 != 0) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

fn instantiate(file: &str) -> Result<()> {
    let (engine, module) = load(file)?;
    let mut linker = Linker::new(&engine);
    p1::add_to_linker_sync(&mut linker, |wasi| wasi)?;
    let linked = linker.instantiate_pre(&module)?;
    let mut micros = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let before = Instant::now();
        let mut store = Store::new(&engine, WasiCtxBuilder::new().build_p1());
        linked.instantiate(&mut store)?;
        micros.push(before.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_by(f64::total_cmp);
    println!("store and instance: median {:.1} µs", micros[ROUNDS / 2]);
    Ok(())
}
