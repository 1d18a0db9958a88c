//! Integer programs solved by HiGHS, to proven optimality.
//!
//! One thread and a fixed seed: the same program has the same solution each time, unless it is stopped early.

use highs::{
    Col, HighsModelStatus, HighsSolutionStatus, HighsStatus, Model, RowProblem, Sense, SolvedModel,
};
use uc_model::{Problem, Result};
use uc_plan::portfolio::{Limits, Program, Solved, Solver, Status};

/// The solver HiGHS.
#[derive(Debug, Clone, Copy, Default)]
pub struct Highs;

impl Solver for Highs {
    fn maximise(&self, program: &Program, limits: &Limits) -> Result<Solved> {
        check(program)?;
        if program.columns.is_empty() {
            return Ok(empty(program));
        }
        let mut model = load(program).map_err(failed)?;
        configure(&mut model, limits)?;
        let solved = model.try_solve().map_err(failed)?;
        read(program, &solved)
    }
}

/// HiGHS takes what is not a number for something else, and says nothing.
fn check(program: &Program) -> Result<()> {
    let is_bound = |low: f64, high: f64| {
        !low.is_nan() && !high.is_nan() && low < f64::INFINITY && high > f64::NEG_INFINITY
    };
    let are_columns = program
        .columns
        .iter()
        .all(|one| one.objective.is_finite() && is_bound(one.low, one.high));
    let is_term =
        |&(at, coefficient): &(usize, f64)| at < program.columns.len() && coefficient.is_finite();
    let are_rows = program
        .rows
        .iter()
        .all(|row| is_bound(row.low, row.high) && row.terms.iter().all(is_term));
    if are_columns && are_rows {
        Ok(())
    } else {
        Err(Problem::internal(
            "a program names a column that it lacks, or holds what is not a number",
        ))
    }
}

/// HiGHS calls a program without unknowns neither solved nor infeasible.
fn empty(program: &Program) -> Solved {
    let holds = program
        .rows
        .iter()
        .all(|row| row.low <= 0.0 && row.high >= 0.0);
    Solved {
        status: if holds {
            Status::Optimal
        } else {
            Status::Infeasible
        },
        values: Vec::new(),
        objective: 0.0,
        bound: 0.0,
        duals: vec![0.0; program.rows.len()],
    }
}

fn load(program: &Program) -> std::result::Result<Model, HighsStatus> {
    let mut problem = RowProblem::new();
    let columns: Vec<Col> = program
        .columns
        .iter()
        .map(|column| {
            problem.add_column_with_integrality(
                column.objective,
                column.low..=column.high,
                column.is_integer,
            )
        })
        .collect();
    for row in &program.rows {
        let terms = row
            .terms
            .iter()
            .filter_map(|&(at, coefficient)| Some((*columns.get(at)?, coefficient)));
        problem.add_row(row.low..=row.high, terms);
    }
    problem.try_optimise(Sense::Maximise)
}

fn configure(model: &mut Model, limits: &Limits) -> Result<()> {
    model.make_quiet();
    let options = [
        model.try_set_option("threads", 1),
        model.try_set_option("random_seed", 1),
        // An optimum is one only when its bound is reached.
        model.try_set_option("mip_rel_gap", 0.0),
        model.try_set_option("mip_abs_gap", 1e-9),
        model.try_set_option("time_limit", limits.time.as_secs_f64()),
    ];
    for option in options {
        option.map_err(|error| {
            Problem::internal("the solver refuses an option").found(format!("{error:?}"))
        })?;
    }
    Ok(())
}

fn read(program: &Program, solved: &SolvedModel) -> Result<Solved> {
    let is_integer = program.columns.iter().any(|column| column.is_integer);
    let has_values = solved.primal_solution_status() == HighsSolutionStatus::Feasible;
    let status = match solved.status() {
        HighsModelStatus::Optimal => Status::Optimal,
        HighsModelStatus::Infeasible => Status::Infeasible,
        HighsModelStatus::ReachedTimeLimit
        | HighsModelStatus::ReachedIterationLimit
        | HighsModelStatus::ReachedSolutionLimit
        | HighsModelStatus::ReachedMemoryLimit => Status::Stopped,
        other => {
            return Err(
                Problem::internal("the solver did not come to an end").found(format!("{other:?}"))
            );
        }
    };
    let objective = solved.objective_value();
    let bound = if is_integer {
        solved
            .double_info_value(c"mip_dual_bound")
            .map_err(failed)?
    } else {
        objective
    };
    let solution = solved.get_solution();
    Ok(Solved {
        status,
        values: if has_values {
            solution.columns().to_vec()
        } else {
            Vec::new()
        },
        objective,
        bound,
        duals: if is_integer {
            Vec::new()
        } else {
            solution.dual_rows().to_vec()
        },
    })
}

fn failed(status: HighsStatus) -> Problem {
    Problem::internal("the solver fails").found(format!("{status:?}"))
}
