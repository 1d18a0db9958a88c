//! What a rule gets right and wrong.

use serde::Serialize;

use super::{Interval, rule::Rule};
use crate::{Sample, quantile};

/// What a rule did with one series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outcome {
    /// Whether the series leaks.
    pub leaks: bool,
    /// Whether it was evicted in time: before its limit.
    pub evicted: bool,
    /// Time from the eviction to the limit, in seconds.
    pub warning_s: Option<f64>,
    /// How long it was watched, in seconds.
    pub watched_s: f64,
}

/// Plays a series to a rule, up to its limit or its eviction.
pub fn detect(samples: &[Sample], leaks: bool, rule: &mut dyn Rule) -> Outcome {
    let reaches = |sample: &&Sample| {
        sample
            .limit_bytes
            .is_some_and(|limit| sample.rss_bytes >= limit)
    };
    let crossed_s = samples.iter().find(reaches).map(|sample| sample.t_s);
    let begin_s = samples.first().map_or(0.0, |sample| sample.t_s);
    let mut outcome = Outcome {
        leaks,
        evicted: false,
        warning_s: None,
        watched_s: 0.0,
    };
    for sample in samples {
        if crossed_s.is_some_and(|crossed_s| sample.t_s >= crossed_s) {
            break;
        }
        outcome.watched_s = sample.t_s - begin_s;
        if rule.evicts(sample) {
            outcome.evicted = true;
            outcome.warning_s = crossed_s.map(|crossed_s| crossed_s - sample.t_s);
            break;
        }
    }
    outcome
}

/// How good a rule is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detection {
    /// The rule.
    pub rule: String,
    /// Leaks that were evicted in time.
    pub true_positives: usize,
    /// Healthy series that were evicted.
    pub false_positives: usize,
    /// Healthy series that were left alone.
    pub true_negatives: usize,
    /// Leaks that reached their limit: OOM kills.
    pub false_negatives: usize,
    /// The share of evictions that were right.
    pub precision: Interval,
    /// The share of leaks that were evicted in time: OOM kills that did not happen.
    pub recall: Interval,
    /// The harmonic mean of the two.
    pub f1: Interval,
    /// Median of the time between eviction and limit, in seconds.
    pub median_warning_s: Interval,
    /// The time that nine tenths of the evictions in time have at least, in seconds.
    pub least_warning_s: Interval,
    /// How long healthy series were watched, in weeks.
    pub healthy_weeks: f64,
    /// False evictions for each hundred healthy weeks; absent where healthy series were watched for less than one.
    pub false_per_100_weeks: Option<Interval>,
}

impl Detection {
    /// Sums up what a rule did.
    pub fn of(rule: &str, outcomes: &[Outcome]) -> Self {
        let count = |leaks, evicted| {
            outcomes
                .iter()
                .filter(|outcome| outcome.leaks == leaks && outcome.evicted == evicted)
                .count()
        };
        let (right, wrong, left_alone, missed) = (
            count(true, true),
            count(false, true),
            count(false, false),
            count(true, false),
        );
        let healthy_s: f64 = outcomes
            .iter()
            .filter(|outcome| !outcome.leaks)
            .map(|outcome| outcome.watched_s)
            .sum();
        let healthy_weeks = healthy_s / (7.0 * 86_400.0);
        let warnings: Vec<f64> = outcomes
            .iter()
            .filter(|outcome| outcome.leaks)
            .filter_map(|outcome| outcome.warning_s)
            .collect();
        let warning = |share: f64| {
            Interval::by_resampling(&warnings, 1, move |warnings| {
                quantile(&mut warnings.to_vec(), share)
            })
        };
        Self {
            rule: rule.to_owned(),
            true_positives: right,
            false_positives: wrong,
            true_negatives: left_alone,
            false_negatives: missed,
            precision: Interval::of_share(right, right + wrong),
            recall: Interval::of_share(right, right + missed),
            f1: Interval::by_resampling(outcomes, 1, f1),
            median_warning_s: warning(0.5),
            least_warning_s: warning(0.1),
            healthy_weeks,
            false_per_100_weeks: (healthy_weeks >= 1.0)
                .then(|| Interval::of_rate(wrong, healthy_weeks / 100.0)),
        }
    }
}

fn f1(outcomes: &[Outcome]) -> f64 {
    let (mut right, mut off) = (0.0, 0.0);
    for outcome in outcomes {
        match (outcome.leaks, outcome.evicted) {
            (true, true) => right += 1.0,
            (true, false) | (false, true) => off += 1.0,
            (false, false) => {}
        }
    }
    2.0 * right / (2.0 * right + off)
}
