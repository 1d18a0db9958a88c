//! Rules that decide when to evict: ours, and those it is held against.
//!
//! The others are written from their published descriptions, not their code. Each is given what it needs to be fair: the same
//! samples, and for those that only tell trends the same second condition, that its own line meets the limit within ten minutes.

use crate::{
    Observer, Sample, Verdict,
    eviction::{Finding, Thresholds},
    forecast::{HORIZON_S, Model},
};

/// Decides, sample by sample, whether to evict now.
pub trait Rule {
    /// Its name in tables.
    fn name(&self) -> &'static str;
    /// Takes in a sample; whether the workload should be evicted at this moment.
    fn evicts(&mut self, sample: &Sample) -> bool;
}

/// Ours: leak probability above 0.8 and the forecast's end above the limit, twice in a row.
pub struct Foresight<'a> {
    model: &'a Model,
    observer: Observer,
    in_a_row: u32,
}

impl<'a> Foresight<'a> {
    /// With a model.
    pub fn new(model: &'a Model) -> Self {
        Self {
            model,
            observer: Observer::default(),
            in_a_row: 0,
        }
    }
}

impl Rule for Foresight<'_> {
    fn name(&self) -> &'static str {
        "foresight"
    }

    fn evicts(&mut self, sample: &Sample) -> bool {
        self.observer.observe(*sample, self.model);
        let assessment = self.observer.verdict().map(Verdict::assessment);
        let finding = Finding::of(assessment.as_ref(), &Thresholds::default());
        self.in_a_row = if matches!(finding, Finding::Evict { .. }) {
            self.in_a_row + 1
        } else {
            0
        };
        self.in_a_row >= 2
    }
}

/// Memory above nine tenths of the limit.
pub struct Threshold;

impl Rule for Threshold {
    fn name(&self) -> &'static str {
        "90 % threshold"
    }

    fn evicts(&mut self, sample: &Sample) -> bool {
        sample
            .limit_bytes
            .is_some_and(|limit| sample.rss_bytes as f64 >= 0.9 * limit as f64)
    }
}

/// Samples the other rules remember: a day at half a minute.
const MOST_REMEMBERED: usize = 2_880;
/// How far apart they are at least, in seconds.
const REMEMBERED_STEP_S: f64 = 30.0;

/// The memory of the other rules: one life, thinned.
#[derive(Debug, Default)]
struct Memory {
    points: Vec<(f64, f64)>,
    last: f64,
}

impl Memory {
    /// Whether a point was added.
    fn push(&mut self, sample: &Sample, is_split_by_drops: bool) -> bool {
        let bytes = sample.rss_bytes as f64;
        if is_split_by_drops && bytes < self.last * 0.5 {
            self.points.clear();
        }
        self.last = bytes;
        if self
            .points
            .last()
            .is_some_and(|point| sample.t_s < point.0 + REMEMBERED_STEP_S)
        {
            return false;
        }
        if self.points.len() >= MOST_REMEMBERED {
            self.points.drain(..MOST_REMEMBERED / 10);
        }
        self.points.push((sample.t_s, bytes));
        true
    }
}

/// A line by least squares.
#[derive(Debug, Clone, Copy)]
struct Fit {
    slope: f64,
    /// Share of the variance that it explains.
    r2: f64,
    /// Its value at the last point.
    end: f64,
}

fn fit(points: &[(f64, f64)]) -> Option<Fit> {
    let count = points.len() as f64;
    if count < 10.0 {
        return None;
    }
    let (x0, y0) = points[0];
    let (mut sx, mut sy, mut sxx, mut sxy, mut syy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, y) in points {
        let (x, y) = (x - x0, y - y0);
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
        syy += y * y;
    }
    let (vx, vy, cov) = (
        sxx - sx * sx / count,
        syy - sy * sy / count,
        sxy - sx * sy / count,
    );
    if vx <= 0.0 || vy <= 0.0 {
        return None;
    }
    let slope = cov / vx;
    let end = y0 + sy / count + slope * (points[points.len() - 1].0 - x0 - sx / count);
    Some(Fit {
        slope,
        r2: cov * cov / (vx * vy),
        end,
    })
}

fn meets(fit: &Fit, sample: &Sample) -> bool {
    sample
        .limit_bytes
        .is_some_and(|limit| fit.end + fit.slope * HORIZON_S > limit as f64)
}

