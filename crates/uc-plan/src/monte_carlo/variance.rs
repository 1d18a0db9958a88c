//! The variance of a figure, by the textbooks' formulas.

use statrs::distribution::{Continuous, ContinuousCDF, Normal};

use crate::estimate::Distribution;

/// The variance of a distribution, in the square of the figure's unit.
pub(super) fn variance(distribution: &Distribution) -> f64 {
    match *distribution {
        Distribution::Point(_) => 0.0,
        Distribution::Uniform { low, high } => (high - low).powi(2) / 12.0,
        Distribution::Triangular { low, mode, high } => {
            let (rising, falling) = (mode - low, high - mode);
            (rising * rising + rising * falling + falling * falling) / 18.0
        }
        Distribution::Pert { low, high, .. } => {
            let mean = distribution.mean();
            (mean - low) * (high - mean) / 7.0
        }
        Distribution::Normal {
            mean,
            sd,
            low,
            high,
        } => {
            let standard = Normal::standard();
            let (from, to) = ((low - mean) / sd, (high - mean) / sd);
            let mass = standard.cdf(to) - standard.cdf(from);
            if mass <= 0.0 {
                return 0.0;
            }
            let density = |at: f64| {
                if at.is_finite() {
                    standard.pdf(at)
                } else {
                    0.0
                }
            };
            let moment = |at: f64| {
                if at.is_finite() {
                    at * standard.pdf(at)
                } else {
                    0.0
                }
            };
            let shift = (density(from) - density(to)) / mass;
            let share = 1.0 + (moment(from) - moment(to)) / mass - shift * shift;
            sd * sd * share.max(0.0)
        }
        Distribution::LogNormal { median, .. } => {
            // The mean is median · exp(σ²/2), the variance mean² · (exp(σ²) - 1).
            let growth = (distribution.mean() / median).powi(2);
            (median * median) * growth * (growth - 1.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_average_square_of_the_quantiles() {
        const STEPS: usize = 200_000;
        for distribution in [
            Distribution::Point(3.0),
            Distribution::Uniform {
                low: 1.0,
                high: 4.0,
            },
            Distribution::Triangular {
                low: 0.0,
                mode: 1.0,
                high: 5.0,
            },
            Distribution::Pert {
                low: 1.0,
                mode: 2.0,
                high: 6.0,
            },
            Distribution::Normal {
                mean: 1.0,
                sd: 2.0,
                low: 0.0,
                high: 3.0,
            },
            Distribution::Normal {
                mean: 10.0,
                sd: 2.0,
                low: f64::NEG_INFINITY,
                high: 11.0,
            },
            Distribution::LogNormal {
                median: 10.0,
                p90: 20.0,
            },
        ] {
            let mean = distribution.mean();
            let sum: f64 = (0..STEPS)
                .map(|step| distribution.quantile((step as f64 + 0.5) / STEPS as f64) - mean)
                .map(|difference| difference * difference)
                .sum();
            let average = sum / STEPS as f64;
            let variance = variance(&distribution);
            assert!(
                (average - variance).abs() <= 2e-3 * variance,
                "{distribution:?}: {average} {variance}"
            );
        }
    }
}
