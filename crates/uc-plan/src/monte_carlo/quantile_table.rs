//! A quantile function as a table of cubics, fine towards both ends.
//!
//! Both halves of the unit interval are cut into octaves of the distance from their end, and each octave into equal cells, so
//! that heavy tails and roots are as smooth within a cell as the middle is. The cubics agree with value and slope at
//! the ends of their cells (Hermite); neighbouring cells are so alike in size that they rise wherever the quantile does.

use statrs::distribution::{Beta, Continuous, ContinuousCDF, Normal};

use crate::estimate::Distribution;

/// Cells of an octave: 2 to this power.
const CELL_BITS: u32 = 4;
/// The distance from an end is at least 2^-33 (the middle of the outermost phase) and below 2^-1.
const OCTAVES: usize = 32;
const CELLS: usize = OCTAVES << CELL_BITS;
/// The upper bits of the least distance as a float: exponent and the cell within the octave.
const FIRST: usize = (1023 - 33) << CELL_BITS;
const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
const MANTISSA: u64 = (1 << MANTISSA_BITS) - 1;

/// Quantiles at every phase.
#[derive(Debug, Clone)]
pub(super) struct QuantileTable {
    /// Coefficients from the constant on; the lower half's cells, then the upper half's, both from the end to the middle.
    cells: Box<[[f64; 4]; 2 * CELLS]>,
}

impl QuantileTable {
    /// Of a distribution that is not certain.
    pub(super) fn new(distribution: &Distribution) -> Self {
        let mut cells = Box::new([[0.0; 4]; 2 * CELLS]);
        let density = Density::of(distribution);
        for (upper, half) in [false, true].into_iter().zip(cells.chunks_exact_mut(CELLS)) {
            let node = |cell: usize| {
                let distance =
                    f64::from_bits(((FIRST + cell) as u64) << (MANTISSA_BITS - CELL_BITS));
                let share = if upper { 1.0 - distance } else { distance };
                let value = distribution.quantile(share);
                let slope = 1.0 / density.at(value);
                (distance, value, if upper { -slope } else { slope })
            };
            let mut from = node(0);
            for (index, cell) in half.iter_mut().enumerate() {
                let to = node(index + 1);
                *cell = hermite(from, to);
                from = to;
            }
        }
        Self { cells }
    }

    /// The quantile at the middle of a phase.
    pub(super) fn at(&self, phase: u32) -> f64 {
        let upper = phase >> 31;
        // The distance from the nearer end, in the same units.
        let near = (phase ^ upper.wrapping_neg()) as i32;
        let distance = (f64::from(near) + 0.5) * 2.0_f64.powi(-32);
        let bits = distance.to_bits();
        let cell = ((bits >> (MANTISSA_BITS - CELL_BITS)) as usize).wrapping_sub(FIRST) % CELLS;
        let within = f64::from_bits((bits << CELL_BITS) & MANTISSA | 1.0_f64.to_bits()) - 1.0;
        let [a, b, c, d] = self.cells[upper as usize * CELLS + cell];
        a + within * (b + within * (c + within * d))
    }
}

/// The cubic on the unit interval between two nodes: place, value and slope.
fn hermite(from: (f64, f64, f64), to: (f64, f64, f64)) -> [f64; 4] {
    let width = to.0 - from.0;
    let rise = to.1 - from.1;
    // A cubic that rises has no slope beyond three times its mean slope (Fritsch and Carlson). This also mends slopes that are
    // infinite or undefined, where a density underflows.
    let limit = 3.0 * rise.abs();
    let slope = |slope: f64| {
        let scaled = slope * width;
        if scaled.is_nan() {
            rise
        } else {
            scaled.clamp(-limit, limit)
        }
    };
    let (start, end) = (slope(from.2), slope(to.2));
    [
        from.1,
        start,
        3.0 * rise - 2.0 * start - end,
        start + end - 2.0 * rise,
    ]
}

/// How densely values lie: one over the slope of the quantile function.
enum Density {
    /// Of a beta distribution between two values.
    Pert { low: f64, width: f64, beta: Beta },
    /// Of the part of a normal distribution that is not cut off.
    Normal { mean: f64, sd: f64, mass: f64 },
    /// Of a number whose logarithm is normal.
    LogNormal { log_median: f64, sigma: f64 },
    /// Not needed: nodes are joined by straight lines.
    Unknown,
}

impl Density {
    fn of(distribution: &Distribution) -> Self {
        match *distribution {
            Distribution::Pert { low, mode, high } => {
                let width = high - low;
                let shape = |part: f64| 1.0 + 4.0 * part / width;
                Beta::new(shape(mode - low), shape(high - mode))
                    .map_or(Self::Unknown, |beta| Self::Pert { low, width, beta })
            }
            Distribution::Normal {
                mean,
                sd,
                low,
                high,
            } => {
                let standard = Normal::standard();
                let mass = standard.cdf((high - mean) / sd) - standard.cdf((low - mean) / sd);
                Self::Normal { mean, sd, mass }
            }
            Distribution::LogNormal { median, p90 } => Self::LogNormal {
                log_median: median.ln(),
                sigma: (p90 / median).ln() / Normal::standard().inverse_cdf(0.9),
            },
            Distribution::Point(_)
            | Distribution::Uniform { .. }
            | Distribution::Triangular { .. } => Self::Unknown,
        }
    }

    fn at(&self, value: f64) -> f64 {
        match self {
            Self::Pert { low, width, beta } => beta.pdf((value - low) / width) / width,
            Self::Normal { mean, sd, mass } => {
                Normal::standard().pdf((value - mean) / sd) / (sd * mass)
            }
            Self::LogNormal { log_median, sigma } => {
                Normal::standard().pdf((value.ln() - log_median) / sigma) / (sigma * value)
            }
            Self::Unknown => f64::NAN,
        }
    }
}
