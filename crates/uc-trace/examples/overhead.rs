//! What tracing costs: the same runs bare, under `strace -f -c` and under this crate's recorder, and the ratio of the two
//! overheads. `cargo run --release --package uc-trace --example overhead [ROUNDS]`
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark prints, and stops where it cannot measure"
)]

use std::{
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use uc_trace::{Options, Wish};

/// What is run: a storm of the cheapest calls, two usual programs, many short processes.
const WORKLOADS: [(&str, &[&str]); 4] = [
    (
        "200000 calls of dd",
        &[
            "/usr/bin/dd",
            "if=/dev/zero",
            "of=/dev/null",
            "bs=1",
            "count=100000",
            "status=none",
        ],
    ),
    (
        "python3 with imports",
        &[
            "/usr/bin/python3",
            "-c",
            "import json, http.client, asyncio",
        ],
    ),
    (
        "20 processes of a shell",
        &[
            "/bin/sh",
            "-c",
            "for i in 0 1 2 3 4 5 6 7 8 9 a b c d e f g h i j; do ls -l /usr/bin > /dev/null; done",
        ],
    ),
    (
        "find through /usr/share",
        &[
            "/usr/bin/find",
            "/usr/share",
            "-newer",
            "/etc/passwd",
            "-size",
            "+100M",
        ],
    ),
];

/// The promise: at most this share of what strace costs.
const PROMISED: f64 = 0.5;

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words.first().expect("a program"));
    command
        .args(words.get(1..).unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn bare(words: &[&str]) -> Duration {
    let began = Instant::now();
    command(words).status().expect("runs");
    began.elapsed()
}

fn strace(words: &[&str]) -> Duration {
    let all: Vec<&str> = ["strace", "-f", "-c", "-o", "/dev/null"]
        .into_iter()
        .chain(words.iter().copied())
        .collect();
    bare(&all)
}

fn ours(words: &[&str]) -> Duration {
    let began = Instant::now();
    uc_trace::trace(command(words), &Options::default(), &|| Wish::GoOn).expect("traced");
    began.elapsed()
}

/// The quartiles in milliseconds.
fn quartiles(times: &mut [Duration]) -> [f64; 3] {
    times.sort_unstable();
    let at = |share: usize| {
        times
            .get((times.len() - 1) * share / 4)
            .map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    [at(1), at(2), at(3)]
}

fn main() -> ExitCode {
    let rounds: usize = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(11);
    println!(
        "medians of {rounds} runs in ms, with quartiles; overhead is what comes on top of the bare run"
    );
    let mut worst = 0f64;
    for (name, words) in WORKLOADS {
        if !std::path::Path::new(words[0]).exists() {
            println!("{name}: skipped: {} is absent", words[0]);
            continue;
        }
        let mut times = [(); 3].map(|()| Vec::new());
        for _ in 0..rounds {
            // In turns, so that a busy moment of the machine hits all three.
            times[0].push(bare(words));
            times[1].push(ours(words));
            times[2].push(strace(words));
        }
        let [bare, ours, strace] = times.map(|mut times| quartiles(&mut times));
        let ratio = (ours[1] - bare[1]) / (strace[1] - bare[1]);
        worst = worst.max(ratio);
        let shown = |[low, median, high]: [f64; 3]| format!("{median:.1} [{low:.1}, {high:.1}]");
        println!(
            "{name}: bare {}, uc trace {}, strace {}: overhead {ratio:.2} of strace's",
            shown(bare),
            shown(ours),
            shown(strace)
        );
    }
    println!("worst ratio {worst:.2}, promised {PROMISED}");
    ExitCode::from(u8::from(worst > PROMISED))
}
