//! Forecasts without learning, which a model must beat to be worth its weights.
//!
//! Each names a value for 5 and 10 minutes ahead; what surrounds it are the quantiles of its errors on other series, in units.

use super::{Features, Forecast, LEVELS, LOOKBACK_STEPS, Quantiles, TARGETS};
use crate::{
    robust::{quantile, theil_sen},
    training::Example,
};

/// Minutes that the line of Theil and Sen goes through.
const LINE_STEPS: usize = 20;
/// Smoothing of level and trend in Holt's method.
const HOLT: (f64, f64) = (0.4, 0.1);

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaselineKind {
    /// It stays as it is.
    LastValue,
    /// Holt's exponential smoothing with a trend.
    Holt,
    /// The line of Theil and Sen through the last minutes.
    TheilSen,
}

impl BaselineKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::LastValue, Self::Holt, Self::TheilSen];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::LastValue => "last value",
            Self::Holt => "Holt",
            Self::TheilSen => "Theil-Sen",
        }
    }

    /// Growth for each minute, in units.
    fn pace(self, features: &Features) -> f64 {
        let known: Vec<(f64, f64)> = features
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| step[1] > 0.0)
            .map(|(at, step)| (at as f64, f64::from(step[0])))
            .collect();
        match self {
            Self::LastValue => 0.0,
            Self::Holt => holt(&known),
            Self::TheilSen => theil_sen(&known[known.len().saturating_sub(LINE_STEPS)..]).slope,
        }
    }
}

fn holt(known: &[(f64, f64)]) -> f64 {
    let Some(((_, first), rest)) = known.split_first() else {
        return 0.0;
    };
    let (mut level, mut trend) = (*first, 0.0);
    for (_, value) in rest {
        let before = level;
        level = HOLT.0 * value + (1.0 - HOLT.0) * (level + trend);
        trend = HOLT.1 * (level - before) + (1.0 - HOLT.1) * trend;
    }
    trend
}

/// A method with the spread of its errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// Which.
    pub kind: BaselineKind,
    errors: [[f64; LEVELS.len()]; TARGETS],
}

impl Baseline {
    /// Learns the spread of errors from examples.
    pub fn fit(kind: BaselineKind, examples: &[Example]) -> Self {
        let mut errors = [[0.0; LEVELS.len()]; TARGETS];
        for (target, quantiles) in errors.iter_mut().enumerate() {
            let mut all: Vec<f64> = examples
                .iter()
                .map(|example| {
                    let features = &example.features;
                    (example.truth[target] - features.anchor) / features.unit
                        - centre(kind, features, target)
                })
                .collect();
            for (level, at) in LEVELS.iter().zip(quantiles) {
                *at = quantile(&mut all, *level);
            }
        }
        Self { kind, errors }
    }

    /// The forecast for a series.
    pub fn forecast(&self, features: &Features) -> Forecast {
        let target = |index: usize| {
            let centre = centre(self.kind, features, index);
            Quantiles(
                self.errors[index].map(|error| features.anchor + (centre + error) * features.unit),
            )
        };
        Forecast {
            middle: target(0),
            end: target(1),
            peak: target(2),
        }
    }
}

/// The value named, in units: after 5 minutes, after 10, and the higher of now and then for the peak.
fn centre(kind: BaselineKind, features: &Features, target: usize) -> f64 {
    debug_assert!(features.steps.len() == LOOKBACK_STEPS);
    let pace = kind.pace(features);
    match target {
        0 => 5.0 * pace,
        1 => 10.0 * pace,
        _ => (10.0 * pace).max(0.0),
    }
}
