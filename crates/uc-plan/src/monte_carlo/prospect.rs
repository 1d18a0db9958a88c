//! What is sampled: a technology's uncertain figures, and what they weigh when it is adopted at a certain month.

use serde::Serialize;
use uc_model::{Problem, Result};

use crate::{
    adoption::{Inputs, Weights},
    catalogue::Technology,
    estimate::Distribution,
};

/// One of the uncertain figures of a technology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// Money per month.
    Benefit,
    /// Money per month.
    Cost,
    /// Person-days.
    Effort,
    /// Probability of failure, 0 to 1.
    Failure,
    /// Money lost by a failure.
    Impact,
}

impl Figure {
    /// All of them, in the order of their dimensions.
    pub const ALL: [Self; 5] = [
        Self::Benefit,
        Self::Cost,
        Self::Effort,
        Self::Failure,
        Self::Impact,
    ];

    /// The greatest value that makes sense; the least is zero for all.
    pub fn greatest(self) -> f64 {
        match self {
            Self::Failure => 1.0,
            _ => f64::INFINITY,
        }
    }

    /// Its place among the inputs.
    pub(super) fn of(self, inputs: &mut Inputs) -> &mut f64 {
        match self {
            Self::Benefit => &mut inputs.benefit,
            Self::Cost => &mut inputs.cost,
            Self::Effort => &mut inputs.effort,
            Self::Failure => &mut inputs.failure,
            Self::Impact => &mut inputs.impact,
        }
    }
}

/// A technology as an experiment sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prospect {
    /// Money per month.
    pub benefit: Distribution,
    /// Money per month.
    pub cost: Distribution,
    /// Person-days.
    pub effort: Distribution,
    /// Probability, 0 to 1.
    pub failure: Distribution,
    /// Money, once.
    pub impact: Distribution,
    /// What the figures weigh when it is adopted at the month in question.
    pub weights: Weights,
    /// Whether it belongs to the portfolio.
    pub chosen: bool,
}

impl Prospect {
    /// A technology of a catalogue, adopted at the month to which the weights belong.
    pub fn new(technology: &Technology, weights: Weights, chosen: bool) -> Self {
        Self {
            benefit: technology.monthly_benefit.distribution,
            cost: technology.monthly_cost.distribution,
            effort: technology.effort.distribution,
            failure: technology.failure_probability.distribution,
            impact: technology.impact.distribution,
            weights,
            chosen,
        }
    }

    /// One of its figures.
    pub fn distribution(&self, figure: Figure) -> &Distribution {
        match figure {
            Figure::Benefit => &self.benefit,
            Figure::Cost => &self.cost,
            Figure::Effort => &self.effort,
            Figure::Failure => &self.failure,
            Figure::Impact => &self.impact,
        }
    }

    /// The figures' expected values.
    pub fn means(&self) -> Inputs {
        Inputs {
            benefit: self.benefit.mean(),
            cost: self.cost.mean(),
            effort: self.effort.mean(),
            failure: self.failure.mean(),
            impact: self.impact.mean(),
        }
    }

    /// That each figure keeps within its domain and each weight is a number that is not negative.
    pub(super) fn check(&self, position: usize) -> Result<()> {
        for figure in Figure::ALL {
            let distribution = self.distribution(figure);
            let (low, high) = (distribution.quantile(0.0), distribution.quantile(1.0));
            // Rounding may lead just beyond an end.
            let allowed = -1e-12..=figure.greatest() * (1.0 + 1e-12);
            let possible = low.is_finite() && high.is_finite() && low <= high;
            if !(possible && allowed.contains(&low) && allowed.contains(&high)) {
                return Err(Problem::invalid("a figure leaves its domain")
                    .at(format!("{figure:?} of technology {}", position + 1))
                    .limit(format!("0 to {}", figure.greatest()))
                    .found(format!("{low} to {high}")));
            }
        }
        let Weights {
            benefit,
            cost,
            effort,
            failure,
            impact,
        } = self.weights;
        for (name, weight, greatest) in [
            ("benefit", benefit, f64::MAX),
            ("cost", cost, f64::MAX),
            ("effort", effort, f64::MAX),
            ("failure", failure, 1.0),
            ("impact", impact, f64::MAX),
        ] {
            if !(0.0..=greatest).contains(&weight) {
                return Err(Problem::invalid("a weight leaves its domain")
                    .at(format!("{name} of technology {}", position + 1))
                    .limit(format!("0 to {greatest}"))
                    .found(weight.to_string()));
            }
        }
        Ok(())
    }
}
