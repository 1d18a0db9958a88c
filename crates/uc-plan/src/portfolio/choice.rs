//! The best portfolio, with the proof that none is better.

use serde::Serialize;
use uc_model::{Problem, Result};

use super::{
    Limits, PortfolioProblem, Program, Row, RowKind, Solved, Solver, Status, infeasible,
    model::Model,
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

/// By how much the row that keeps the value may be missed while the risk is minimised, as a share of the largest value. What
/// comes of it is added up again, and taken only if nothing but the order of summation is lost.
const VALUE_TOLERANCE: f64 = 1e-7;
/// What the order of summation may change, as a share of the amounts that are summed.
const SUMMATION: f64 = 1e-12;
/// By which share a finished portfolio may exceed a limit; a solver allows itself a millionth.
const LIMIT_TOLERANCE: f64 = 1e-5;

/// The portfolio of the largest value; of several the one with the least risk.
///
/// # Errors
/// Invalid for a malformed problem, and if what is required does not fit, naming the constraints and by how much they are
/// missed; refused if nothing was found in time; internal if the solver fails or its answer breaks a limit.
pub fn choose(
    problem: &PortfolioProblem,
    solver: &dyn Solver,
    limits: &Limits,
) -> Result<Portfolio> {
    let model = Model::new(problem)?;
    let solved = solver.maximise(&model.program, limits)?;
    if solved.status == Status::Infeasible {
        return Err(infeasible::explain(problem, solver, limits));
    }
    if solved.values.is_empty() {
        return Err(Problem::refused("no portfolio was found in time")
            .limit(format!("{} s", limits.time.as_secs()))
            .remedy("allow more time"));
    }
    let mut best = portfolio(&model, &solved, &solved);
    if let Some(calmer) = least_risk(&model, &solved, solver, limits)? {
        let calmer = portfolio(&model, &solved, &calmer);
        let magnitude: f64 = best.adoptions.iter().map(|one| one.value.abs()).sum();
        if calmer.value >= best.value - SUMMATION * magnitude {
            best = calmer;
        }
    }
    respects(problem, &best)?;
    Ok(best)
}

/// The least risk of any portfolio, money; `None` if it is not found in time.
///
/// # Errors
/// As [`choose`].
pub(super) fn calmest(
    problem: &PortfolioProblem,
    solver: &dyn Solver,
    limits: &Limits,
) -> Result<Option<f64>> {
    let model = Model::new(problem)?;
    let solved = solver.maximise(&for_least_risk(&model), limits)?;
    match solved.status {
        Status::Infeasible => Err(infeasible::explain(problem, solver, limits)),
        Status::Stopped => Ok(None),
        Status::Optimal => Ok(Some(portfolio(&model, &solved, &solved).risk)),
    }
}

fn for_least_risk(model: &Model<'_>) -> Program {
    let last = model.problem.periods.len() - 1;
    let mut program = model.program.clone();
    for column in &mut program.columns {
        column.objective = 0.0;
    }
    for (column, risk) in model.once(|one| &one.risks, model.risk_scale, last) {
        program.columns[column].objective = -risk;
    }
    program
}

/// A portfolio is handed out only if its own sums stay within the limits, whatever a solver holds to be rounding.
fn respects(problem: &PortfolioProblem, portfolio: &Portfolio) -> Result<()> {
    let is_within = |amount: f64, limit: f64| amount <= limit * (1.0 + LIMIT_TOLERANCE);
    let costs = &portfolio.monthly_costs;
    let work_until = |last: usize| -> f64 {
        let done = portfolio.adoptions.iter().filter(|one| one.period <= last);
        done.map(|one| one.person_days).sum()
    };
    let holds = problem
        .monthly_budget
        .is_none_or(|budget| costs.iter().all(|&cost| is_within(cost, budget)))
        && problem
            .risk_limit
            .is_none_or(|limit| is_within(portfolio.risk, limit))
        && problem.person_days.as_ref().is_none_or(|days| {
            let mut days = days.iter().enumerate();
            days.all(|(period, &limit)| is_within(work_until(period), limit))
        });
    if holds {
        Ok(())
    } else {
        Err(Problem::internal("the solver's portfolio exceeds a limit"))
    }
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
    let mut program = for_least_risk(model);
    program.rows.push(Row {
        kind: RowKind::Structure,
        low: solved.objective - VALUE_TOLERANCE,
        high: f64::INFINITY,
        terms: model.once(
            |one| &one.values,
            model.value_scale,
            model.problem.periods.len() - 1,
        ),
    });
    let calmer = solver.maximise(&program, limits)?;
    Ok((calmer.status == Status::Optimal).then_some(calmer))
}

/// The portfolio that a solution means, with what is proven of the largest value.
fn portfolio(model: &Model<'_>, proof: &Solved, solution: &Solved) -> Portfolio {
    let problem = model.problem;
    let starts = model.starts(solution);
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
    let bound = if proof.status == Status::Optimal {
        value
    } else {
        (proof.bound * model.value_scale).max(value)
    };
    Portfolio {
        value,
        bound,
        gap: if bound > value {
            (bound - value) / value.abs().max(f64::MIN_POSITIVE)
        } else {
            0.0
        },
        status: proof.status,
        risk: sum(|one| one.risk),
        person_days: sum(|one| one.person_days),
        monthly_costs: (0..problem.periods.len()).map(cost).collect(),
        adoptions,
    }
}
