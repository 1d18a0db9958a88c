//! The history after `kill -9`, after damage, with a second process, and on a full disk.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use uc_foresight::Sample;
use uc_metrics::{Bounds, History};

const CHILD: &str = "UC_METRICS_TEST_WRITES";
const SERIES: [&str; 3] = ["ns/pod/a", "ns/pod/b", "ns/pod/c"];

fn bounds() -> Bounds {
    Bounds {
        samples_per_series: 10_000,
        series: 10,
        states: 10,
        state_bytes: 100,
    }
}

/// The batch of a number: a sample of each series, and the number as a state.
fn write_batch(history: &History, number: u32) {
    let sample = Sample::new(f64::from(number), u64::from(number), Some(1 << 30));
    let samples = SERIES.map(|key| (key, sample));
    history
        .commit(&samples, &[("machine", Some(&number.to_le_bytes()))])
        .expect("written");
}

/// How many batches are there, having checked that each is whole.
fn whole_batches(history: &History) -> u32 {
    let state = history.states().expect("readable").remove("machine");
    let state = state.map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")));
    for key in SERIES {
        let samples = history.recent(key, 0.0).expect("readable");
        for (number, sample) in (0..).zip(&samples) {
            assert_eq!(sample.rss_bytes, number, "{key}");
        }
        assert_eq!(
            samples.last().map(|sample| sample.rss_bytes),
            state.map(u64::from)
        );
    }
    state.map_or(0, |last| last + 1)
}

/// Not a test of its own: the children of the tests below write here until they are killed.
#[test]
fn write_in_a_child() {
    let Some(path) = env::var_os(CHILD) else {
        return;
    };
    let (history, _) = History::open(path, bounds()).expect("opened");
    let mut output = std::io::stdout();
    // Past the line that the test harness has begun.
    writeln!(output, "\nopened").expect("told");
    for number in whole_batches(&history).. {
        write_batch(&history, number);
        writeln!(output, "acknowledged {number}").expect("told");
        output.flush().expect("told");
    }
}

fn child(path: &Path) -> std::process::Child {
    Command::new(env::current_exe().expect("own path"))
        .args(["--exact", "write_in_a_child", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts")
}

#[test]
fn every_acknowledged_batch_survives_kill_9() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("history");
    let mut before = 0;
    for round in 0..12 {
        let mut child = child(&path);
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut lines = output.lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("opened")));
        // Killed at any point of a commit, after a growing number of them.
        thread::sleep(Duration::from_micros(fastrand::u64(1_000..60_000)));
        child.kill().expect("killed");
        child.wait().expect("waited for");
        let acknowledged = lines
            .filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u32>().ok())
            .last();
        let (history, moved) = History::open(&path, bounds()).expect("opened");
        assert!(moved.is_none(), "round {round}: {moved:?}");
        let there = whole_batches(&history);
        let least = acknowledged.map_or(before, |last| last + 1);
        // One more may have been written and not acknowledged.
        assert!(
            (least..=least + 1).contains(&there),
            "round {round}: {there} of {least}"
        );
        before = there;
    }
    println!("{before} batches over 12 kills");
    assert!(before > 0);
}

#[test]
fn a_second_process_is_told_that_the_file_is_in_use() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("history");
    let mut child = child(&path);
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let mut lines = output.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("opened")));
    let problem = History::open(&path, bounds()).expect_err("is in use");
    child.kill().expect("killed");
    child.wait().expect("waited for");
    assert!(
        problem.to_string().contains("in use by another process"),
        "{problem}"
    );
    assert!(History::open(&path, bounds()).is_ok());
}

/// A history with chunks, a head and a state, closed properly or killed.
fn sample_file(path: &Path, is_killed: bool) -> Vec<u8> {
    let (history, _) = History::open(path, bounds()).expect("opened");
    for number in 0..200 {
        write_batch(&history, number);
    }
    if is_killed {
        // What is in the file now is what a killed process leaves.
        let bytes = fs::read(path).expect("readable");
        drop(history);
        return bytes;
    }
    drop(history);
    fs::read(path).expect("readable")
}

