//! The best set of technologies and its schedule under a budget, people, risk and prerequisites.
//!
//! Every question here is an integer program that a [`Solver`] handed in as an argument answers with a proven bound, so that
//! nothing in this crate reads a clock or calls foreign code.

use serde::Serialize;

mod candidates;
mod check;
mod choice;
mod exact;
mod frontier;
mod futures;
mod infeasible;
mod links;
mod model;
mod program;
mod reach;
mod worth;

pub use candidates::{Conditions, futures, problem};
pub use choice::{Adoption, Portfolio, choose};
pub use frontier::{FRONTIER_POINTS, FrontierPoint, frontier};
pub use futures::{Foresight, MAX_FUTURES, foresight};
pub use program::{
    Column, Limits, Program, Request, Response, Row, RowKind, Solved, Solver, Status,
};
pub use worth::{Limit, Worth, worth};

/// Whether the user leaves a candidate to the optimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Demand {
    /// The optimum decides.
    Free,
    /// It must be adopted.
    Required,
    /// It must not be adopted.
    Forbidden,
}

/// A technology that may be adopted in one of the periods.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// What it is called.
    pub name: String,
    /// Net present value when adopted in each period, money.
    pub values: Vec<f64>,
    /// Running cost in each period once adopted, money per month.
    pub monthly_costs: Vec<f64>,
    /// Effort when adopted in each period, person-days.
    pub person_days: Vec<f64>,
    /// Expected loss when adopted in each period, money.
    pub risks: Vec<f64>,
    /// Positions of what must be adopted no later.
    pub requires: Vec<usize>,
    /// Positions of what cannot be adopted beside it.
    pub excludes: Vec<usize>,
    /// What the user demands.
    pub demand: Demand,
}

/// What is to be decided.
#[derive(Debug, Clone, PartialEq)]
pub struct PortfolioProblem {
    /// The technologies.
    pub candidates: Vec<Candidate>,
    /// What each period is called; every list of a candidate is as long.
    pub periods: Vec<String>,
    /// What all adopted technologies may cost together in each period, money per month.
    pub monthly_budget: Option<f64>,
    /// Person-days that are there from the beginning to the end of each period.
    pub person_days: Option<Vec<f64>>,
    /// The largest expected loss, money.
    pub risk_limit: Option<f64>,
}
