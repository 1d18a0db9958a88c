//! What all replicates say together.

use serde::Serialize;
use uc_model::{Problem, Result};

use super::{
    evaluation::{BENEFIT, COST, PRIORITY, RATIO, RESULTS, RISK, VALUE},
    experiment::{
        Counted, Experiment, TOTAL_BENEFIT, TOTAL_COST, TOTAL_RATIO, TOTAL_RISK, TOTAL_VALUE,
    },
    histogram::{count_between, value_at},
    lattice::POINTS,
    replicate::{Partial, Replicate},
};

/// Bins of a chart.
pub const BINS: usize = 40;

/// All results of an experiment. Money is in the catalogue's currency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// How many were drawn.
    pub samples: u64,
    /// A percentile is at most this share of its size away from that of sorting all samples; those of an ROI, which is a ratio
    /// less one, this share of the ratio.
    pub percentile_error: f64,
    /// The chosen technologies together.
    pub portfolio: PortfolioSummary,
    /// Each technology on its own, in the order of the experiment.
    pub technologies: Vec<TechnologySummary>,
}

/// The chosen technologies together, discounted until the horizon.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PortfolioSummary {
    /// Net present value: benefit less cost less risk.
    pub value: Spread,
    /// Benefit of what does not fail.
    pub benefit: Spread,
    /// Cost, the effort's price included.
    pub cost: Spread,
    /// Expected loss by failure.
    pub risk: Spread,
    /// (benefit - cost) / cost; infinite where all is free.
    pub roi: Spread,
    /// Probability that the value is negative.
    pub loss: Estimated,
}

/// One technology on its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TechnologySummary {
    /// (benefit - cost) / cost of the monthly figures (M9.1); infinite where it is free.
    pub roi: Spread,
    /// Benefit / cost of the monthly figures (M9.2).
    pub benefit_cost: Spread,
    /// Failure probability × impact (M9.3), before time has its effect; money.
    pub monthly_risk: Spread,
    /// ROI / risk (M9.4), per money; infinite where it is free.
    pub priority: Spread,
    /// Discounted benefit until the horizon, of what does not fail.
    pub benefit: Spread,
    /// Discounted cost until the horizon, the effort's price included.
    pub cost: Spread,
    /// Discounted expected loss by failure.
    pub risk: Spread,
    /// Net present value: benefit less cost less risk.
    pub value: Spread,
    /// Probability that the value is positive: that it is right to adopt it on its own.
    pub worthwhile: Estimated,
    /// Probability that it has the highest priority; the first of the catalogue where several have it.
    pub first: Estimated,
    /// Its average place by priority, from 1; nothing beyond [`super::RANKED_LIMIT`] technologies.
    pub mean_rank: Option<Estimated>,
}

/// An estimate with its error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimated {
    /// The mean of the replicates.
    pub mean: f64,
    /// The standard deviation of that mean, from the spread of the replicates.
    pub standard_error: f64,
}

/// How one result is spread.
///
/// Mean, deviation and chart are those of the samples in which the result is a number, and undefined (`null` in JSON) if there
/// is none. Percentiles and ends count infinities as well, and leave out only what is undefined.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// Average.
    pub mean: f64,
    /// Standard deviation of the average, from the spread of the replicates.
    pub standard_error: f64,
    /// Standard deviation.
    pub sd: f64,
    /// The least.
    pub min: f64,
    /// Five of a hundred lie below.
    pub p5: f64,
    /// A quarter lies below.
    pub p25: f64,
    /// The median.
    pub p50: f64,
    /// Three quarters lie below.
    pub p75: f64,
    /// Ninety-five of a hundred lie below.
    pub p95: f64,
    /// The greatest.
    pub max: f64,
    /// Share of samples in which it is infinite: something for nothing.
    pub infinite: f64,
    /// Share of samples in which it is undefined: nothing for nothing.
    pub undefined: f64,
    /// For drawing.
    pub chart: Chart,
}

/// Bins of equal width over the middle 98 % of a result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    /// The first percentile.
    pub from: f64,
    /// The ninety-ninth.
    pub to: f64,
    /// Share of the numbers in each bin, [`BINS`] of them, from the least; none where the result is certain.
    pub shares: Vec<f64>,
}

impl Experiment {
    /// Puts all replicates together, in whatever order and grouping they come.
    ///
    /// # Errors
    /// Invalid, unless each replicate is there once and all are of this experiment.
    pub fn summarise(&self, partials: impl IntoIterator<Item = Partial>) -> Result<Summary> {
        let mut all = Partial {
            cells: vec![0; self.cells()],
            replicates: Vec::new(),
        };
        for partial in partials {
            all.merge(partial)?;
        }
        all.replicates.sort_by_key(|replicate| replicate.index);
        let indices = all.replicates.iter().map(|replicate| replicate.index);
        if !indices.eq(0..self.replicates()) {
            return Err(Problem::invalid("each replicate must be there once")
                .limit(format!("0 to {}", self.replicates() - 1))
                .found(format!("{} replicates", all.replicates.len())));
        }
        let technologies = (0..self.prospects.len())
            .map(|technology| self.technology(technology, &all))
            .collect();
        Ok(Summary {
            samples: u64::from(self.replicates()) * POINTS as u64,
            percentile_error: 2.0_f64.powi(-(self.precision_bits as i32)),
            portfolio: self.portfolio(&all),
            technologies,
        })
    }

