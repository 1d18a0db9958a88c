//! The whole answer of `uc plan`, as JSON prints it and as every other form is made from it.

use serde::Serialize;
use uc_model::{Date, Result};
use uc_plan::{
    Catalogue, Estimate, Technology,
    catalogue::Grade,
    contradiction::{Check, check},
    evaluation::{Evaluation, Totals, by_priority, evaluate},
    period::{Period, periods},
    timetable::{Assignment, Task, timetable},
    timing::{Timing, timing},
    waiting::{Waiting, waiting},
};

use super::{
    Question,
    selection::{Selection, select},
    uncertainty::{Uncertainty, sample},
};

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
    /// How the source grades its risk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) risk_grade: Option<Grade>,
    /// Days that matter, beside that of the standard.
    pub(super) milestones: Vec<(Date, String)>,
    /// The price of a person-day above which adopting now no longer pays; none if it never does, or takes no effort.
    pub(super) break_even_person_day: Option<f64>,
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
    pub(super) periods: Vec<Period>,
    pub(super) selection: Selection,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uncertainty: Option<Uncertainty>,
    pub(super) timetable: Vec<Assignment>,
    pub(super) watch: Vec<Watch>,
    pub(super) contradictions: Vec<Check>,
}

/// A technology that is not adopted while its window is still open.
#[derive(Debug, Serialize)]
pub(super) struct Watch {
    /// Its position in the catalogue.
    pub(super) technology: usize,
    /// When to look at it again: at its best time, and before its window shuts.
    pub(super) review: Date,
    /// When its window shuts.
    pub(super) standardised: Date,
}

impl Answer {
    pub(super) fn new(catalogue: &Catalogue, question: &Question) -> Result<Self> {
        let evaluations = evaluate(catalogue, question.as_of);
        let order = by_priority(&evaluations);
        let technologies = catalogue.technologies.iter().zip(evaluations);
        let subjects: Vec<Subject> = technologies
            .map(|(technology, evaluation)| subject(catalogue, question, technology, evaluation))
            .collect();
        let periods = periods(&question.team, question.quarters);
        let selection = select(catalogue, question, &periods)?;
        let uncertainty = sample(catalogue, question, &periods, &selection)?;
        Ok(Self {
            catalogue: catalogue.name.clone(),
            dated: catalogue.dated,
            as_of: question.as_of,
            currency: catalogue.currency.clone(),
            person_day_cost: catalogue.person_day_cost,
            discount_rate: catalogue.discount_rate,
            horizon_months: catalogue.horizon_months,
            totals: Totals::of(&catalogue.technologies),
            timetable: schedule(catalogue, question, &periods, &selection, &order)?,
            watch: watch(question, &subjects, &selection),
            technologies: subjects,
            periods,
            selection,
            uncertainty,
            contradictions: check(catalogue),
        })
    }

    /// How a technology is called in tables and charts.
    pub(super) fn label(&self, technology: usize) -> String {
        self.technologies
            .get(technology)
            .map(|subject| subject.id.clone())
            .unwrap_or_default()
    }
}

fn subject(
    catalogue: &Catalogue,
    question: &Question,
    technology: &Technology,
    evaluation: Evaluation,
) -> Subject {
    let timing = timing(catalogue, technology, question.as_of);
    let effort = technology.effort.mean();
    // Without a price of effort, what is left for each of its days.
    let unpriced = timing
        .curve
        .first()
        .map_or(0.0, |now| now.value + effort * catalogue.person_day_cost);
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
        break_even_person_day: (effort > 0.0 && unpriced > 0.0).then(|| unpriced / effort),
        waiting: waiting(technology, &timing),
        risk_grade: technology.risk_grade,
        milestones: technology
            .milestones
            .iter()
            .map(|milestone| (milestone.date, milestone.text.clone()))
            .collect(),
        timing,
        evaluation,
    }
}

/// The adopted technologies as tasks: by period, then by priority.
fn schedule(
    catalogue: &Catalogue,
    question: &Question,
    periods: &[Period],
    selection: &Selection,
    priority: &[usize],
) -> Result<Vec<Assignment>> {
    let mut adoptions: Vec<_> = selection.portfolio.adoptions.iter().collect();
    adoptions.sort_by_key(|one| {
        let rank = priority.iter().position(|&at| at == one.candidate);
        (one.period, rank)
    });
    let place = |technology: usize| adoptions.iter().position(|one| one.candidate == technology);
    let tasks: Vec<Task> = adoptions
        .iter()
        .map(|one| Task {
            technology: one.candidate,
            ready: periods
                .get(one.period)
                .map_or(question.as_of, |period| period.start),
            person_days: one.person_days,
            requires: catalogue.technologies[one.candidate]
                .requires
                .iter()
                .filter_map(|&required| place(required))
                .collect(),
        })
        .collect();
    timetable(&tasks, &question.team)
}

fn watch(question: &Question, subjects: &[Subject], selection: &Selection) -> Vec<Watch> {
    let is_adopted = |at: usize| {
        selection
            .portfolio
            .adoptions
            .iter()
            .any(|one| one.candidate == at)
    };
    subjects
        .iter()
        .enumerate()
        .filter(|(at, subject)| {
            !is_adopted(*at) && subject.evaluation.standardised > question.as_of
        })
        .map(|(at, subject)| {
            let best = question
                .as_of
                .plus_months(i64::from(subject.timing.best_month));
            let before_shut = subject.evaluation.standardised.plus_months(-1);
            Watch {
                technology: at,
                review: best.min(before_shut).max(question.as_of),
                standardised: subject.evaluation.standardised,
            }
        })
        .collect()
}
