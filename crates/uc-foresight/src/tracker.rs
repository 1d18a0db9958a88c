//! One workload's samples, followed through restarts, gaps and clock jumps.

use crate::{Pyramid, Sample, recent::Recent, trend::Trend};

/// A drop by more than this share of the memory is a restart, where nothing else tells lives apart.
const RESTART_DROP: f64 = 0.5;
/// A life whose memory came this close to the limit says nothing about what is healthy.
const NEAR_LIMIT: f64 = 0.97;

/// What a sample meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// The first sample, or the first after a restart.
    NewLife,
    /// The series goes on.
    Continued,
    /// A sample of the same moment or one that cannot be used: nothing changed.
    Ignored,
}

/// What is kept of the last sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastSample {
    /// When, in seconds.
    pub t_s: f64,
    /// Memory in bytes.
    pub rss_bytes: u64,
    /// The limit in bytes.
    pub limit_bytes: Option<u64>,
    /// Which life it was.
    life: u64,
}

impl From<Sample> for LastSample {
    fn from(sample: Sample) -> Self {
        Self {
            t_s: sample.t_s,
            rss_bytes: sample.rss_bytes,
            limit_bytes: sample.limit_bytes,
            life: sample.life,
        }
    }
}

/// One workload as seen so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracker {
    last: Option<LastSample>,
    /// Added to the times of samples, so that a clock that was set back does not stop the series.
    offset_s: f64,
    began_s: f64,
    recent: Option<Recent>,
    pyramid: Pyramid,
    /// The highest memory of lives that ended well below the limit, in bytes.
    harmless_peak: f64,
    peak: f64,
    lives: u32,
}

impl Default for Tracker {
    fn default() -> Self {
        Self {
            last: None,
            offset_s: 0.0,
            began_s: 0.0,
            recent: None,
            pyramid: Pyramid::default(),
            harmless_peak: 0.0,
            peak: 0.0,
            lives: 0,
        }
    }
}

impl Tracker {
    /// Takes in a sample.
    pub fn observe(&mut self, sample: Sample) -> Continuity {
        if !sample.t_s.is_finite() {
            return Continuity::Ignored;
        }
        let bytes = sample.rss_bytes as f64;
        let Some(last) = self.last else {
            self.begin(sample);
            return Continuity::NewLife;
        };
        let mut t_s = sample.t_s + self.offset_s;
        if t_s < last.t_s {
            // The clock was set back: go on from where it was.
            self.offset_s += last.t_s - t_s;
            t_s = last.t_s;
        }
        let sample = Sample { t_s, ..sample };
        if sample.life == last.life && t_s == last.t_s {
            return Continuity::Ignored;
        }
        let has_dropped = bytes < last.rss_bytes as f64 * (1.0 - RESTART_DROP);
        if sample.life != last.life || has_dropped {
            if self.last.is_some_and(|last| {
                last.limit_bytes
                    .is_none_or(|limit| self.peak < NEAR_LIMIT * limit as f64)
            }) {
                self.harmless_peak = self.harmless_peak.max(self.peak);
            }
            self.begin(sample);
            return Continuity::NewLife;
        }
        self.last = Some(sample.into());
        self.peak = self.peak.max(bytes);
        self.pyramid.push(t_s, bytes);
        if let Some(recent) = &mut self.recent {
            recent.push(t_s, bytes);
        }
        Continuity::Continued
    }

    fn begin(&mut self, sample: Sample) {
        let bytes = sample.rss_bytes as f64;
        self.last = Some(sample.into());
        self.began_s = sample.t_s;
        self.peak = bytes;
        self.pyramid = Pyramid::default();
        self.pyramid.push(sample.t_s, bytes);
        self.recent = Some(Recent::new(sample.t_s, bytes));
        self.lives = self.lives.saturating_add(1);
    }

    /// The last sample.
    pub fn last(&self) -> Option<LastSample> {
        self.last
    }

    /// How long the present life is known, in seconds.
    pub fn age_s(&self) -> f64 {
        self.last.map_or(0.0, |last| last.t_s - self.began_s)
    }

    /// The highest memory of earlier lives that ended well below the limit, in bytes; 0 if there was none.
    pub fn harmless_peak(&self) -> f64 {
        self.harmless_peak
    }

    /// How many lives were seen.
    pub fn lives(&self) -> u32 {
        self.lives
    }

    /// The last hour.
    pub fn recent(&self) -> Option<&Recent> {
        self.recent.as_ref()
    }

    /// How the memory moves, seen through windows of every length.
    pub fn trends(&self) -> impl Iterator<Item = Trend> + '_ {
        (0..crate::pyramid::LEVELS).filter_map(|level| Trend::of(&self.pyramid.window(level)))
    }
}
