//! A series condensed: ever wider bins the further one looks back, so that a leak of any speed fills some window.
//!
//! A number takes 16 bits: so many units above what the level's bins have in common. For a series that hardly moves a unit is a
//! four millionth of its height, for one that doubles within a window a thirty thousandth.

mod scale;

use scale::Scale;

/// Bins a level keeps.
pub(crate) const BINS: usize = 8;
/// Levels; each one's bins are twice as wide as those of the level below.
pub(crate) const LEVELS: usize = 13;
/// Width of a bin of the lowest level, in seconds.
pub(crate) const BASE_S: f64 = 5.0;
/// Bins are counted from time zero to this far on both sides; what lies beyond counts as there.
const FURTHEST_BIN: f64 = 1e15;

/// One bin: what the memory was during its time, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bin {
    /// The lowest value: what is left once all that is transient is gone.
    pub floor: f32,
    /// The mean.
    pub mean: f32,
}

impl Bin {
    /// Two neighbours as one; either may be missing.
    fn joined(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let (Some(a), Some(b)) = (one, other) else {
            return one.or(other);
        };
        Some(Self {
            floor: a.floor.min(b.floor),
            mean: (a.mean + b.mean) / 2.0,
        })
    }
}

/// One level: its bins as a ring.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Level {
    /// Means, [`MISSING`] where there is none.
    means: [u16; BINS],
    /// Floors.
    floors: [u16; BINS],
    /// What the numbers mean: the parts of a [`Scale`], which as a whole would take one byte more in each level.
    base: u16,
    exponent: i8,
    /// How many steps left the ring, up to [`STEPS_REMEMBERED`].
    steps: u8,
    /// Mean, and mean size, of these steps between neighbours; recent ones count more.
    step_mean: f32,
    step_size: f32,
    /// The highest mean among bins that have left the ring.
    peak_before: f32,
}

/// In place of a mean: nothing was seen.
const MISSING: u16 = u16::MAX;
/// Steps that the mean of steps reaches back over.
const STEPS_REMEMBERED: u8 = 64;
/// Steps without which nothing is known about them.
const FEWEST_STEPS: u8 = 8;

impl Level {
    const EMPTY: Self = Self {
        means: [MISSING; BINS],
        floors: [0; BINS],
        peak_before: f32::NAN,
        step_mean: 0.0,
        step_size: 0.0,
        steps: 0,
        base: Scale::FINEST.base,
        exponent: Scale::FINEST.exponent,
    };

    /// What is in a slot of the ring.
    fn bin(&self, slot: usize) -> Option<Bin> {
        let scale = self.scale();
        (self.means[slot] != MISSING).then(|| Bin {
            floor: scale.bytes(self.floors[slot]),
            mean: scale.bytes(self.means[slot]),
        })
    }

    /// Puts a bin into the slot of the oldest one.
    fn push(&mut self, slot: usize, bin: Option<Bin>) {
        if let Some(leaving) = self.bin(slot) {
            // f32::max ignores a NaN.
            self.peak_before = self.peak_before.max(leaving.mean);
            if let Some(next) = self.bin((slot + 1) % BINS) {
                self.leave(next.mean - leaving.mean);
            }
        }
        self.means[slot] = MISSING;
        if let Some(bin) = bin {
            self.rescale(bin);
            self.put(slot, bin);
        }
    }

    fn put(&mut self, slot: usize, bin: Bin) {
        let scale = self.scale();
        self.means[slot] = scale.units(bin.mean);
        self.floors[slot] = scale.units(bin.floor);
    }

    fn scale(&self) -> Scale {
        Scale {
            base: self.base,
            exponent: self.exponent,
        }
    }

    /// Chooses the scale anew for what is there and one more bin.
    fn rescale(&mut self, more: Bin) {
        let kept: [Option<Bin>; BINS] = std::array::from_fn(|slot| self.bin(slot));
        let (mut lowest, mut highest) = (more.floor, more.mean);
        for bin in kept.iter().flatten() {
            (lowest, highest) = (lowest.min(bin.floor), highest.max(bin.mean));
        }
        let scale = Scale::for_range(lowest, highest);
        if scale == self.scale() {
            return;
        }
        (self.base, self.exponent) = (scale.base, scale.exponent);
        for (slot, bin) in kept.iter().enumerate() {
            if let Some(bin) = bin {
                self.put(slot, *bin);
            }
        }
    }

    /// Remembers a step that leaves the ring.
    fn leave(&mut self, step: f32) {
        self.steps = (self.steps + 1).min(STEPS_REMEMBERED);
        let steps = f32::from(self.steps);
        self.step_mean += (step - self.step_mean) / steps;
        self.step_size += (step.abs() - self.step_size) / steps;
    }

    /// How much steps vary, in bytes.
    fn step_spread(&self) -> Option<f64> {
        // A steady climb is no variation. 1.25: from the mean size of normal noise to its standard deviation.
        let size = self.step_size - self.step_mean.abs();
        (self.steps >= FEWEST_STEPS).then(|| 1.25 * f64::from(size.max(0.0)))
    }
}

/// The whole of one life of a workload, condensed to two thirds of a kilobyte.
#[derive(Debug, Clone, PartialEq)]
pub struct Pyramid {
    levels: [Level; LEVELS],
    /// How many bins the lowest level was ever given. Each further level was given half as many as the one below.
    pushed: u64,
    /// Number of the bin that is being filled, counted in [`BASE_S`] from time zero.
    open: i64,
    /// Sum, number and lowest of the values in it; none are there only before the first.
    sum: f64,
    count: u32,
    floor: f32,
}

impl Default for Pyramid {
    fn default() -> Self {
        Self {
            levels: [Level::EMPTY; LEVELS],
            pushed: 0,
            open: 0,
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
    /// Takes in one value in bytes, from 0 on. Times must not go back.
    pub fn push(&mut self, t_s: f64, bytes: f64) {
        let number = (t_s / BASE_S).floor().clamp(-FURTHEST_BIN, FURTHEST_BIN) as i64;
        if self.count > 0 && number > self.open {
            self.close();
            // A longer gap has nothing left in any window but the highest.
            let missing = (number - self.open - 1).min((BINS << LEVELS) as i64);
            for _ in 0..missing {
                self.add(None);
            }
        }
        self.open = number;
        self.sum += bytes;
        self.count = self.count.saturating_add(1);
        self.floor = self.floor.min(bytes as f32);
    }

    fn close(&mut self) {
        let mean = (self.sum / f64::from(self.count.max(1))) as f32;
        // A mean of equal values may round to below them.
        let floor = self.floor.min(mean);
        self.add(mean.is_finite().then_some(Bin { floor, mean }));
        (self.sum, self.count, self.floor) = (0.0, 0, f32::INFINITY);
    }

    fn add(&mut self, bin: Option<Bin>) {
        let mut rising = bin;
        for (index, level) in self.levels.iter_mut().enumerate() {
            let number = self.pushed >> index;
            let slot = number as usize % BINS;
            let before = level.bin((slot + BINS - 1) % BINS);
            level.push(slot, rising);
            if number.is_multiple_of(2) {
                break;
            }
            rising = Bin::joined(before, rising);
        }
        self.pushed += 1;
    }

    /// What level `index` shows.
    pub fn window(&self, index: usize) -> Window {
        let level = &self.levels[index];
        let end = (self.pushed >> index) as usize;
        let oldest = end.saturating_sub(BINS);
        let bins = (oldest..end)
            .filter_map(|number| Some(((number - oldest) as f64, level.bin(number % BINS)?)))
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
mod tests;
