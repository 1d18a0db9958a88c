//! One workload followed and judged, no more often than it needs.

use crate::{Continuity, Sample, Tracker, Verdict, forecast::Model};

/// From this share of the limit on every sample is judged.
const NEAR: f64 = 0.85;
/// So is every sample while growth is at least this likely.
const GROWING: f64 = 0.3;
/// So is one that moved by this share of the limit since the last verdict.
const MOVED: f64 = 0.02;
/// Otherwise a verdict lives for this long, in seconds.
const VERDICT_LIVES_S: f64 = 60.0;

/// A tracker with its last verdict. It takes less than a kilobyte beside the memory of the last hour.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observer {
    tracker: Tracker,
    verdict: Option<Verdict>,
    judged_s: f64,
}

impl Observer {
    /// Takes in a sample, and judges where that may matter.
    pub fn observe(&mut self, sample: Sample, model: &Model) -> Continuity {
        let continuity = self.tracker.observe(sample);
        if continuity == Continuity::Ignored {
            return continuity;
        }
        if continuity == Continuity::NewLife || self.must_judge() {
            self.verdict = Verdict::of(&self.tracker, model);
            self.judged_s = self.tracker.last().map_or(0.0, |last| last.t_s);
        }
        continuity
    }

    fn must_judge(&self) -> bool {
        let (Some(verdict), Some(last)) = (&self.verdict, self.tracker.last()) else {
            return true;
        };
        let growth = verdict
            .evidence
            .map_or(0.0, |evidence| evidence.growth_probability());
        let bytes = last.rss_bytes as f64;
        last.limit_bytes != verdict.limit_bytes
            || last.t_s - self.judged_s >= VERDICT_LIVES_S
            || growth > GROWING
            || last.limit_bytes.is_some_and(|limit| {
                let limit = limit as f64;
                bytes > NEAR * limit || (bytes - verdict.level_bytes).abs() > MOVED * limit
            })
    }

    /// The last verdict; absent before the first sample.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// What was seen.
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_takes_less_than_a_kilobyte_beside_its_last_hour() {
        let bytes = size_of::<Observer>();
        assert!(
            bytes < 1024,
            "SPECIFICATION.md promises less than 1024 bytes of state a series beyond its history: {bytes}"
        );
    }
}
