//! The technologies to decide about, with every figure and its provenance.

use uc_model::Date;

use crate::estimate::Estimate;

/// Technologies and what they are judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    /// What it is called.
    pub name: String,
    /// The day for which its figures were true.
    pub dated: Date,
    /// Code of the currency, such as `CNY`.
    pub currency: String,
    /// Price of a person-day; zero where effort is counted in days alone, as the source does.
    pub person_day_cost: f64,
    /// Discount rate per year, such as 0.08.
    pub discount_rate: f64,
    /// Months over which benefits and costs are summed.
    pub horizon_months: u32,
    /// A red line counts when its violation costs more than this (M0.4).
    pub red_line_threshold: f64,
    /// In the order of the file; at least one.
    pub technologies: Vec<Technology>,
}

/// A technology that may be adopted.
#[derive(Debug, Clone, PartialEq)]
pub struct Technology {
    /// Short name: letters, digits, hyphens.
    pub id: String,
    /// Its number in the source, if it has one.
    pub number: Option<u32>,
    /// Its name for people.
    pub name: String,
    /// Maturity, 0 to 1 (M0.1).
    pub maturity: Estimate,
    /// The day on which it is standardised: the window shuts (M0.3).
    pub standardised: Date,
    /// Other days that matter.
    pub milestones: Vec<Milestone>,
    /// Money per month.
    pub monthly_cost: Estimate,
    /// Money per month.
    pub monthly_benefit: Estimate,
    /// 0 to 1.
    pub failure_probability: Estimate,
    /// Money lost by a failure.
    pub impact: Estimate,
    /// Person-days to adopt it.
    pub effort: Estimate,
    /// Constraints whose violation is costly (M0.4).
    pub red_lines: Vec<RedLine>,
    /// Positions in the catalogue of what must be adopted no later.
    pub requires: Vec<usize>,
    /// Positions in the catalogue of what cannot be adopted beside it.
    pub excludes: Vec<usize>,
    /// How its figures change with time.
    pub trend: Trend,
}

/// A dated event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// When.
    pub date: Date,
    /// What happens.
    pub text: String,
}

/// A constraint and what breaking it costs.
#[derive(Debug, Clone, PartialEq)]
pub struct RedLine {
    /// Such as `6.1`.
    pub id: String,
    /// What must hold.
    pub constraint: String,
    /// Money.
    pub violation_cost: Estimate,
}

/// How a technology's figures change with time.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// By which share the monthly cost falls a year, 0 to 1.
    pub cost_decline: f64,
    /// By which share effort and failure probability fall a year as others learn, 0 to 1.
    pub learning: f64,
    /// What remains of the benefit of whoever adopts after the standard, 0 to 1: the front-runner's advantage is gone.
    pub late_benefit: f64,
    /// What remains of the failure probability once the standard is frozen, 0 to 1.
    pub standard_failure: f64,
    /// From a date on, benefit or cost are multiplied by a factor.
    pub policies: Vec<Policy>,
}

/// A dated change of rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// From when it holds.
    pub date: Date,
    /// What changes.
    pub text: String,
    /// On the monthly benefit.
    pub benefit_factor: f64,
    /// On the monthly cost.
    pub cost_factor: f64,
}
