//! The best portfolio, with the proof that none is better.

use serde::Serialize;
use uc_model::{Problem, Result};

use super::{
    Limits, PortfolioProblem, Row, RowKind, Solved, Solver, Status, infeasible, model::Model,
};

/// A chosen technology.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Adoption {
    /// Its position among the candidates.
    pub candidate: usize,
    /// The period in which it is adopted, from 0.
    pub period: usize,
    /// Net present value, money.
    pub value: f64,
    /// Expected loss, money.
    pub risk: f64,
    /// Effort, person-days.
    pub person_days: f64,
}

/// A set of technologies with its schedule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Portfolio {
    /// What is adopted, in the candidates' order.
    pub adoptions: Vec<Adoption>,
    /// Net present value of all, money.
    pub value: f64,
    /// Expected loss of all, money.
    pub risk: f64,
    /// Effort of all, person-days.
    pub person_days: f64,
    /// What all cost in each period, money per month.
    pub monthly_costs: Vec<f64>,
    /// Whether the optimum is proven.
    pub status: Status,
    /// No portfolio has a larger value.
    pub bound: f64,
    /// (bound - value) / |value|; 0 once proven.
    pub gap: f64,
}

/// By how much the value may fall, in the largest value's share, for the sake of less risk: rounding, nothing more.
const VALUE_TOLERANCE: f64 = 1e-7;

/// The portfolio of the largest value; of several the one with the least risk.
///
/// # Errors
/// Invalid, naming the constraints and by how much they are missed, if what is required does not fit.
pub fn choose(
    problem: &PortfolioProblem,
    solver: &dyn Solver,
    limits: &Limits,
) -> Result<Portfolio> {
    let model = Model::new(problem)?;
    let solved = solver.maximise(&model.program, limits)?;
    if solved.status == Status::Infeasible {
        return Err(infeasible::explain(&model, solver, limits));
    }
    if solved.values.is_empty() {
        return Err(Problem::refused("no portfolio was found in time")
            .limit(format!("{} s", limits.time.as_secs()))
            .remedy("allow more time"));
    }
    let calmer = least_risk(&model, &solved, solver, limits)?;
    Ok(portfolio(&model, &solved, calmer.as_ref()))
}

/// A solution as valuable as the one given, and with the least risk; none if it is not found.
fn least_risk(
    model: &Model<'_>,
    solved: &Solved,
    solver: &dyn Solver,
    limits: &Limits,
) -> Result<Option<Solved>> {
    if solved.status != Status::Optimal {
        return Ok(None);
    }
    let last = model.problem.periods.len() - 1;
    let mut program = model.program.clone();
    let valuable = Row {
        kind: RowKind::Structure,
        low: solved.objective - VALUE_TOLERANCE,
        high: f64::INFINITY,
        terms: model.once(|one| &one.values, model.value_scale, last),
    };
    program.rows.push(valuable);
    for column in &mut program.columns {
        column.objective = 0.0;
    }
    for (column, risk) in model.once(|one| &one.risks, model.risk_scale, last) {
        program.columns[column].objective = -risk;
    }
    let calmer = solver.maximise(&program, limits)?;
    Ok((calmer.status == Status::Optimal).then_some(calmer))
}

fn portfolio(model: &Model<'_>, solved: &Solved, calmer: Option<&Solved>) -> Portfolio {
    let problem = model.problem;
    let starts = model.starts(calmer.unwrap_or(solved));
    let adoptions: Vec<Adoption> = starts
        .iter()
        .enumerate()
        .filter_map(|(at, start)| {
            let (candidate, period) = (&problem.candidates[at], (*start)?);
            Some(Adoption {
                candidate: at,
                period,
                value: candidate.values[period],
                risk: candidate.risks[period],
                person_days: candidate.person_days[period],
            })
        })
        .collect();
    let cost = |period: usize| -> f64 {
        let running = adoptions.iter().filter(|one| one.period <= period);
        running
            .map(|one| problem.candidates[one.candidate].monthly_costs[period])
            .fold(0.0, |sum, one| sum + one)
    };
    let sum =
        |amount: fn(&Adoption) -> f64| adoptions.iter().map(amount).fold(0.0, |sum, one| sum + one);
    let value = sum(|one| one.value);
    let bound = if solved.status == Status::Optimal {
        value
    } else {
        (solved.bound * model.value_scale).max(value)
    };
    Portfolio {
        value,
        bound,
        gap: if bound > value {
            (bound - value) / value.abs().max(f64::MIN_POSITIVE)
        } else {
            0.0
        },
        status: solved.status,
        risk: sum(|one| one.risk),
        person_days: sum(|one| one.person_days),
        monthly_costs: (0..problem.periods.len()).map(cost).collect(),
        adoptions,
    }
}
