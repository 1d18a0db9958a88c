//! One unit of work: the samples of one replicate, counted.

use uc_model::{Problem, Result};

use super::{
    evaluation::{BENEFIT, BLOCK, Block, COST, RESULTS, VALUE},
    experiment::{
        Counted, Experiment, TOTAL_BENEFIT, TOTAL_COST, TOTAL_RATIO, TOTAL_RISK, TOTAL_VALUE,
        TOTALS,
    },
    lattice::{Coordinate, POINTS},
    ranking::Ranking,
    tally::Tally,
};

/// What one or more replicates found.
#[derive(Debug, Clone)]
pub struct Partial {
    /// Of all histograms, over all replicates: whole numbers, so the order of addition does not matter.
    pub(super) cells: Vec<u32>,
    /// Sums stay apart by replicate until the end, where they are added in order.
    pub(super) replicates: Vec<Replicate>,
}

/// The sums of one replicate.
#[derive(Debug, Clone)]
pub(super) struct Replicate {
    pub(super) index: u32,
    /// In the order of the experiment's results.
    pub(super) tallies: Vec<Tally>,
    /// By technology: samples in which its value is positive.
    pub(super) worthwhile: Vec<u32>,
    /// By technology: samples in which it has the highest priority.
    pub(super) first: Vec<u32>,
    /// By technology: samples and others with a higher priority; empty for many technologies.
    pub(super) outranked: Vec<u64>,
    /// Samples in which the portfolio's value is negative.
    pub(super) losses: u32,
}

impl Partial {
    /// Adds what other replicates found.
    ///
    /// # Errors
    /// Invalid, where the other belongs to another experiment.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if self.cells.len() != other.cells.len() {
            return Err(
                Problem::invalid("samples of two experiments cannot be merged")
                    .limit(format!("{} cells", self.cells.len()))
                    .found(other.cells.len().to_string()),
            );
        }
        for (sum, count) in self.cells.iter_mut().zip(&other.cells) {
            *sum = sum.saturating_add(*count);
        }
        self.replicates.extend(other.replicates);
        Ok(())
    }
}

impl Experiment {
    /// Draws and counts the samples of one replicate: [`POINTS`] of them, the same for each call.
    pub fn replicate(&self, index: u32) -> Partial {
        let mut counter = Counter {
            cells: vec![0; self.cells()],
            tallies: vec![Tally::EMPTY; self.counted.len()],
        };
        let mut worthwhile = vec![0; self.prospects.len()];
        let mut losses = 0;
        let mut ranking = Ranking::new(self.prospects.len());
        let mut block = Block::new();
        for first in (0..POINTS).step_by(BLOCK) {
            let mut totals = Box::new([[0.0; BLOCK]; TOTALS]);
            for (technology, prospect) in self.prospects.iter().enumerate() {
                self.draw(technology, index, first, &mut block);
                block.evaluate(&prospect.weights);
                let start = technology * RESULTS;
                for (result, (counted, values)) in self
                    .of_technology(technology)
                    .iter()
                    .zip(&block.results)
                    .enumerate()
                {
                    counter.add(start + result, counted, values);
                }
                worthwhile[technology] += count(&block.results[VALUE], |value| value > 0.0);
                ranking.add(technology, &block.keys);
                if prospect.chosen {
                    for (total, values) in [
                        (TOTAL_VALUE, &block.results[VALUE]),
                        (TOTAL_BENEFIT, &block.results[BENEFIT]),
                        (TOTAL_COST, &block.results[COST]),
                        (TOTAL_RISK, &block.discounted_risk),
                    ] {
                        for (sum, value) in totals[total].iter_mut().zip(values) {
                            *sum += value;
                        }
                    }
                }
            }
            for sample in 0..BLOCK {
                totals[TOTAL_RATIO][sample] =
                    totals[TOTAL_BENEFIT][sample] / totals[TOTAL_COST][sample];
            }
            let start = self.prospects.len() * RESULTS;
            for (total, (counted, values)) in
                self.of_portfolio().iter().zip(totals.iter()).enumerate()
            {
                counter.add(start + total, counted, values);
            }
            losses += count(&totals[TOTAL_VALUE], |value| value < 0.0);
            ranking.finish();
        }
        Partial {
            cells: counter.cells,
            replicates: vec![Replicate {
                index,
                tallies: counter.tallies,
                worthwhile,
                first: ranking.first,
                outranked: ranking.outranked,
                losses,
            }],
        }
    }

    /// Draws the figures of one technology for the block of samples that begins with `first`.
    fn draw(&self, technology: usize, replicate: u32, first: usize, block: &mut Block) {
        let mut phases = [0; BLOCK];
        let mut dimension = self.dimensions[technology];
        for (sampler, values) in self.samplers[technology].iter().zip(&mut block.figures) {
            if sampler.is_uncertain() {
                Coordinate::new(self.sampling.seed, replicate, dimension).fill(first, &mut phases);
                dimension += 1;
            }
            sampler.fill(&phases, values);
        }
    }
}

fn count(values: &[f64; BLOCK], counts: impl Fn(f64) -> bool) -> u32 {
    values.iter().map(|&value| u32::from(counts(value))).sum()
}

/// Cells and sums of one replicate.
struct Counter {
    cells: Vec<u32>,
    tallies: Vec<Tally>,
}

impl Counter {
    /// Counts the values of one result; what is no number is counted apart.
    fn add(&mut self, result: usize, counted: &Counted, values: &[f64; BLOCK]) {
        let tally = &mut self.tallies[result];
        let mut grown = *tally;
        grown.add(values, counted.pivot);
        // What is no number makes the sums undefined or infinite.
        if grown.squares.is_finite() {
            *tally = grown;
            counted.scale.count(values, &mut self.cells);
            return;
        }
        let mut finite = [0.0; BLOCK];
        let mut length = 0;
        for &value in values {
            if value.is_finite() {
                finite[length] = value;
                length += 1;
            } else if value.is_nan() {
                tally.undefined += 1;
            } else if value > 0.0 {
                tally.infinite += 1;
            } else {
                tally.minus_infinite += 1;
            }
        }
        tally.add(&finite[..length], counted.pivot);
        counted.scale.count(&finite[..length], &mut self.cells);
    }
}
