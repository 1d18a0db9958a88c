//! The efficient frontier: how much value every amount of risk can buy.

use serde::Serialize;
use uc_model::{ProblemKind, Result};

use super::{Limits, Portfolio, PortfolioProblem, Solver, Status, choice::calmest, choose};

/// The most points of a frontier.
pub const FRONTIER_POINTS: usize = 16;

/// Points whose risks differ by less, as a share, are one: more than a solver takes for rounding.
const DISTANCE: f64 = 4e-6;

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

/// The efficient frontier, from the least risk on: all of it if it has no more than [`FRONTIER_POINTS`], otherwise the best
/// portfolio under each of evenly spaced limits from the least risk to that of the best portfolio.
///
/// Each point is exact: a limit whose best portfolio is not proven in time is left out.
///
/// # Errors
/// As [`choose`], but not for lack of time.
pub fn frontier(
    problem: &PortfolioProblem,
    solver: &dyn Solver,
    limits: &Limits,
) -> Result<Vec<FrontierPoint>> {
    let Some(best) = proven(problem, solver, limits)? else {
        return Ok(Vec::new());
    };
    let Some(least) = calmest(problem, solver, limits)? else {
        return Ok(vec![point(&best)]);
    };
    let under = |limit: f64| -> Result<Option<FrontierPoint>> {
        let mut limited = problem.clone();
        limited.risk_limit = Some(limit);
        Ok(proven(&limited, solver, limits)?.as_ref().map(point))
    };
    if let Some(points) = from_the_top(point(&best), least, under)? {
        return Ok(points);
    }
    let mut points = vec![point(&best)];
    for step in 0..FRONTIER_POINTS - 1 {
        let share = step as f64 / (FRONTIER_POINTS - 1) as f64;
        points.extend(under(least + share * (best.risk - least))?);
    }
    Ok(efficient(points))
}

/// The best portfolio, if it is proven in time.
fn proven(
    problem: &PortfolioProblem,
    solver: &dyn Solver,
    limits: &Limits,
) -> Result<Option<Portfolio>> {
    match choose(problem, solver, limits) {
        Ok(portfolio) => Ok((portfolio.status == Status::Optimal).then_some(portfolio)),
        Err(late) if late.kind() == ProblemKind::Refused => Ok(None),
        Err(other) => Err(other),
    }
}

/// Every point, each found by allowing a little less risk than the one before; `None` if there are too many.
fn from_the_top(
    best: FrontierPoint,
    least: f64,
    under: impl Fn(f64) -> Result<Option<FrontierPoint>>,
) -> Result<Option<Vec<FrontierPoint>>> {
    let mut risk = best.risk;
    let mut points = vec![best];
    while risk > 0.0 && risk * (1.0 - DISTANCE) >= least {
        if points.len() == FRONTIER_POINTS {
            return Ok(None);
        }
        let Some(next) = under(risk * (1.0 - DISTANCE))? else {
            return Ok(None);
        };
        if next.risk >= risk {
            return Ok(None);
        }
        risk = next.risk;
        points.push(next);
    }
    Ok(Some(efficient(points)))
}

/// The points that none of the others beats, from the least risk on.
fn efficient(mut points: Vec<FrontierPoint>) -> Vec<FrontierPoint> {
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
    points
}

fn point(portfolio: &Portfolio) -> FrontierPoint {
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