/// Backward regression: lines over ever longer stretches that end now; the one that explains most must explain enough.
#[derive(Default)]
pub struct BackwardRegression {
    memory: Memory,
}

/// How much of the variance a line must explain.
const LEAST_R2: f64 = 0.7;

impl BackwardRegression {
    fn best(&self) -> Option<Fit> {
        let points = &self.memory.points;
        let lengths = [20, 40, 80, 160, 320, 640, 1_280, 2_560];
        lengths
            .iter()
            .filter(|length| **length <= points.len())
            .filter_map(|length| fit(&points[points.len() - length..]))
            .max_by(|one, other| one.r2.total_cmp(&other.r2))
    }
}

impl Rule for BackwardRegression {
    fn name(&self) -> &'static str {
        "backward regression"
    }

    fn evicts(&mut self, sample: &Sample) -> bool {
        self.memory.push(sample, false)
            && self
                .best()
                .is_some_and(|fit| fit.slope > 0.0 && fit.r2 >= LEAST_R2 && meets(&fit, sample))
    }
}

/// The rule of Coroot: one life (no drop by half), a line that climbs by 5 % of the limit an hour, the last quarter climbs too.
#[derive(Default)]
pub struct Coroot {
    memory: Memory,
}

impl Rule for Coroot {
    fn name(&self) -> &'static str {
        "Coroot's rule"
    }

    fn evicts(&mut self, sample: &Sample) -> bool {
        if !self.memory.push(sample, true) {
            return false;
        }
        let points = &self.memory.points;
        let (Some(whole), Some(last)) = (fit(points), fit(&points[points.len() * 3 / 4..])) else {
            return false;
        };
        let least = sample
            .limit_bytes
            .map_or(f64::MAX, |limit| 0.05 * limit as f64 / 3_600.0);
        whole.slope >= least && last.slope > 0.0 && meets(&last, sample)
    }
}

/// PrecogMF: the present trend must be both steeper and longer than every earlier one of the series, after a filter that keeps
/// the highest of neighbouring values; its line must explain enough.
#[derive(Default)]
pub struct PrecogMf {
    memory: Memory,
    /// Where the present trend begins among the points.
    from: usize,
    steepest: f64,
    longest_s: f64,
}

/// Neighbours of which the highest counts.
const FILTER: usize = 5;
/// A step between neighbours beyond this many mean steps ends a trend.
const CHANGE: f64 = 4.0;

impl PrecogMf {
    fn filtered(&self) -> Vec<(f64, f64)> {
        self.memory.points[self.from..]
            .chunks(FILTER)
            .map(|chunk| {
                (
                    chunk[0].0,
                    chunk
                        .iter()
                        .fold(f64::MIN, |highest, point| highest.max(point.1)),
                )
            })
            .collect()
    }
}

impl Rule for PrecogMf {
    fn name(&self) -> &'static str {
        "PrecogMF"
    }

    fn evicts(&mut self, sample: &Sample) -> bool {
        let before = self.memory.points.len();
        if !self.memory.push(sample, false) {
            return false;
        }
        if self.memory.points.len() <= before {
            self.from = self.from.saturating_sub(MOST_REMEMBERED / 10);
        }
        let trend = self.filtered();
        let Some(line) = fit(&trend) else {
            return false;
        };
        let lasted_s = trend[trend.len() - 1].0 - trend[0].0;
        let steps: f64 = trend
            .windows(2)
            .map(|pair| (pair[1].1 - pair[0].1).abs())
            .sum();
        let mean_step = steps / (trend.len() - 1) as f64;
        let newest = trend[trend.len() - 1].1 - trend[trend.len() - 2].1;
        if newest.abs() > CHANGE * mean_step.max(1.0) || line.slope <= 0.0 {
            // The trend is over. What it was is what the series does when it is well.
            if line.r2 >= LEAST_R2 {
                self.steepest = self.steepest.max(line.slope);
                self.longest_s = self.longest_s.max(lasted_s);
            }
            self.from = self.memory.points.len() - 1;
            return false;
        }
        line.r2 >= LEAST_R2
            && line.slope > self.steepest
            && lasted_s > self.longest_s
            && meets(&line, sample)
    }
}
