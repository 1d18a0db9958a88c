//! Cases with a known answer: real machines' memory, with leaks or harmless growth put in.
//!
//! A case is a few hours to days of one machine, scaled so that its own peak is some share of the limit, plus one
//! [`Shape`]. What leaks crosses the limit before the case ends; what is healthy never does.

mod shape;
mod trace;

pub use shape::{ALL_SHAPES, Shape};
pub use trace::{Machine, read_trace};

use crate::Sample;

/// The limit of every case in bytes. The code under test is scale-free, so one will do.
pub const LIMIT_BYTES: u64 = 1 << 30;

/// One series with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The machine it was made from.
    pub machine: String,
    /// What was put in.
    pub shape: Shape,
    /// The samples, all with the limit.
    pub samples: Vec<Sample>,
    /// When the growth began, in seconds.
    pub growth_from_s: f64,
    /// The time the growth takes from its begin to the limit, or to its plateau, in seconds.
    pub growth_s: f64,
}

impl Case {
    /// Whether it leaks.
    pub fn leaks(&self) -> bool {
        self.shape.leaks()
    }

    /// Whether samples are missing in the quarter of an hour before the limit is reached.
    fn crosses_unseen(&self) -> bool {
        let Some(crossed_s) = self.crossed_s() else {
            return false;
        };
        let before = |sample: &&Sample| (crossed_s - 900.0..=crossed_s).contains(&sample.t_s);
        let times: Vec<f64> = self
            .samples
            .iter()
            .filter(before)
            .map(|sample| sample.t_s)
            .collect();
        times.windows(2).any(|pair| pair[1] - pair[0] > 120.0) || times.len() < 10
    }

    /// When the limit is first reached, in seconds.
    pub fn crossed_s(&self) -> Option<f64> {
        self.samples
            .iter()
            .find(|sample| sample.rss_bytes >= LIMIT_BYTES)
            .map(|sample| sample.t_s)
    }
}

/// Makes a case of a shape from a machine. The same seed makes the same case. `None` if the machine's trace is too short.
pub fn make_case(machine: &Machine, shape: Shape, seed: u64) -> Option<Case> {
    let mut random = fastrand::Rng::with_seed(seed);
    let plan = Plan::draw(shape, &mut random);
    let window = machine.window(plan.length_s, random.f64())?;
    let peak = window
        .iter()
        .map(|(_, share)| *share)
        .fold(f64::MIN, f64::max);
    let mean = window.iter().map(|(_, share)| *share).sum::<f64>() / window.len() as f64;
    let growth = shape.draw(&plan, &mut random);
    let begin_s = window[0].0;
    let mut samples = Vec::new();
    let mut next_s = 0.0;
    for (t_s, share) in window {
        let t_s = t_s - begin_s;
        if t_s < next_s {
            continue;
        }
        next_s = t_s + plan.step_s - 0.5;
        // `calm` of 1 is the machine as it is; less is a workload that varies less than a whole machine does.
        let varied = mean + plan.calm * (share - mean);
        let ceiling = mean + plan.calm * (peak - mean);
        let own = plan.own_peak * varied / ceiling;
        let bytes = growth.apply(t_s, own) * LIMIT_BYTES as f64;
        samples.push(Sample::new(t_s, bytes.max(0.0) as u64, Some(LIMIT_BYTES)));
    }
    let case = Case {
        machine: machine.name.clone(),
        shape,
        samples,
        growth_from_s: plan.from_s,
        growth_s: plan.growth_s,
    };
    // A healthy case that touches the limit by chance, or a leak that never does, has the wrong answer. And nobody can warn of
    // what happens while no sample comes.
    (case.leaks() == case.crossed_s().is_some() && !case.crosses_unseen()).then_some(case)
}

/// A machine's whole trace as it is, under a limit that is `headroom` times its peak.
pub fn whole(machine: &Machine, headroom: f64) -> Vec<Sample> {
    let peak = machine
        .points
        .iter()
        .map(|(_, share)| *share)
        .fold(f64::MIN, f64::max);
    let scale = LIMIT_BYTES as f64 / (peak * headroom);
    let sample =
        |(t_s, share): &(f64, f64)| Sample::new(*t_s, (share * scale) as u64, Some(LIMIT_BYTES));
    machine.points.iter().map(sample).collect()
}

/// The numbers drawn for a case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How long the case is.
    length_s: f64,
    /// Time between samples.
    step_s: f64,
    /// How much of the machine's variation is kept.
    calm: f64,
    /// The machine's own peak, as a share of the limit.
    own_peak: f64,
    /// When growth begins.
    pub(crate) from_s: f64,
    /// How long it takes to the limit or the plateau.
    pub(crate) growth_s: f64,
    /// The share of the limit that growth ends at, on top of the machine's own.
    pub(crate) height: f64,
}

impl Plan {
    fn draw(shape: Shape, random: &mut fastrand::Rng) -> Self {
        let between =
            |random: &mut fastrand::Rng, low: f64, high: f64| low + (high - low) * random.f64();
        let log_between =
            |random: &mut fastrand::Rng, low: f64, high: f64| low * (high / low).powf(random.f64());
        let calm = [0.1, 0.3, 1.0, 1.0][random.usize(0..4)];
        let from_s = if random.f64() < 0.4 {
            0.0
        } else {
            log_between(random, 1_200.0, 43_200.0)
        };
        let (shortest, longest) = shape.growth_range_s();
        let growth_s = log_between(random, shortest, longest);
        let own_peak = between(random, 0.25, 0.75);
        // A healthy plateau stays clear of the limit, as one who sets limits takes care that it does.
        let height = if shape.leaks() {
            // Reaches the limit on top of the machine's mean, and goes on for a tenth.
            1.1 - own_peak * 0.9
        } else {
            (between(random, 0.5, 0.93) - own_peak).max(0.05)
        };
        let tail_s = if shape.leaks() {
            growth_s * 0.3
        } else {
            between(random, 3_600.0, 28_800.0)
        };
        Self {
            length_s: (from_s + growth_s * 1.2 + tail_s).max(3_600.0),
            step_s: [10.0, 10.0, 15.0, 30.0, 60.0][random.usize(0..5)],
            calm,
            own_peak,
            from_s,
            growth_s,
            height,
        }
    }
}
