//! From where on a technology is no longer worthwhile: the value of each figure at which its net present value is zero.

use serde::Serialize;

use crate::adoption::{Inputs, Outcome};

use super::{
    experiment::Experiment,
    prospect::{Figure, Prospect},
};

/// The break-even values of one technology: for each figure, where the value is zero while all other figures have their
/// means. Nothing where the value has the same sign over the figure's whole domain.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BreakEven {
    /// The value with all figures at their means; its sign says on which side of the break-even values the technology is.
    pub value: f64,
    /// The least benefit; money per month.
    pub benefit: Option<f64>,
    /// The greatest cost; money per month.
    pub cost: Option<f64>,
    /// The greatest effort; person-days.
    pub effort: Option<f64>,
    /// The greatest probability of failure, 0 to 1.
    pub failure: Option<f64>,
    /// The greatest impact; money.
    pub impact: Option<f64>,
}

impl Experiment {
    /// The break-even values of each technology, chosen or not.
    pub fn break_even(&self) -> Vec<BreakEven> {
        self.prospects.iter().map(BreakEven::of).collect()
    }
}

impl BreakEven {
    /// Of one technology.
    pub fn of(prospect: &Prospect) -> Self {
        let means = prospect.means();
        let at = |figure: Figure| root(prospect, &means, figure);
        Self {
            value: Outcome::of(&means, &prospect.weights).value(),
            benefit: at(Figure::Benefit),
            cost: at(Figure::Cost),
            effort: at(Figure::Effort),
            failure: at(Figure::Failure),
            impact: at(Figure::Impact),
        }
    }
}

/// Where the value is zero: what the others sum to, over the slope in this figure.
fn root(prospect: &Prospect, means: &Inputs, figure: Figure) -> Option<f64> {
    let weights = &prospect.weights;
    let failure = means.failure * weights.failure;
    let (benefit, impact) = (
        means.benefit * weights.benefit,
        means.impact * weights.impact,
    );
    let (cost, effort) = (means.cost * weights.cost, means.effort * weights.effort);
    let gain = (1.0 - failure) * benefit;
    let loss = failure * impact;
    let (rest, slope) = match figure {
        Figure::Benefit => (cost + effort + loss, (1.0 - failure) * weights.benefit),
        Figure::Cost => (gain - effort - loss, weights.cost),
        Figure::Effort => (gain - cost - loss, weights.effort),
        Figure::Failure => (
            benefit - cost - effort,
            weights.failure * (benefit + impact),
        ),
        Figure::Impact => (gain - cost - effort, failure * weights.impact),
    };
    let root = rest / slope;
    // A value that does not depend on the figure divides by zero, and lies outside with it.
    (root.is_finite() && (0.0..=figure.greatest()).contains(&root)).then_some(root)
}