/// Opens a damaged file: it is used or moved aside, and works in either case.
fn survive(path: &Path, how: &str) -> bool {
    let (history, moved) = match History::open(path, bounds()) {
        Ok(opened) => opened,
        Err(problem) => {
            // A file that seems to be of another release is left alone.
            assert!(problem.remedy_text().is_some(), "{how}: {problem:?}");
            return true;
        }
    };
    if let Some(problem) = &moved {
        let remedy = problem.remedy_text().expect("says where the old one is");
        assert!(remedy.contains("history.corrupt-1"), "{remedy}");
        assert!(path.with_file_name("history.corrupt-1").exists());
        assert!(history.keys().expect("readable").is_empty(), "{how}");
    } else {
        for key in history.keys().expect("readable") {
            history.recent(&key, 0.0).expect("readable");
        }
    }
    history
        .append(&[("new", Sample::new(1.0, 1, None))])
        .expect("writable");
    moved.is_some()
}

#[test]
fn damage_anywhere_is_repaired_or_moved_aside() {
    for is_killed in [false, true] {
        let directory = tempfile::tempdir().expect("a directory");
        let whole = sample_file(&directory.path().join("history"), is_killed);
        let mut moved = 0;
        let size = whole.len();
        // Every byte of the header, then anywhere.
        let places = (0..320).chain((0..300).map(|_| fastrand::usize(..size)));
        for place in places {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("history");
            let mut bytes = whole.clone();
            let length = fastrand::usize(1..64);
            for byte in bytes.iter_mut().skip(place).take(length) {
                *byte ^= fastrand::u8(1..);
            }
            fs::write(&path, bytes).expect("written");
            moved += usize::from(survive(&path, &format!("{length} bytes at {place}")));
        }
        println!("killed: {is_killed}; damaged: {moved} of 620 moved aside or left alone");
        assert!(moved > 0);
    }
}

#[test]
fn a_file_that_was_cut_is_repaired_or_moved_aside() {
    for is_killed in [false, true] {
        let directory = tempfile::tempdir().expect("a directory");
        let whole = sample_file(&directory.path().join("history"), is_killed);
        let sizes = [0, 1, 8, 9, 100, 4095, 4096, 4097, whole.len() - 1];
        let sizes = sizes
            .into_iter()
            .chain((0..60).map(|_| fastrand::usize(..whole.len())));
        for size in sizes {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("history");
            fs::write(&path, &whole[..size]).expect("written");
            survive(&path, &format!("cut to {size}"));
        }
    }
}

#[test]
fn what_is_no_database_at_all_is_moved_aside_up_to_a_bound() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("history");
    for round in 0..12_u8 {
        fs::write(&path, vec![round; 5000]).expect("written");
        let (history, moved) = History::open(&path, bounds()).expect("opened");
        assert!(moved.is_some());
        drop(history);
    }
    let entries = fs::read_dir(directory.path()).expect("listed").count();
    assert_eq!(entries, 10, "nine damaged files, and the history");
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let directory = tempfile::tempdir().expect("a directory");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1200k", "tmpfs"])
        .arg(directory.path())
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: no tmpfs can be mounted here");
        return;
    }
    let path = directory.path().join("history");
    let outcome = std::panic::catch_unwind(|| {
        let (history, _) = History::open(&path, bounds()).expect("opened");
        let ballast = directory.path().join("ballast");
        write_batch(&history, 0);
        fs::write(&ballast, vec![1; 900 << 10]).expect("written");
        let mut last = 0;
        let problem = (1..20_000_u32).find_map(|number| {
            let sample = Sample::new(f64::from(number), u64::from(number), Some(1 << 30));
            let samples = SERIES.map(|key| (key, sample));
            let written = history.commit(&samples, &[("machine", Some(&number.to_le_bytes()))]);
            last = number;
            written.err()
        });
        let problem = problem.expect("the disk is full");
        assert_eq!(problem.kind(), uc_model::ProblemKind::Storage, "{problem}");
        // Once there is room again, the same history goes on from the last batch it acknowledged.
        fs::remove_file(&ballast).expect("removed");
        assert_eq!(whole_batches(&history), last);
        write_batch(&history, last);
        assert_eq!(whole_batches(&history), last + 1);
    });
    let unmounted = Command::new("umount")
        .arg("-l")
        .arg(directory.path())
        .status();
    assert!(unmounted.expect("umount runs").success());
    outcome.expect("no panic");
}
