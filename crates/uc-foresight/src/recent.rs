//! The last hour, in bins of a quarter of a minute.

/// Width of a bin in seconds.
const BIN_S: f64 = 15.0;
/// Bins kept: an hour and a minute, so that a grid aligned to now always finds its first bin.
const BINS: usize = 244;
/// Bins are counted from time zero to this far on both sides; what lies beyond counts as there.
const FURTHEST_BIN: f64 = 1e15;

/// The last hour of one life.
#[derive(Debug, Clone, PartialEq)]
pub struct Recent {
    /// Mean memory of each bin in bytes, by bin number modulo [`BINS`]; NaN where there was no sample.
    bins: Box<[f32; BINS]>,
    /// Number of the newest bin.
    newest: i64,
    /// Number of the first bin of this life.
    first: i64,
    /// Samples in the newest bin.
    count: u32,
}

impl Recent {
    /// Begins with one value.
    pub fn new(t_s: f64, bytes: f64) -> Self {
        let number = number_of(t_s);
        let mut bins = Box::new([f32::NAN; BINS]);
        bins[slot(number)] = bytes as f32;
        Self {
            bins,
            newest: number,
            first: number,
            count: 1,
        }
    }

    /// Takes in one value. Times must not go back.
    pub fn push(&mut self, t_s: f64, bytes: f64) {
        let number = number_of(t_s);
        if number > self.newest {
            for missing in (self.newest + 1).max(number - BINS as i64)..number {
                self.bins[slot(missing)] = f32::NAN;
            }
            self.bins[slot(number)] = bytes as f32;
            self.newest = number;
            self.count = 1;
        } else {
            let mean = &mut self.bins[slot(number)];
            self.count = self.count.saturating_add(1);
            *mean += (bytes as f32 - *mean) / self.count as f32;
        }
    }

    /// The last `steps` means of `step_bins` bins each, oldest first, the last one ending now. What is missing lies on the line
    /// between its neighbours; what precedes this life is `None`.
    pub fn grid(&self, steps: usize, step_bins: usize) -> Vec<Option<f64>> {
        let mut grid: Vec<Option<f64>> = (0..steps)
            .map(|step| {
                let end = self.newest - ((steps - 1 - step) * step_bins) as i64;
                self.mean(end - step_bins as i64 + 1, end)
            })
            .collect();
        bridge(&mut grid);
        grid
    }

    fn mean(&self, from: i64, to: i64) -> Option<f64> {
        let oldest = self.first.max(self.newest - BINS as i64 + 1);
        let (mut sum, mut count) = (0.0, 0.0);
        for number in from.max(oldest)..=to {
            let value = self.bins[slot(number)];
            if !value.is_nan() {
                sum += f64::from(value);
                count += 1.0;
            }
        }
        (count > 0.0).then(|| sum / count)
    }

    /// The newest bin's mean in bytes.
    pub fn newest(&self) -> f64 {
        f64::from(self.bins[slot(self.newest)])
    }

    /// How long this life is known, in seconds, up to an hour.
    pub fn span_s(&self) -> f64 {
        ((self.newest - self.first + 1) as f64 * BIN_S).min(3600.0)
    }
}

fn number_of(t_s: f64) -> i64 {
    (t_s / BIN_S).floor().clamp(-FURTHEST_BIN, FURTHEST_BIN) as i64
}

fn slot(number: i64) -> usize {
    number.rem_euclid(BINS as i64) as usize
}

/// Fills gaps between known values.
fn bridge(grid: &mut [Option<f64>]) {
    let mut known: Option<(usize, f64)> = None;
    for index in 0..grid.len() {
        let Some(value) = grid[index] else { continue };
        if let Some((before, from)) = known {
            let span = (index - before) as f64;
            for (steps, missing) in (1..).zip(&mut grid[before + 1..index]) {
                *missing = Some(from + (value - from) * f64::from(steps) / span);
            }
        }
        known = Some((index, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_ends_now_and_bridges_gaps() {
        let mut recent = Recent::new(0.0, 0.0);
        for t_s in [60.0, 75.0, 300.0] {
            recent.push(t_s, t_s);
        }
        let grid = recent.grid(4, 4);
        assert_eq!(grid[3], Some(300.0));
        assert!(grid[0].unwrap() < grid[1].unwrap());
        assert_eq!(recent.grid(30, 4)[0], None);
    }

    #[test]
    fn the_furthest_times_are_times() {
        let mut recent = Recent::new(f64::MIN, 1.0);
        recent.push(0.0, 2.0);
        recent.push(f64::MAX, 3.0);
        assert_eq!((recent.span_s(), recent.newest()), (3600.0, 3.0));
    }

    #[test]
    fn a_long_gap_forgets_what_is_older_than_the_hour() {
        let mut recent = Recent::new(0.0, 5.0);
        recent.push(1e9, 7.0);
        assert_eq!(recent.grid(60, 4).iter().flatten().count(), 1);
    }
}
