//! The energy ticket, P_saved / P_total, and its trend (M4.3).
//!
//! A share stays between 0 and 1, so the line is fitted to its logit by least squares.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};
use uc_model::Figure;

use super::{Parameter, Scenario, without_noise};

/// The source's points: year and ticket.
const POINTS: [(f64, f64); 3] = [(2020.0, 0.5), (2023.0, 0.7), (2025.5, 0.8)];
/// The source's forecast: year and ticket.
const SOURCE_FORECAST: (f64, f64) = (2030.0, 0.95);
/// The source's cost multiples: year and multiple.
const COST_MULTIPLES: [(f64, f64); 4] =
    [(2020.0, 2.0), (2023.0, 1.4), (2025.5, 1.2), (2030.0, 1.05)];
/// Share of the prediction interval.
const INTERVAL: f64 = 0.9;

/// A year of the source's table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Milestone {
    /// Year; a fraction counts parts of it.
    pub year: f64,
    /// The source's ticket, 0 to 1.
    pub ticket: Figure,
    /// The source's cost as a multiple of copper's.
    pub cost_multiple: Figure,
    /// The fitted ticket of that year.
    pub fitted: Figure,
}

/// The ticket and its forecast.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ticket {
    /// P_saved / P_total now.
    pub ticket: Figure,
    /// The source's years.
    pub milestones: Vec<Milestone>,
    /// Year of the forecast.
    pub forecast_year: f64,
    /// The forecast ticket, 0 to 1.
    pub forecast: Figure,
    /// The lower end of nine in ten.
    pub forecast_low: Figure,
    /// The upper end of nine in ten.
    pub forecast_high: Figure,
    /// Residual standard error of the logit.
    pub residual_error: Figure,
    /// Root mean square of what the fit to the other points misses each by.
    pub leave_one_out_error: Figure,
    /// What the source says of 2030.
    pub source_forecast: Figure,
}

/// A straight line through logits.
#[derive(Debug, Clone, Copy)]
struct Fit {
    mean_year: f64,
    mean_logit: f64,
    slope: f64,
    spread: f64,
    residual: f64,
    count: f64,
}

fn logit(share: f64) -> f64 {
    (share / (1.0 - share)).ln()
}

fn share(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

impl Fit {
    /// Of at least two points of different years.
    fn of(points: &[(f64, f64)]) -> Self {
        let count = points.len() as f64;
        let mean_year = points.iter().map(|(year, _)| year).sum::<f64>() / count;
        let mean_logit = points.iter().map(|(_, ticket)| logit(*ticket)).sum::<f64>() / count;
        let spread: f64 = points
            .iter()
            .map(|(year, _)| (year - mean_year).powi(2))
            .sum();
        let slope = points
            .iter()
            .map(|(year, ticket)| (year - mean_year) * (logit(*ticket) - mean_logit))
            .sum::<f64>()
            / spread;
        let fit = Self {
            mean_year,
            mean_logit,
            slope,
            spread,
            residual: 0.0,
            count,
        };
        let squares: f64 = points
            .iter()
            .map(|(year, ticket)| (logit(*ticket) - fit.logit(*year)).powi(2))
            .sum();
        Self {
            residual: (squares / (count - 2.0).max(1.0)).sqrt(),
            ..fit
        }
    }

    fn logit(&self, year: f64) -> f64 {
        self.mean_logit + self.slope * (year - self.mean_year)
    }

    /// Half the width of the prediction interval of a year, in logits.
    fn half_width(&self, year: f64) -> f64 {
        let freedom = (self.count - 2.0).max(1.0);
        let quantile = StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| {
            t.inverse_cdf(f64::midpoint(1.0, INTERVAL))
        });
        let leverage = 1.0 + 1.0 / self.count + (year - self.mean_year).powi(2) / self.spread;
        quantile * self.residual * leverage.sqrt()
    }
}

fn leave_one_out() -> f64 {
    let squares = (0..POINTS.len()).map(|left_out| {
        let others: Vec<(f64, f64)> = POINTS
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != left_out)
            .map(|(_, point)| *point)
            .collect();
        let (year, ticket) = POINTS[left_out];
        (share(Fit::of(&others).logit(year)) - ticket).powi(2)
    });
    (squares.sum::<f64>() / POINTS.len() as f64).sqrt()
}

pub(super) fn ticket(scenario: &Scenario) -> Ticket {
    let (total, remaining) = (
        scenario.figure(Parameter::TotalPower).value,
        scenario.figure(Parameter::RemainingPower).value,
    );
    let year = scenario.forecast_year.quantity;
    let fit = Fit::of(&POINTS);
    let (middle, half) = (fit.logit(year), fit.half_width(year));
    let modelled = |value: f64, inputs: &str| Figure::modelled(without_noise(value), "", inputs);
    const FITTED: &str = "least squares through the logits of the source's three points";
    let interval = "nine in ten by Student's t with one degree of freedom";
    Ticket {
        ticket: modelled((total - remaining) / total, "power saved / power before"),
        milestones: COST_MULTIPLES
            .into_iter()
            .map(|(year, multiple)| {
                let stated = POINTS
                    .into_iter()
                    .chain([SOURCE_FORECAST])
                    .find(|(other, _)| *other == year)
                    .map_or(f64::NAN, |(_, ticket)| ticket);
                Milestone {
                    year,
                    ticket: Figure::assumed(stated, "", "source, M4.3"),
                    cost_multiple: Figure::assumed(multiple, "", "source, M4.3"),
                    fitted: modelled(share(fit.logit(year)), FITTED),
                }
            })
            .collect(),
        forecast_year: year,
        forecast: modelled(share(middle), FITTED),
        forecast_low: modelled(share(middle - half), interval),
        forecast_high: modelled(share(middle + half), interval),
        residual_error: Figure::modelled(
            without_noise(fit.residual),
            "logits",
            "residuals with one degree of freedom",
        ),
        leave_one_out_error: modelled(leave_one_out(), "each point forecast from the two others"),
        source_forecast: Figure::assumed(SOURCE_FORECAST.1, "", "source, M4.3, for 2030"),
    }
}
