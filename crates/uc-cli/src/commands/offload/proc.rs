//! Two snapshots of /proc, some seconds apart.

use std::{
    fs,
    io::IsTerminal as _,
    thread,
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use uc_model::{Problem, Result};
use uc_plan::offload::{Measured, Snapshot, measure as compare};

/// Seconds between which clock ticks say something and patience lasts.
const SECONDS: std::ops::RangeInclusive<f64> = 0.5..=3_600.0;
/// The most bytes of a process's line that are read: its name has 15, all else is numbers.
const MAX_LINE: usize = 4_096;

pub(super) fn measure(seconds: f64, also: &[String]) -> Result<Measured> {
    if !SECONDS.contains(&seconds) {
        return Err(Problem::invalid("the interval is out of bounds")
            .at("--measure")
            .limit(format!("{} to {} seconds", SECONDS.start(), SECONDS.end()))
            .found(seconds));
    }
    let before = snapshot()?;
    let begin = Instant::now();
    wait(Duration::from_secs_f64(seconds));
    let after = snapshot()?;
    let interval_s = begin.elapsed().as_secs_f64();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    compare(&before, &after, interval_s, ticks, also)
}

fn wait(duration: Duration) {
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(duration.as_secs())
    } else {
        ProgressBar::hidden()
    };
    let end = Instant::now() + duration;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        bar.set_position(duration.saturating_sub(left).as_secs());
        thread::sleep(left.min(Duration::from_millis(250)));
    }
    bar.finish_and_clear();
}

fn snapshot() -> Result<Snapshot> {
    let read = |path: &str| {
        fs::read_to_string(path).map_err(|error| {
            Problem::host("this host's load cannot be read")
                .at(path)
                .caused_by(error)
        })
    };
    let folder = fs::read_dir("/proc").map_err(|error| {
        Problem::host("this host's load cannot be read")
            .at("/proc")
            .caused_by(error)
    })?;
    let processes = folder
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
        })
        // Processes end while they are being read.
        .filter_map(|entry| fs::read(entry.path().join("stat")).ok())
        .filter(|line| line.len() <= MAX_LINE)
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .collect();
    Ok(Snapshot {
        stat: read("/proc/stat")?,
        softirqs: read("/proc/softirqs")?,
        processes,
    })
}
