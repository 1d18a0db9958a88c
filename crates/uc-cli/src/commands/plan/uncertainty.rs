//! How far the answer may stray: samples on every processor, swings and break-even values.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use serde::Serialize;
use uc_model::{Problem, Result};
use uc_plan::{
    Catalogue,
    monte_carlo::{
        BreakEven, Experiment, POINTS, Partial, Prospect, REPLICATES_LIMIT, Sampling, Summary,
        Swing,
    },
    period::Period,
    timing::weights,
};

use super::{Question, selection::Selection};

/// The spread of every result, and what drives it.
#[derive(Debug, Serialize)]
pub(super) struct Uncertainty {
    pub(super) seed: u64,
    pub(super) summary: Summary,
    pub(super) tornado: Vec<Swing>,
    pub(super) break_even: Vec<BreakEven>,
}

/// Samples the technologies as they are adopted; those that are not, as if adopted at once.
pub(super) fn sample(
    catalogue: &Catalogue,
    question: &Question,
    periods: &[Period],
    selection: &Selection,
) -> Result<Option<Uncertainty>> {
    if question.samples == 0 {
        return Ok(None);
    }
    let replicates = question.samples.div_ceil(POINTS as u64).max(2);
    if replicates > u64::from(REPLICATES_LIMIT) {
        return Err(Problem::invalid("too many samples")
            .at("--samples")
            .limit(u64::from(REPLICATES_LIMIT) * POINTS as u64)
            .found(question.samples));
    }
    let technologies = catalogue.technologies.iter().enumerate();
    let prospects: Vec<Prospect> = technologies
        .map(|(at, technology)| {
            let adoption = selection
                .portfolio
                .adoptions
                .iter()
                .find(|one| one.candidate == at);
            let month = adoption
                .and_then(|one| periods.get(one.period))
                .map_or(0, |period| period.start_month);
            let weights = weights(catalogue, technology, question.as_of, month);
            Prospect::new(technology, weights, adoption.is_some())
        })
        .collect();
    let experiment = Experiment::new(
        &prospects,
        Sampling {
            seed: question.seed,
            replicates: replicates as u32,
        },
    )?;
    Ok(Some(Uncertainty {
        seed: question.seed,
        summary: experiment.summarise(run(&experiment))?,
        tornado: experiment.tornado(),
        break_even: experiment.break_even(),
    }))
}

/// All replicates, on as many threads as there are processors.
fn run(experiment: &Experiment) -> Vec<Partial> {
    let next = AtomicU32::new(0);
    let work = || {
        let mut partials: Vec<Partial> = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= experiment.replicates() {
                return partials;
            }
            partials.push(experiment.replicate(index));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        // A thread that failed is missed by the summary, which says so.
        handles
            .into_iter()
            .filter_map(|handle| handle.join().ok())
            .flatten()
            .collect()
    })
}
