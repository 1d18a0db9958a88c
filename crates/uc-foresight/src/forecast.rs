//! Where memory will be: quantiles 5 and 10 minutes ahead, and of the peak on the way.
//!
//! A forecast is made in units of the series' own movement and relative to its last value, so one model serves a sidecar of
//! 20 MB and a database of 200 GB alike.

pub mod baseline;
mod features;
mod lstm;
pub(crate) mod model;
mod weights;

pub use features::{Features, LAGS, LOOKBACK_STEPS, STATICS, STEP_INPUTS, STEP_S};
pub use model::{Model, ModelKind};
pub use weights::{LARGEST_EDGE_MODEL_BYTES, REMOTE_PENALTY_MS, Tensor, Weights, too_large};

use serde::{Deserialize, Serialize};

/// How far a forecast reaches, in seconds (mission M5.1).
pub const HORIZON_S: f64 = 600.0;
/// The probabilities of the quantiles.
pub const LEVELS: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
/// What is forecast: memory after 5 minutes, after 10 minutes, and its peak within 10 minutes.
pub const TARGETS: usize = 3;

/// Quantiles of one quantity in bytes, at [`LEVELS`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles(pub [f64; LEVELS.len()]);

impl Quantiles {
    /// The median.
    pub fn median(&self) -> f64 {
        self.0[2]
    }

    /// The probability of exceeding a value: by straight lines between the quantiles, and beyond the outer ones by tails that
    /// halve with each further half of the spread.
    pub fn exceeding(&self, value: f64) -> f64 {
        let [lowest, .., highest] = self.0;
        let spread = (highest - lowest).max(1.0);
        if value >= highest {
            return (1.0 - LEVELS[4]) * 0.5f64.powf((value - highest) / (spread * 0.25));
        }
        if value <= lowest {
            return 1.0 - LEVELS[0] * 0.5f64.powf((lowest - value) / (spread * 0.25));
        }
        let above = self
            .0
            .partition_point(|quantile| *quantile <= value)
            .clamp(1, LEVELS.len() - 1);
        let (from, to) = (self.0[above - 1], self.0[above]);
        let share = if to > from {
            (value - from) / (to - from)
        } else {
            0.0
        };
        1.0 - (LEVELS[above - 1] + share * (LEVELS[above] - LEVELS[above - 1]))
    }

    /// The same quantiles moved by a number of bytes.
    #[must_use]
    pub fn moved(mut self, bytes: f64) -> Self {
        for quantile in &mut self.0 {
            *quantile += bytes;
        }
        self
    }
}

/// A forecast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Memory after 5 minutes.
    pub middle: Quantiles,
    /// Memory after 10 minutes.
    pub end: Quantiles,
    /// The highest memory within 10 minutes.
    pub peak: Quantiles,
}

/// The pinball loss of a quantile forecast: what a forecast of the quantile `level` costs when the truth is `truth`.
pub fn pinball(level: f64, forecast: f64, truth: f64) -> f64 {
    let short = truth - forecast;
    if short >= 0.0 {
        level * short
    } else {
        (level - 1.0) * short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceeding_falls_from_one_to_zero_and_meets_the_quantiles() {
        let quantiles = Quantiles([10.0, 20.0, 30.0, 40.0, 60.0]);
        for (level, value) in LEVELS.iter().zip(quantiles.0) {
            assert!(
                (quantiles.exceeding(value) - (1.0 - level)).abs() < 1e-9,
                "{value}"
            );
        }
        let mut before = 1.0;
        for step in -100..300 {
            let now = quantiles.exceeding(f64::from(step));
            assert!(now <= before && (0.0..=1.0).contains(&now));
            before = now;
        }
    }

    #[test]
    fn quantiles_that_coincide_are_no_division_by_zero() {
        let flat = Quantiles([7.0; 5]);
        assert!(flat.exceeding(8.0) < 0.01 && flat.exceeding(6.0) > 0.9);
        assert!(flat.exceeding(7.0).is_finite());
    }
}
