//! Superconductors, what must cool them, and the BCS formula (M4.1, M4.5).

use serde::Serialize;
use uc_model::{Figure, Problem, Provenance, Result};
use uom::si::{
    f64::{Pressure, ThermodynamicTemperature},
    pressure::{atmosphere, gigapascal},
    thermodynamic_temperature::{degree_celsius, kelvin},
};

use super::without_noise;

/// Liquid nitrogen boils here, K. Below, only helium cools (red line 4.1).
pub const NITROGEN_BOILS_K: f64 = 77.0;
/// The source's room temperature, K (red line 4.2).
pub const ROOM_TEMPERATURE_K: f64 = 300.0;
/// How many times the cost of nitrogen cooling with helium is, by the source (red line 4.1).
pub const HELIUM_COST_FACTOR: f64 = 10.0;
/// No critical temperature is looked for above this, K: every solid has molten.
const HOTTEST_K: f64 = 5000.0;
/// No press reaches it, GPa: diamond anvils end at about 770.
const STRONGEST_PRESS_GPA: f64 = 1000.0;
const MOST_NAME_BYTES: usize = 100;

/// How far a material has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Claimed, and not reproduced.
    Unconfirmed,
    /// Shown in laboratories.
    Laboratory,
    /// Made and sold.
    Production,
}

/// A superconductor as somebody states it.
#[derive(Debug, Clone, PartialEq)]
pub struct Material {
    name: String,
    critical: ThermodynamicTemperature,
    pressure: Option<Pressure>,
    state: State,
    provenance: Provenance,
}

/// What must cool a line of a material.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Coolant {
    /// Nothing: it superconducts in a warm room.
    None,
    /// Liquid nitrogen.
    LiquidNitrogen,
    /// Helium, at ten times the cost.
    Helium,
}

/// Whether a material serves as a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Suitability {
    /// It does, with its coolant.
    Conductor,
    /// Nobody has reproduced it, so nothing is built on it.
    Unconfirmed,
    /// It superconducts under pressure alone, which no line keeps up.
    NeedsPressure,
}

/// A row of the materials table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MaterialRow {
    /// Its name.
    pub name: String,
    /// Critical temperature as stated, in °C.
    pub critical_celsius: Figure,
    /// The same in whole kelvin, as it is stated in whole degrees.
    pub critical_kelvin: Figure,
    /// Pressure it needs, GPa; absent at ambient pressure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pressure: Option<Figure>,
    /// How far it has come.
    pub state: State,
    /// Whether it serves as a line.
    pub suitability: Suitability,
    /// What cools it; absent where it needs pressure. What is unconfirmed would need this if it were confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coolant: Option<Coolant>,
    /// Cost of its cooling as a multiple of the cost with nitrogen; absent where nothing can be built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooling_cost_factor: Option<Figure>,
    /// Critical temperature above boiling nitrogen, K; negative below it.
    pub margin_over_nitrogen: Figure,
}

impl Material {
    /// A material that superconducts at ambient pressure below `critical_celsius`.
    ///
    /// # Errors
    /// Invalid for a name that is empty or long, and for temperatures that are not above absolute zero or that no solid
    /// stands.
    pub fn ambient(
        name: &str,
        critical_celsius: f64,
        state: State,
        provenance: Provenance,
    ) -> Result<Self> {
        if name.trim().is_empty() || name.len() > MOST_NAME_BYTES {
            return Err(Problem::invalid("a material needs a name")
                .at("material")
                .limit(format!("1 to {MOST_NAME_BYTES} bytes"))
                .found(format!("{} bytes", name.len())));
        }
        let critical = ThermodynamicTemperature::new::<degree_celsius>(critical_celsius);
        let in_kelvin = critical.get::<kelvin>();
        if !(in_kelvin > 0.0 && in_kelvin <= HOTTEST_K) {
            return Err(
                Problem::invalid("the critical temperature is out of bounds")
                    .at(name)
                    .limit(format!(
                        "above absolute zero (-273.15 °C), at most {HOTTEST_K} K"
                    ))
                    .found(format!("{critical_celsius} °C")),
            );
        }
        Ok(Self {
            name: name.into(),
            critical,
            pressure: None,
            state,
            provenance,
        })
    }

