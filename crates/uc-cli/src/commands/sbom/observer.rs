//! Progress that waits: what is done within a second needs no bar.

use std::{
    io::IsTerminal as _,
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use uc_engine::sbom::Observer;
use uc_image::Progress;
use uc_model::Digest;

use crate::progress::Bars;

/// How long nothing is drawn.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bars for blobs and a line for what is counted, once it takes long.
pub(super) struct Patient {
    since: Instant,
    bars: Bars,
    /// What is counted.
    noun: &'static str,
    line: Mutex<Option<ProgressBar>>,
}

impl Patient {
    pub(super) fn new(noun: &'static str) -> Self {
        Self {
            since: Instant::now(),
            bars: Bars::default(),
            noun,
            line: Mutex::default(),
        }
    }

    fn is_late(&self) -> bool {
        self.since.elapsed() >= PATIENCE
    }

    /// Takes away what was drawn.
    pub(super) fn clear(&self) {
        let mut line = self
            .line
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(line) = line.take() {
            line.finish_and_clear();
        }
    }
}

impl Progress for Patient {
    fn started(&self, blob: &Digest, done: u64, total: u64) {
        if self.is_late() {
            self.bars.started(blob, done, total);
        }
    }

    fn advanced(&self, blob: &Digest, done: u64, total: u64) {
        if self.is_late() {
            self.bars.advanced(blob, done, total);
        }
    }

    fn finished(&self, blob: &Digest, total: u64) {
        self.bars.finished(blob, total);
    }

    fn retrying(&self, what: &str, reason: &str, pause_ms: u64) {
        self.bars.retrying(what, reason, pause_ms);
    }
}

impl Observer for Patient {
    fn counted(&self, count: u64) {
        if !self.is_late() || !std::io::stderr().is_terminal() {
            return;
        }
        let mut line = self
            .line
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let line = line.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            ProgressBar::new_spinner().with_style(style)
        });
        line.set_message(format!("{count} {} read", self.noun));
        line.tick();
    }
}
