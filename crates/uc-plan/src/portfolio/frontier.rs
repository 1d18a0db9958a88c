//! The efficient frontier: how much value every amount of risk can buy.

use serde::Serialize;
use uc_model::Result;

use super::{Limits, PortfolioProblem, Solver, choose};

/// The most points of a frontier.
pub const FRONTIER_POINTS: usize = 16;

/// A portfolio that no other beats in both value and risk.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontierPoint {
    /// Expected loss, money.
    pub risk: f64,
    /// Net present value, money.
    pub value: f64,
    /// Positions of the adopted candidates.
    pub adopted: Vec<usize>,
}

/// Points of the frontier, from the least risk on: the best portfolio under each of evenly spaced limits up to the risk of
/// the best one without limit, each exact.
///
/// # Errors
/// As [`choose`]; limits under which what is required does not fit are left out.
pub fn frontier(
    problem: &PortfolioProblem,
    solver: &dyn Solver,
    limits: &Limits,
) -> Result<Vec<FrontierPoint>> {
    let best = choose(problem, solver, limits)?;
    let mut points = Vec::new();
    for step in 0..FRONTIER_POINTS {
        let share = step as f64 / FRONTIER_POINTS as f64;
        let mut limited = problem.clone();
        limited.risk_limit = Some(share * best.risk);
        // Too little risk for what is required is no failure of the frontier.
        if let Ok(portfolio) = choose(&limited, solver, limits) {
            points.push(point(&portfolio));
        }
    }
    points.push(point(&best));
    points.sort_by(|one, other| {
        one.risk
            .total_cmp(&other.risk)
            .then(other.value.total_cmp(&one.value))
    });
    let mut most = f64::NEG_INFINITY;
    points.retain(|point| {
        let is_better = point.value > most + 1e-9 * most.abs().min(f64::MAX);
        if is_better {
            most = point.value;
        }
        is_better
    });
    Ok(points)
}

fn point(portfolio: &super::Portfolio) -> FrontierPoint {
    FrontierPoint {
        risk: portfolio.risk,
        value: portfolio.value,
        adopted: portfolio
            .adoptions
            .iter()
            .map(|one| one.candidate)
            .collect(),
    }
}
