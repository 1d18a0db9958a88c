//! A figure that may be uncertain: a number, a range or a distribution, with where it comes from.

use serde::{Serialize, Serializer, ser::SerializeMap};
use statrs::distribution::{Beta, Continuous, ContinuousCDF, Normal};
use uc_model::Provenance;

/// How sure a figure is.
///
/// Values are in the unit of the figure. Every constructor of a catalogue has checked that the parameters are finite, in
/// order and within the figure's domain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distribution {
    /// Certain.
    Point(f64),
    /// Anywhere between two values, all alike.
    Uniform {
        /// The least value.
        low: f64,
        /// The greatest value.
        high: f64,
    },
    /// Between two values, most likely at a third.
    Triangular {
        /// The least value.
        low: f64,
        /// The likeliest value.
        mode: f64,
        /// The greatest value.
        high: f64,
    },
    /// As triangular, but smooth and with four times the weight on the mode: the estimate of project planning (PERT).
    Pert {
        /// The least value.
        low: f64,
        /// The likeliest value.
        mode: f64,
        /// The greatest value.
        high: f64,
    },
    /// A normal distribution cut off at both ends.
    Normal {
        /// The mean before cutting.
        mean: f64,
        /// The standard deviation before cutting; positive.
        sd: f64,
        /// The least value; may be minus infinity.
        low: f64,
        /// The greatest value; may be infinite.
        high: f64,
    },
    /// The logarithm is normal: costs that may run away upwards.
    LogNormal {
        /// Half lie below; positive.
        median: f64,
        /// Nine of ten lie below; above the median.
        p90: f64,
    },
}

/// The standard normal's quantile at 0.9.
const Z90: f64 = 1.281_551_565_544_6;

impl Distribution {
    /// Whether there is only one possible value.
    pub fn is_certain(&self) -> bool {
        match *self {
            Self::Point(_) => true,
            Self::Uniform { low, high }
            | Self::Triangular { low, high, .. }
            | Self::Pert { low, high, .. } => low == high,
            Self::Normal { .. } | Self::LogNormal { .. } => false,
        }
    }

    /// The least value.
    pub fn low(&self) -> f64 {
        match *self {
            Self::Point(value) => value,
            Self::Uniform { low, .. }
            | Self::Triangular { low, .. }
            | Self::Pert { low, .. }
            | Self::Normal { low, .. } => low,
            Self::LogNormal { .. } => 0.0,
        }
    }

    /// The greatest value; infinite where there is none.
    pub fn high(&self) -> f64 {
        match *self {
            Self::Point(value) => value,
            Self::Uniform { high, .. }
            | Self::Triangular { high, .. }
            | Self::Pert { high, .. }
            | Self::Normal { high, .. } => high,
            Self::LogNormal { .. } => f64::INFINITY,
        }
    }

    /// The expected value, which every deterministic result uses.
    pub fn mean(&self) -> f64 {
        match *self {
            Self::Point(value) => value,
            Self::Uniform { low, high } => f64::midpoint(low, high),
            Self::Triangular { low, mode, high } => (low + mode + high) / 3.0,
            Self::Pert { low, mode, high } => (low + 4.0 * mode + high) / 6.0,
            Self::Normal {
                mean,
                sd,
                low,
                high,
            } => {
                let (standard, from, to) = cut(mean, sd, low, high);
                let mass = standard.cdf(to) - standard.cdf(from);
                if mass <= 0.0 {
                    return mean.clamp(low, high);
                }
                mean + sd * (density(&standard, from) - density(&standard, to)) / mass
            }
            Self::LogNormal { median, p90 } => {
                let sigma = (p90 / median).ln() / Z90;
                median * (sigma * sigma / 2.0).exp()
            }
        }
    }

    /// The value below which the share `u` of all values lies; `u` in (0, 1), outside it the nearest end.
    pub fn quantile(&self, u: f64) -> f64 {
        let u = u.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        match *self {
            Self::Point(value) => value,
            Self::Uniform { low, high } => low + u * (high - low),
            Self::Triangular { low, mode, high } => triangular(low, mode, high, u),
            Self::Pert { low, mode, high } => pert(low, mode, high, u),
            Self::Normal {
                mean,
                sd,
                low,
                high,
            } => {
                let (standard, from, to) = cut(mean, sd, low, high);
                let (from, to) = (standard.cdf(from), standard.cdf(to));
                let at = (from + u * (to - from)).clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON);
                (mean + sd * standard.inverse_cdf(at)).clamp(low, high)
            }
            Self::LogNormal { median, p90 } => {
                let z = Normal::standard().inverse_cdf(u);
                median * (p90 / median).powf(z / Z90)
            }
        }
    }

    /// The same distribution of figures `factor` times as large; `factor` is positive.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        let mut scaled = *self;
        match &mut scaled {
            Self::Point(value) => *value *= factor,
            Self::Uniform { low, high } => {
                *low *= factor;
                *high *= factor;
            }
            Self::Triangular { low, mode, high } | Self::Pert { low, mode, high } => {
                *low *= factor;
                *mode *= factor;
                *high *= factor;
            }
            Self::Normal {
                mean,
                sd,
                low,
                high,
            } => {
                *mean *= factor;
                *sd *= factor;
                *low *= factor;
                *high *= factor;
            }
            Self::LogNormal { median, p90 } => {
                *median *= factor;
                *p90 *= factor;
            }
        }
        scaled
    }
}

