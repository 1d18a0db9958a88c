//! The whole answer of `uc plan`, as JSON prints it and as every other form is made from it.

use serde::Serialize;
use uc_model::{Date, Result};
use uc_plan::{
    Catalogue, Estimate,
    contradiction::{Check, check},
    evaluation::{Evaluation, Totals, evaluate},
    timing::{Timing, timing},
    waiting::{Waiting, waiting},
};

use super::Question;

/// Everything that is known about one technology on the day of the question.
#[derive(Debug, Serialize)]
pub(super) struct Subject {
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) number: Option<u32>,
    pub(super) name: String,
    pub(super) figures: Figures,
    #[serde(flatten)]
    pub(super) evaluation: Evaluation,
    pub(super) timing: Timing,
    pub(super) waiting: Waiting,
}

/// The figures of the catalogue that the answer rests on.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) maturity: Estimate,
    pub(super) monthly_cost: Estimate,
    pub(super) monthly_benefit: Estimate,
    pub(super) failure_probability: Estimate,
    pub(super) impact: Estimate,
    pub(super) effort_person_days: Estimate,
}

/// The answer to a question.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) catalogue: String,
    pub(super) dated: Date,
    pub(super) as_of: Date,
    pub(super) currency: String,
    pub(super) person_day_cost: f64,
    pub(super) discount_rate: f64,
    pub(super) horizon_months: u32,
    pub(super) technologies: Vec<Subject>,
    pub(super) totals: Totals,
    pub(super) contradictions: Vec<Check>,
}

impl Answer {
    pub(super) fn new(catalogue: &Catalogue, question: &Question) -> Result<Self> {
        let evaluations = evaluate(catalogue, question.as_of);
        let technologies = catalogue.technologies.iter().zip(evaluations);
        let subjects = technologies
            .map(|(technology, evaluation)| {
                let timing = timing(catalogue, technology, question.as_of);
                Subject {
                    id: technology.id.clone(),
                    number: technology.number,
                    name: technology.name.clone(),
                    figures: Figures {
                        maturity: technology.maturity.clone(),
                        monthly_cost: technology.monthly_cost.clone(),
                        monthly_benefit: technology.monthly_benefit.clone(),
                        failure_probability: technology.failure_probability.clone(),
                        impact: technology.impact.clone(),
                        effort_person_days: technology.effort.clone(),
                    },
                    waiting: waiting(technology, &timing),
                    timing,
                    evaluation,
                }
            })
            .collect();
        Ok(Self {
            catalogue: catalogue.name.clone(),
            dated: catalogue.dated,
            as_of: question.as_of,
            currency: catalogue.currency.clone(),
            person_day_cost: catalogue.person_day_cost,
            discount_rate: catalogue.discount_rate,
            horizon_months: catalogue.horizon_months,
            technologies: subjects,
            totals: Totals::of(&catalogue.technologies),
            contradictions: check(catalogue),
        })
    }
}
