//! What network functions take of the processor before and after offload (M8.1).

use serde::Serialize;
use uc_model::{Figure, Problem, Result};

/// The most functions in one table.
pub const MAX_FUNCTIONS: usize = 1024;

/// One function that is moved off the processor.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// What it is called.
    pub name: String,
    /// Percent of the processor it takes on the processor.
    pub before_percent: f64,
    /// Percent of the processor it still takes with the hardware.
    pub after_percent: f64,
    /// Whose numbers these are.
    pub whose: String,
}

/// The source's three functions.
pub fn source_functions() -> Vec<Function> {
    [
        ("vSwitch", 30.0, 5.0),
        ("IPsec", 20.0, 3.0),
        ("load balancer", 15.0, 2.0),
    ]
    .into_iter()
    .map(|(name, before_percent, after_percent)| Function {
        name: name.into(),
        before_percent,
        after_percent,
        whose: super::SOURCE.into(),
    })
    .collect()
}

/// One row of the table, or its sum.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The function, or "total".
    pub name: String,
    /// Percent of the processor before.
    pub before: Figure,
    /// Percent of the processor after.
    pub after: Figure,
    /// What is freed, percent of the processor.
    pub freed: Figure,
    /// What is freed, percent of what it took before; none if it took nothing.
    pub saving: Option<Figure>,
    /// The acceleration S that the row implies (before / after); none if nothing is left.
    pub implied_s: Option<Figure>,
    /// What is freed, in cores.
    pub freed_cores: Figure,
}

/// The table with its sum.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// One row a function.
    pub rows: Vec<Row>,
    /// The sum of the rows.
    pub total: Row,
    /// The speed-up that follows from the sum: P is what the functions take, S what the sum implies. None if
    /// nothing at all is left on the processor.
    pub implied_speed_up: Option<Figure>,
}

/// The table of the functions on a machine with so many cores.
///
/// # Errors
/// Invalid for percentages outside 0 to 100, for a function or a sum that takes more than the processor, for a function that
/// takes more after than before, and for a number of cores out of bounds.
pub fn table(functions: &[Function], cores: f64) -> Result<Table> {
    super::check("number of cores", cores, 0.0, super::MAX_CORES)?;
    if functions.len() > MAX_FUNCTIONS {
        return Err(Problem::invalid("too many functions to offload")
            .at("functions")
            .limit(format!("at most {MAX_FUNCTIONS}"))
            .found(functions.len()));
    }
    let (mut before, mut after) = (0.0, 0.0);
    let mut rows = Vec::with_capacity(functions.len());
    for function in functions {
        let at = |problem: Problem| problem.within(format!("function \"{}\"", function.name));
        super::check("percentage before", function.before_percent, 0.0, 100.0).map_err(at)?;
        super::check(
            "percentage after",
            function.after_percent,
            0.0,
            function.before_percent,
        )
        .map_err(at)?;
        before += function.before_percent;
        after += function.after_percent;
        let given = |percent| Figure::assumed(percent, "%", &function.whose);
        let ends = (
            given(function.before_percent),
            given(function.after_percent),
        );
        rows.push(row(function.name.clone(), ends, cores));
    }
    // Sums of decimal fractions may exceed 100 by their last bit.
    super::check("sum of the percentages before", before, 0.0, 100.0 + 1e-9)?;
    let left = 100.0 - before + after;
    let sum = |percent| Figure::modelled(percent, "%", "sum of the functions");
    Ok(Table {
        rows,
        total: row("total".into(), (sum(before), sum(after)), cores),
        implied_speed_up: (left > 1e-9).then(|| {
            Figure::modelled(
                100.0 / left,
                "",
                "Amdahl's law on the sums: 1/(1 - before + after)",
            )
        }),
    })
}

fn row(name: String, (before, after): (Figure, Figure), cores: f64) -> Row {
    let freed = before.value - after.value;
    let model = Figure::modelled;
    Row {
        name,
        saving: (before.value > 0.0)
            .then(|| model(100.0 * freed / before.value, "%", "freed / before")),
        implied_s: (after.value > 0.0)
            .then(|| model(before.value / after.value, "", "before / after")),
        freed: model(freed, "%", "before less after"),
        freed_cores: model(
            cores * freed / 100.0,
            "cores",
            "share freed × cores, taking percent as percent of all cores",
        ),
        before,
        after,
    }
}
