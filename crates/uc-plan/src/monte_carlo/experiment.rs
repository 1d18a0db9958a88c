//! An experiment: what is fixed before the first sample is drawn.

use std::ops::RangeInclusive;

use uc_model::{Problem, Result};

use crate::adoption::Outcome;

use super::{
    evaluation::{BENEFIT, COST, Ends, Monthly, PRIORITY, RATIO, RESULTS, RISK, VALUE},
    histogram::Scale,
    interval::Interval,
    lattice::POINTS,
    prospect::{Figure, Prospect},
    sampler::Sampler,
};

/// The most technologies of an experiment.
pub const TECHNOLOGIES_LIMIT: usize = 1000;
/// The most replicates of an experiment: 16.8 million samples.
pub const REPLICATES_LIMIT: u32 = 256;
/// Two at least, since their spread is the error.
const REPLICATES: RangeInclusive<u32> = 2..=REPLICATES_LIMIT;

/// Up to this many technologies, percentiles are told to 2^-8 of their size, beyond to 2^-5: histograms take memory.
const FINE_LIMIT: usize = 64;

/// Results of the portfolio that are counted.
pub(super) const TOTALS: usize = 5;
pub(super) const TOTAL_VALUE: usize = 0;
pub(super) const TOTAL_BENEFIT: usize = 1;
pub(super) const TOTAL_COST: usize = 2;
pub(super) const TOTAL_RISK: usize = 3;
pub(super) const TOTAL_RATIO: usize = 4;

/// How many samples are drawn, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Equal seeds draw equal samples.
    pub seed: u64,
    /// Each has [`POINTS`] samples; 2 to [`REPLICATES_LIMIT`].
    pub replicates: u32,
}

impl Default for Sampling {
    /// A million samples: 16 × 65,536.
    fn default() -> Self {
        Self {
            seed: 0,
            replicates: 16,
        }
    }
}

/// One result: where it is counted, and a number near its values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) scale: Scale,
    pub(super) pivot: f64,
}

/// What is fixed before the first sample is drawn; see the module's description.
#[derive(Debug)]
pub struct Experiment {
    pub(super) prospects: Vec<Prospect>,
    pub(super) sampling: Sampling,
    pub(super) samplers: Vec<[Sampler; Figure::ALL.len()]>,
    /// The dimension of each technology's first uncertain figure: those of the portfolio have the first dimensions, where the
    /// lattice is best. Certain figures take none.
    pub(super) dimensions: Vec<usize>,
    /// All results of the technologies in turn, then those of the portfolio.
    pub(super) counted: Vec<Counted>,
    /// Cells of an octave: 2 to this power.
    pub(super) precision_bits: u32,
}

impl Experiment {
    /// Prepares the samplers, of which each takes up to a few milliseconds.
    ///
    /// # Errors
    /// Invalid, where a number leaves its limits: of technologies, of replicates, or a figure or weight its domain.
    pub fn new(prospects: &[Prospect], sampling: Sampling) -> Result<Self> {
        if !(1..=TECHNOLOGIES_LIMIT).contains(&prospects.len()) {
            return Err(
                Problem::invalid("too few or too many technologies to sample")
                    .limit(format!("1 to {TECHNOLOGIES_LIMIT}"))
                    .found(prospects.len().to_string()),
            );
        }
        if !REPLICATES.contains(&sampling.replicates) {
            return Err(Problem::invalid("too few or too many samples")
                .limit(format!(
                    "{} to {REPLICATES_LIMIT} times {POINTS}",
                    REPLICATES.start()
                ))
                .found(format!("{} times {POINTS}", sampling.replicates)));
        }
        for (position, prospect) in prospects.iter().enumerate() {
            prospect.check(position)?;
        }
        let samplers: Vec<_> = prospects
            .iter()
            .map(|prospect| Figure::ALL.map(|figure| Sampler::new(prospect.distribution(figure))))
            .collect();
        let precision_bits = if prospects.len() <= FINE_LIMIT { 8 } else { 5 };
        Ok(Self {
            dimensions: dimensions(prospects),
            counted: counted(prospects, &samplers, precision_bits),
            prospects: prospects.to_vec(),
            sampling,
            samplers,
            precision_bits,
        })
    }

