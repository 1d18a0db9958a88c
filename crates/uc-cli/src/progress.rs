//! Progress bars for pulls, on standard error and on a terminal only.

use std::{collections::BTreeMap, sync::Mutex};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use uc_image::Progress;
use uc_model::Digest;

/// One bar for each blob.
#[derive(Default)]
pub(crate) struct Bars {
    all: MultiProgress,
    bars: Mutex<BTreeMap<Digest, ProgressBar>>,
}

impl Bars {
    fn bar(&self, blob: &Digest, total: u64) -> ProgressBar {
        let mut bars = self
            .bars
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let make = || {
            let template = "{prefix:12}  {bar:30}  {bytes:>10} / {total_bytes:10}  {binary_bytes_per_sec:>12}  {eta:>4}";
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            self.all.add(
                ProgressBar::new(total)
                    .with_style(style)
                    .with_prefix(blob.short().to_owned()),
            )
        };
        bars.entry(blob.clone()).or_insert_with(make).clone()
    }
}

impl Progress for Bars {
    fn started(&self, blob: &Digest, done: u64, total: u64) {
        self.bar(blob, total).set_position(done);
    }

    fn advanced(&self, blob: &Digest, done: u64, total: u64) {
        self.bar(blob, total).set_position(done);
    }

    fn finished(&self, blob: &Digest, total: u64) {
        let bars = self
            .bars
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bar) = bars.get(blob) {
            bar.set_position(total);
            bar.finish_and_clear();
        }
    }

    fn retrying(&self, what: &str, reason: &str, pause_ms: u64) {
        // A line above the bars; where there is no terminal, nothing is drawn.
        let _ = self
            .all
            .println(format!("{what}: {reason}; trying again in {pause_ms} ms"));
    }
}
