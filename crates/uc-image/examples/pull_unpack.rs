//! Pulls an image and unpacks it, and prints how long each took: the measure behind the project's figures.
//!
//! `cargo run --release -p uc-image --example pull_unpack -- REFERENCE DIRECTORY`

use std::{path::PathBuf, time::Instant};

use uc_image::{
    NoProgress, Reference,
    registry::Credentials,
    store::Store,
    unpack::{InProcess, LayerCache, Limits, Options, Ownership},
};
use uc_model::{Problem, Result, workload::PullPolicy};

fn main() -> std::process::ExitCode {
    match measure() {
        Ok(line) => {
            use std::io::Write as _;
            // Nobody reads: nothing to do about it.
            let _ = writeln!(std::io::stdout(), "{line}");
            std::process::ExitCode::SUCCESS
        }
        Err(problem) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "{problem}");
            problem.kind().exit_code().into()
        }
    }
}

fn measure() -> Result<String> {
    let mut arguments = std::env::args().skip(1);
    let (Some(reference), Some(directory)) =
        (arguments.next(), arguments.next().map(PathBuf::from))
    else {
        return Err(Problem::invalid("usage: pull_unpack REFERENCE DIRECTORY"));
    };
    let reference: Reference = reference.parse()?;
    let ownership = if rustix::process::geteuid().is_root() {
        Ownership::Keep { highest_id: 65_535 }
    } else {
        Ownership::Squash
    };
    let started = Instant::now();
    let store = Store::open(&directory.join("images"))?;
    let credentials = Credentials::from_environment();
    let image = store.resolve(&reference, PullPolicy::Always, &credentials, &NoProgress)?;
    let pulled = started.elapsed();
    let unpacker = InProcess(Options {
        limits: Limits::default(),
        ownership,
        sync: false,
    });
    let cache = LayerCache::open(&directory.join("unpacked"))?;
    let layers = cache.prepare(&image, &store, &unpacker)?;
    Ok(format!(
        "pull_ms={} unpack_ms={} layers={}",
        pulled.as_millis(),
        (started.elapsed() - pulled).as_millis(),
        layers.len()
    ))
}
