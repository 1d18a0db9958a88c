//! Whole processes, timed in turns: what disturbs the machine for a while disturbs every contender alike.

use std::{
    io,
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Instant,
};

use indicatif::ProgressBar;
use serde::Serialize;

use super::statistics::Summary;

/// Runs before the first that counts: they fill caches, and show whether the contender works here.
const WARM_UPS: usize = 2;
/// Characters of a failed contender's own words that are passed on.
const MAX_REASON: usize = 200;

/// One command line to be timed.
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) command: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    /// Whether it runs where the cgroup2 mount of a hybrid host is out of sight, which crun insists on.
    pub(super) without_unified: bool,
}

/// What was measured of a contender.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) name: &'static str,
    pub(super) command: String,
    pub(super) samples_ms: Vec<f64>,
    pub(super) summary_ms: Option<Summary>,
    /// The first contender's median divided by this one's.
    pub(super) ratio: Option<f64>,
    pub(super) skipped: Option<String>,
}

/// Times the contenders in turns: A B C, A B C, ... The first one is what the others are compared with.
pub(super) fn in_turns(contenders: &[Contender], runs: usize, bar: &ProgressBar) -> Vec<Measured> {
    let mut all: Vec<Measured> = contenders.iter().map(Measured::warmed_up).collect();
    for _ in 0..runs {
        for (contender, measured) in contenders.iter().zip(&mut all) {
            bar.set_message(contender.name);
            bar.inc(1);
            if measured.skipped.is_some() {
                continue;
            }
            match contender.once() {
                Ok(sample) => measured.samples_ms.push(sample),
                Err(reason) => measured.skipped = Some(reason),
            }
        }
    }
    for measured in &mut all {
        measured.summary_ms = Summary::of(&measured.samples_ms);
    }
    let ours = all
        .first()
        .and_then(|first| first.summary_ms)
        .map(|summary| summary.median);
    for measured in all.iter_mut().skip(1) {
        let theirs = measured.summary_ms.map(|summary| summary.median);
        measured.ratio = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
    }
    all
}

impl Measured {
    fn warmed_up(contender: &Contender) -> Self {
        let skipped = (0..WARM_UPS).find_map(|_| contender.once().err());
        Self {
            name: contender.name,
            command: contender.command.join(" "),
            samples_ms: Vec::new(),
            summary_ms: None,
            ratio: None,
            skipped,
        }
    }
}

impl Contender {
    /// Runs it once, from before its start until it is reaped.
    ///
    /// # Errors
    /// Why it cannot be measured here, in its own last line where it has one.
    fn once(&self) -> Result<f64, String> {
        let (elapsed, output) = if self.without_unified {
            without_unified(|| self.timed())?
        } else {
            self.timed()
        };
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(elapsed);
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let line = words.lines().rfind(|line| !line.trim().is_empty());
        let reason = line.map_or_else(|| output.status.to_string(), |line| line.trim().to_owned());
        Err(reason.chars().take(MAX_REASON).collect())
    }

    fn timed(&self) -> (f64, io::Result<Output>) {
        let Some((program, arguments)) = self.command.split_first() else {
            return (0.0, Err(io::Error::other("an empty command")));
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let before = Instant::now();
        let output = command.output();
        (before.elapsed().as_secs_f64() * 1e3, output)
    }
}

/// Does something on a thread of its own mount namespace without `/sys/fs/cgroup/unified`. Its children inherit that,
/// so making the namespace is no part of what they are timed for.
fn without_unified<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    let (answer, answered) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let result = hide_unified().map(|()| work());
            // The receiver waits below until this thread has ended.
            let _ = answer.send(result);
        });
    });
    answered
        .recv()
        .unwrap_or_else(|_| Err("its thread ended early".into()))
}

#[allow(unsafe_code, reason = "a mount namespace for this thread alone")]
fn hide_unified() -> Result<(), String> {
    use rustix::{
        mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount},
        thread::{UnshareFlags, unshare_unsafe},
    };
    let explain = |error| format!("cannot hide the cgroup2 mount of a hybrid host: {error}");
    // SAFETY: the file table stays shared; only mounts, root and working directory become this thread's own.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }.map_err(explain)?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(explain)?;
    unmount("/sys/fs/cgroup/unified", UnmountFlags::DETACH).map_err(explain)
}
