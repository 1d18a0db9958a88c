//! What is said about a set of samples: figures that one slow run among many does not move.

use serde::Serialize;

/// Median, spread and minimum of samples, in the samples' unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) median: f64,
    /// Median absolute deviation from the median.
    pub(super) deviation: f64,
    pub(super) minimum: f64,
}

impl Summary {
    /// Summarises samples; nothing where there are none.
    pub(super) fn of(samples: &[f64]) -> Option<Self> {
        let median = median(samples)?;
        let distances: Vec<f64> = samples
            .iter()
            .map(|sample| (sample - median).abs())
            .collect();
        Some(Self {
            median,
            deviation: self::median(&distances)?,
            minimum: samples.iter().copied().min_by(f64::total_cmp)?,
        })
    }
}

/// The middle sample, or the mean of the two in the middle.
fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[sorted.len() / 2 - 1], upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_run_moves_neither_median_nor_deviation() {
        let summary = Summary::of(&[11.0, 9.0, 500.0, 10.0, 12.0]);
        let expected = Summary {
            median: 11.0,
            deviation: 1.0,
            minimum: 9.0,
        };
        assert_eq!(summary, Some(expected));
    }

    #[test]
    fn an_even_number_of_samples_has_its_median_between_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[7.0]), Some(7.0));
    }

    #[test]
    fn no_samples_have_no_summary() {
        assert_eq!(Summary::of(&[]), None);
    }
}
