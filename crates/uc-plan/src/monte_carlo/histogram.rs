//! Log-linear histograms: how often a result lay in each cell, where cells are as narrow as the result's size demands.
//!
//! A cell is what the upper bits of a float's magnitude have in common: each octave is cut into equal parts. So a value costs a
//! shift and an addition, histograms merge by addition in any order, and percentiles need no sorting. A percentile lies
//! in the cell of the exact one, hence within one cell's width of it.

use super::interval::Interval;

/// The most octaves between a histogram's ends; what is smaller counts as zero.
const OCTAVES_LIMIT: u64 = 128;
/// Octaves where results may be zero or of both signs: below 2^-64 of the greatest magnitude they count as zero.
const OCTAVES_TO_ZERO: u64 = 64;
const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
const MAGNITUDE: u64 = u64::MAX >> 1;

/// Which cells a histogram has, and where they stand among the cells of all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    /// Cells of an octave: 2 to this power.
    bits: u32,
    /// Upper bits of the least magnitude that is not counted as zero.
    first: u64,
    /// Cells of either sign.
    magnitudes: usize,
    /// Cells below the one of zero: as many as above, or none where no result is negative.
    below: usize,
    /// Where its cells begin.
    offset: usize,
}

impl Scale {
    /// For results between two ends. Those outside are counted in the last cell of their side.
    pub(super) fn new(ends: Interval, bits: u32, offset: usize) -> Self {
        let upper_bits =
            |magnitude: f64| magnitude.min(f64::MAX).to_bits() >> (MANTISSA_BITS - bits);
        let greatest = ends.low.abs().max(ends.high.abs());
        if greatest <= 0.0 || greatest.is_nan() {
            return Self {
                bits,
                first: 1,
                magnitudes: 0,
                below: 0,
                offset,
            };
        }
        let last = upper_bits(greatest) + 1;
        let octaves = |count: u64| last.saturating_sub(count << bits);
        let first = if ends.low > 0.0 || ends.high < 0.0 {
            (upper_bits(ends.low.abs().min(ends.high.abs())).saturating_sub(1))
                .max(octaves(OCTAVES_LIMIT))
        } else {
            octaves(OCTAVES_TO_ZERO)
        };
        let first = first.max(1);
        let magnitudes = (last + 1 - first) as usize;
        Self {
            bits,
            first,
            magnitudes,
            below: if ends.low < 0.0 { magnitudes } else { 0 },
            offset,
        }
    }

    /// Where the cells of the next histogram begin.
    pub(super) fn end(&self) -> usize {
        self.offset + self.below + 1 + self.magnitudes
    }

    /// Counts values that are all finite.
    pub(super) fn count(&self, values: &[f64], cells: &mut [u32]) {
        let cells = &mut cells[self.offset..self.end()];
        let shift = MANTISSA_BITS - self.bits;
        let (first, last) = (self.first as i64 - 1, self.magnitudes as i64);
        if self.below == 0 {
            for value in values {
                let magnitude = value.to_bits() & MAGNITUDE;
                let cell = ((magnitude >> shift) as i64 - first).clamp(0, last);
                cells[cell as usize] += 1;
            }
        } else {
            let zero = self.below as i64;
            for value in values {
                let bits = value.to_bits();
                let cell = (((bits & MAGNITUDE) >> shift) as i64 - first).clamp(0, last);
                let sign = bits as i64 >> 63;
                cells[(zero + ((cell ^ sign) - sign)) as usize] += 1;
            }
        }
    }

    /// The cells that are not empty, from the least, cut off at `least` and `greatest`.
    pub(super) fn occupied(&self, cells: &[u32], least: f64, greatest: f64) -> Vec<Cell> {
        let edge = |magnitude: usize| {
            f64::from_bits((self.first + magnitude as u64) << (MANTISSA_BITS - self.bits))
        };
        let cells = cells.get(self.offset..self.end()).unwrap_or_default();
        let mut occupied = Vec::new();
        for (index, &count) in cells.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (low, high) = match index.checked_sub(self.below) {
                Some(0) => (if self.below > 0 { -edge(0) } else { 0.0 }, edge(0)),
                Some(above) => (edge(above - 1), edge(above)),
                None => (-edge(self.below - index), -edge(self.below - index - 1)),
            };
            occupied.push(Cell {
                low: low.clamp(least, greatest),
                high: high.clamp(least, greatest),
                count,
            });
        }
        // Values outside the expected ends lie in the outermost cells.
        if let Some(cell) = occupied.first_mut() {
            cell.low = least;
        }
        if let Some(cell) = occupied.last_mut() {
            cell.high = greatest;
        }
        occupied
    }
}

