//! From a verdict and a forecast to what the machine needs: one word.

use serde::{Deserialize, Serialize};

/// What was found out about one workload at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// How likely its memory leaks, from 0 to 1; not a number where the model could not tell.
    pub leak_probability: f64,
    /// How likely it grows as a leak does, however far away the limit is, from 0 to 1.
    pub growth_probability: f64,
    /// Time until growth at its present pace meets the limit, in seconds; absent where it does not.
    pub pace_to_limit_s: Option<u64>,
    /// Resident memory now, in bytes.
    pub rss_bytes: u64,
    /// Resident memory at the end of the forecast, in bytes.
    pub forecast_end_bytes: f64,
    /// How far the forecast reaches, in seconds.
    pub horizon_s: u64,
    /// The limit at which the kernel kills, in bytes; absent where there is none.
    pub limit_bytes: Option<u64>,
}

/// What makes an assessment a finding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Leak probability above which a workload is suspected.
    pub suspect_above: f64,
    /// Leak probability above which its owner is warned.
    pub warn_above: f64,
    /// Growth probability above which its owner is warned, if the limit is near enough.
    pub warn_growth_above: f64,
    /// How near the limit must be at the present pace, in seconds.
    pub warn_within_s: u64,
    /// Leak probability above which it is evicted, if the forecast ends above the limit as well.
    pub evict_above: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            suspect_above: 0.3,
            warn_above: 0.5,
            warn_growth_above: 0.8,
            warn_within_s: 3600,
            evict_above: 0.8,
        }
    }
}

/// One moment's word on one workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "finding")]
pub enum Finding {
    /// No or old data, or no model: nobody knows. Interrupts evidence, since doubt never acts.
    Unknown,
    /// No leak.
    Healthy,
    /// Perhaps a leak: watch.
    Suspect,
    /// Probably a leak: tell somebody.
    Warn,
    /// A leak that the limit will end: stop it, if the guards agree.
    Evict {
        /// Time until the forecast meets the limit, in seconds.
        seconds_to_limit: u64,
    },
}

impl Finding {
    /// The finding of an assessment, or [`Finding::Unknown`] without one.
    pub fn of(assessment: Option<&Assessment>, thresholds: &Thresholds) -> Self {
        let Some(assessment) = assessment else {
            return Self::Unknown;
        };
        let probability = assessment.leak_probability;
        if !(0.0..=1.0).contains(&probability) || !assessment.forecast_end_bytes.is_finite() {
            return Self::Unknown;
        }
        if probability > thresholds.evict_above
            && let Some(seconds_to_limit) = assessment.seconds_to_limit()
        {
            return Self::Evict { seconds_to_limit };
        }
        let is_heading_there = assessment.growth_probability > thresholds.warn_growth_above;
        let is_near = assessment
            .pace_to_limit_s
            .is_some_and(|seconds| seconds < thresholds.warn_within_s);
        if probability > thresholds.warn_above || is_heading_there && is_near {
            Self::Warn
        } else if probability > thresholds.suspect_above {
            Self::Suspect
        } else {
            Self::Healthy
        }
    }
}

impl Assessment {
    /// When growth in a straight line to the forecast's end meets the limit, in seconds from now; nothing if it does not.
    fn seconds_to_limit(&self) -> Option<u64> {
        let limit = self.limit_bytes? as f64;
        if self.forecast_end_bytes <= limit {
            return None;
        }
        let now = self.rss_bytes as f64;
        let share = (limit - now) / (self.forecast_end_bytes - now);
        // At or above the limit already, or a forecast that falls from above it: no time is left.
        if now >= limit {
            return Some(0);
        }
        Some((share * self.horizon_s as f64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assessment(probability: f64, end: f64, limit: Option<u64>) -> Assessment {
        Assessment {
            leak_probability: probability,
            growth_probability: probability,
            pace_to_limit_s: None,
            rss_bytes: 100,
            forecast_end_bytes: end,
            horizon_s: 60,
            limit_bytes: limit,
        }
    }

    fn finding(probability: f64, end: f64, limit: Option<u64>) -> Finding {
        Finding::of(
            Some(&assessment(probability, end, limit)),
            &Thresholds::default(),
        )
    }

    #[test]
    fn eviction_needs_both_the_verdict_and_the_forecast() {
        let evict = Finding::Evict {
            seconds_to_limit: 30,
        };
        assert_eq!(finding(0.81, 300.0, Some(200)), evict);
        assert_eq!(finding(0.8, 300.0, Some(200)), Finding::Warn);
        assert_eq!(finding(0.99, 200.0, Some(200)), Finding::Warn);
        assert_eq!(finding(0.99, 300.0, None), Finding::Warn);
        assert_eq!(finding(0.4, 300.0, Some(200)), Finding::Suspect);
        assert_eq!(finding(0.1, 300.0, Some(200)), Finding::Healthy);
    }

    #[test]
    fn growth_that_heads_for_the_limit_warns_long_before_it_is_high() {
        let heading = |pace_to_limit_s| Assessment {
            growth_probability: 0.9,
            pace_to_limit_s,
            ..assessment(0.01, 150.0, Some(200))
        };
        let of = |pace| Finding::of(Some(&heading(pace)), &Thresholds::default());
        assert_eq!(of(Some(1800)), Finding::Warn);
        assert_eq!(of(Some(7200)), Finding::Healthy);
        assert_eq!(of(None), Finding::Healthy);
    }

    #[test]
    fn doubt_is_unknown() {
        assert_eq!(Finding::of(None, &Thresholds::default()), Finding::Unknown);
        assert_eq!(finding(f64::NAN, 300.0, Some(200)), Finding::Unknown);
        assert_eq!(finding(1.5, 300.0, Some(200)), Finding::Unknown);
        assert_eq!(finding(0.9, f64::INFINITY, Some(200)), Finding::Unknown);
    }

    #[test]
    fn above_the_limit_no_time_is_left() {
        let evict = Finding::Evict {
            seconds_to_limit: 0,
        };
        assert_eq!(finding(0.9, 300.0, Some(50)), evict);
        assert_eq!(finding(0.9, 60.0, Some(50)), evict);
    }
}
