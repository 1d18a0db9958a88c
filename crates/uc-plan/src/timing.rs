//! When to adopt: benefit, cost and success as functions of time, and the best time t* = argmax ROI(T, t) (M9.1).
//!
//! A technology adopted in month s after the day of the question brings its benefit and takes its cost from the month after
//! until the horizon. Meanwhile
//!
//! - the monthly cost falls by the trend's `cost_decline` a year, and policies multiply it from their date on;
//! - effort and failure probability fall by `learning` a year, since others have gone before;
//! - whoever adopts before the standard keeps the whole benefit, whoever comes later the share `late_benefit`;
//! - the standard leaves the share `standard_failure` of the failure probability.
//!
//! Figures hold for the catalogue's date; amounts are discounted to the day of the question.

use serde::Serialize;
use uc_model::Date;

use crate::{
    adoption::{Inputs, Outcome, Weights},
    catalogue::{Catalogue, Technology},
};

/// The weights of a technology's figures when it is adopted `start_months` after `as_of`.
pub fn weights(
    catalogue: &Catalogue,
    technology: &Technology,
    as_of: Date,
    start_months: u32,
) -> Weights {
    let trend = &technology.trend;
    let adopted = as_of.plus_months(i64::from(start_months));
    let is_late = adopted >= technology.standardised;
    let (mut benefit, mut cost) = (0.0, 0.0);
    for month in start_months + 1..=catalogue.horizon_months {
        let (benefit_factor, cost_factor) =
            policy_factors(technology, as_of.plus_months(i64::from(month)));
        let discount = discount(catalogue, month);
        benefit += discount * benefit_factor;
        cost += discount * cost_factor * decay(trend.cost_decline, years(catalogue, as_of, month));
    }
    let learned = decay(trend.learning, years(catalogue, as_of, start_months));
    let discount = discount(catalogue, start_months);
    Weights {
        benefit: benefit * if is_late { trend.late_benefit } else { 1.0 },
        cost,
        effort: catalogue.person_day_cost * learned * discount,
        failure: learned * if is_late { trend.standard_failure } else { 1.0 },
        impact: discount,
    }
}

/// What a month's cost has become after so many months, as a share of the catalogue's figure; not discounted.
pub fn monthly_cost_share(
    catalogue: &Catalogue,
    technology: &Technology,
    as_of: Date,
    month: u32,
) -> f64 {
    let (_, cost_factor) = policy_factors(technology, as_of.plus_months(i64::from(month)));
    cost_factor
        * decay(
            technology.trend.cost_decline,
            years(catalogue, as_of, month),
        )
}

/// What the effort has become after so many months, as a share of the catalogue's figure.
pub fn effort_share(
    catalogue: &Catalogue,
    technology: &Technology,
    as_of: Date,
    month: u32,
) -> f64 {
    decay(technology.trend.learning, years(catalogue, as_of, month))
}

/// The price of money so many months away.
fn discount(catalogue: &Catalogue, months: u32) -> f64 {
    (1.0 + catalogue.discount_rate).powf(-f64::from(months) / 12.0)
}

fn decay(share_a_year: f64, years: f64) -> f64 {
    (1.0 - share_a_year).powf(years)
}

/// Years from the catalogue's date to a month after `as_of`; before the catalogue's date nothing has been learned.
fn years(catalogue: &Catalogue, as_of: Date, months: u32) -> f64 {
    let day = as_of.plus_months(i64::from(months));
    catalogue.dated.whole_months_until(day).max(0) as f64 / 12.0
}

fn policy_factors(technology: &Technology, day: Date) -> (f64, f64) {
    let in_force = technology
        .trend
        .policies
        .iter()
        .filter(|policy| policy.date <= day);
    in_force.fold((1.0, 1.0), |(benefit, cost), policy| {
        (benefit * policy.benefit_factor, cost * policy.cost_factor)
    })
}

/// The expected figures of a technology.
pub fn expected(technology: &Technology) -> Inputs {
    Inputs {
        benefit: technology.monthly_benefit.mean(),
        cost: technology.monthly_cost.mean(),
        effort: technology.effort.mean(),
        failure: technology.failure_probability.mean(),
        impact: technology.impact.mean(),
    }
}

/// Adoption at one time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Moment {
    /// Months after the day of the question.
    pub month: u32,
    /// The day.
    pub date: Date,
    /// Until the horizon, discounted.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// benefit - cost - risk.
    pub value: f64,
    /// (benefit - cost) / cost; `None` where there is no cost.
    pub net_return: Option<f64>,
}

/// The curve of a technology and its best times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timing {
    /// One for each month before the horizon.
    pub curve: Vec<Moment>,
    /// The month of the greatest ROI (t*), the earliest of equals. Where nothing costs, ROI is without bound at every time,
    /// and the month of the greatest value stands here: the limit for a vanishing cost.
    pub best_month: u32,
    /// The month of the greatest value, the earliest of equals.
    pub most_valuable_month: u32,
    /// Whether adopting at the most valuable month brings more than it takes.
    pub is_worthwhile: bool,
}

/// The curve of a technology over every month before the horizon.
pub fn timing(catalogue: &Catalogue, technology: &Technology, as_of: Date) -> Timing {
    let inputs = expected(technology);
    let curve: Vec<Moment> = (0..catalogue.horizon_months)
        .map(|month| {
            let weights = weights(catalogue, technology, as_of, month);
            let outcome = Outcome::of(&inputs, &weights);
            Moment {
                month,
                date: as_of.plus_months(i64::from(month)),
                value: outcome.value(),
                net_return: (outcome.cost > 0.0)
                    .then(|| (outcome.benefit - outcome.cost) / outcome.cost),
                outcome,
            }
        })
        .collect();
    let most_valuable = earliest_greatest(&curve, |moment| moment.value);
    let best = if curve.iter().any(|moment| moment.net_return.is_none()) {
        most_valuable
    } else {
        earliest_greatest(&curve, |moment| {
            moment.net_return.unwrap_or(f64::NEG_INFINITY)
        })
    };
    Timing {
        best_month: best,
        most_valuable_month: most_valuable,
        is_worthwhile: curve
            .get(most_valuable as usize)
            .is_some_and(|moment| moment.value > 0.0),
        curve,
    }
}

/// Differences below a billionth are rounding.
fn earliest_greatest(curve: &[Moment], key: impl Fn(&Moment) -> f64) -> u32 {
    let mut best: Option<(u32, f64)> = None;
    for moment in curve {
        let value = key(moment);
        if best.is_none_or(|(_, greatest)| value > greatest + 1e-9 * greatest.abs()) {
            best = Some((moment.month, value));
        }
    }
    best.map_or(0, |(month, _)| month)
}
