//! Which figure matters most: how the portfolio's value swings with one figure, and its share of the variance.
//!
//! The value is linear in each figure while the others keep still, and figures are independent. So its mean given one
//! figure is the value with all others at their means, and variances follow in closed form: nothing here is sampled.

use serde::Serialize;

use crate::adoption::{Inputs, Outcome};

use super::{
    experiment::Experiment,
    prospect::{Figure, Prospect},
    variance::variance,
};

/// What one uncertain figure does to the portfolio's value (one bar of a tornado chart).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Swing {
    /// Position of the technology in the experiment.
    pub technology: usize,
    /// Which of its figures.
    pub figure: Figure,
    /// The portfolio's value where this figure has its tenth percentile and all others their means; money.
    pub at_p10: f64,
    /// The same at its ninetieth percentile.
    pub at_p90: f64,
    /// Share of the variance of the portfolio's value that is this figure's alone (Sobol's first-order index), 0 to 1. The
    /// shares' sum falls short of 1 by what figures do jointly.
    pub first_order: f64,
}

impl Swing {
    /// How far the value swings; money, not negative.
    pub fn width(&self) -> f64 {
        (self.at_p90 - self.at_p10).abs()
    }
}

impl Experiment {
    /// The swings of all uncertain figures of chosen technologies, the widest first.
    pub fn tornado(&self) -> Vec<Swing> {
        let value =
            |prospect: &Prospect, inputs: &Inputs| Outcome::of(inputs, &prospect.weights).value();
        let chosen = || {
            self.prospects
                .iter()
                .enumerate()
                .filter(|(_, one)| one.chosen)
        };
        let total: f64 = chosen().map(|(_, one)| value(one, &one.means())).sum();
        let total_variance = self.value_variance();
        let mut swings = Vec::new();
        for (technology, prospect) in chosen() {
            let means = prospect.means();
            let rest = total - value(prospect, &means);
            for figure in Figure::ALL {
                let distribution = prospect.distribution(figure);
                if distribution.is_certain() {
                    continue;
                }
                let at = |share: f64| {
                    let mut inputs = means;
                    *figure.of(&mut inputs) = distribution.quantile(share);
                    rest + value(prospect, &inputs)
                };
                let slope = slope(prospect, &means, figure);
                swings.push(Swing {
                    technology,
                    figure,
                    at_p10: at(0.1),
                    at_p90: at(0.9),
                    first_order: if total_variance > 0.0 {
                        slope * slope * variance(distribution) / total_variance
                    } else {
                        0.0
                    },
                });
            }
        }
        // Stable: equal swings keep the catalogue's order.
        swings.sort_by(|one, other| other.width().total_cmp(&one.width()));
        swings
    }

    /// The exact variance of the portfolio's value, in the square of the currency.
    pub fn value_variance(&self) -> f64 {
        let chosen = self.prospects.iter().filter(|one| one.chosen);
        chosen.map(variance_of_value).sum()
    }
}

/// How much the value grows with a figure.
fn slope(prospect: &Prospect, means: &Inputs, figure: Figure) -> f64 {
    let weights = &prospect.weights;
    let failure = means.failure * weights.failure;
    match figure {
        Figure::Benefit => (1.0 - failure) * weights.benefit,
        Figure::Cost => -weights.cost,
        Figure::Effort => -weights.effort,
        Figure::Failure => {
            -weights.failure * (means.benefit * weights.benefit + means.impact * weights.impact)
        }
        Figure::Impact => -failure * weights.impact,
    }
}

/// Of one technology's value. Benefit and impact meet the failure probability in products: by the law of total variance, what
/// they share is the variance of their mean given the failure, and the mean of their variance given it.
fn variance_of_value(prospect: &Prospect) -> f64 {
    let weights = &prospect.weights;
    let of = |figure: Figure| variance(prospect.distribution(figure));
    let means = prospect.means();
    let failure = means.failure * weights.failure;
    let failure_variance = of(Figure::Failure) * weights.failure.powi(2);
    let given = slope(prospect, &means, Figure::Failure).powi(2) * of(Figure::Failure);
    let benefit = of(Figure::Benefit) * weights.benefit.powi(2);
    let impact = of(Figure::Impact) * weights.impact.powi(2);
    given
        + benefit * ((1.0 - failure).powi(2) + failure_variance)
        + impact * (failure.powi(2) + failure_variance)
        + of(Figure::Cost) * weights.cost.powi(2)
        + of(Figure::Effort) * weights.effort.powi(2)
}
