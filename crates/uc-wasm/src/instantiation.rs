//! How long it takes to make one more instance of a program that is compiled and linked.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use uc_model::{Problem, Result};
use wasmtime::{Engine, Store};
use wasmtime_wasi::WasiCtxBuilder;

use crate::{
    host::Host,
    loader::Loader,
    meter::{Meter, Usage},
    program::{Grants, Program},
    run::{Runtime, new_store},
};

/// Instantiates a program `rounds` times in a row, each time with a store of its own and without running it, and gives
/// the duration of each. What a sandbox does once for a program (thread, streams, directories) is no part of it.
///
/// # Errors
/// As for a program that is to be run; internal where it cannot be instantiated.
pub fn instantiation_times(
    cache_directory: PathBuf,
    file: &Path,
    rounds: usize,
) -> Result<Vec<Duration>> {
    let loader = Loader::new(cache_directory)?;
    let grants = Grants {
        http: false,
        sockets: false,
    };
    let program = loader.load(file, grants, None)?;
    let work = async {
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let before = Instant::now();
            let store = instantiate(loader.engine(), &program).await?;
            times.push(before.elapsed());
            drop(store);
        }
        Ok(times)
    };
    Runtime::new()?
        .block_on(work)
        .unwrap_or_else(|| Ok(Vec::new()))
        .map_err(|error: wasmtime::Error| {
            Problem::internal("a program cannot be instantiated")
                .at(file.display())
                .found(format!("{error:#}"))
        })
}

async fn instantiate(engine: &Engine, program: &Program) -> wasmtime::Result<Store<Host>> {
    let meter = Meter::new(Arc::new(Usage::default()), None);
    let mut store = new_store(engine, Host::new(WasiCtxBuilder::new().build_p1(), meter));
    store.set_epoch_deadline(1);
    match program {
        Program::Module(linked) => {
            linked.instantiate_async(&mut store).await?;
        }
        Program::Component(linked) => {
            linked.instantiate_async(&mut store).await?;
        }
        Program::Handler(linked) => {
            linked.instantiate_async(&mut store).await?;
        }
    }
    Ok(store)
}
