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

impl Worth {
    /// What one unit of the increase brings on average, money; `None` if nothing improves.
    pub fn per_unit(&self) -> Option<f64> {
        let increase = self.increase.filter(|increase| *increase > 0.0)?;
        Some(self.gain? / increase)
    }
}

/// The improvement that counts as noticeable, as a share of the portfolio's value, or of the largest technology's if the
/// portfolio is worth nothing.
const NOTICEABLE: f64 = 1e-4;

/// How the search for a smallest increase ended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Search {
    /// By so much, in the limit's unit.
    Found(f64),
    /// However large the limit, nothing is better.
    Nothing,
    /// Not in time.
    Unfinished,
}

/// The worth of each limit that the problem has. What a limit is worth is known only beside a proven portfolio: without one
/// nothing is said, nor of a limit whose increase is not found in time.
///
/// # Errors
/// As [`choose`].
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
    if best.status != Status::Optimal {
        return Ok(Vec::new());
    }
    let mut worths = Vec::new();
    for limit in limits_of_problem.into_iter().filter(|limit| has(*limit)) {
        let (increase, gain) = match smallest_increase(problem, best, limit, solver, limits)? {
            Search::Unfinished => continue,
            Search::Nothing => (None, None),
            Search::Found(increase) => {
                let gain = gain(problem, best, limit, increase, solver, limits)?;
                (gain.map(|_| increase), gain)
            }
        };
        // What the limit rules out as a whole may still be adopted in part.
        let model = Model::beyond(problem, limit)?;
        let duals = relaxed(&model, solver, limits)?;
        worths.push(Worth {
            limit,
            relaxed_per_unit: price(&model, &duals, limit),
            increase,
            gain,
        });
    }
    Ok(worths)
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
    problem: &PortfolioProblem,
    best: &Portfolio,
    limit: Limit,
    solver: &dyn Solver,
    limits: &Limits,
) -> Result<Search> {
    let model = Model::beyond(problem, limit)?;
    let solved = solver.maximise(&for_increase(&model, best, limit), limits)?;
    Ok(match solved.status {
        Status::Optimal => Search::Found(shortage(problem, &model.starts(&solved), limit)),
        Status::Infeasible => Search::Nothing,
        Status::Stopped => Search::Unfinished,
    })
}

/// The program that raises a limit as little as a noticeably better portfolio needs.
fn for_increase(model: &Model<'_>, best: &Portfolio, limit: Limit) -> Program {
    let mut program = model.program.clone();
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
    // Measured by the portfolio itself, so that a giant which a larger limit would admit does not make it rounding.
    let unit = if best.value > 0.0 {
        best.value
    } else {
        model.value_scale
    };
    let last = model.problem.periods.len() - 1;
    program.rows.push(Row {
        kind: RowKind::Structure,
        low: best.value / unit + NOTICEABLE,
        high: f64::INFINITY,
        terms: model.once(|one| &one.values, unit, last),
    });
    program
}

/// By how much a schedule exceeds a limit where it does so most: added up anew, free of the solver's rounding.
fn shortage(problem: &PortfolioProblem, starts: &[Option<usize>], limit: Limit) -> f64 {
    let started = |until: usize| {
        let starts = starts.iter().zip(&problem.candidates);
        starts.filter_map(move |(start, one)| Some(((*start)?, one)).filter(|(at, _)| *at <= until))
    };
    let last = problem.periods.len() - 1;
    let excess = |period: usize| -> f64 {
        match limit {
            Limit::MonthlyBudget => {
                let cost: f64 = started(period)
                    .map(|(_, one)| one.monthly_costs[period])
                    .sum();
                cost - problem.monthly_budget.unwrap_or(f64::INFINITY)
            }
            Limit::PersonDays => {
                let work: f64 = started(period).map(|(at, one)| one.person_days[at]).sum();
                let days = problem.person_days.as_ref();
                work - days.map_or(f64::INFINITY, |days| days[period])
            }
            Limit::Risk => {
                let risk: f64 = started(last).map(|(at, one)| one.risks[at]).sum();
                risk - problem.risk_limit.unwrap_or(f64::INFINITY)
            }
        }
    };
    (0..problem.periods.len()).map(excess).fold(0.0, f64::max)
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
