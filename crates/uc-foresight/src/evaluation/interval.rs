//! Figures with their uncertainty.

use serde::Serialize;

use crate::robust::quantile;

/// A figure with the interval that holds it with a probability of 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The figure.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Resamplings for an interval.
const RESAMPLINGS: usize = 1_000;

impl Interval {
    /// A share `hits` of `all`, by Wilson's score.
    pub fn of_share(hits: usize, all: usize) -> Self {
        if all == 0 {
            return Self {
                value: f64::NAN,
                low: 0.0,
                high: 1.0,
            };
        }
        let (z, n) = (1.96_f64, all as f64);
        let share = hits as f64 / n;
        let scale = 1.0 + z * z / n;
        let middle = (share + z * z / (2.0 * n)) / scale;
        let half = z / scale * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        Self {
            value: share,
            low: (middle - half).max(0.0),
            high: (middle + half).min(1.0),
        }
    }

    /// A rate: `events` within an exposure (above 0), by Garwood's exact limits for a Poisson count.
    pub fn of_rate(events: usize, exposure: f64) -> Self {
        Self {
            value: events as f64 / exposure,
            low: events
                .checked_sub(1)
                .map_or(0.0, |fewer| mean_with(fewer, 0.975))
                / exposure,
            high: mean_with(events, 0.025) / exposure,
        }
    }

    /// A statistic of items, by drawing them again with replacement. The same seed gives the same interval.
    pub fn by_resampling<T: Copy>(items: &[T], seed: u64, statistic: impl Fn(&[T]) -> f64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut drawn = Vec::with_capacity(items.len());
        let mut values: Vec<f64> = Vec::with_capacity(RESAMPLINGS);
        for _ in 0..RESAMPLINGS {
            drawn.clear();
            drawn.extend((0..items.len()).map(|_| items[random.usize(0..items.len())]));
            values.push(statistic(&drawn));
        }
        values.retain(|value| value.is_finite());
        Self {
            value: statistic(items),
            low: quantile(&mut values, 0.025),
            high: quantile(&mut values, 0.975),
        }
    }
}

/// The mean of the Poisson distribution that gives at most `events` with the probability given.
fn mean_with(events: usize, probability: f64) -> f64 {
    let at_most = |mean: f64| {
        let mut term = (-mean).exp();
        let mut sum = term;
        for number in 1..=events {
            term *= mean / number as f64;
            sum += term;
        }
        sum
    };
    // No mean that far out leaves a fortieth of its probability below. Beyond a mean of 700 the first term is no number; nobody
    // counts so many false evictions.
    let (mut low, mut high) = (0.0, events as f64 + 10.0 * (events as f64 + 1.0).sqrt());
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_most(middle) > probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_wilsons_interval() {
        let interval = Interval::of_share(9, 10);
        assert!(
            (interval.low - 0.5958).abs() < 1e-3 && (interval.high - 0.9821).abs() < 1e-3,
            "{interval:?}"
        );
        assert!(Interval::of_share(0, 0).value.is_nan());
        assert_eq!(Interval::of_share(0, 50).low, 0.0);
    }

    #[test]
    fn a_rate_has_garwoods_interval() {
        // From tables of exact Poisson limits.
        for (events, low, high) in [(0, 0.0, 3.689), (1, 0.0253, 5.572), (4, 1.090, 10.242)] {
            let interval = Interval::of_rate(events, 2.0);
            assert!((interval.low * 2.0 - low).abs() < 2e-3, "{interval:?}");
            assert!((interval.high * 2.0 - high).abs() < 2e-3, "{interval:?}");
        }
    }

    #[test]
    fn resampling_holds_the_mean_of_what_it_draws_from() {
        let items: Vec<f64> = (0..200).map(f64::from).collect();
        let mean = |items: &[f64]| items.iter().sum::<f64>() / items.len() as f64;
        let interval = Interval::by_resampling(&items, 1, mean);
        assert!(interval.low < 99.5 && 99.5 < interval.high && interval.high - interval.low < 20.0);
        assert_eq!(interval, Interval::by_resampling(&items, 1, mean));
    }
}