    fn portfolio(&self, all: &Partial) -> PortfolioSummary {
        let start = self.prospects.len() * RESULTS;
        let counted = self.of_portfolio();
        let spread = |total: usize| Spread::of(start + total, &counted[total], all);
        PortfolioSummary {
            value: spread(TOTAL_VALUE),
            benefit: spread(TOTAL_BENEFIT),
            cost: spread(TOTAL_COST),
            risk: spread(TOTAL_RISK),
            roi: spread(TOTAL_RATIO).map(1.0, -1.0),
            loss: share(all, |replicate| replicate.losses),
        }
    }

    fn technology(&self, technology: usize, all: &Partial) -> TechnologySummary {
        let start = technology * RESULTS;
        let counted = self.of_technology(technology);
        let spread = |result: usize| Spread::of(start + result, &counted[result], all);
        let weights = &self.prospects[technology].weights;
        let ranked = !all.replicates.iter().any(|one| one.outranked.is_empty());
        TechnologySummary {
            roi: spread(RATIO).map(1.0, -1.0),
            benefit_cost: spread(RATIO),
            monthly_risk: spread(RISK),
            priority: spread(PRIORITY),
            benefit: spread(BENEFIT),
            cost: spread(COST),
            risk: spread(RISK).map(weights.failure * weights.impact, 0.0),
            value: spread(VALUE),
            worthwhile: share(all, |replicate| replicate.worthwhile[technology]),
            first: share(all, |replicate| replicate.first[technology]),
            mean_rank: ranked.then(|| {
                estimated(all, |replicate| {
                    1.0 + replicate.outranked[technology] as f64 / POINTS as f64
                })
            }),
        }
    }
}

fn share(all: &Partial, count: impl Fn(&Replicate) -> u32) -> Estimated {
    estimated(all, |replicate| f64::from(count(replicate)) / POINTS as f64)
}

fn estimated(all: &Partial, of: impl Fn(&Replicate) -> f64) -> Estimated {
    let values: Vec<f64> = all.replicates.iter().map(of).collect();
    let (mean, standard_error) = mean_and_error(&values);
    Estimated {
        mean,
        standard_error,
    }
}

/// Of independent values that estimate the same.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}

impl Spread {
    fn of(result: usize, counted: &Counted, all: &Partial) -> Self {
        let tallies = || {
            all.replicates
                .iter()
                .map(|replicate| &replicate.tallies[result])
        };
        let (min, max) = tallies().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), one| {
            (min.min(one.min), max.max(one.max))
        });
        let total = |of: fn(&super::tally::Tally) -> f64| tallies().map(of).sum::<f64>();
        let finite = total(|tally| tally.finite.into());
        let infinite = total(|tally| tally.infinite.into());
        let minus_infinite = total(|tally| tally.minus_infinite.into());
        let undefined = total(|tally| tally.undefined.into());
        let samples = finite + infinite + minus_infinite + undefined;
        let offset = total(|tally| tally.sum) / finite;
        let means: Vec<f64> = tallies()
            .map(|tally| tally.sum / f64::from(tally.finite))
            .collect();
        let variance = total(|tally| tally.squares) / finite - offset * offset;
        let occupied = counted.scale.occupied(&all.cells, min, max);
        let percentile = |share: f64| {
            let rank = share * (samples - undefined);
            if samples <= undefined {
                f64::NAN
            } else if rank < minus_infinite {
                f64::NEG_INFINITY
            } else if rank > minus_infinite + finite || finite <= 0.0 {
                f64::INFINITY
            } else {
                value_at(&occupied, rank - minus_infinite)
            }
        };
        Self {
            // Rounding of the pivot must not lead outside.
            mean: (counted.pivot + offset).clamp(min.min(max), max.max(min)),
            standard_error: mean_and_error(&means).1,
            sd: variance.max(0.0).sqrt(),
            min: percentile(0.0),
            p5: percentile(0.05),
            p25: percentile(0.25),
            p50: percentile(0.5),
            p75: percentile(0.75),
            p95: percentile(0.95),
            max: percentile(1.0),
            infinite: (infinite + minus_infinite) / samples,
            undefined: undefined / samples,
            chart: Chart::of(&occupied, finite),
        }
    }

    /// The spread of `factor × result + shift`; the factor is not negative.
    fn map(mut self, factor: f64, shift: f64) -> Self {
        for value in [
            &mut self.mean,
            &mut self.min,
            &mut self.p5,
            &mut self.p25,
            &mut self.p50,
            &mut self.p75,
            &mut self.p95,
            &mut self.max,
            &mut self.chart.from,
            &mut self.chart.to,
        ] {
            *value = factor * *value + shift;
        }
        self.standard_error *= factor;
        self.sd *= factor;
        self
    }
}

impl Chart {
    fn of(occupied: &[super::histogram::Cell], finite: f64) -> Self {
        let (from, to) = (
            value_at(occupied, 0.01 * finite),
            value_at(occupied, 0.99 * finite),
        );
        let width = (to - from) / BINS as f64;
        let shares = if width > 0.0 && width.is_finite() {
            (0..BINS)
                .map(|bin| {
                    let low = from + bin as f64 * width;
                    count_between(occupied, low, low + width) / finite
                })
                .collect()
        } else {
            Vec::new()
        };
        Self { from, to, shares }
    }
}
