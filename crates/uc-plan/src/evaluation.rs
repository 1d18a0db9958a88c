//! The evaluation of technologies on a day: vector, undercurrent predicate, window, returns, risk, priority (M0, M9).

use std::cmp::Ordering;

use serde::Serialize;
use uc_model::Date;

use crate::catalogue::{Catalogue, RedLine, Technology, ViolationCost};

/// Maturities of an undercurrent (M0.2).
const MATURITY: std::ops::RangeInclusive<f64> = 0.3..=0.7;
/// Years in which an undercurrent is standardised (M0.2).
const YEARS: std::ops::RangeInclusive<i32> = 2026..=2027;
/// An undercurrent's window is shorter, in months (M0.2).
const WINDOW_MONTHS: i64 = 18;

/// The vector (M, C, W, R) of a technology (M0.1).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Vector {
    /// Maturity, 0 to 1.
    pub maturity: f64,
    /// Money per month. The source counts it per person-month as well; its own table has one figure per technology.
    pub monthly_cost: f64,
    /// Whole months until the standard; negative once it is there.
    pub window_months: i64,
    /// How many red lines count.
    pub red_lines: usize,
}

/// One condition of the undercurrent predicate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// What must hold.
    pub demand: &'static str,
    /// What was found.
    pub found: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Whether there is still time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// The standard is yet to come.
    Open,
    /// The standard is there.
    Shut,
}

/// Everything about one technology on one day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Its vector.
    pub vector: Vector,
    /// The day of the standard.
    pub standardised: Date,
    /// Whether that day is still to come.
    pub window: Window,
    /// The undercurrent predicate, condition by condition (M0.2).
    pub conditions: Vec<Condition>,
    /// Whether all conditions hold.
    pub is_undercurrent: bool,
    /// (benefit - cost) / cost (M9.1); `None` where the cost is zero: without bound.
    pub net_return: Option<f64>,
    /// benefit / cost, as section 9.2 of the source has it; `None` where the cost is zero: without bound.
    pub gross_return: Option<f64>,
    /// Failure probability × impact, money (M9.3).
    pub risk: f64,
    /// Rank by priority, from 1.
    pub priority: usize,
    /// What the rank follows from.
    pub priority_key: PriorityKey,
}

/// What technologies are ranked by: ROI / risk (M9.4), made a total order.
///
/// Where the cost is zero, ROI is without bound for all alike. Give each the same small cost ε: ROI / risk is then
/// benefit / (ε · risk), so that free technologies stand before all others and among themselves by benefit / risk. Equal
/// keys are ordered by the shorter window, then by less effort, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorityKey {
    /// Free: benefit / risk.
    Free(f64),
    /// Not free: (benefit - cost) / cost / risk.
    Paid(f64),
}

impl PriorityKey {
    /// Of monthly figures and a risk.
    pub fn new(benefit: f64, cost: f64, risk: f64) -> Self {
        // Without any risk a gain is without bound; nothing for nothing is nothing.
        let per_risk = |gain: f64| if gain == 0.0 { 0.0 } else { gain / risk };
        if cost > 0.0 {
            Self::Paid(per_risk((benefit - cost) / cost))
        } else {
            Self::Free(per_risk(benefit))
        }
    }

    /// `Greater` is the more urgent one.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Free(_), Self::Paid(_)) => Ordering::Greater,
            (Self::Paid(_), Self::Free(_)) => Ordering::Less,
            (Self::Free(a), Self::Free(b)) | (Self::Paid(a), Self::Paid(b)) => a.total_cmp(b),
        }
    }
}

/// All technologies of a catalogue on a day, in the catalogue's order.
pub fn evaluate(catalogue: &Catalogue, as_of: Date) -> Vec<Evaluation> {
    let mut evaluations: Vec<Evaluation> = catalogue
        .technologies
        .iter()
        .map(|technology| of_one(catalogue, technology, as_of))
        .collect();
    let mut order: Vec<usize> = (0..evaluations.len()).collect();
    order.sort_by(|&a, &b| {
        let (one, other) = (&catalogue.technologies[a], &catalogue.technologies[b]);
        evaluations[b]
            .priority_key
            .compare(&evaluations[a].priority_key)
            .then(one.standardised.cmp(&other.standardised))
            .then(one.effort.mean().total_cmp(&other.effort.mean()))
            .then(one.id.cmp(&other.id))
    });
    for (rank, &at) in order.iter().enumerate() {
        evaluations[at].priority = rank + 1;
    }
    evaluations
}

