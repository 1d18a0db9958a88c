//! A series condensed: ever wider bins the further one looks back, so that a leak of any speed fills some window.

/// Bins a level keeps.
pub(crate) const BINS: usize = 8;
/// Levels; each one's bins are twice as wide as those of the level below.
pub(crate) const LEVELS: usize = 13;
/// Width of a bin of the lowest level, in seconds.
pub(crate) const BASE_S: f64 = 5.0;

/// One bin: what the memory was during its time, in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// The lowest value: what is left once all that is transient is gone.
    pub floor: f32,
    /// The mean.
    pub mean: f32,
}

impl Bin {
    const MISSING: Self = Self {
        floor: f32::NAN,
        mean: f32::NAN,
    };

    fn is_missing(self) -> bool {
        self.mean.is_nan()
    }

    /// Two neighbours as one.
    fn joined(self, other: Self) -> Self {
        if self.is_missing() {
            return other;
        }
        if other.is_missing() {
            return self;
        }
        Self {
            floor: self.floor.min(other.floor),
            mean: (self.mean + other.mean) / 2.0,
        }
    }
}

/// One level: its bins as a ring.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Level {
    bins: [Bin; BINS],
    /// How many bins were ever pushed.
    pushed: u32,
    /// The highest mean among bins that have left the ring.
    peak_before: f32,
    /// Mean, and mean size, of the steps between neighbours that have left the ring; recent ones count more.
    step_mean: f32,
    step_size: f32,
    /// How many such steps there were, up to [`STEPS_REMEMBERED`].
    steps: f32,
}

/// Steps that the mean of steps reaches back over.
const STEPS_REMEMBERED: f32 = 64.0;
/// Steps without which nothing is known about them.
const FEWEST_STEPS: f32 = 8.0;

impl Level {
    const EMPTY: Self = Self {
        bins: [Bin::MISSING; BINS],
        pushed: 0,
        peak_before: f32::NAN,
        step_mean: 0.0,
        step_size: 0.0,
        steps: 0.0,
    };

    /// Adds a bin. Returns the last two as one when they make up a bin of the level above.
    fn push(&mut self, bin: Bin) -> Option<Bin> {
        let at = self.pushed as usize % BINS;
        // f32::max ignores a NaN on either side, so missing bins change nothing.
        self.peak_before = self.peak_before.max(self.bins[at].mean);
        self.leave(self.bins[(at + 1) % BINS].mean - self.bins[at].mean);
        let before = self.bins[(at + BINS - 1) % BINS];
        self.bins[at] = bin;
        self.pushed = self.pushed.wrapping_add(1);
        // An even count keeps the parity when the counter wraps.
        self.pushed.is_multiple_of(2).then(|| before.joined(bin))
    }
}

impl Level {
    /// Remembers a step that leaves the ring.
    fn leave(&mut self, step: f32) {
        if step.is_nan() {
            return;
        }
        self.steps = (self.steps + 1.0).min(STEPS_REMEMBERED);
        self.step_mean += (step - self.step_mean) / self.steps;
        self.step_size += (step.abs() - self.step_size) / self.steps;
    }

    /// How much steps vary, in bytes.
    fn step_spread(&self) -> Option<f64> {
        // A steady climb is no variation. 1.25: from the mean size of normal noise to its standard deviation.
        let size = self.step_size - self.step_mean.abs();
        (self.steps >= FEWEST_STEPS).then(|| 1.25 * f64::from(size.max(0.0)))
    }
}

/// The whole of one life of a workload, condensed to about a kilobyte.
#[derive(Debug, Clone, PartialEq)]
pub struct Pyramid {
    levels: [Level; LEVELS],
    /// Number of the bin that is being filled, counted in [`BASE_S`] from time zero.
    open: Option<i64>,
    sum: f64,
    count: u32,
    floor: f32,
}

