//! What the right to wait is worth: adoption as a real option.
//!
//! Whoever may adopt later sees first how the benefit develops, and can leave it. The discounted benefit V(t) of adopting at
//! month t is multiplied by a random factor that is 1 on average and whose logarithm moves by the volatility; the cost K(t),
//! risk included, is known. The option is worth the best stopping rule's mean of max(V - K, 0), found backwards through a
//! recombining binomial tree (Cox, Ross and Rubinstein). Both are discounted to today already, so the tree does not discount.

use serde::Serialize;

use crate::{catalogue::Technology, timing::Timing};

/// Steps of the tree for each month.
const STEPS_PER_MONTH: usize = 4;
/// Volatility below which the future counts as known.
const LEAST_VOLATILITY: f64 = 1e-6;

/// The right to wait, beside adopting at once or never.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Waiting {
    /// Value of adopting at once, or of never doing it: max(V - K, 0), money.
    pub now: f64,
    /// Value of the right to choose the time, money.
    pub option: f64,
    /// What waiting adds: option - now.
    pub worth: f64,
    /// Months for which one may wait.
    pub months: u32,
    /// Standard deviation of the benefit's yearly change.
    pub volatility: f64,
}

/// The value of waiting for a technology whose curve is known.
pub fn waiting(technology: &Technology, timing: &Timing) -> Waiting {
    let volatility = technology
        .trend
        .volatility
        .unwrap_or_else(|| relative_spread(technology));
    let benefits: Vec<f64> = timing
        .curve
        .iter()
        .map(|moment| moment.outcome.benefit)
        .collect();
    let costs: Vec<f64> = timing
        .curve
        .iter()
        .map(|moment| moment.outcome.cost + moment.outcome.risk)
        .collect();
    let now = match (benefits.first(), costs.first()) {
        (Some(benefit), Some(cost)) => (benefit - cost).max(0.0),
        _ => 0.0,
    };
    let option = option_value(&benefits, &costs, volatility);
    Waiting {
        now,
        option,
        worth: (option - now).max(0.0),
        months: benefits.len().saturating_sub(1) as u32,
        volatility,
    }
}

/// Half the middle two thirds of the benefit's estimate against its mean: one standard deviation.
fn relative_spread(technology: &Technology) -> f64 {
    let benefit = &technology.monthly_benefit.distribution;
    let (low, high) = (benefit.quantile(0.1587), benefit.quantile(0.8413));
    let mean = benefit.mean();
    if mean > 0.0 {
        (high - low) / 2.0 / mean
    } else {
        0.0
    }
}

/// The value of the right to receive `benefits[t]` × factor for `costs[t]` at one month t of choice, or never.
///
/// `volatility` is that of the factor's logarithm a year.
pub fn option_value(benefits: &[f64], costs: &[f64], volatility: f64) -> f64 {
    let months = benefits.len().min(costs.len());
    let best_known = || {
        let values = benefits
            .iter()
            .zip(costs)
            .map(|(benefit, cost)| benefit - cost);
        values.fold(0.0, f64::max)
    };
    if months < 2 || volatility < LEAST_VOLATILITY {
        return best_known();
    }
    let steps = (months - 1) * STEPS_PER_MONTH;
    let up = (volatility * (1.0 / (12.0 * STEPS_PER_MONTH as f64)).sqrt()).exp();
    let probability_up = (1.0 - 1.0 / up) / (up - 1.0 / up);
    // Index j of a step has gone up j times.
    let factor = |step: usize, ups: usize| up.powi(2 * ups as i32 - step as i32);
    let exercise = |step: usize, ups: usize| {
        let at = step as f64 / STEPS_PER_MONTH as f64;
        (between(benefits, at) * factor(step, ups) - between(costs, at)).max(0.0)
    };
    let mut values: Vec<f64> = (0..=steps).map(|ups| exercise(steps, ups)).collect();
    for step in (0..steps).rev() {
        for ups in 0..=step {
            let wait = probability_up * values[ups + 1] + (1.0 - probability_up) * values[ups];
            values[ups] = wait.max(exercise(step, ups));
        }
        values.truncate(step + 1);
    }
    values.first().copied().unwrap_or(0.0)
}

/// Linear interpolation between months.
fn between(values: &[f64], at: f64) -> f64 {
    let index = (at as usize).min(values.len() - 1);
    let next = (index + 1).min(values.len() - 1);
    let part = at - index as f64;
    values[index] * (1.0 - part) + values[next] * part
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{ContinuousCDF, Normal};

    use super::*;

    #[test]
    fn an_option_that_nothing_hurries_is_worth_what_black_and_scholes_say() {
        let (price, strike, rate, volatility, years) = (100.0_f64, 105.0, 0.05, 0.3, 2.0_f64);
        let months = 24;
        let benefits = vec![price; months + 1];
        let costs: Vec<f64> = (0..=months)
            .map(|month| strike * (-rate * month as f64 / 12.0_f64).exp())
            .collect();
        let normal = Normal::standard();
        let root = volatility * years.sqrt();
        let d1 = ((price / strike).ln() + (rate + volatility * volatility / 2.0) * years) / root;
        let expected =
            price * normal.cdf(d1) - strike * (-rate * years).exp() * normal.cdf(d1 - root);
        let found = option_value(&benefits, &costs, volatility);
        assert!(
            (found - expected).abs() < 0.005 * expected,
            "{found} {expected}"
        );
    }

    #[test]
    fn without_uncertainty_waiting_is_worth_the_best_month() {
        assert_eq!(option_value(&[10.0, 9.0, 8.0], &[9.0, 3.0, 7.0], 0.0), 6.0);
        assert_eq!(option_value(&[1.0, 1.0], &[9.0, 9.0], 0.0), 0.0);
        assert_eq!(option_value(&[], &[], 0.3), 0.0);
    }

    #[test]
    fn more_uncertainty_makes_waiting_worth_more() {
        let benefits = vec![100.0; 13];
        let costs = vec![100.0; 13];
        let mut before = 0.0;
        for volatility in [0.0, 0.1, 0.2, 0.5, 1.0] {
            let value = option_value(&benefits, &costs, volatility);
            assert!(value >= before, "{volatility}");
            before = value;
        }
        assert!(before > 30.0);
    }
}
