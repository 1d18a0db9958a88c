//! `cargo xtask compare-plan`: a million samples of `uc-plan` beside the same with NumPy: time, memory, and whether they agree.
//!
//! It takes `target/release/examples/million_samples` as it is, and installs NumPy below `target`.

mod agreement;

use std::{
    fs,
    path::{Path, PathBuf},
};

use uc_model::{Problem, Result};

use crate::{
    measure::{self, Cost, median},
    python::Environment,
};

/// Runs of each program, in turn, after one that warms the page cache.
const ROUNDS: usize = 7;

const NUMPY: Environment = Environment {
    name: "numpy",
    packages: &["numpy==2.4.6"],
    probe: "import numpy; assert numpy.__version__ == '2.4.6'",
};

/// A program that is measured.
struct Contestant {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    costs: Vec<Cost>,
    document: Vec<u8>,
}

/// Measures, and prints a table in Markdown.
///
/// # Errors
/// Host, where the example or NumPy is missing, or a program fails; Internal, where the results do not agree.
#[allow(
    clippy::print_stdout,
    reason = "a chore reports on its standard output"
)]
pub fn run(folder: &Path) -> Result<()> {
    let mut contestants = contestants()?;
    fs::create_dir_all(folder).map_err(|error| {
        Problem::storage("cannot make a folder")
            .at(folder.display())
            .caused_by(error)
    })?;
    for round in 0..=ROUNDS {
        for contestant in &mut contestants {
            let arguments: Vec<&str> = contestant.arguments.iter().map(String::as_str).collect();
            let (cost, document) = measure::run(&contestant.program, &arguments, folder)?;
            contestant.document = document;
            if round > 0 {
                contestant.costs.push(cost);
            }
        }
    }
    println!("{}\n\n{}", machine(), table(&contestants));
    let [ours, others @ ..] = &contestants[..] else {
        return Ok(());
    };
    for other in others {
        let (compared, worst) = agreement::check(&ours.document, &other.document)
            .map_err(|problem| problem.within(other.name))?;
        println!(
            "{}: {compared} means, percentiles and probabilities agree; the worst differs by {worst:.1} standard errors",
            other.name
        );
    }
    Ok(())
}

fn contestants() -> Result<Vec<Contestant>> {
    let example = Path::new("target/release/examples/million_samples");
    if !example.is_file() {
        return Err(Problem::host("the released example is missing")
            .at(example.display())
            .remedy("cargo build --release --package uc-plan --example million_samples"));
    }
    if !NUMPY.provide() {
        return Err(Problem::host("NumPy is missing")
            .at(NUMPY.place().display())
            .remedy("install python3 with venv, and let it reach PyPI once"));
    }
    let technologies = "crates/uc-plan/examples/million_samples/technologies.json";
    let contestant = |name, program: &Path, arguments: &[&str]| Contestant {
        name,
        program: program.into(),
        arguments: arguments.iter().map(ToString::to_string).collect(),
        costs: Vec::new(),
        document: Vec::new(),
    };
    let peer = "xtask/src/compare_plan/peer.py";
    let python = NUMPY.python();
    Ok(vec![
        contestant("uc-plan, 2 threads", example, &["2"]),
        contestant("uc-plan, 1 thread", example, &["1"]),
        contestant(
            "NumPy, percentiles by numpy.percentile",
            &python,
            &[peer, technologies, "percentile"],
        ),
        contestant(
            "NumPy, percentiles by numpy.sort",
            &python,
            &[peer, technologies, "sort"],
        ),
    ])
}

fn table(contestants: &[Contestant]) -> String {
    let time = |costs: &[Cost]| median(costs.iter().map(|cost| cost.time_ms));
    let ours = contestants.first().map_or(f64::NAN, |one| time(&one.costs));
    let mut table = String::from(
        "| program | median | fastest | slowest | memory | uc-plan with 2 threads takes |\n|---|---|---|---|---|---|\n",
    );
    for contestant in contestants {
        let times = contestant.costs.iter().map(|cost| cost.time_ms);
        let memory = median(contestant.costs.iter().map(|cost| cost.peak_kib)) / 1024.0;
        table.push_str(&format!(
            "| {} | {:.0} ms | {:.0} ms | {:.0} ms | {memory:.0} MiB | {:.3} of it |\n",
            contestant.name,
            time(&contestant.costs),
            times.clone().fold(f64::INFINITY, f64::min),
            times.fold(0.0, f64::max),
            ours / time(&contestant.costs),
        ));
    }
    table
}

/// What the figures hold for.
fn machine() -> String {
    let script =
        "import numpy, sys; print('NumPy', numpy.__version__ + ', Python', sys.version.split()[0])";
    let versions = measure::text(&NUMPY.python(), &["-c", script]).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{}; Linux {}, {cores} cores; whole processes, medians of {ROUNDS} in turn, page cache warm",
        versions.trim(),
        kernel.trim()
    )
}
