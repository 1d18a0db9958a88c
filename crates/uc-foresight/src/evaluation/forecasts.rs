//! How good forecasts are.

use serde::Serialize;

use crate::{
    forecast::{Forecast, LEVELS, Quantiles, pinball},
    training::Example,
};

/// A miss further out than this many units counts as that many, lest a few wild moments drown the rest.
const FURTHEST_UNITS: f64 = 20.0;

/// How good forecasts of memory in ten minutes are; losses in units of each series' own movement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForecastScore {
    /// The method.
    pub method: String,
    /// Mean pinball loss over the quantiles.
    pub pinball: f64,
    /// Mean distance between median and truth.
    pub mae: f64,
    /// The share of truths between the outermost quantiles: nine tenths would be right.
    pub coverage: f64,
    /// Mean pinball loss for the peak within ten minutes.
    pub peak_pinball: f64,
}

/// Scores a method.
pub fn score_forecasts(
    method: &str,
    examples: &[Example],
    forecast: impl Fn(&Example) -> Forecast,
) -> ForecastScore {
    let (mut loss, mut peak_loss, mut distance, mut inside) = (0.0, 0.0, 0.0, 0.0);
    for example in examples {
        let made = forecast(example);
        let unit = example.features.unit;
        loss += mean_pinball(&made.end, example.truth[1], unit);
        peak_loss += mean_pinball(&made.peak, example.truth[2], unit);
        distance += ((made.end.median() - example.truth[1]).abs() / unit).min(FURTHEST_UNITS);
        let [lowest, .., highest] = made.end.0;
        inside += f64::from((lowest..=highest).contains(&example.truth[1]));
    }
    let count = examples.len().max(1) as f64;
    ForecastScore {
        method: method.to_owned(),
        pinball: loss / count,
        mae: distance / count,
        coverage: inside / count,
        peak_pinball: peak_loss / count,
    }
}

fn mean_pinball(quantiles: &Quantiles, truth: f64, unit: f64) -> f64 {
    let losses = LEVELS.iter().zip(quantiles.0);
    let sum: f64 = losses
        .map(|(level, quantile)| (pinball(*level, quantile, truth) / unit).min(FURTHEST_UNITS))
        .sum();
    sum / LEVELS.len() as f64
}
