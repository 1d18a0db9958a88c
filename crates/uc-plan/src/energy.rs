//! Energy: superconductors under liquid nitrogen against copper (M4).
//!
//! Physical quantities are `uom` types inside; results are [`Figure`]s. The source's figures are those of its demonstration
//! line of 500 m; cooling power, nitrogen and the resistance of copper scale with the length, since heat leaks in and
//! resistance adds up along the line. That is this model's choice, not the source's.

use serde::Serialize;
use uc_model::{Figure, Result};

pub mod bcs;
mod break_even;
mod bundle;
mod line;
pub mod material;
pub mod money;
mod parameter;
mod scenario;
mod ticket;

pub use break_even::BreakEven;
pub use bundle::Bundle;
pub use line::{CurvePoint, Line};
pub use parameter::Parameter;
pub use scenario::{DEMONSTRATION_CONDUCTOR, Input, Scenario};
pub use ticket::{Milestone, Ticket};

/// An input of the answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Named {
    /// The name in options.
    pub name: &'static str,
    /// What it is.
    pub title: &'static str,
    /// Its value.
    pub figure: Figure,
}

/// A red line of M4.5.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RedLine {
    /// Its number.
    pub id: &'static str,
    /// What must hold.
    pub constraint: &'static str,
    /// What decides.
    pub figure: Figure,
    /// Whether it is crossed.
    pub is_crossed: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Energy {
    /// What it rests on.
    pub inputs: Vec<Named>,
    /// Nitrogen against copper, each month.
    pub line: Line,
    /// Where both cost the same, each input for itself.
    pub break_even: Vec<BreakEven>,
    /// What would have to be true for the source's 1.2, each input for itself.
    pub claim: Vec<BreakEven>,
    /// The ratio over the current.
    pub curve: Vec<CurvePoint>,
    /// The share of energy that is saved, and its trend.
    pub ticket: Ticket,
    /// The gateway bundle.
    pub bundle: Bundle,
    /// The red lines.
    pub red_lines: Vec<RedLine>,
    /// What superconducts, and what cools it.
    pub materials: Vec<material::MaterialRow>,
    /// The theory's formula.
    pub bcs: bcs::Bcs,
    /// Where the source is followed or departed from.
    pub notes: Vec<&'static str>,
}

const NOTES: [&str; 7] = [
    "the source's ratio of 1.2 has no derivation: it stands as a scenario beside the computed one",
    "1.2 is also the source's own cost multiple of 2025-07, which may be where it comes from",
    "a refill may replace what evaporated: counted once, the source's cooling costs 104 a day and the ratio is 8.67",
    "with the source's figures even free nitrogen does not break even: refrigeration takes 1440 kWh a month, copper loses 720",
    "cooling, nitrogen and copper scale with the length of the line, so no length changes their ratio",
    "cooling runs as many hours a month as the line: whoever switches the line off lets it warm up",
    "three points leave the trend one degree of freedom: its interval is honest, and wide",
];

/// The answer to a scenario.
///
/// # Errors
/// As [`Scenario::check`]; refused where no line can be built of the conductor.
pub fn energy(scenario: &Scenario) -> Result<Energy> {
    scenario.check()?;
    let conductor = scenario.conductor()?;
    let line = line::line(scenario)?;
    let critical = conductor.critical_kelvin();
    Ok(Energy {
        inputs: Parameter::ALL
            .into_iter()
            .map(|parameter| Named {
                name: parameter.name(),
                title: parameter.title(),
                figure: scenario.figure(parameter),
            })
            .collect(),
        break_even: break_even::search(scenario, 1.0)?,
        claim: break_even::search(scenario, line::SOURCE_RATIO)?,
        curve: line::curve(scenario)?,
        ticket: ticket::ticket(scenario),
        bundle: bundle::bundle(scenario),
        red_lines: vec![
            RedLine {
                id: "4.1",
                constraint: "the critical temperature at ambient pressure is 77 K or more; below, helium costs ten times as much",
                figure: Figure::modelled(critical, "K", "critical temperature of the conductor"),
                is_crossed: !conductor.stands_nitrogen(),
            },
            RedLine {
                id: "4.2",
                constraint: "no plan needs a superconductor at room temperature",
                figure: Figure::modelled(
                    material::ROOM_TEMPERATURE_K - critical,
                    "K",
                    "300 K - critical temperature of the conductor",
                ),
                is_crossed: critical >= material::ROOM_TEMPERATURE_K,
            },
        ],
        materials: scenario
            .materials
            .iter()
            .map(material::Material::row)
            .collect(),
        bcs: bcs::apply(scenario)?,
        notes: NOTES.to_vec(),
        line,
    })
}

/// A number without what conversions between units leave in its last digits.
fn without_noise(value: f64) -> f64 {
    format!("{value:.12e}").parse().unwrap_or(value)
}
