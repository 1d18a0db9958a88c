//! What adopting one technology at one time is worth: a sum that is linear in the uncertain figures.
//!
//! Time enters through [`Weights`] alone (see `timing`), uncertainty through [`Inputs`] alone, so a sample costs a
//! handful of multiplications.

use serde::Serialize;

/// How much each uncertain figure of a technology weighs, when it is adopted at a certain month.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Discounted months of benefit until the horizon.
    pub benefit: f64,
    /// Discounted months of cost until the horizon.
    pub cost: f64,
    /// Money per person-day of effort: the day's price, learned and discounted.
    pub effort: f64,
    /// What remains of the failure probability by then, 0 to 1.
    pub failure: f64,
    /// Discount on the impact of a failure.
    pub impact: f64,
}

/// One value of each uncertain figure of a technology.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inputs {
    /// Money per month.
    pub benefit: f64,
    /// Money per month.
    pub cost: f64,
    /// Person-days.
    pub effort: f64,
    /// Probability, 0 to 1.
    pub failure: f64,
    /// Money, once.
    pub impact: f64,
}

/// What an adoption brings and takes until the horizon, discounted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outcome {
    /// Expected benefit: only what does not fail brings any.
    pub benefit: f64,
    /// Cost, the effort's price included.
    pub cost: f64,
    /// Expected loss by failure: probability × impact (M9.3).
    pub risk: f64,
}

impl Outcome {
    /// Of one technology.
    pub fn of(inputs: &Inputs, weights: &Weights) -> Self {
        let failure = inputs.failure * weights.failure;
        Self {
            benefit: (1.0 - failure) * inputs.benefit * weights.benefit,
            cost: inputs.cost * weights.cost + inputs.effort * weights.effort,
            risk: failure * inputs.impact * weights.impact,
        }
    }

    /// Net present value: benefit - cost - risk.
    pub fn value(&self) -> f64 {
        self.benefit - self.cost - self.risk
    }
}
