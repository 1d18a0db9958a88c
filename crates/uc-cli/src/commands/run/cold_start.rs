//! The cold start of a function in a container in a microVM, held against the source's budgets (mission M1.2).

use serde::Serialize;
use uc_engine::Timings;

use crate::table::Table;

/// Budgets, in milliseconds.
const BUDGETS: [(&str, f64); 3] = [("machine", 125.0), ("container", 30.0), ("function", 50.0)];

/// A part of a cold start.
#[derive(Serialize)]
pub(super) struct Row {
    part: &'static str,
    how: String,
    /// Measured.
    ms: f64,
    /// The source's.
    budget_ms: f64,
}

/// The parts of a run; none where it was not in a microVM.
pub(super) fn rows(timings: &Timings) -> Vec<Row> {
    let budget = |name| BUDGETS.into_iter().find(|(part, _)| *part == name);
    timings
        .parts()
        .iter()
        .filter_map(|part| {
            Some(Row {
                part: part.name,
                how: part.how.clone(),
                ms: super::milliseconds(part.duration),
                budget_ms: budget(part.name)?.1,
            })
        })
        .collect()
}

/// The same as a table, with the sum.
pub(super) fn table(rows: &[Row]) -> String {
    let mut table = Table::new(&["COLD START", "MS (measured)", "BUDGET (source)", "HOW"]);
    let sum = |of: fn(&Row) -> f64| rows.iter().map(of).sum();
    let together = (sum(|row| row.ms), sum(|row| row.budget_ms));
    let rows = rows
        .iter()
        .map(|row| (row.part, row.ms, row.budget_ms, row.how.as_str()))
        .chain([("together", together.0, together.1, "")]);
    for (part, ms, budget_ms, how) in rows {
        table.row([
            part.to_owned(),
            format!("{ms:>10.3}"),
            format!("{budget_ms:>10.0}"),
            how.to_owned(),
        ]);
    }
    table.text()
}
