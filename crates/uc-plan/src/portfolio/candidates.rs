//! From a catalogue to a portfolio problem.

use uc_model::Date;

use super::{Candidate, Demand, PortfolioProblem};
use crate::{
    adoption::{Inputs, Outcome},
    catalogue::{Catalogue, Technology},
    estimate::Distribution,
    monte_carlo::splitmix,
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
        periods: periods.iter().map(|period| period.label.clone()).collect(),
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

/// The values of a catalogue's technologies in futures drawn from its distributions, for
/// [`foresight`](super::foresight()): one list of candidates and periods for each future.
pub fn futures<'a>(
    catalogue: &'a Catalogue,
    as_of: Date,
    periods: &'a [Period],
    seed: u64,
    count: usize,
) -> impl Iterator<Item = Vec<Vec<f64>>> + 'a {
    let weights: Vec<Vec<_>> = catalogue
        .technologies
        .iter()
        .map(|technology| {
            periods
                .iter()
                .map(|period| weights(catalogue, technology, as_of, period.start_month))
                .collect()
        })
        .collect();
    (0..count).map(move |future| {
        let mut counter = 0;
        let mut draw = |distribution: &Distribution| {
            counter += 1;
            let bits = splitmix::at(splitmix::at(seed, future as u64), counter);
            // The middle of one of 2^53 equal parts of the unit interval.
            distribution.quantile(((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64)
        };
        let technologies = catalogue.technologies.iter().zip(&weights);
        technologies
            .map(|(technology, weights)| {
                let inputs = Inputs {
                    benefit: draw(&technology.monthly_benefit.distribution),
                    cost: draw(&technology.monthly_cost.distribution),
                    effort: draw(&technology.effort.distribution),
                    failure: draw(&technology.failure_probability.distribution),
                    impact: draw(&technology.impact.distribution),
                };
                weights
                    .iter()
                    .map(|weights| Outcome::of(&inputs, weights).value())
                    .collect()
            })
            .collect()
    })
}
