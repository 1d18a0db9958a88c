//! Why nothing fits: which constraints are missed, and by how much.

use uc_model::{Problem, Result};

use super::{
    Column, Demand, Limits, PortfolioProblem, Program, RowKind, Solved, Solver, Status,
    model::Model,
};

/// What is missed by less is rounding, as a share of the largest amount.
const TOLERANCE: f64 = 1e-7;

/// The problem that names the limits which the required technologies and their prerequisites exceed, by the least excess
/// possible. That their links allow them is known before.
pub(super) fn explain(problem: &PortfolioProblem, solver: &dyn Solver, limits: &Limits) -> Problem {
    // What is not demanded only adds to the excess.
    let model = Model::demanded(problem);
    let (program, excesses) = elastic(&model);
    let missed = missed(&model, &excesses, solver.maximise(&program, limits));
    let required = problem
        .candidates
        .iter()
        .filter(|one| one.demand == Demand::Required)
        .map(|one| one.name.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    Problem::invalid("no portfolio fulfils what is required")
        .limit(missed)
        .found(format!("required: {required}"))
        .remedy("raise what is short, allow more quarters, or require less")
}

/// The program in which every limit may be exceeded and every excess costs, with the columns of the excesses.
fn elastic(model: &Model<'_>) -> (Program, Vec<(RowKind, usize)>) {
    let mut program = model.program.clone();
    for column in &mut program.columns {
        column.objective = 0.0;
    }
    let mut excesses = Vec::new();
    for row in &mut program.rows {
        if row.kind == RowKind::Structure {
            continue;
        }
        let excess = program.columns.len();
        program.columns.push(Column {
            objective: -1.0,
            low: 0.0,
            high: f64::INFINITY,
            is_integer: false,
        });
        row.terms.push((excess, -1.0));
        excesses.push((row.kind, excess));
    }
    (program, excesses)
}

fn missed(model: &Model<'_>, excesses: &[(RowKind, usize)], solved: Result<Solved>) -> String {
    let Ok(solved) = solved else {
        return "which limit is too small could not be computed".into();
    };
    if solved.values.is_empty() {
        return "which limit is too small was not found in time".into();
    }
    let named: Vec<String> = excesses
        .iter()
        .filter_map(|&(kind, column)| {
            let excess = solved.values.get(column).copied()?;
            (excess > TOLERANCE).then(|| words(model, kind, excess))
        })
        .collect();
    if named.is_empty() {
        return "a limit is too small by no more than rounding".into();
    }
    let sure = if solved.status == Status::Optimal {
        ""
    } else {
        " (at most: stopped early)"
    };
    named.join("; ") + sure
}

fn words(model: &Model<'_>, kind: RowKind, excess: f64) -> String {
    let name = |period: usize| {
        let name = model.problem.periods.get(period);
        name.map_or("", String::as_str)
    };
    match kind {
        RowKind::Budget(period) => format!(
            "the budget of {} is short by {:.2} a month",
            name(period),
            excess * model.cost_scale
        ),
        RowKind::People(period) => format!(
            "the people are short by {:.1} person-days at the end of {}",
            excess * model.work_scale,
            name(period)
        ),
        RowKind::Risk => format!(
            "the limit of risk is short by {:.2}",
            excess * model.risk_scale
        ),
        RowKind::Structure => String::new(),
    }
}
