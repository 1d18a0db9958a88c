//! How long a static scan takes: `cargo run --release -p uc-trace --example scan_large -- FILE [RUNS]`.

#![allow(clippy::print_stdout, reason = "a measurement that is printed")]

use std::{path::Path, time::Instant};

use uc_model::{Problem, Result};
use uc_trace::scan::{Options, Report, scan};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments
        .next()
        .ok_or_else(|| Problem::invalid("no file is named").remedy("scan_large FILE [RUNS]"))?;
    let runs = arguments
        .next()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(9_usize)
        .max(1);
    let mut times = Vec::new();
    let mut last: Option<Report> = None;
    for _ in 0..runs {
        let start = Instant::now();
        last = Some(scan(Path::new(&file), &Options::default())?);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let size = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!(
        "{file}: {:.1} MB, median {:.0} ms, {:.0} to {:.0} ms in {runs} runs",
        size as f64 / 1e6,
        at(0.5),
        at(0.0),
        at(1.0),
    );
    let Some(report) = last else { return Ok(()) };
    for library in &report.libraries {
        println!(
            "  {}: {} of {} functions, {} places",
            library.path.display(),
            library.reached,
            library.functions,
            library.places
        );
    }
    let calls: Vec<&str> = report.footprint.calls.keys().map(String::as_str).collect();
    println!("{} calls: {}", calls.len(), calls.join(" "));
    for gap in report.footprint.gaps.iter().chain(&report.notes) {
        println!("  - {gap}");
    }
    Ok(())
}
