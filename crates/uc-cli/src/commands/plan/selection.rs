//! Which technologies are adopted when: the portfolio, and what surrounds it.

use std::time::Duration;

use serde::Serialize;
use uc_model::Result;
use uc_plan::{
    Catalogue,
    period::Period,
    portfolio::{
        Conditions, Foresight, FrontierPoint, Limits, Portfolio, PortfolioProblem, Worth, choose,
        foresight, frontier, futures, problem, worth,
    },
};

use super::{Question, solver::SolverProgram};

/// The portfolio with its frontier, the worth of its limits and how sure it is.
#[derive(Debug, Serialize)]
pub(super) struct Selection {
    pub(super) portfolio: Portfolio,
    pub(super) frontier: Vec<FrontierPoint>,
    pub(super) worth: Vec<Worth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) foresight: Option<Foresight>,
}

/// Beyond so many technologies the frontier, the worth and foresight would take minutes: they are left out, and it is said.
pub(super) const DETAILED_TECHNOLOGIES: usize = 40;
/// Futures that are solved one by one.
const FUTURES: usize = 256;

pub(super) fn select(
    catalogue: &Catalogue,
    question: &Question,
    periods: &[Period],
) -> Result<Selection> {
    let problem = problem(
        catalogue,
        question.as_of,
        periods,
        &Conditions {
            monthly_budget: question.budget,
            risk_limit: question.risk_limit,
            required: question.require.clone(),
            forbidden: question.forbid.clone(),
        },
    );
    let limits = Limits {
        time: Duration::from_secs(question.time_limit_s),
    };
    let solver = SolverProgram::start()?;
    let portfolio = choose(&problem, &solver, &limits)?;
    if catalogue.technologies.len() > DETAILED_TECHNOLOGIES {
        return Ok(Selection {
            portfolio,
            frontier: Vec::new(),
            worth: Vec::new(),
            foresight: None,
        });
    }
    Ok(Selection {
        frontier: frontier(&problem, &solver, &limits)?,
        worth: worth(&problem, &portfolio, &solver, &limits)?,
        foresight: if question.samples == 0 {
            None
        } else {
            Some(foreseen(
                catalogue, question, periods, &problem, &portfolio, &solver, &limits,
            )?)
        },
        portfolio,
    })
}

fn foreseen(
    catalogue: &Catalogue,
    question: &Question,
    periods: &[Period],
    problem: &PortfolioProblem,
    portfolio: &Portfolio,
    solver: &SolverProgram,
    limits: &Limits,
) -> Result<Foresight> {
    let futures = futures(catalogue, question.as_of, periods, question.seed, FUTURES);
    foresight(problem, portfolio, futures, solver, limits)
}
