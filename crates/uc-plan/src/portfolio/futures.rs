//! How sure a choice is: what would have been chosen had one known the future.

use serde::Serialize;
use uc_model::{Problem, Result};

use super::{Limits, Portfolio, PortfolioProblem, Solver, Status, model::Model};

/// The most futures that are solved.
pub const MAX_FUTURES: usize = 2_048;

/// What foreknowledge would change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Foresight {
    /// How many futures were solved to optimality.
    pub futures: usize,
    /// For each candidate the share of futures whose best portfolio holds it, 0 to 1.
    pub inclusion: Vec<f64>,
    /// For each candidate the share of futures in which the choice, to adopt or not, is that of the best portfolio.
    pub right: Vec<f64>,
    /// The share of futures in which the whole set is the best one.
    pub whole_set_right: f64,
    /// Expected value of perfect information: what foreknowledge would add on average, money.
    pub perfect_information: f64,
}

/// Solves each future: a value for each candidate and period, as in [`super::Candidate::values`].
///
/// # Errors
/// Invalid if a future has another shape than the problem, or there are too many.
pub fn foresight(
    problem: &PortfolioProblem,
    chosen: &Portfolio,
    futures: impl IntoIterator<Item = Vec<Vec<f64>>>,
    solver: &dyn Solver,
    limits: &Limits,
) -> Result<Foresight> {
    let count = problem.candidates.len();
    let is_chosen: Vec<bool> = (0..count)
        .map(|at| chosen.adoptions.iter().any(|one| one.candidate == at))
        .collect();
    let (mut solved_count, mut included, mut right) =
        (0_usize, vec![0_usize; count], vec![0_usize; count]);
    let (mut whole, mut gain) = (0_usize, 0.0);
    let mut future_problem = problem.clone();
    for (index, values) in futures.into_iter().enumerate() {
        if index >= MAX_FUTURES || values.len() != count {
            return Err(Problem::invalid("the futures do not fit the portfolio")
                .limit(format!("{MAX_FUTURES} futures of {count} candidates")));
        }
        for (candidate, values) in future_problem.candidates.iter_mut().zip(values) {
            candidate.values = values;
        }
        let model = Model::new(&future_problem)?;
        let solved = solver.maximise(&model.program, limits)?;
        if solved.status != Status::Optimal {
            continue;
        }
        solved_count += 1;
        let starts = model.starts(&solved);
        let mut is_same = true;
        for (at, start) in starts.iter().enumerate() {
            included[at] += usize::from(start.is_some());
            right[at] += usize::from(start.is_some() == is_chosen[at]);
            is_same &= start.is_some() == is_chosen[at];
        }
        whole += usize::from(is_same);
        let kept: f64 = chosen
            .adoptions
            .iter()
            .map(|one| future_problem.candidates[one.candidate].values[one.period])
            .sum();
        gain += solved.objective * model.value_scale - kept;
    }
    let share = |count: usize| count as f64 / solved_count.max(1) as f64;
    Ok(Foresight {
        futures: solved_count,
        inclusion: included.into_iter().map(share).collect(),
        right: right.into_iter().map(share).collect(),
        whole_set_right: share(whole),
        perfect_information: gain / solved_count.max(1) as f64,
    })
}