    /// How many replicates there are: their indices are 0 to one less.
    pub fn replicates(&self) -> u32 {
        self.sampling.replicates
    }

    /// All cells of all histograms.
    pub(super) fn cells(&self) -> usize {
        self.counted.last().map_or(0, |one| one.scale.end())
    }

    /// The results of one technology.
    pub(super) fn of_technology(&self, technology: usize) -> &[Counted] {
        let start = technology * RESULTS;
        self.counted.get(start..start + RESULTS).unwrap_or_default()
    }

    /// The results of the portfolio.
    pub(super) fn of_portfolio(&self) -> &[Counted] {
        let start = self.prospects.len() * RESULTS;
        self.counted.get(start..).unwrap_or_default()
    }
}

fn dimensions(prospects: &[Prospect]) -> Vec<usize> {
    let mut dimensions = vec![0; prospects.len()];
    let mut next = 0;
    for chosen in [true, false] {
        for (first, prospect) in dimensions.iter_mut().zip(prospects) {
            if prospect.chosen == chosen {
                *first = next;
                next += Figure::ALL
                    .into_iter()
                    .filter(|&figure| !prospect.distribution(figure).is_certain())
                    .count();
            }
        }
    }
    dimensions
}

/// Scales that cover what the figures allow, and the results at the figures' means as pivots.
fn counted(
    prospects: &[Prospect],
    samplers: &[[Sampler; Figure::ALL.len()]],
    bits: u32,
) -> Vec<Counted> {
    let mut counted: Vec<Counted> = Vec::with_capacity(prospects.len() * RESULTS + TOTALS);
    let mut push = |ends: Interval, pivot: f64| {
        let offset = counted.last().map_or(0, |one| one.scale.end());
        counted.push(Counted {
            scale: Scale::new(ends, bits, offset),
            pivot: if pivot.is_finite() { pivot } else { 0.0 },
        });
    };
    let mut total_ends = [Interval::ZERO; TOTALS];
    let mut totals = [0.0; TOTALS];
    for (prospect, samplers) in prospects.iter().zip(samplers) {
        let ends = Ends::new(samplers, &prospect.weights);
        let means = prospect.means();
        let monthly = Monthly::of(&means);
        let outcome = Outcome::of(&means, &prospect.weights);
        let mut pivots = [0.0; RESULTS];
        pivots[RATIO] = monthly.ratio;
        pivots[RISK] = monthly.risk;
        pivots[PRIORITY] = monthly.priority;
        pivots[BENEFIT] = outcome.benefit;
        pivots[COST] = outcome.cost;
        pivots[VALUE] = outcome.value();
        for (ends, pivot) in ends.results.into_iter().zip(pivots) {
            push(ends, pivot);
        }
        if prospect.chosen {
            for (total, ends, mean) in [
                (TOTAL_VALUE, ends.results[VALUE], outcome.value()),
                (TOTAL_BENEFIT, ends.results[BENEFIT], outcome.benefit),
                (TOTAL_COST, ends.results[COST], outcome.cost),
                (TOTAL_RISK, ends.discounted_risk, outcome.risk),
            ] {
                total_ends[total] = total_ends[total].plus(ends);
                totals[total] += mean;
            }
        }
    }
    total_ends[TOTAL_RATIO] = total_ends[TOTAL_BENEFIT].over(total_ends[TOTAL_COST]);
    totals[TOTAL_RATIO] = totals[TOTAL_BENEFIT] / totals[TOTAL_COST];
    for (ends, pivot) in total_ends.into_iter().zip(totals) {
        push(ends, pivot);
    }
    counted
}