/// The standard normal, and the ends of a cut one in its standard deviations from its mean.
fn cut(mean: f64, sd: f64, low: f64, high: f64) -> (Normal, f64, f64) {
    (Normal::standard(), (low - mean) / sd, (high - mean) / sd)
}

fn density(standard: &Normal, at: f64) -> f64 {
    if at.is_finite() {
        standard.pdf(at)
    } else {
        0.0
    }
}

fn triangular(low: f64, mode: f64, high: f64, u: f64) -> f64 {
    let width = high - low;
    if width <= 0.0 {
        return low;
    }
    if u < (mode - low) / width {
        low + (u * width * (mode - low)).sqrt()
    } else {
        high - ((1.0 - u) * width * (high - mode)).sqrt()
    }
}

fn pert(low: f64, mode: f64, high: f64, u: f64) -> f64 {
    let width = high - low;
    let shape = |part: f64| 1.0 + 4.0 * part / width;
    match Beta::new(shape(mode - low), shape(high - mode)) {
        Ok(beta) if width > 0.0 => low + width * beta.inverse_cdf(u),
        _ => low,
    }
}

/// An uncertain figure with its provenance.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Its possible values.
    pub distribution: Distribution,
    /// Where it comes from.
    pub provenance: Provenance,
}

impl Estimate {
    /// A certain figure that somebody claims.
    pub fn point(value: f64, whose: &str) -> Self {
        Self {
            distribution: Distribution::Point(value),
            provenance: Provenance::Assumed(whose.into()),
        }
    }

    /// The expected value.
    pub fn mean(&self) -> f64 {
        self.distribution.mean()
    }
}

impl Serialize for Estimate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("value", &self.mean())?;
        if !self.distribution.is_certain() {
            map.serialize_entry("p5", &self.distribution.quantile(0.05))?;
            map.serialize_entry("p95", &self.distribution.quantile(0.95))?;
        }
        map.serialize_entry("provenance", self.provenance.kind())?;
        map.serialize_entry("basis", self.provenance.basis())?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: [Distribution; 7] = [
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
            low: 0.0,
            mode: 1.0,
            high: 5.0,
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
            high: f64::INFINITY,
        },
        Distribution::LogNormal {
            median: 10.0,
            p90: 20.0,
        },
    ];

    #[test]
    fn the_mean_is_the_average_of_the_quantiles() {
        const STEPS: usize = 20_000;
        for distribution in SAMPLES {
            let sum: f64 = (0..STEPS)
                .map(|step| distribution.quantile((step as f64 + 0.5) / STEPS as f64))
                .sum();
            let average = sum / STEPS as f64;
            let mean = distribution.mean();
            assert!(
                (average - mean).abs() < 2e-3 * mean,
                "{distribution:?}: {average} {mean}"
            );
        }
    }

    #[test]
    fn quantiles_rise_and_scale() {
        for distribution in SAMPLES {
            let scaled = distribution.scaled(7.0);
            let mut before = f64::NEG_INFINITY;
            for step in 0..=100 {
                let u = f64::from(step) / 100.0;
                let value = distribution.quantile(u);
                assert!(value >= before, "{distribution:?} at {u}");
                assert!(
                    (scaled.quantile(u) - 7.0 * value).abs() <= 1e-9 * value.abs().max(1.0) * 7.0
                );
                before = value;
            }
        }
    }

    #[test]
    fn a_range_without_width_is_its_value() {
        for distribution in [
            Distribution::Uniform {
                low: 2.0,
                high: 2.0,
            },
            Distribution::Triangular {
                low: 2.0,
                mode: 2.0,
                high: 2.0,
            },
            Distribution::Pert {
                low: 2.0,
                mode: 2.0,
                high: 2.0,
            },
        ] {
            assert!(distribution.is_certain());
            assert_eq!(distribution.quantile(0.3), 2.0);
            assert_eq!(distribution.mean(), 2.0);
        }
    }
}
