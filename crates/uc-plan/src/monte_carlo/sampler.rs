//! Values of a figure from places in the unit interval: by formula where it is short, else by table.

use crate::estimate::Distribution;

use super::{lattice::unit, quantile_table::QuantileTable};

/// A distribution made ready for many samples.
#[derive(Debug, Clone)]
pub(super) enum Sampler {
    Certain(f64),
    Uniform {
        low: f64,
        width: f64,
    },
    Triangular {
        low: f64,
        /// The share of values below the mode.
        split: f64,
        /// Width times the part below the mode, and above it.
        rising: f64,
        falling: f64,
        /// The part above the mode.
        above: f64,
    },
    Table(QuantileTable),
}

impl Sampler {
    pub(super) fn new(distribution: &Distribution) -> Self {
        if distribution.is_certain() {
            return Self::Certain(distribution.mean());
        }
        match *distribution {
            Distribution::Uniform { low, high } => Self::Uniform {
                low,
                width: high - low,
            },
            Distribution::Triangular { low, mode, high } => {
                let width = high - low;
                let (split, falling) = ((mode - low) / width, width * (high - mode));
                Self::Triangular {
                    low,
                    split,
                    rising: width * (mode - low),
                    falling,
                    above: ((1.0 - split) * falling).sqrt(),
                }
            }
            _ => Self::Table(QuantileTable::new(distribution)),
        }
    }

    /// Whether it needs a dimension of its own.
    pub(super) fn is_uncertain(&self) -> bool {
        !matches!(self, Self::Certain(_))
    }

    /// The value at one phase; rises with it.
    pub(super) fn at(&self, phase: u32) -> f64 {
        let mut value = [0.0];
        self.fill(&[phase], &mut value);
        value[0]
    }

    /// The values at some phases.
    pub(super) fn fill(&self, phases: &[u32], values: &mut [f64]) {
        let slots = values.iter_mut().zip(phases);
        match *self {
            Self::Certain(value) => values.fill(value),
            Self::Uniform { low, width } => {
                for (slot, &phase) in slots {
                    *slot = low + width * unit(phase);
                }
            }
            Self::Triangular {
                low,
                split,
                rising,
                falling,
                above,
            } => {
                // The way to the mode, and the way on from it: without a branch, which would be mispredicted.
                for (slot, &phase) in slots {
                    let share = unit(phase);
                    let first = (share.min(split) * rising).sqrt();
                    let second = above - ((1.0 - share).min(1.0 - split) * falling).sqrt();
                    *slot = low + first + second;
                }
            }
            Self::Table(ref table) => {
                for (slot, &phase) in slots {
                    *slot = table.at(phase);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: [Distribution; 9] = [
        Distribution::Uniform {
            low: 1.0,
            high: 4.0,
        },
        Distribution::Triangular {
            low: 0.0,
            mode: 1.0,
            high: 5.0,
        },
        Distribution::Triangular {
            low: 0.0,
            mode: 0.0,
            high: 5.0,
        },
        Distribution::Pert {
            low: 2.0,
            mode: 3.0,
            high: 9.0,
        },
        Distribution::Pert {
            low: 0.0,
            mode: 0.0,
            high: 1.0,
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
        Distribution::LogNormal {
            median: 10.0,
            p90: 1000.0,
        },
    ];

    fn phases() -> impl Iterator<Item = u32> {
        let ends = (0..32).flat_map(|bit| [(1 << bit) - 1, 1 << bit, u32::MAX >> bit]);
        ends.chain((0..4096).map(|step| step * 1_048_573 + 77))
    }

    /// In units of the middle half's width, or of the value where that is more (heavy tails).
    #[test]
    fn values_are_quantiles_to_a_hundred_thousandth() {
        for distribution in SAMPLES {
            let sampler = Sampler::new(&distribution);
            let middle = distribution.quantile(0.75) - distribution.quantile(0.25);
            let mut worst = 0.0_f64;
            for phase in phases() {
                let (ours, exact) = (sampler.at(phase), distribution.quantile(unit(phase)));
                worst = worst.max((ours - exact).abs() / middle.max(exact.abs()));
            }
            println!("{distribution:?}: {worst:e}");
            assert!(worst < 1e-5, "{distribution:?}: {worst:e}");
        }
    }

    #[test]
    fn values_rise_with_the_phase_and_stay_within_their_ends() {
        for distribution in SAMPLES {
            let sampler = Sampler::new(&distribution);
            let mut phases: Vec<u32> = phases().collect();
            phases.sort_unstable();
            let values: Vec<f64> = phases.iter().map(|&phase| sampler.at(phase)).collect();
            assert!(
                values.is_sorted_by(|one, next| next - one >= -1e-12 * one.abs()),
                "{distribution:?}"
            );
            assert!(
                values.iter().all(|value| value.is_finite()),
                "{distribution:?}"
            );
        }
    }
}
