//! The inputs of the energy model: the source's figures, each to be replaced by one's own.

use uc_model::{Figure, Problem, Provenance, Result};
use uom::si::{
    electric_current::ampere,
    electrical_resistance::ohm,
    f64::{ElectricCurrent, ElectricalResistance, Length, Power, Time, Volume, VolumeRate},
    length::meter,
    power::{kilowatt, watt},
    time::{day, hour},
    volume::liter,
};

use super::{
    material::{Material, source_materials},
    money::{EnergyPrice, Money, VolumePrice},
    parameter::Parameter,
};

/// An input and who answers for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Input<Q> {
    /// The quantity.
    pub quantity: Q,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// Everything the model depends on. The default holds the source's figures.
///
/// Cooling power, nitrogen and resistance are those of a line of 500 m; the model scales them with `line_length`.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Code of the currency of all money, such as `CNY`.
    pub currency: String,
    /// Price of electricity.
    pub electricity_price: Input<EnergyPrice>,
    /// Electric power of the refrigeration of 500 m.
    pub cooling_power: Input<Power>,
    /// Price of liquid nitrogen.
    pub nitrogen_price: Input<VolumePrice>,
    /// Nitrogen refilled on 500 m.
    pub nitrogen_refilled: Input<VolumeRate>,
    /// Nitrogen evaporated on 500 m, which the source charges besides what is refilled.
    pub nitrogen_evaporated: Input<VolumeRate>,
    /// Resistance of 500 m of copper line.
    pub copper_resistance: Input<ElectricalResistance>,
    /// Current through either line.
    pub current: Input<ElectricCurrent>,
    /// Time the line runs in a month.
    pub hours_per_month: Input<Time>,
    /// Length of the line.
    pub line_length: Input<Length>,
    /// Power drawn before the saving of the ticket.
    pub total_power: Input<Power>,
    /// Power drawn after it.
    pub remaining_power: Input<Power>,
    /// Year of the forecast; a fraction counts parts of the year.
    pub forecast_year: Input<f64>,
    /// Price of the gateway bundle for a month.
    pub bundle_price: Input<Money>,
    /// Power the bundle saves.
    pub bundle_power_saved: Input<Power>,
    /// Price of the traditional gateway for a month.
    pub traditional_price: Input<Money>,
    /// N(0)V of the BCS formula.
    pub coupling: Input<f64>,
    /// Candidates for the conductor.
    pub materials: Vec<Material>,
    /// Name of the material of the line, one of `materials`.
    pub conductor: String,
}

/// The material of the source's demonstration line (M4.1).
pub const DEMONSTRATION_CONDUCTOR: &str = "YBCO";

impl Default for Scenario {
    fn default() -> Self {
        Self {
            currency: "CNY".into(),
            electricity_price: stated(Parameter::ElectricityPrice, EnergyPrice::per_kilowatt_hour),
            cooling_power: stated(Parameter::CoolingPower, Power::new::<kilowatt>),
            nitrogen_price: stated(Parameter::NitrogenPrice, VolumePrice::per_litre),
            nitrogen_refilled: stated(Parameter::NitrogenRefilled, litres_a_day),
            nitrogen_evaporated: stated(Parameter::NitrogenEvaporated, litres_a_day),
            copper_resistance: stated(
                Parameter::CopperResistance,
                ElectricalResistance::new::<ohm>,
            ),
            current: stated(Parameter::Current, ElectricCurrent::new::<ampere>),
            hours_per_month: stated(Parameter::HoursPerMonth, Time::new::<hour>),
            line_length: stated(Parameter::LineLength, Length::new::<meter>),
            total_power: stated(Parameter::TotalPower, Power::new::<watt>),
            remaining_power: stated(Parameter::RemainingPower, Power::new::<watt>),
            forecast_year: stated(Parameter::ForecastYear, |year| year),
            bundle_price: stated(Parameter::BundlePrice, Money::new),
            bundle_power_saved: stated(Parameter::BundlePowerSaved, Power::new::<watt>),
            traditional_price: stated(Parameter::TraditionalPrice, Money::new),
            coupling: stated(Parameter::Coupling, |coupling| coupling),
            materials: source_materials(),
            conductor: DEMONSTRATION_CONDUCTOR.into(),
        }
    }
}

fn stated<Q>(parameter: Parameter, quantity: impl Fn(f64) -> Q) -> Input<Q> {
    Input {
        quantity: quantity(parameter.stated()),
        provenance: Provenance::Assumed(parameter.stated_by().into()),
    }
}

fn litres_a_day(litres: f64) -> VolumeRate {
    Volume::new::<liter>(litres) / Time::new::<day>(1.0)
}

fn in_litres_a_day(rate: VolumeRate) -> f64 {
    (rate * Time::new::<day>(1.0)).get::<liter>()
}

impl Scenario {
    /// Replaces an input by a value in the parameter's unit. `provenance` says whose it is.
    ///
    /// # Errors
    /// Invalid where the value is no finite number within the parameter's bounds; the scenario then stays as it was.
    pub fn set(
        &mut self,
        parameter: Parameter,
        value: f64,
        provenance: Provenance,
    ) -> Result<&mut Self> {
        parameter.check(value)?;
        self.put(parameter, value, provenance);
        Ok(self)
    }