    /// The same material, which needs a pressure. Up to one atmosphere is ambient.
    ///
    /// # Errors
    /// Invalid for pressures that are negative or that no press reaches.
    pub fn under_pressure(mut self, gigapascals: f64) -> Result<Self> {
        if !(0.0..=STRONGEST_PRESS_GPA).contains(&gigapascals) {
            return Err(Problem::invalid("the pressure is out of bounds")
                .at(&self.name)
                .limit(format!("0 to {STRONGEST_PRESS_GPA} GPa"))
                .found(format!("{gigapascals} GPa")));
        }
        let pressure = Pressure::new::<gigapascal>(gigapascals);
        self.pressure = (pressure > Pressure::new::<atmosphere>(1.0)).then_some(pressure);
        Ok(self)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The critical temperature in whole kelvin. Sources round -181.15 °C and 92 K each for itself; whole kelvin bring
    /// both together again.
    pub fn critical_kelvin(&self) -> f64 {
        self.critical.get::<kelvin>().round()
    }

    /// Whether it superconducts in liquid nitrogen. Rounding must not decide this: 76.6 K is too cold for nitrogen.
    pub fn stands_nitrogen(&self) -> bool {
        self.critical.get::<kelvin>() >= NITROGEN_BOILS_K
    }

    /// Whether it serves as a line.
    pub fn suitability(&self) -> Suitability {
        match (self.state, self.pressure) {
            (_, Some(_)) => Suitability::NeedsPressure,
            (State::Unconfirmed, None) => Suitability::Unconfirmed,
            (State::Laboratory | State::Production, None) => Suitability::Conductor,
        }
    }

    /// What cools it; `None` where it needs pressure.
    pub fn coolant(&self) -> Option<Coolant> {
        match self.pressure {
            Some(_) => None,
            None if !self.stands_nitrogen() => Some(Coolant::Helium),
            None if self.critical.get::<kelvin>() < ROOM_TEMPERATURE_K => {
                Some(Coolant::LiquidNitrogen)
            }
            None => Some(Coolant::None),
        }
    }

    /// Cost of its cooling over the cost with nitrogen; `None` where nothing can be built of it.
    pub fn cooling_cost_factor(&self) -> Option<f64> {
        if self.suitability() != Suitability::Conductor {
            return None;
        }
        self.coolant().map(|coolant| match coolant {
            Coolant::None => 0.0,
            Coolant::LiquidNitrogen => 1.0,
            Coolant::Helium => HELIUM_COST_FACTOR,
        })
    }

    /// Its row of the table.
    pub fn row(&self) -> MaterialRow {
        let given = |value: f64, unit: &str| Figure {
            value: without_noise(value),
            unit: unit.into(),
            provenance: self.provenance.clone(),
        };
        MaterialRow {
            name: self.name.clone(),
            critical_celsius: given(self.critical.get::<degree_celsius>(), "°C"),
            critical_kelvin: Figure::modelled(
                self.critical_kelvin(),
                "K",
                "stated °C + 273.15, to whole kelvin",
            ),
            pressure: self
                .pressure
                .map(|pressure| given(pressure.get::<gigapascal>(), "GPa")),
            state: self.state,
            suitability: self.suitability(),
            coolant: self.coolant(),
            cooling_cost_factor: self.cooling_cost_factor().map(|factor| {
                Figure::assumed(
                    factor,
                    "",
                    "source, red line 4.1: helium costs 10 times nitrogen",
                )
            }),
            margin_over_nitrogen: Figure::modelled(
                self.critical_kelvin() - NITROGEN_BOILS_K,
                "K",
                "critical temperature - 77 K",
            ),
        }
    }
}

/// The source's table (M4.1).
pub fn source_materials() -> Vec<Material> {
    let rows = [
        ("LK-99", 127.0, None, State::Unconfirmed),
        ("LaH10", -23.0, Some(170.0), State::Laboratory),
        ("H3S", -70.0, Some(155.0), State::Laboratory),
        ("YBCO", -181.0, None, State::Production),
    ];
    // Written out rather than through `ambient`, which can fail.
    rows.map(|(name, celsius, gigapascals, state)| Material {
        name: name.into(),
        critical: ThermodynamicTemperature::new::<degree_celsius>(celsius),
        pressure: gigapascals.map(Pressure::new::<gigapascal>),
        state,
        provenance: Provenance::Assumed("source, M4.1".into()),
    })
    .into()
}
