//! From a catalogue to a portfolio problem.

use uc_model::Date;

use super::{Candidate, Demand, PortfolioProblem};
use crate::{
    adoption::Outcome,
    catalogue::{Catalogue, Technology},
    period::Period,
    timing::{effort_share, expected, monthly_cost_share, weights},
};

/// What a portfolio must respect.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conditions {
    /// Money per month.
    pub monthly_budget: Option<f64>,
    /// Money.
    pub risk_limit: Option<f64>,
    /// Positions in the catalogue.
    pub required: Vec<usize>,
    /// Positions in the catalogue.
    pub forbidden: Vec<usize>,
}

/// The portfolio problem of a catalogue on a day; candidates stand in the catalogue's order, all figures at their means.
pub fn problem(
    catalogue: &Catalogue,
    as_of: Date,
    periods: &[Period],
    conditions: &Conditions,
) -> PortfolioProblem {
    let candidate = |(at, technology): (usize, &Technology)| {
        let inputs = expected(technology);
        let outcomes: Vec<Outcome> = periods
            .iter()
            .map(|period| {
                Outcome::of(
                    &inputs,
                    &weights(catalogue, technology, as_of, period.start_month),
                )
            })
            .collect();
        let over_periods = |amount: f64, share: fn(&Catalogue, &Technology, Date, u32) -> f64| {
            periods
                .iter()
                .map(|period| amount * share(catalogue, technology, as_of, period.start_month))
                .collect()
        };
        Candidate {
            name: technology.id.clone(),
            values: outcomes.iter().map(Outcome::value).collect(),
            risks: outcomes.iter().map(|outcome| outcome.risk).collect(),
            monthly_costs: over_periods(inputs.cost, monthly_cost_share),
            person_days: over_periods(inputs.effort, effort_share),
            requires: technology.requires.clone(),
            excludes: technology.excludes.clone(),
            demand: if conditions.required.contains(&at) {
                Demand::Required
            } else if conditions.forbidden.contains(&at) {
                Demand::Forbidden
            } else {
                Demand::Free
            },
        }
    };
    PortfolioProblem {
        candidates: catalogue
            .technologies
            .iter()
            .enumerate()
            .map(candidate)
            .collect(),
        periods: periods.len(),
        monthly_budget: conditions.monthly_budget,
        person_days: Some(
            periods
                .iter()
                .map(|period| period.person_days_until_end)
                .collect(),
        ),
        risk_limit: conditions.risk_limit,
    }
}
