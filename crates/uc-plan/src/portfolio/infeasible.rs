//! Why nothing fits: which constraints are missed, and by how much.

use uc_model::Problem;

use super::{Column, Limits, RowKind, Solver, Status, model::Model};

/// What is missed by less is rounding.
const TOLERANCE: f64 = 1e-6;

/// The problem that names the constraints which the required technologies break, by the least excess possible.
pub(super) fn explain(model: &Model<'_>, solver: &dyn Solver, limits: &Limits) -> Problem {
    let mut program = model.program.clone();
    for column in &mut program.columns {
        column.objective = 0.0;
    }
    // Every limit may be exceeded, and every excess costs.
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
    let required = model
        .problem
        .candidates
        .iter()
        .filter(|one| one.demand == super::Demand::Required)
        .map(|one| one.name.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let problem = Problem::invalid("no portfolio fulfils what is required");
    let missed: Vec<String> = match solver.maximise(&program, limits) {
        Ok(solved) if solved.status != Status::Infeasible => excesses
            .iter()
            .filter_map(|&(kind, column)| {
                let excess = solved.values.get(column).copied()?;
                (excess > TOLERANCE).then(|| words(model, kind, excess))
            })
            .collect(),
        _ => Vec::new(),
    };
    if missed.is_empty() {
        return problem
            .limit("prerequisites, exclusions and what is forbidden")
            .found(format!("required: {required}"))
            .remedy("require less, or forbid less: no budget can mend it");
    }
    problem
        .limit(missed.join("; "))
        .found(format!("required: {required}"))
        .remedy("raise what is short, allow more quarters, or require less")
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
