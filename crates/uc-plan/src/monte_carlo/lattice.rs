//! Where the samples lie in the unit cube: a rank-1 lattice under random shifts (Cranley and Patterson), so that
//! each replicate is an unbiased estimate and their spread tells the error.
//!
//! Coordinates are phases: 32-bit fractions of the unit interval, read as the middle of their 2^-32. Wrapping addition then is
//! the shift modulo one, exactly.

use super::{generating_vector::GENERATING_VECTOR, splitmix};

/// Samples of a replicate: the points of the lattice.
pub const POINTS: usize = 1 << 16;

/// One dimension of one replicate.
#[derive(Debug, Clone, Copy)]
pub(super) enum Coordinate {
    /// Of the lattice: point `k` lies at `k · component / POINTS + shift` modulo one.
    Lattice { component: u32, shift: u32 },
    /// Of the dimensions beyond the generating vector: plain pseudo-random numbers under this key.
    Random { key: u64 },
}

impl Coordinate {
    /// The dimension's shift, or its numbers, are those of `SplitMix64` under a key drawn for the replicate.
    pub(super) fn new(seed: u64, replicate: u32, dimension: usize) -> Self {
        let key = splitmix::at(splitmix::at(seed, replicate.into()), dimension as u64);
        match GENERATING_VECTOR.get(dimension) {
            Some(&component) => Self::Lattice {
                component,
                shift: (key >> 32) as u32,
            },
            None => Self::Random { key },
        }
    }

    /// The phases of the points from `first` on.
    pub(super) fn fill(self, first: usize, phases: &mut [u32]) {
        match self {
            Self::Lattice { component, shift } => {
                // A component in units of 2^-32.
                let step = component.wrapping_mul((1_u64 << 32 >> POINTS.ilog2()) as u32);
                let mut phase = shift.wrapping_add(step.wrapping_mul(first as u32));
                for slot in phases {
                    *slot = phase;
                    phase = phase.wrapping_add(step);
                }
            }
            Self::Random { key } => {
                for (point, slot) in (first as u64..).zip(phases) {
                    *slot = (splitmix::at(key, point) >> 32) as u32;
                }
            }
        }
    }
}

/// The middle of a phase's interval, in (0, 1).
pub(super) fn unit(phase: u32) -> f64 {
    // By way of a signed number, which processors convert in one instruction.
    f64::from((phase ^ (1 << 31)) as i32) * 2.0_f64.powi(-32) + (0.5 + 2.0_f64.powi(-33))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(dimension: usize) -> Vec<u32> {
        let mut phases = vec![0; POINTS];
        Coordinate::new(7, 3, dimension).fill(0, &mut phases);
        phases
    }

    #[test]
    fn each_dimension_has_one_point_in_each_stratum() {
        for dimension in 0..GENERATING_VECTOR.len() {
            let mut seen = vec![false; POINTS];
            for phase in all(dimension) {
                seen[(phase >> 16) as usize] = true;
            }
            assert!(seen.iter().all(|one| *one), "dimension {dimension}");
        }
    }

    #[test]
    fn blocks_are_parts_of_the_whole() {
        for dimension in [0, 5, 255, 256, 4000] {
            let mut block = [0; 100];
            Coordinate::new(7, 3, dimension).fill(1000, &mut block);
            assert_eq!(block[..], all(dimension)[1000..1100]);
        }
    }

    #[test]
    fn phases_are_middles() {
        assert_eq!(unit(0), 2.0_f64.powi(-33));
        assert_eq!(unit(u32::MAX), 1.0 - 2.0_f64.powi(-33));
        assert_eq!(unit(1 << 31), 0.5 + 2.0_f64.powi(-33));
    }

    /// Root of the mean square error over 16 replicates for the mean of a product of smooth factors of mean one.
    fn error_of_product(dimensions: std::ops::Range<usize>, lattice: bool) -> f64 {
        let squares: f64 = (0..16)
            .map(|replicate| {
                let mut products = vec![1.0; POINTS];
                let mut phases = vec![0; POINTS];
                for dimension in dimensions.clone() {
                    let beyond = if lattice { 0 } else { 1000 };
                    Coordinate::new(1, replicate, dimension + beyond).fill(0, &mut phases);
                    for (product, &phase) in products.iter_mut().zip(&phases) {
                        *product *= 1.0 + 0.5 * (unit(phase) - 0.5);
                    }
                }
                let mean = products.iter().sum::<f64>() / POINTS as f64;
                (mean - 1.0) * (mean - 1.0)
            })
            .sum();
        (squares / 16.0).sqrt()
    }

    #[test]
    fn smooth_products_are_integrated_far_better_than_by_random_numbers() {
        for (dimensions, factor) in [(0..5, 30.0), (35..40, 20.0), (0..20, 6.0), (0..40, 3.0)] {
            let ours = error_of_product(dimensions.clone(), true);
            let random = error_of_product(dimensions.clone(), false);
            println!("{dimensions:?}: {ours:e} {random:e} {}", random / ours);
            assert!(
                random > factor * ours,
                "{dimensions:?}: {ours:e} {random:e}"
            );
        }
    }
}