impl Default for Pyramid {
    fn default() -> Self {
        Self {
            levels: [Level::EMPTY; LEVELS],
            open: None,
            sum: 0.0,
            count: 0,
            floor: f32::INFINITY,
        }
    }
}

/// What a level shows: its bins as points, and what was before them.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Width of a bin in seconds.
    pub bin_s: f64,
    /// The bins that have a value, oldest first, each with its number in the window from 0.
    pub bins: Vec<(f64, Bin)>,
    /// The highest mean of any bin before the window, if there was one.
    pub peak_before: Option<f64>,
    /// How much the steps between bins varied before the window, as a standard deviation in bytes; if enough were seen.
    pub step_spread: Option<f64>,
}

impl Pyramid {
    /// Takes in one value. Times must not go back.
    pub fn push(&mut self, t_s: f64, bytes: f64) {
        let number = (t_s / BASE_S).floor() as i64;
        if let Some(open) = self.open
            && number > open
        {
            self.close();
            // A longer gap has nothing left in any window but the highest.
            let missing = (number - open - 1).min((BINS << LEVELS) as i64);
            for _ in 0..missing {
                self.add(Bin::MISSING);
            }
        }
        self.open = Some(number);
        self.sum += bytes;
        self.count += 1;
        self.floor = self.floor.min(bytes as f32);
    }

    fn close(&mut self) {
        let bin = Bin {
            floor: self.floor,
            mean: (self.sum / f64::from(self.count.max(1))) as f32,
        };
        self.add(bin);
        (self.sum, self.count, self.floor) = (0.0, 0, f32::INFINITY);
    }

    fn add(&mut self, bin: Bin) {
        let mut rising = Some(bin);
        for level in &mut self.levels {
            let Some(bin) = rising else { break };
            rising = level.push(bin);
        }
    }

    /// What level `index` shows.
    pub fn window(&self, index: usize) -> Window {
        let level = &self.levels[index];
        let oldest = (level.pushed as usize).saturating_sub(BINS);
        let bins = (oldest..level.pushed as usize)
            .map(|number| ((number - oldest) as f64, level.bins[number % BINS]))
            .filter(|(_, bin)| !bin.is_missing())
            .collect();
        Window {
            bin_s: BASE_S * f64::from(1u32 << index),
            bins,
            peak_before: (!level.peak_before.is_nan()).then(|| f64::from(level.peak_before)),
            step_spread: level.step_spread(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_a_ramp_at_every_level() {
        let mut pyramid = Pyramid::default();
        for step in 0..80_000 {
            let t_s = f64::from(step) * BASE_S;
            pyramid.push(t_s, t_s);
        }
        for index in 0..LEVELS {
            let window = pyramid.window(index);
            assert_eq!(window.bins.len(), BINS);
            for pair in window.bins.windows(2) {
                let rise = f64::from(pair[1].1.mean - pair[0].1.mean);
                assert!((rise - window.bin_s).abs() < 1.0, "level {index}: {rise}");
            }
            let first = f64::from(window.bins[0].1.mean);
            assert!(window.peak_before.is_none_or(|peak| peak < first));
        }
    }

    #[test]
    fn a_gap_leaves_missing_bins_and_costs_no_more_than_a_bounded_loop() {
        let mut pyramid = Pyramid::default();
        pyramid.push(0.0, 5.0);
        pyramid.push(100.0, 6.0);
        pyramid.push(1e12, 7.0);
        pyramid.push(1e12 + 30.0, 7.0);
        assert_eq!(pyramid.window(0).bins.len(), 1);
        assert_eq!(pyramid.window(0).peak_before, Some(6.0));
    }

    #[test]
    fn it_takes_little_more_than_a_kilobyte() {
        // A kilobyte is promised (SPECIFICATION.md); what a series' own steps are like takes a tenth more.
        let bytes = size_of::<Pyramid>();
        assert!(bytes < 1_150, "{bytes}");
    }
}
