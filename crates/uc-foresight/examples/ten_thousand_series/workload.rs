//! Workloads drawn from a seed: most are healthy, one in a hundred leaks.

use std::f64::consts::TAU;

use fastrand::Rng;
use uc_foresight::Sample;

const HOUR_S: f64 = 3_600.0;
/// Pages are what memory is counted in.
const PAGE: f64 = 4_096.0;

/// How memory moves, in shares of the limit.
#[derive(Clone, Copy)]
enum Shape {
    /// Stays where it is.
    Flat,
    /// Follows the day.
    Diurnal { swing: f64 },
    /// Climbs and is collected.
    Sawtooth { height: f64, period_s: f64 },
    /// Rises for a job, and gives all back.
    Batch {
        height: f64,
        period_s: f64,
        busy: f64,
    },
    /// Fills a cache, and stays there.
    WarmUp { height: f64, time_s: f64 },
    /// Never gives back: meets the limit after so long.
    Leak { time_s: f64 },
}

/// Of a hundred workloads, how many are of which kind; the last kind is flat within a tenth of its limit.
const KINDS: [(usize, &str); 7] = [
    (46, "flat"),
    (20, "diurnal"),
    (12, "garbage collected"),
    (8, "batches"),
    (5, "warming up"),
    (1, "leaking"),
    (8, "near their limit"),
];

/// The kinds in words.
pub(crate) fn mix() -> String {
    KINDS
        .map(|(share, kind)| format!("{share} % {kind}"))
        .join(", ")
}

/// One workload.
pub(crate) struct Workload {
    shape: Shape,
    level: f64,
    noise: f64,
    /// Noise that has memory.
    wander: f64,
    phase: f64,
    limit_bytes: u64,
    life: u64,
    began_s: f64,
    random: Rng,
}

impl Workload {
    /// Draws the workload of a number.
    pub(crate) fn draw(number: usize, begin_s: f64) -> Self {
        let mut random = Rng::with_seed(number as u64);
        let mut between = |low: f64, high: f64| low + (high - low) * random.f64();
        let (level, noise) = (between(0.25, 0.7), 10f64.powf(between(-3.3, -1.8)));
        let (small, large) = (between(0.03, 0.1), between(0.1, 0.25));
        let (short_s, long_s) = (between(40.0, 900.0), between(0.5, 6.0) * HOUR_S);
        let (busy, near, phase) = (between(0.1, 0.5), between(0.9, 0.97), between(0.0, 1.0));
        let (shape, level) = match kind(number) {
            0 => (Shape::Flat, level),
            1 => (Shape::Diurnal { swing: small }, level),
            2 => (
                Shape::Sawtooth {
                    height: large,
                    period_s: short_s,
                },
                level,
            ),
            3 => (
                Shape::Batch {
                    height: large,
                    period_s: long_s,
                    busy,
                },
                level.min(0.6),
            ),
            4 => (
                Shape::WarmUp {
                    height: large,
                    time_s: long_s / 4.0,
                },
                level,
            ),
            5 => (Shape::Leak { time_s: long_s }, level),
            _ => (Shape::Flat, near),
        };
        let limit_bytes = (64u64 << 20) << random.u32(0..8);
        Self {
            shape,
            level,
            // What lives near its limit on purpose hardly moves.
            noise: if level > 0.8 { noise.min(0.004) } else { noise },
            wander: 0.0,
            phase,
            limit_bytes,
            life: 0,
            began_s: begin_s,
            random,
        }
    }

    /// Begins anew.
    pub(crate) fn restart(&mut self, t_s: f64) {
        self.life += 1;
        self.began_s = t_s;
        self.wander = 0.0;
    }

    /// Its memory now. The kernel kills it at the limit, and whoever started it starts it again.
    pub(crate) fn sample(&mut self, t_s: f64) -> Sample {
        let mut share = self.share(t_s);
        if share >= 1.0 {
            self.restart(t_s);
            share = self.share(t_s);
        }
        let bytes = (share * self.limit_bytes as f64 / PAGE).floor() * PAGE;
        Sample {
            life: self.life,
            ..Sample::new(t_s, bytes as u64, Some(self.limit_bytes))
        }
    }

    fn share(&mut self, t_s: f64) -> f64 {
        let age_s = t_s - self.began_s;
        // The sum of three is near enough to normal.
        let draw = (0..3).map(|_| self.random.f64()).sum::<f64>() * 2.0 - 3.0;
        self.wander = 0.9 * self.wander + 0.44 * draw;
        let turn = |period_s: f64| (t_s / period_s + self.phase).fract();
        let own = match self.shape {
            Shape::Flat => 0.0,
            Shape::Diurnal { swing } => swing * (TAU * turn(24.0 * HOUR_S)).sin(),
            Shape::Sawtooth { height, period_s } => height * turn(period_s),
            Shape::Batch {
                height,
                period_s,
                busy,
            } => {
                let at = turn(period_s) / busy;
                if at < 1.0 {
                    height * (4.0 * at).min(1.0)
                } else {
                    0.0
                }
            }
            Shape::WarmUp { height, time_s } => height * (1.0 - (-age_s / time_s).exp()),
            Shape::Leak { time_s } => (1.0 - self.level) * age_s / time_s,
        };
        (self.level + own + self.noise * self.level * self.wander).max(0.01)
    }
}

/// Which of [`KINDS`] a workload is of.
fn kind(number: usize) -> usize {
    let mut place = number % 100;
    for (kind, (share, _)) in KINDS.iter().enumerate() {
        if place < *share {
            return kind;
        }
        place -= share;
    }
    0
}
