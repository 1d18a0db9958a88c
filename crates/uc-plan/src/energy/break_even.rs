//! At which value of one input cooling costs a given multiple of what copper loses, all others fixed.

use serde::Serialize;
use uc_model::{Figure, Provenance, Result};

use super::{Parameter, Scenario, line::Costs, without_noise};

/// One input's break-even.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BreakEven {
    /// The input that varies.
    pub parameter: Parameter,
    /// Its name.
    pub title: &'static str,
    /// The ratio of cooling to copper that is looked for.
    pub ratio: f64,
    /// The value at which it is reached; the least of several.
    pub value: Option<Figure>,
    /// Where it was looked for, in the parameter's unit.
    pub from: f64,
    /// The other end.
    pub to: f64,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_none: Option<String>,
}

/// Inputs that vary.
const SEARCHED: [Parameter; 4] = [
    Parameter::Current,
    Parameter::LineLength,
    Parameter::ElectricityPrice,
    Parameter::NitrogenPrice,
];
/// How many times smaller and larger than the scenario's own value is looked: the bounds then mean the same in any currency.
const RANGE: f64 = 1_000.0;
/// Intervals that are looked at for a change of sign.
const INTERVALS: usize = 128;
/// Halvings of the interval found: down to the last bit.
const HALVINGS: usize = 200;
/// Differences of ratios below this are rounding.
const TOLERANCE: f64 = 1e-9;

pub(super) fn search(scenario: &Scenario, ratio: f64) -> Result<Vec<BreakEven>> {
    SEARCHED
        .into_iter()
        .map(|parameter| one(scenario, ratio, parameter))
        .collect()
}

fn one(scenario: &Scenario, ratio: f64, parameter: Parameter) -> Result<BreakEven> {
    let own = match scenario.figure(parameter).value {
        value if value > 0.0 => value,
        _ => parameter.stated(),
    };
    let (least, most) = parameter.bounds();
    let from = without_noise((own / RANGE).max(least));
    let to = without_noise((own * RANGE).min(most));
    let mut varied = scenario.clone();
    // Cooling less the multiple of copper, as a share of their sum, so that the scale of money does not matter.
    let mut excess = |value: f64| -> Result<f64> {
        varied.set(parameter, value, Provenance::Assumed("search".into()))?;
        let costs = Costs::of(&varied)?;
        let (cooling, copper) = (
            costs.cooling_per_month().amount(),
            ratio * costs.copper.amount(),
        );
        let sum = cooling + copper;
        Ok(if sum > 0.0 {
            (cooling - copper) / sum
        } else {
            0.0
        })
    };
    let root = find(&mut excess, from, to)?;
    let why_none = match root {
        Some(_) => None,
        None => Some(why(excess(from)?, excess(to)?)),
    };
    Ok(BreakEven {
        parameter,
        title: parameter.title(),
        ratio,
        value: root.map(|value| {
            Figure::modelled(
                without_noise(value),
                &parameter.unit(&scenario.currency),
                "root of cooling - ratio × copper, all other inputs fixed",
            )
        }),
        from,
        to,
        why_none,
    })
}

/// The least root between two positive ends, looked for at equal quotients.
fn find(excess: &mut impl FnMut(f64) -> Result<f64>, from: f64, to: f64) -> Result<Option<f64>> {
    let at = |step: usize| from * (to / from).powf(step as f64 / INTERVALS as f64);
    let mut before = excess(from)?;
    if before.abs() <= TOLERANCE && excess(to)?.abs() > TOLERANCE {
        return Ok(Some(from));
    }
    for step in 1..=INTERVALS {
        let here = excess(at(step))?;
        if here.abs() <= TOLERANCE && before.abs() > TOLERANCE {
            return Ok(Some(at(step)));
        }
        if before.abs() > TOLERANCE && before.signum() != here.signum() {
            return halve(excess, at(step - 1), at(step)).map(Some);
        }
        before = here;
    }
    Ok(None)
}

fn halve(excess: &mut impl FnMut(f64) -> Result<f64>, mut low: f64, mut high: f64) -> Result<f64> {
    let sign = excess(low)?.signum();
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if excess(middle)?.signum() == sign {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(f64::midpoint(low, high))
}

fn why(at_low: f64, at_high: f64) -> String {
    if (at_low - at_high).abs() <= TOLERANCE {
        "the ratio does not depend on it".into()
    } else if at_low > 0.0 {
        "cooling costs more over the whole range".into()
    } else {
        "cooling costs less over the whole range".into()
    }
}
