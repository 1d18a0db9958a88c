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
    fn resampling_holds_the_mean_of_what_it_draws_from() {
        let items: Vec<f64> = (0..200).map(f64::from).collect();
        let mean = |items: &[f64]| items.iter().sum::<f64>() / items.len() as f64;
        let interval = Interval::by_resampling(&items, 1, mean);
        assert!(interval.low < 99.5 && 99.5 < interval.high && interval.high - interval.low < 20.0);
        assert_eq!(interval, Interval::by_resampling(&items, 1, mean));
    }
}
