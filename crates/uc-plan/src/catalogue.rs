//! The technologies to decide about, with every figure and its provenance.

use serde::Serialize;
use uc_model::Date;

use crate::estimate::Estimate;

mod fields;
mod figures;
mod prerequisites;
mod read;

pub use read::{MAX_CATALOGUE_BYTES, MAX_TECHNOLOGIES};

/// The catalogue that is shipped: the source's eight technologies.
pub const SHIPPED: &str = include_str!("../../../catalog/2025.toml");

/// The JSON schema of catalogue files.
pub const SCHEMA: &str = include_str!("../../../catalog/schema.json");

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
    /// What the catalogue's source says of its own figures, to be held against what follows from them.
    pub claims: Vec<Claim>,
}

/// A statement of the source that can be computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Where the source says it, such as `M9.6`.
    pub id: String,
    /// What it is about.
    pub subject: String,
    /// What the source says.
    pub statement: Statement,
    /// What explains the difference, if anything does.
    pub note: Option<String>,
}

/// What a source says, and so what is computed to be held against it.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// So many of the technologies are undercurrents (M0.2).
    Undercurrents(f64),
    /// The monthly cost of all technologies together.
    TotalMonthlyCost(f64),
    /// The monthly cost of these technologies together.
    MonthlyCostOf(Vec<usize>, f64),
    /// The yearly return (benefit - cost) / cost of a benefit and a cost a year.
    YearlyReturn {
        /// Money a year.
        benefit: f64,
        /// Money a year.
        cost: f64,
        /// The return, 1 for 100 %.
        said: f64,
    },
    /// The return of a technology, which the source forms as benefit / cost where its own definition is
    /// (benefit - cost) / cost.
    Return(usize, f64),
    /// The grades of risk rise with the risks.
    Grades,
    /// The order of priority, first to last.
    Priority(Vec<usize>),
    /// |A Δ B| / |A ∪ B| of two sets of which one holds the other, by their sizes.
    NestedDistance {
        /// Size of the smaller set.
        smaller: f64,
        /// Size of the larger set.
        larger: f64,
        /// The distance, 0 to 1.
        said: f64,
    },
    /// A quotient, such as a price difference against a price.
    Quotient {
        /// Above the line.
        dividend: f64,
        /// Below the line; not zero.
        divisor: f64,
        /// The quotient.
        said: f64,
    },
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
    /// How the source grades its risk, beside its figures.
    pub risk_grade: Option<Grade>,
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

/// A risk in a word (M9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
}

impl Grade {
    /// Every grade.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
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
    /// What breaking it costs.
    pub violation_cost: ViolationCost,
}

/// What breaking a red line costs.
#[derive(Debug, Clone, PartialEq)]
pub enum ViolationCost {
    /// Money.
    Money(Estimate),
    /// Work.
    PersonDays(Estimate),
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
    /// Standard deviation of the benefit's yearly change, such as 0.3, for the value of waiting; `None` takes the spread of
    /// the benefit's estimate.
    pub volatility: Option<f64>,
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
