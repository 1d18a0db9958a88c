//! Figures of a catalogue: a number, a range or a distribution, with unit and provenance.

use uc_model::{Problem, Provenance, Result};

use super::fields::{Fields, Node};
use crate::estimate::{Distribution, Estimate};

/// What a figure counts; it decides which units and which values are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Money each month.
    MoneyPerMonth,
    /// Money once.
    Money,
    /// Person-days.
    Effort,
    /// From 0 to 1.
    Share,
}

/// Working days of a week and of a month, for efforts in other units.
const DAYS_PER_WEEK: f64 = 5.0;
const DAYS_PER_MONTH: f64 = 20.0;

impl Quantity {
    /// The allowed units with their size in the quantity's own unit.
    fn units(self) -> &'static [(&'static str, f64)] {
        match self {
            Self::MoneyPerMonth => &[("per-month", 1.0), ("per-year", 1.0 / 12.0)],
            Self::Money => &[("once", 1.0)],
            Self::Effort => &[
                ("person-days", 1.0),
                ("person-weeks", DAYS_PER_WEEK),
                ("person-months", DAYS_PER_MONTH),
            ],
            Self::Share => &[("share", 1.0), ("percent", 0.01)],
        }
    }

    fn domain(self) -> (f64, f64) {
        match self {
            Self::Share => (0.0, 1.0),
            _ => (0.0, f64::INFINITY),
        }
    }
}

/// Reads `18`, `[10, 20]` or a table.
pub(super) fn estimate(node: &Node<'_>, quantity: Quantity, catalogue: &str) -> Result<Estimate> {
    use toml::de::DeValue;
    let (distribution, provenance) = match node.value {
        DeValue::Array(_) => {
            let ends = node.list(2)?;
            let [low, high] = &ends[..] else {
                return Err(node.problem("a range has two ends").limit("[low, high]"));
            };
            let (low, high) = (low.number()?, high.number()?);
            (Distribution::Uniform { low, high }, None)
        }
        DeValue::Table(_) => {
            let mut fields = node.fields()?;
            let factor = unit(&mut fields, quantity)?;
            let provenance = provenance(&mut fields)?;
            let distribution = distribution(&mut fields, node)?;
            fields.finish()?;
            check_order(node, &distribution)?;
            (distribution.scaled(factor), provenance)
        }
        _ => (Distribution::Point(node.number()?), None),
    };
    check_order(node, &distribution)?;
    Ok(Estimate {
        distribution: check_domain(node, distribution, quantity)?,
        provenance: provenance
            .unwrap_or_else(|| Provenance::Assumed(format!("catalogue \"{catalogue}\""))),
    })
}

fn unit(fields: &mut Fields<'_>, quantity: Quantity) -> Result<f64> {
    let Some(node) = fields.optional("unit") else {
        return Ok(1.0);
    };
    let name = node.text()?;
    let units = quantity.units();
    match units.iter().find(|(unit, _)| *unit == name) {
        Some((_, factor)) => Ok(*factor),
        None => {
            let known: Vec<&str> = units.iter().map(|(unit, _)| *unit).collect();
            Err(node
                .problem("the unit is not known here")
                .limit(known.join(", "))
                .found(name))
        }
    }
}

