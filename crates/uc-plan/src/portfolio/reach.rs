//! Which adoptions a portfolio can hold at all.
//!
//! A solver lets constraints be exceeded by a millionth of the largest amounts in them. An amount that can never be part of a
//! portfolio must therefore not reach it: beside a technology of a milliard a month, a budget of a hundred would be rounding.

use super::{Demand, PortfolioProblem, links};

/// By which share a single amount may exceed its limit: what a solver allows as well.
const TOLERANCE: f64 = 1e-6;

/// For each candidate and period whether it can be adopted then, as far as each limit by itself and each link tells.
pub(super) fn possible(problem: &PortfolioProblem) -> Vec<Vec<bool>> {
    let candidates = &problem.candidates;
    let is_demanded = links::demanded(candidates);
    let mut starts: Vec<Vec<bool>> = (0..candidates.len())
        .map(|at| {
            let has_rival = (0..candidates.len())
                .any(|other| is_demanded[other] && links::excludes(candidates, at, other));
            let is_open = candidates[at].demand != Demand::Forbidden && !has_rival;
            (0..problem.periods.len())
                .map(|period| is_open && fits(problem, at, period))
                .collect()
        })
        .collect();
    // Nothing begins before its prerequisites can have begun.
    loop {
        let mut has_changed = false;
        for (at, candidate) in candidates.iter().enumerate() {
            for period in 0..problem.periods.len() {
                let lacks = |other: &usize| !starts[*other][..=period].contains(&true);
                if starts[at][period] && candidate.requires.iter().any(lacks) {
                    starts[at][period] = false;
                    has_changed = true;
                }
            }
        }
        if !has_changed {
            return starts;
        }
    }
}

/// Every start of what is in all portfolios, none of the rest.
pub(super) fn demanded(problem: &PortfolioProblem) -> Vec<Vec<bool>> {
    links::demanded(&problem.candidates)
        .into_iter()
        .map(|is_demanded| vec![is_demanded; problem.periods.len()])
        .collect()
}

/// Whether a candidate alone, adopted in this period, stays within every limit.
fn fits(problem: &PortfolioProblem, at: usize, period: usize) -> bool {
    let candidate = &problem.candidates[at];
    let is_within = |amount: f64, limit: f64| amount <= limit * (1.0 + TOLERANCE);
    let costs = &candidate.monthly_costs[period..];
    let budget = problem.monthly_budget;
    let days = problem.person_days.as_ref();
    budget.is_none_or(|budget| costs.iter().all(|&cost| is_within(cost, budget)))
        && days.is_none_or(|days| {
            let work = candidate.person_days[period];
            days[period..].iter().all(|&limit| is_within(work, limit))
        })
        && problem
            .risk_limit
            .is_none_or(|limit| is_within(candidate.risks[period], limit))
}