/// A cell and how many values lie in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) count: u32,
}

/// The value below which `rank` values lie, as if those of a cell were spread evenly.
pub(super) fn value_at(occupied: &[Cell], rank: f64) -> f64 {
    let mut before = 0.0;
    for cell in occupied {
        let count = f64::from(cell.count);
        if rank <= before + count {
            let part = ((rank - before) / count).clamp(0.0, 1.0);
            return (cell.low + part * (cell.high - cell.low)).min(cell.high);
        }
        before += count;
    }
    occupied.last().map_or(f64::NAN, |cell| cell.high)
}

/// How many values lie between two ends.
pub(super) fn count_between(occupied: &[Cell], low: f64, high: f64) -> f64 {
    occupied
        .iter()
        .map(|cell| {
            let width = cell.high - cell.low;
            let part = if width > 0.0 {
                (high.min(cell.high) - low.max(cell.low)).max(0.0) / width
            } else {
                f64::from(u8::from(low <= cell.low && cell.low < high))
            };
            part * f64::from(cell.count)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monte_carlo::splitmix;

    const BITS: u32 = 8;

    fn check(values: &mut [f64]) {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let scale = Scale::new(Interval::new(least, greatest), BITS, 3);
        let mut cells = vec![0; scale.end()];
        scale.count(values, &mut cells);
        values.sort_by(f64::total_cmp);
        let occupied = scale.occupied(&cells, least, greatest);
        assert!(occupied.is_sorted_by(|one, next| one.high <= next.low));
        for q in [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0] {
            let exact = values[(q * (values.len() - 1) as f64).round() as usize];
            let ours = value_at(&occupied, q * values.len() as f64);
            // One cell's width, and that of the next where the rank falls between two cells.
            assert!(
                (ours - exact).abs()
                    <= 2.0 * exact.abs() / 256.0 + greatest.abs().max(least.abs()) * 1e-18,
                "{q}: {ours} {exact}"
            );
        }
        let all = count_between(&occupied, f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!(all, values.len() as f64);
    }

    fn random(counter: u64) -> f64 {
        splitmix::at(1, counter) as f64 / u64::MAX as f64
    }

    #[test]
    fn percentiles_are_those_of_sorting_within_a_cell() {
        check(&mut (0..100_000).map(|k| 3.0 + random(k)).collect::<Vec<_>>());
        check(&mut (0..100_000).map(|k| random(k) - 0.3).collect::<Vec<_>>());
        check(
            &mut (0..100_000)
                .map(|k| (40.0 * random(k)).exp())
                .collect::<Vec<_>>(),
        );
        check(&mut (0..100_000).map(|k| -1e-9 / random(k)).collect::<Vec<_>>());
    }

    #[test]
    fn zeros_and_single_values_are_exact() {
        check(&mut [0.0; 10]);
        check(&mut [-7.25; 10]);
        check(&mut [-1.0, 0.0, 0.0, -0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn what_lies_outside_is_counted_in_the_last_cells() {
        for ends in [
            Interval::new(1.0, 2.0),
            Interval::new(-1.0, 2.0),
            Interval::ZERO,
        ] {
            let scale = Scale::new(ends, BITS, 0);
            let mut cells = vec![0; scale.end()];
            scale.count(&[1e300, 5e-324, 0.0], &mut cells);
            assert_eq!(cells.iter().sum::<u32>(), 3);
            let occupied = scale.occupied(&cells, 0.0, 1e300);
            assert_eq!(value_at(&occupied, 3.0), 1e300);
        }
    }

    #[test]
    fn a_histogram_is_bounded() {
        let widest = Scale::new(Interval::new(-f64::MAX, f64::MAX), BITS, 0);
        assert!(widest.end() <= 2 * (65 << BITS));
        let positive = Scale::new(Interval::new(f64::MIN_POSITIVE, f64::INFINITY), BITS, 0);
        assert!(positive.end() <= 129 << BITS);
    }
}
