//! The formula of Bardeen, Cooper and Schrieffer for weak coupling, T_c = 1.14 θ_D exp(-1/(N(0)V)), in both directions (M4.5).
//!
//! It describes metals whose electrons pair through phonons. YBCO does not pair so; the formula says nothing about it.

use serde::Serialize;
use uc_model::{Figure, Problem, Result};
use uom::si::{f64::ThermodynamicTemperature, thermodynamic_temperature::kelvin};

use super::{Scenario, material::ROOM_TEMPERATURE_K, parameter::Parameter, without_noise};

const PREFACTOR: f64 = 1.14;
/// Above any Debye temperature (diamond's is 2230 K), so that results stay finite.
const MOST_KELVIN: f64 = 1e9;

/// What the formula asks of a superconductor at room temperature.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bcs {
    /// N(0)V.
    pub coupling: Figure,
    /// The Debye temperature that a critical temperature of 300 K needs with this coupling, K.
    pub debye_for_room_temperature: Figure,
    /// The greatest critical temperature diamond's phonons, the stiffest known, give with this coupling, K.
    pub critical_at_diamond: Figure,
}

const DIAMOND_DEBYE_K: f64 = 2230.0;

/// The critical temperature for a Debye temperature and a coupling N(0)V.
///
/// # Errors
/// Invalid for a Debye temperature that is not above absolute zero, and for a coupling outside 0.01 to 1.
pub fn critical_temperature(
    debye: ThermodynamicTemperature,
    coupling: f64,
) -> Result<ThermodynamicTemperature> {
    Parameter::Coupling.check(coupling)?;
    let debye = positive_kelvin("debye-temperature", debye)?;
    Ok(ThermodynamicTemperature::new::<kelvin>(
        PREFACTOR * debye * (-1.0 / coupling).exp(),
    ))
}

/// The Debye temperature that gives a critical temperature with a coupling N(0)V.
///
/// # Errors
/// As [`critical_temperature`], of the critical temperature.
pub fn debye_temperature(
    critical: ThermodynamicTemperature,
    coupling: f64,
) -> Result<ThermodynamicTemperature> {
    Parameter::Coupling.check(coupling)?;
    let critical = positive_kelvin("critical-temperature", critical)?;
    Ok(ThermodynamicTemperature::new::<kelvin>(
        critical * (1.0 / coupling).exp() / PREFACTOR,
    ))
}

/// The coupling N(0)V that gives a critical temperature at a Debye temperature. Above about 0.3 the formula no longer holds.
///
/// # Errors
/// Invalid for temperatures that are not above absolute zero, and for critical temperatures that no coupling gives: from
/// 1.14 θ_D on.
pub fn coupling(
    debye: ThermodynamicTemperature,
    critical: ThermodynamicTemperature,
) -> Result<f64> {
    let debye = positive_kelvin("debye-temperature", debye)?;
    let critical = positive_kelvin("critical-temperature", critical)?;
    let most = PREFACTOR * debye;
    if critical >= most {
        return Err(
            Problem::invalid("no coupling gives this critical temperature")
                .at("critical-temperature")
                .limit(format!("below 1.14 times the Debye temperature, {most} K"))
                .found(format!("{critical} K")),
        );
    }
    Ok(1.0 / (most / critical).ln())
}

fn positive_kelvin(name: &str, temperature: ThermodynamicTemperature) -> Result<f64> {
    let in_kelvin = temperature.get::<kelvin>();
    if in_kelvin > 0.0 && in_kelvin <= MOST_KELVIN {
        return Ok(in_kelvin);
    }
    Err(Problem::invalid("the temperature is out of bounds")
        .at(name)
        .limit(format!("above absolute zero, at most {MOST_KELVIN} K"))
        .found(format!("{in_kelvin} K")))
}

/// The formula applied to the scenario's coupling.
pub(super) fn apply(scenario: &Scenario) -> Result<Bcs> {
    let coupling = scenario.figure(Parameter::Coupling);
    let room = ThermodynamicTemperature::new::<kelvin>(ROOM_TEMPERATURE_K);
    let diamond = ThermodynamicTemperature::new::<kelvin>(DIAMOND_DEBYE_K);
    let figure = |temperature: ThermodynamicTemperature, inputs: &str| {
        Figure::modelled(without_noise(temperature.get::<kelvin>()), "K", inputs)
    };
    Ok(Bcs {
        debye_for_room_temperature: figure(
            debye_temperature(room, coupling.value)?,
            "300 K × exp(1/(N(0)V)) / 1.14",
        ),
        critical_at_diamond: figure(
            critical_temperature(diamond, coupling.value)?,
            "1.14 × 2230 K (diamond's θ_D) × exp(-1/(N(0)V))",
        ),
        coupling,
    })
}
