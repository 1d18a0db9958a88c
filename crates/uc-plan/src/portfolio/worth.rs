//! What one more unit of a limit is worth.

use serde::Serialize;
use uc_model::Result;

use super::{
    Column, Limits, Portfolio, PortfolioProblem, Program, Row, RowKind, Solver, Status, choose,
    model::Model,
};

/// A limit that could be raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Money per month, in every period.
    MonthlyBudget,
    /// Person-days, from the beginning on.
    PersonDays,
    /// Expected loss, money.
    Risk,
}

/// What raising a limit brings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Worth {
    /// Which limit.
    pub limit: Limit,
    /// Value of one more unit if technologies could be adopted in part: the dual price of the relaxed program.
    pub relaxed_per_unit: f64,
    /// The smallest increase that improves the portfolio noticeably, in the limit's unit; `None` if none does.
    pub increase: Option<f64>,
    /// What that increase brings, money.
    pub gain: Option<f64>,
}

/// The improvement that counts as noticeable, as a share of the portfolio's value or of the largest technology's.
const NOTICEABLE: f64 = 1e-4;
/// By how much solvers let scaled constraints be exceeded, with room to spare.
const TOLERANCE: f64 = 4e-6;

/// The worth of each limit that the problem has.
///
/// # Errors
/// Internal if the solver fails.
pub fn worth(
    problem: &PortfolioProblem,
    best: &Portfolio,
    solver: &dyn Solver,
    limits: &Limits,
) -> Result<Vec<Worth>> {
    let has = |limit| match limit {
        Limit::MonthlyBudget => problem.monthly_budget.is_some(),
        Limit::PersonDays => problem.person_days.is_some(),
        Limit::Risk => problem.risk_limit.is_some(),
    };
    let limits_of_problem = [Limit::MonthlyBudget, Limit::PersonDays, Limit::Risk];
    let model = Model::new(problem)?;
    let duals = relaxed(&model, solver, limits)?;
    limits_of_problem
        .into_iter()
        .filter(|limit| has(*limit))
        .map(|limit| {
            let (increase, gain) = match smallest_increase(&model, best, limit, solver, limits)? {
                Some(increase) => {
                    // The solver's tolerance must not take away again what was found with it.
                    let raised = increase + TOLERANCE * scale(&model, limit);
                    let gain = gain(problem, best, limit, raised, solver, limits)?;
                    (gain.map(|_| increase), gain)
                }
                None => (None, None),
            };
            Ok(Worth {
                limit,
                relaxed_per_unit: price(&model, &duals, limit),
                increase,
                gain,
            })
        })
        .collect()
}

fn belongs(kind: RowKind, limit: Limit) -> bool {
    matches!(
        (kind, limit),
        (RowKind::Budget(_), Limit::MonthlyBudget)
            | (RowKind::People(_), Limit::PersonDays)
            | (RowKind::Risk, Limit::Risk)
    )
}

fn scale(model: &Model<'_>, limit: Limit) -> f64 {
    match limit {
        Limit::MonthlyBudget => model.cost_scale,
        Limit::PersonDays => model.work_scale,
        Limit::Risk => model.risk_scale,
    }
}

/// The dual prices of the program in which technologies may be adopted in part.
fn relaxed(model: &Model<'_>, solver: &dyn Solver, limits: &Limits) -> Result<Vec<f64>> {
    let mut program = model.program.clone();
    for column in &mut program.columns {
        column.is_integer = false;
    }
    Ok(solver.maximise(&program, limits)?.duals)
}

fn price(model: &Model<'_>, duals: &[f64], limit: Limit) -> f64 {
    let rows = model.program.rows.iter().zip(duals);
    let sum: f64 = rows
        .filter(|(row, _)| belongs(row.kind, limit))
        .map(|(_, dual)| dual.abs())
        .sum();
    sum * model.value_scale / scale(model, limit)
}

/// The smallest increase of a limit under which a noticeably better portfolio exists.
fn smallest_increase(
    model: &Model<'_>,
    best: &Portfolio,
    limit: Limit,
    solver: &dyn Solver,
    limits: &Limits,
) -> Result<Option<f64>> {
    let mut program: Program = model.program.clone();
    for column in &mut program.columns {
        column.objective = 0.0;
    }
    let increase = program.columns.len();
    program.columns.push(Column {
        objective: -1.0,
        low: 0.0,
        high: f64::INFINITY,
        is_integer: false,
    });
    for row in &mut program.rows {
        if belongs(row.kind, limit) {
            row.terms.push((increase, -1.0));
        }
    }
    let wanted = best.value + NOTICEABLE * best.value.abs().max(model.value_scale);
    program.rows.push(Row {
        kind: RowKind::Structure,
        low: wanted / model.value_scale,
        high: f64::INFINITY,
        terms: model.once(
            |one| &one.values,
            model.value_scale,
            model.problem.periods.len() - 1,
        ),
    });
    let solved = solver.maximise(&program, limits)?;
    if solved.status != Status::Optimal {
        return Ok(None);
    }
    let found = solved.values.get(increase).copied().unwrap_or(0.0);
    Ok(Some(found.max(0.0) * scale(model, limit)))
}

/// What raising a limit by so much brings.
fn gain(
    problem: &PortfolioProblem,
    best: &Portfolio,
    limit: Limit,
    raised: f64,
    solver: &dyn Solver,
    limits: &Limits,
) -> Result<Option<f64>> {
    let mut larger = problem.clone();
    match limit {
        Limit::MonthlyBudget => larger.monthly_budget = problem.monthly_budget.map(|b| b + raised),
        Limit::Risk => larger.risk_limit = problem.risk_limit.map(|risk| risk + raised),
        Limit::PersonDays => {
            for days in larger.person_days.iter_mut().flatten() {
                *days += raised;
            }
        }
    }
    let better = choose(&larger, solver, limits)?;
    let gain = better.value - best.value;
    Ok((gain > 0.0).then_some(gain))
}
