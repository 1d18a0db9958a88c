//! Time and peak memory of a program.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use uc_model::{Problem, Result};

/// How often memory is looked at. The kernel keeps the peak, so only what comes after the last look is missed.
const LOOK: Duration = Duration::from_millis(1);

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) time_ms: f64,
    pub(crate) peak_kib: f64,
}

/// Runs a program to its end; what it wrote to standard output.
///
/// # Errors
/// Host, where it cannot be started or fails.
pub(crate) fn run(program: &Path, arguments: &[&str], folder: &Path) -> Result<(Cost, Vec<u8>)> {
    let failed = |found: String| {
        Problem::host("a program failed")
            .at(format!("{} {}", program.display(), arguments.join(" ")))
            .found(found)
    };
    // To a file: a pipe that nobody empties would stop the program.
    let file = folder.join("output.json");
    let output = File::create(&file).map_err(|error| failed(error.to_string()))?;
    let start = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output)
        .env("UC_HOME", folder.join("home"))
        .env("SYFT_CHECK_FOR_APP_UPDATE", "false")
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut peak_kib = 0.0;
    let status = loop {
        if let Some(peak) = peak_of(child.id()) {
            peak_kib = peak;
        }
        match child.try_wait() {
            Ok(None) => thread::sleep(LOOK),
            Ok(Some(status)) => break status,
            Err(error) => return Err(failed(error.to_string())),
        }
    };
    let time_ms = start.elapsed().as_secs_f64() * 1e3;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    let document = fs::read(&file).map_err(|error| failed(error.to_string()))?;
    Ok((Cost { time_ms, peak_kib }, document))
}

fn peak_of(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The middle one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// What a program says on standard output, if it ends well.
pub(crate) fn text(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
