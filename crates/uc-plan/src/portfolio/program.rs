//! Mixed-integer linear programs, and what solves them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uc_model::Result;

use super::exact;

/// A program whose objective is to be as large as possible.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Program {
    /// The unknowns.
    pub columns: Vec<Column>,
    /// The constraints.
    pub rows: Vec<Row>,
}

/// An unknown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its coefficient in the objective.
    #[serde(with = "exact")]
    pub objective: f64,
    /// Its least value.
    #[serde(with = "exact")]
    pub low: f64,
    /// Its greatest value; may be infinite.
    #[serde(with = "exact")]
    pub high: f64,
    /// Whether it is a whole number.
    pub is_integer: bool,
}

/// A constraint: low <= Σ coefficient × column <= high.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it stands for.
    pub kind: RowKind,
    /// May be minus infinity.
    #[serde(with = "exact")]
    pub low: f64,
    /// May be infinite.
    #[serde(with = "exact")]
    pub high: f64,
    /// Column and coefficient; a column at most once.
    #[serde(with = "exact::terms")]
    pub terms: Vec<(usize, f64)>,
}

/// What a constraint stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowKind {
    /// The budget of a period.
    Budget(usize),
    /// The person-days until the end of a period.
    People(usize),
    /// The limit of risk.
    Risk,
    /// How columns hang together.
    Structure,
}

/// When a solver may stop early.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// For one program.
    pub time: Duration,
}

/// How solving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The optimum is proven.
    Optimal,
    /// Stopped early; the bound says how much better another solution could be.
    Stopped,
    /// No solution exists.
    Infeasible,
}

/// What a solver found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Solved {
    /// How it ended.
    pub status: Status,
    /// A value for each column; empty if nothing was found.
    #[serde(with = "exact::list")]
    pub values: Vec<f64>,
    /// The objective of the values.
    #[serde(with = "exact")]
    pub objective: f64,
    /// No solution has a larger objective.
    #[serde(with = "exact")]
    pub bound: f64,
    /// For programs without whole numbers: what one more unit of each row's bound is worth; otherwise empty.
    #[serde(with = "exact::list")]
    pub duals: Vec<f64>,
}

/// Solves programs.
pub trait Solver {
    /// Finds the values that make the objective as large as possible.
    ///
    /// # Errors
    /// Internal if the solver fails; a program without solutions is no failure.
    fn maximise(&self, program: &Program, limits: &Limits) -> Result<Solved>;
}

/// What is asked of a solver in another process: one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What is to be solved.
    pub program: Program,
    /// When it may stop early.
    pub limits: Limits,
}

/// What it answers: one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// What was found.
    Solved(Solved),
    /// Why nothing could be found.
    Failed(String),
}