    fn put(&mut self, parameter: Parameter, value: f64, provenance: Provenance) {
        macro_rules! put {
            ($field:ident, $quantity:expr) => {
                self.$field = Input {
                    quantity: $quantity(value),
                    provenance,
                }
            };
        }
        match parameter {
            Parameter::ElectricityPrice => put!(electricity_price, EnergyPrice::per_kilowatt_hour),
            Parameter::CoolingPower => put!(cooling_power, Power::new::<kilowatt>),
            Parameter::NitrogenPrice => put!(nitrogen_price, VolumePrice::per_litre),
            Parameter::NitrogenRefilled => put!(nitrogen_refilled, litres_a_day),
            Parameter::NitrogenEvaporated => put!(nitrogen_evaporated, litres_a_day),
            Parameter::CopperResistance => {
                put!(copper_resistance, ElectricalResistance::new::<ohm>);
            }
            Parameter::Current => put!(current, ElectricCurrent::new::<ampere>),
            Parameter::HoursPerMonth => put!(hours_per_month, Time::new::<hour>),
            Parameter::LineLength => put!(line_length, Length::new::<meter>),
            Parameter::TotalPower => put!(total_power, Power::new::<watt>),
            Parameter::RemainingPower => put!(remaining_power, Power::new::<watt>),
            Parameter::ForecastYear => put!(forecast_year, f64::from),
            Parameter::BundlePrice => put!(bundle_price, Money::new),
            Parameter::BundlePowerSaved => put!(bundle_power_saved, Power::new::<watt>),
            Parameter::TraditionalPrice => put!(traditional_price, Money::new),
            Parameter::Coupling => put!(coupling, f64::from),
        }
    }

    /// An input with its provenance, in the parameter's unit.
    pub fn figure(&self, parameter: Parameter) -> Figure {
        macro_rules! get {
            ($field:ident, $value:expr) => {
                ($value(self.$field.quantity), &self.$field.provenance)
            };
        }
        let (value, provenance) = match parameter {
            Parameter::ElectricityPrice => get!(electricity_price, EnergyPrice::of_kilowatt_hour),
            Parameter::CoolingPower => get!(cooling_power, |it: Power| it.get::<kilowatt>()),
            Parameter::NitrogenPrice => get!(nitrogen_price, VolumePrice::of_litre),
            Parameter::NitrogenRefilled => get!(nitrogen_refilled, in_litres_a_day),
            Parameter::NitrogenEvaporated => get!(nitrogen_evaporated, in_litres_a_day),
            Parameter::CopperResistance => {
                get!(copper_resistance, |it: ElectricalResistance| it
                    .get::<ohm>())
            }
            Parameter::Current => get!(current, |it: ElectricCurrent| it.get::<ampere>()),
            Parameter::HoursPerMonth => get!(hours_per_month, |it: Time| it.get::<hour>()),
            Parameter::LineLength => get!(line_length, |it: Length| it.get::<meter>()),
            Parameter::TotalPower => get!(total_power, |it: Power| it.get::<watt>()),
            Parameter::RemainingPower => get!(remaining_power, |it: Power| it.get::<watt>()),
            Parameter::ForecastYear => get!(forecast_year, f64::from),
            Parameter::BundlePrice => get!(bundle_price, Money::amount),
            Parameter::BundlePowerSaved => get!(bundle_power_saved, |it: Power| it.get::<watt>()),
            Parameter::TraditionalPrice => get!(traditional_price, Money::amount),
            Parameter::Coupling => get!(coupling, f64::from),
        };
        Figure {
            value: super::without_noise(value),
            unit: parameter.unit(&self.currency),
            provenance: provenance.clone(),
        }
    }

    /// The material of the line.
    ///
    /// # Errors
    /// Not found where `materials` has none of that name.
    pub fn conductor(&self) -> Result<&Material> {
        let found = self
            .materials
            .iter()
            .find(|one| one.name() == self.conductor);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.materials.iter().map(Material::name).collect();
            Problem::not_found("no material has this name")
                .at("conductor")
                .limit(names.join(", "))
                .found(&self.conductor)
        })
    }

    /// Holds every input against its bounds: fields can be set past [`set`](Self::set).
    ///
    /// # Errors
    /// Invalid for the first input out of bounds, and for a saving above the whole; not found for an unknown conductor.
    pub fn check(&self) -> Result<()> {
        for parameter in Parameter::ALL {
            parameter.check(self.figure(parameter).value)?;
        }
        let (total, remaining) = (
            self.figure(Parameter::TotalPower).value,
            self.figure(Parameter::RemainingPower).value,
        );
        if remaining > total {
            return Err(Problem::invalid("more power remains than there was")
                .at(Parameter::RemainingPower.name())
                .limit(format!("at most total-power, {total} W"))
                .found(format!("{remaining} W")));
        }
        self.conductor().map(drop)
    }
}