fn provenance(fields: &mut Fields<'_>) -> Result<Option<Provenance>> {
    type Kind = fn(String) -> Provenance;
    let kinds: [(&'static str, Kind); 3] = [
        ("measured", Provenance::Measured),
        ("modelled", Provenance::Modelled),
        ("assumed", Provenance::Assumed),
    ];
    let mut found: Option<Provenance> = None;
    for (name, kind) in kinds {
        let Some(node) = fields.optional(name) else {
            continue;
        };
        if found.is_some() {
            return Err(node
                .problem("a figure has one provenance")
                .limit("one of measured, modelled and assumed"));
        }
        found = Some(kind(node.text()?.to_owned()));
    }
    Ok(found)
}

fn distribution(fields: &mut Fields<'_>, node: &Node<'_>) -> Result<Distribution> {
    let shape = fields.optional("distribution");
    let shape = shape.as_ref().map(|node| node.text()).transpose()?;
    let mut number = |name| fields.optional(name).map(|node| node.number()).transpose();
    let (value, low, mode, high) = (
        number("value")?,
        number("low")?,
        number("mode")?,
        number("high")?,
    );
    let (mean, sd, median, p90) = (
        number("mean")?,
        number("sd")?,
        number("median")?,
        number("p90")?,
    );
    match (shape, value, (low, mode, high), (mean, sd), (median, p90)) {
        (None, Some(value), (None, None, None), (None, None), (None, None)) => {
            Ok(Distribution::Point(value))
        }
        (
            None | Some("uniform"),
            None,
            (Some(low), None, Some(high)),
            (None, None),
            (None, None),
        ) => Ok(Distribution::Uniform { low, high }),
        (
            None | Some("triangular"),
            None,
            (Some(low), Some(mode), Some(high)),
            (None, None),
            (None, None),
        ) => Ok(Distribution::Triangular { low, mode, high }),
        (Some("pert"), None, (Some(low), Some(mode), Some(high)), (None, None), (None, None)) => {
            Ok(Distribution::Pert { low, mode, high })
        }
        (None | Some("normal"), None, (low, None, high), (Some(mean), Some(sd)), (None, None)) => {
            Ok(Distribution::Normal {
                mean,
                sd,
                low: low.unwrap_or(f64::NEG_INFINITY),
                high: high.unwrap_or(f64::INFINITY),
            })
        }
        (
            None | Some("lognormal"),
            None,
            (None, None, None),
            (None, None),
            (Some(median), Some(p90)),
        ) => Ok(Distribution::LogNormal { median, p90 }),
        _ => Err(node.problem("the fields make no figure").limit(FORMS)),
    }
}

const FORMS: &str = "a number; [low, high]; value; low and high; low, mode and high (triangular, or distribution = \"pert\"); \
                     mean and sd (normal, cut at low and high if given); median and p90 (lognormal)";

fn check_order(node: &Node<'_>, distribution: &Distribution) -> Result<()> {
    let inverted = |what: &str, found: String| Err(node.problem(what).found(found));
    match *distribution {
        Distribution::Point(_) => Ok(()),
        Distribution::Uniform { low, high } if low > high => {
            inverted("the range is inverted", format!("low {low}, high {high}"))
        }
        Distribution::Triangular { low, mode, high } | Distribution::Pert { low, mode, high }
            if !(low <= mode && mode <= high) =>
        {
            inverted(
                "the range is inverted: low <= mode <= high must hold",
                format!("low {low}, mode {mode}, high {high}"),
            )
        }
        Distribution::Normal { low, high, .. } if low >= high => {
            inverted("the range is inverted", format!("low {low}, high {high}"))
        }
        Distribution::Normal { sd, .. } if sd <= 0.0 => inverted(
            "the standard deviation must be positive",
            format!("sd {sd}"),
        ),
        Distribution::LogNormal { median, p90 } if median <= 0.0 || p90 <= median => inverted(
            "0 < median < p90 must hold",
            format!("median {median}, p90 {p90}"),
        ),
        Distribution::LogNormal { median, p90 } if p90 > WIDEST * median => inverted(
            "the distribution is too wide for its percentiles to be told: p90 <= 10000 × median must hold",
            format!("median {median}, p90 {p90}"),
        ),
        _ => Ok(()),
    }
}

/// The largest quotient of p90 and median.
const WIDEST: f64 = 10_000.0;

/// Refuses values that the quantity cannot have; a normal distribution is cut at the domain's ends instead, as long as its
/// mean lies within.
fn check_domain(
    node: &Node<'_>,
    mut distribution: Distribution,
    quantity: Quantity,
) -> Result<Distribution> {
    let (least, greatest) = quantity.domain();
    if let Distribution::Normal {
        mean, low, high, ..
    } = &mut distribution
    {
        *low = low.max(least);
        *high = high.min(greatest);
        if !(*low..=*high).contains(mean) || low >= high {
            return Err(out_of_domain(node, quantity, *mean));
        }
        return Ok(distribution);
    }
    let (low, high) = (distribution.low(), distribution.high());
    if low < least {
        return Err(out_of_domain(node, quantity, low));
    }
    // A lognormal share has no upper end, so it can exceed 1.
    if high > greatest {
        return Err(out_of_domain(node, quantity, high));
    }
    Ok(distribution)
}

fn out_of_domain(node: &Node<'_>, quantity: Quantity, found: f64) -> Problem {
    let (what, limit) = match quantity {
        Quantity::Share => ("a share or probability lies between 0 and 1", "0 to 1"),
        Quantity::Money | Quantity::MoneyPerMonth => {
            ("an amount of money cannot be negative here", "0 or more")
        }
        Quantity::Effort => ("an effort cannot be negative", "0 or more"),
    };
    node.problem(what).limit(limit).found(found)
}
