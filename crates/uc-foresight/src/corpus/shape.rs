//! The ways in which memory grows: those that end at the limit, and those that do not.

use std::f64::consts::TAU;

use super::Plan;

/// What is added to a machine's own memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// Leak at a constant rate.
    Linear,
    /// Leak in steps.
    Staircase,
    /// Leak that gets faster.
    Accelerating,
    /// Slow leak under a load that comes and goes.
    Diurnal,
    /// Garbage collection whose floor rises.
    RisingSawTooth,
    /// Leak that restarts give back, until one life is long enough to reach the limit.
    LeakRestart,
    /// Nothing: the machine as it is.
    Plain,
    /// Warm-up that flattens out.
    WarmUp,
    /// One to three steps that stay.
    Steps,
    /// A cache that grows ever slower up to its bound.
    Cache,
    /// Batches that take memory and give it back.
    Batch,
    /// Garbage collection with a constant floor.
    SawTooth,
    /// Traffic that climbs, stays and falls.
    Ramp,
}

/// Every shape.
pub const ALL_SHAPES: [Shape; 13] = [
    Shape::Linear,
    Shape::Staircase,
    Shape::Accelerating,
    Shape::Diurnal,
    Shape::RisingSawTooth,
    Shape::LeakRestart,
    Shape::Plain,
    Shape::WarmUp,
    Shape::Steps,
    Shape::Cache,
    Shape::Batch,
    Shape::SawTooth,
    Shape::Ramp,
];

impl Shape {
    /// Whether it leaks.
    pub fn leaks(self) -> bool {
        matches!(
            self,
            Self::Linear
                | Self::Staircase
                | Self::Accelerating
                | Self::Diurnal
                | Self::RisingSawTooth
                | Self::LeakRestart
        )
    }

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear leak",
            Self::Staircase => "staircase leak",
            Self::Accelerating => "accelerating leak",
            Self::Diurnal => "slow leak under diurnal load",
            Self::RisingSawTooth => "saw-tooth with rising floor",
            Self::LeakRestart => "leak, restarted",
            Self::Plain => "machine as it is",
            Self::WarmUp => "warm-up, plateau",
            Self::Steps => "step changes",
            Self::Cache => "cache growth",
            Self::Batch => "periodic batch",
            Self::SawTooth => "garbage collection",
            Self::Ramp => "traffic ramp",
        }
    }

    /// The shortest and longest growth, in seconds.
    pub(super) fn growth_range_s(self) -> (f64, f64) {
        match self {
            Self::Diurnal => (28_800.0, 172_800.0),
            Self::RisingSawTooth | Self::Staircase => (2_400.0, 43_200.0),
            Self::LeakRestart => (1_800.0, 14_400.0),
            Self::Linear | Self::Accelerating => (1_200.0, 86_400.0),
            Self::Plain => (14_400.0, 172_800.0),
            Self::WarmUp | Self::Cache => (600.0, 21_600.0),
            Self::Steps | Self::Batch | Self::SawTooth => (7_200.0, 43_200.0),
            Self::Ramp => (1_200.0, 43_200.0),
        }
    }

    pub(super) fn draw(self, plan: &Plan, random: &mut fastrand::Rng) -> Growth {
        let period_s = match self {
            Self::Diurnal => 14_400.0 + 72_000.0 * random.f64(),
            Self::RisingSawTooth | Self::SawTooth => 60.0 * (20.0f64).powf(random.f64()),
            Self::Batch => 1_200.0 * (10.0f64).powf(random.f64()),
            // A step may not be so big that the last one jumps from far below to above the limit.
            Self::Staircase => (plan.growth_s / (12.0 + 28.0 * random.f64())).max(120.0),
            Self::LeakRestart => plan.growth_s * (0.35 + 0.4 * random.f64()),
            _ => plan.growth_s,
        };
        Growth {
            shape: self,
            plan: *plan,
            period_s,
            depth: 0.05 + 0.2 * random.f64(),
            lives: random.usize(1..4),
            at: [random.f64(), random.f64(), random.f64()],
        }
    }
}

/// A shape with its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    shape: Shape,
    plan: Plan,
    period_s: f64,
    /// Amplitude of what comes and goes, as a share of the limit.
    depth: f64,
    /// Restarts before the life that crosses.
    lives: usize,
    at: [f64; 3],
}

impl Growth {
    /// The memory at a time, from what the machine itself uses; both as shares of the limit.
    pub(super) fn apply(&self, t_s: f64, own: f64) -> f64 {
        let since = t_s - self.plan.from_s;
        let height = self.plan.height;
        if since < 0.0 {
            return own
                + if self.shape == Shape::Diurnal {
                    self.wave(t_s)
                } else {
                    0.0
                };
        }
        let progress = since / self.plan.growth_s;
        own + match self.shape {
            Shape::Plain => 0.0,
            Shape::Linear => height * progress,
            Shape::Staircase => {
                height * (since / self.period_s).floor() * self.period_s / self.plan.growth_s
            }
            Shape::Accelerating => height * (progress * 3.0).exp_m1() / 3.0f64.exp_m1(),
            Shape::Diurnal => height * progress + self.wave(t_s),
            Shape::RisingSawTooth => height * progress + self.tooth(since),
            Shape::LeakRestart => {
                let ended = (since / self.period_s).floor();
                if ended < self.lives as f64 {
                    height * (since % self.period_s) / self.plan.growth_s
                        - own * 0.5 * self.is_reborn(since)
                } else {
                    height * (since - self.lives as f64 * self.period_s) / self.plan.growth_s
                }
            }
            Shape::WarmUp => height * (1.0 - (-4.0 * progress).exp()),
            Shape::Cache => height * progress.min(1.0).sqrt(),
            Shape::Ramp => {
                let hold = 1.0 + self.at[0];
                height * (progress.min(1.0) - (progress - hold).clamp(0.0, 1.0))
            }
            Shape::Steps => {
                let done = self.at.iter().filter(|at| progress > **at).count();
                height * done as f64 / 3.0
            }
            Shape::Batch => {
                let phase = (since / self.period_s).fract();
                height
                    * (phase * 4.0)
                        .min(1.0)
                        .min(((0.7 - phase) * 10.0).clamp(0.0, 1.0))
            }
            Shape::SawTooth => height.min(self.depth * 2.0) * (since / self.period_s).fract(),
        }
    }

    /// A process that was just restarted has not filled its working set yet.
    fn is_reborn(&self, since: f64) -> f64 {
        let into = since % self.period_s;
        if since > self.period_s {
            (1.0 - into / 60.0).max(0.0)
        } else {
            0.0
        }
    }

    fn wave(&self, t_s: f64) -> f64 {
        self.depth * 0.5 * ((TAU * (t_s / self.period_s + self.at[0])).sin() - 1.0)
    }

    fn tooth(&self, since: f64) -> f64 {
        self.depth * ((since / self.period_s).fract() - 1.0)
    }
}