/// Positions of technologies, the most urgent first.
pub fn by_priority(evaluations: &[Evaluation]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..evaluations.len()).collect();
    order.sort_by_key(|&at| evaluations[at].priority);
    order
}

fn of_one(catalogue: &Catalogue, technology: &Technology, as_of: Date) -> Evaluation {
    let (benefit, cost) = (
        technology.monthly_benefit.mean(),
        technology.monthly_cost.mean(),
    );
    let risk = technology.failure_probability.mean() * technology.impact.mean();
    let vector = Vector {
        maturity: technology.maturity.mean(),
        monthly_cost: cost,
        window_months: as_of.whole_months_until(technology.standardised),
        red_lines: technology
            .red_lines
            .iter()
            .filter(|line| counts(catalogue, line))
            .count(),
    };
    let conditions = conditions(&vector, technology.standardised);
    let per_cost = |amount: f64| (cost > 0.0).then(|| amount / cost);
    Evaluation {
        window: if technology.standardised > as_of {
            Window::Open
        } else {
            Window::Shut
        },
        standardised: technology.standardised,
        is_undercurrent: conditions.iter().all(|condition| condition.holds),
        net_return: per_cost(benefit - cost),
        gross_return: per_cost(benefit),
        risk,
        priority: 0,
        priority_key: PriorityKey::new(benefit, cost, risk),
        conditions,
        vector,
    }
}

/// Whether breaking a red line costs more than the threshold (M0.4). Work counts at the price of a person-day; where it has
/// none, any work counts.
pub fn counts(catalogue: &Catalogue, line: &RedLine) -> bool {
    match &line.violation_cost {
        ViolationCost::Money(cost) => cost.mean() > catalogue.red_line_threshold,
        ViolationCost::PersonDays(days) if catalogue.person_day_cost > 0.0 => {
            days.mean() * catalogue.person_day_cost > catalogue.red_line_threshold
        }
        ViolationCost::PersonDays(days) => days.mean() > 0.0,
    }
}

fn conditions(vector: &Vector, standardised: Date) -> Vec<Condition> {
    vec![
        Condition {
            demand: "maturity in 0.3 to 0.7",
            found: format!("{:.2}", vector.maturity),
            holds: MATURITY.contains(&vector.maturity),
        },
        Condition {
            demand: "standardised in 2026 or 2027",
            found: standardised.to_string(),
            holds: YEARS.contains(&standardised.year()),
        },
        Condition {
            demand: "window under 18 months",
            found: match vector.window_months {
                months if months < 0 => format!("shut {} months ago", -months),
                months => format!("{months} months"),
            },
            holds: vector.window_months < WINDOW_MONTHS,
        },
        Condition {
            demand: "at least one red line",
            found: vector.red_lines.to_string(),
            holds: vector.red_lines > 0,
        },
    ]
}

/// Sums over all technologies (M9.6), money per month.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Totals {
    /// Of all.
    pub monthly_cost: f64,
    /// Of all.
    pub monthly_benefit: f64,
    /// Expected loss of all, money.
    pub risk: f64,
    /// Effort of all, person-days.
    pub effort_person_days: f64,
}

impl Totals {
    /// Of some technologies of a catalogue.
    pub fn of<'a>(technologies: impl IntoIterator<Item = &'a Technology>) -> Self {
        let mut totals = Self {
            monthly_cost: 0.0,
            monthly_benefit: 0.0,
            risk: 0.0,
            effort_person_days: 0.0,
        };
        for technology in technologies {
            totals.monthly_cost += technology.monthly_cost.mean();
            totals.monthly_benefit += technology.monthly_benefit.mean();
            totals.risk += technology.failure_probability.mean() * technology.impact.mean();
            totals.effort_person_days += technology.effort.mean();
        }
        totals
    }
}
