//! The cost of cooling a line with nitrogen against what copper loses (M4.2).

use serde::Serialize;
use uc_model::{Figure, Problem, Provenance, Result};
use uom::si::{
    electrical_resistance::ohm,
    energy::kilowatt_hour,
    f64::{ElectricalResistance, Energy, Power, Time},
    length::meter,
    time::day,
};

use super::{
    Parameter, Scenario,
    material::{Coolant, Suitability},
    money::Money,
    without_noise,
};

/// The ratio that the source claims since 2025-07.
pub(super) const SOURCE_RATIO: f64 = 1.2;
/// Length of the line whose cooling and resistance the source gives, m.
const SOURCE_LENGTH_M: f64 = 500.0;
const CURVE_POINTS: usize = 61;
/// Ends of the curve, A.
const CURVE_FROM: f64 = 10.0;
const CURVE_TO: f64 = 1_000.0;

/// What both lines cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Electricity of the refrigeration, money a day.
    pub refrigeration_per_day: Figure,
    /// Nitrogen refilled, money a day.
    pub nitrogen_per_day: Figure,
    /// Nitrogen evaporated, money a day.
    pub evaporation_per_day: Figure,
    /// All three, money a day.
    pub cooling_per_day: Figure,
    /// All three, money a month.
    pub cooling_per_month: Figure,
    /// What copper loses, kWh a month.
    pub copper_loss: Figure,
    /// What that costs, money a month.
    pub copper_per_month: Figure,
    /// Cooling against copper; absent where copper loses nothing.
    pub ratio: Option<Figure>,
    /// What the source says of it.
    pub source_ratio: Figure,
}

/// The same as amounts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    refrigeration: Money,
    nitrogen: Money,
    evaporation: Money,
    days: f64,
    loss: Energy,
    pub(super) copper: Money,
}

impl Costs {
    /// # Errors
    /// Refused where no line can be built of the conductor.
    pub(super) fn of(scenario: &Scenario) -> Result<Self> {
        let conductor = scenario.conductor()?;
        let Some(factor) = conductor.cooling_cost_factor() else {
            let why = match conductor.suitability() {
                Suitability::Unconfirmed => "nobody has reproduced it",
                _ => "it superconducts under pressure alone",
            };
            return Err(Problem::refused("no line can be built of this material")
                .at("conductor")
                .limit("confirmed, and superconducting at ambient pressure")
                .found(format!("{}: {why}", conductor.name())));
        };
        let length = scenario.line_length.quantity.get::<meter>() / SOURCE_LENGTH_M;
        let scale = length * factor;
        let one_day = Time::new::<day>(1.0);
        let cooling: Power = scenario.cooling_power.quantity;
        let current = scenario.current.quantity;
        let resistance = ElectricalResistance::new::<ohm>(
            scenario.copper_resistance.quantity.get::<ohm>() * length,
        );
        let loss: Energy = resistance * current * current * scenario.hours_per_month.quantity;
        Ok(Self {
            refrigeration: scenario.electricity_price.quantity * (cooling * one_day) * scale,
            nitrogen: scenario.nitrogen_price.quantity
                * (scenario.nitrogen_refilled.quantity * one_day)
                * scale,
            evaporation: scenario.nitrogen_price.quantity
                * (scenario.nitrogen_evaporated.quantity * one_day)
                * scale,
            days: scenario.hours_per_month.quantity.get::<day>(),
            copper: scenario.electricity_price.quantity * loss,
            loss,
        })
    }

    fn cooling_per_day(&self) -> Money {
        self.refrigeration + self.nitrogen + self.evaporation
    }

    pub(super) fn cooling_per_month(&self) -> Money {
        self.cooling_per_day() * self.days
    }
}

pub(super) fn line(scenario: &Scenario) -> Result<Line> {
    let costs = Costs::of(scenario)?;
    let coolant = scenario.conductor()?.coolant();
    let money = |amount: Money, period: &str, inputs: &str| {
        let value = without_noise(amount.amount());
        Figure::modelled(value, &format!("{}/{period}", scenario.currency), inputs)
    };
    let cooled_by = match coolant {
        Some(Coolant::Helium) => "as with nitrogen, × 10 for helium",
        Some(Coolant::None) => "nothing has to be cooled",
        _ => "sum of the three",
    };
    let (cooling, copper) = (costs.cooling_per_month().amount(), costs.copper.amount());
    Ok(Line {
        refrigeration_per_day: money(
            costs.refrigeration,
            "day",
            "electricity price × cooling power × 24 h",
        ),
        nitrogen_per_day: money(costs.nitrogen, "day", "nitrogen price × litres refilled"),
        evaporation_per_day: money(
            costs.evaporation,
            "day",
            "nitrogen price × litres evaporated",
        ),
        cooling_per_day: money(costs.cooling_per_day(), "day", cooled_by),
        cooling_per_month: money(
            costs.cooling_per_month(),
            "month",
            "per day × hours a month / 24",
        ),
        copper_loss: Figure::modelled(
            without_noise(costs.loss.get::<kilowatt_hour>()),
            "kWh/month",
            "resistance × current² × hours",
        ),
        copper_per_month: money(costs.copper, "month", "loss × electricity price"),
        ratio: (copper > 0.0).then(|| {
            Figure::modelled(
                without_noise(cooling / copper),
                "",
                "cooling / copper loss, per month",
            )
        }),
        source_ratio: Figure {
            value: SOURCE_RATIO,
            unit: String::new(),
            provenance: Provenance::Assumed(
                "source, M4.2, revised 2025-07 without a derivation".into(),
            ),
        },
    })
}

/// A point of the curve of the ratio over the current.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Current, A.
    pub current_a: f64,
    /// Cooling against copper.
    pub ratio: f64,
}

/// The ratio over the current, at currents of equal quotients.
pub(super) fn curve(scenario: &Scenario) -> Result<Vec<CurvePoint>> {
    let mut varied = scenario.clone();
    let mut points = Vec::with_capacity(CURVE_POINTS);
    for step in 0..CURVE_POINTS {
        let share = step as f64 / (CURVE_POINTS - 1) as f64;
        let current_a = without_noise(CURVE_FROM * (CURVE_TO / CURVE_FROM).powf(share));
        let provenance = scenario.current.provenance.clone();
        varied.set(Parameter::Current, current_a, provenance)?;
        let costs = Costs::of(&varied)?;
        let copper = costs.copper.amount();
        if copper > 0.0 {
            points.push(CurvePoint {
                current_a,
                ratio: costs.cooling_per_month().amount() / copper,
            });
        }
    }
    Ok(points)
}
