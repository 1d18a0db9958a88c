//! What follows from the figures of one technology, for a block of samples at a time: one array a result, so that the
//! compiler turns the arithmetic into vector instructions.

use crate::adoption::{Inputs, Outcome, Weights};

use super::{interval::Interval, prospect::Figure, sampler::Sampler};

/// Samples of a block: few enough that all its arrays stay in the first cache.
pub(super) const BLOCK: usize = 512;

/// Results of a technology that are counted; the others are multiples or differences of these.
pub(super) const RESULTS: usize = 6;
/// Benefit over cost, per month (M9.2); ROI is one less (M9.1).
pub(super) const RATIO: usize = 0;
/// Failure probability times impact, before time has its effect (M9.3).
pub(super) const RISK: usize = 1;
/// ROI over risk (M9.4).
pub(super) const PRIORITY: usize = 2;
/// Discounted benefit, cost, and net present value until the horizon.
pub(super) const BENEFIT: usize = 3;
pub(super) const COST: usize = 4;
pub(super) const VALUE: usize = 5;

/// The arrays of a block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) figures: [[f64; BLOCK]; Figure::ALL.len()],
    pub(super) results: [[f64; BLOCK]; RESULTS],
    /// Discounted risk, for the portfolio's sum.
    pub(super) discounted_risk: [f64; BLOCK],
    /// By which technologies are ordered; see [`paid_key`].
    pub(super) keys: [i64; BLOCK],
}

impl Block {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            figures: [[0.0; BLOCK]; Figure::ALL.len()],
            results: [[0.0; BLOCK]; RESULTS],
            discounted_risk: [0.0; BLOCK],
            keys: [0; BLOCK],
        })
    }

    /// Fills results and keys from figures.
    pub(super) fn evaluate(&mut self, weights: &Weights) {
        let [benefit, cost, effort, failure, impact] = &self.figures;
        let [ratio, risk, priority, total_benefit, total_cost, value] = &mut self.results;
        for sample in 0..BLOCK {
            let inputs = Inputs {
                benefit: benefit[sample],
                cost: cost[sample],
                effort: effort[sample],
                failure: failure[sample],
                impact: impact[sample],
            };
            let outcome = Outcome::of(&inputs, weights);
            let monthly = Monthly::of(&inputs);
            ratio[sample] = monthly.ratio;
            risk[sample] = monthly.risk;
            priority[sample] = monthly.priority;
            total_benefit[sample] = outcome.benefit;
            total_cost[sample] = outcome.cost;
            value[sample] = outcome.value();
            self.discounted_risk[sample] = outcome.risk;
        }
        if cost.iter().all(|&cost| cost > 0.0) {
            for (key, &priority) in self.keys.iter_mut().zip(&*priority) {
                *key = paid_key(priority);
            }
            return;
        }
        for (sample, key) in self.keys.iter_mut().enumerate() {
            *key = if cost[sample] > 0.0 {
                paid_key(priority[sample])
            } else {
                free_key(benefit[sample], risk[sample])
            };
        }
    }
}

/// The results of the monthly figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Monthly {
    pub(super) ratio: f64,
    pub(super) risk: f64,
    pub(super) priority: f64,
}

impl Monthly {
    pub(super) fn of(inputs: &Inputs) -> Self {
        let ratio = inputs.benefit / inputs.cost;
        let risk = inputs.failure * inputs.impact;
        Self {
            ratio,
            risk,
            // (B - C) / C, with one division less.
            priority: (ratio - 1.0) / risk,
        }
    }
}

/// A number that is greater for what comes first (M9.4 made a total order): ROI over risk, of a technology that costs something.
///
/// Zero over zero counts as zero. The last bit of a float makes way for the free ones, and what then is equal keeps the
/// catalogue's order.
fn paid_key(priority: f64) -> i64 {
    let number = if priority.is_nan() { 0.0 } else { priority };
    let bits = number.to_bits() as i64;
    // The bits of floats in the order of integers: those of negative ones count backwards.
    (bits ^ ((bits >> 63) as u64 >> 1) as i64) >> 1
}

/// The same of a free technology. They come before paid ones, since their ROI is infinite. Among themselves they are ordered
/// by benefit over risk, which is the order of ROI over risk for an equal cost that vanishes.
fn free_key(benefit: f64, risk: f64) -> i64 {
    paid_key(benefit / risk) + (1 << 62)
}

/// Between which ends the results of a technology lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) results: [Interval; RESULTS],
    pub(super) discounted_risk: Interval,
}

impl Ends {
    pub(super) fn new(samplers: &[Sampler; Figure::ALL.len()], weights: &Weights) -> Self {
        let [benefit, cost, effort, failure, impact] = samplers
            .each_ref()
            .map(|one| Interval::new(one.at(0), one.at(u32::MAX)));
        let weigh = |figure: Interval, weight: f64| figure.times(Interval::new(weight, weight));
        let one = Interval::new(1.0, 1.0);
        let risk = failure.times(impact);
        let ratio = benefit.over(cost);
        let failure = weigh(failure, weights.failure);
        let total_benefit = weigh(one.minus(failure).times(benefit), weights.benefit);
        let total_cost = weigh(cost, weights.cost).plus(weigh(effort, weights.effort));
        let discounted_risk = weigh(failure.times(impact), weights.impact);
        Self {
            results: [
                ratio,
                risk,
                ratio.minus(one).over(risk),
                total_benefit,
                total_cost,
                total_benefit.minus(total_cost).minus(discounted_risk),
            ],
            discounted_risk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(benefit: f64, cost: f64, risk: f64) -> i64 {
        if cost > 0.0 {
            paid_key((benefit - cost) / cost / risk)
        } else {
            free_key(benefit, risk)
        }
    }

    #[test]
    fn free_ones_come_first_and_all_are_ordered() {
        let falling = [
            key(1.0, 0.0, 0.0),
            key(10.0, 0.0, 2.0),
            key(1.0, 0.0, 2.0),
            key(0.0, 0.0, 0.0),
            key(2.0, 1.0, 0.0),
            key(3.0, 1.0, 1.0),
            key(2.0, 1.0, 1.0),
            key(2.0, 1.0, 2.0),
            key(1.0, 2.0, 5.0),
            key(1.0, 2.0, 1.0),
            key(1.0, 2.0, 0.0),
        ];
        assert!(falling.is_sorted_by(|one, next| one > next), "{falling:?}");
        assert_eq!(key(0.0, 0.0, 0.0), key(0.0, 0.0, 3.0));
    }
}
