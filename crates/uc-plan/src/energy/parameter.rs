//! The inputs of a scenario by name: unit, bounds, and what the source says of each.

use serde::Serialize;
use uc_model::{Problem, Result};

/// An input of a [`Scenario`](super::Scenario).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    /// Money per kWh.
    ElectricityPrice,
    /// Electric power of the refrigeration of 500 m, kW.
    CoolingPower,
    /// Money per litre of liquid nitrogen.
    NitrogenPrice,
    /// Litres of nitrogen refilled a day on 500 m.
    NitrogenRefilled,
    /// Litres of nitrogen evaporated a day on 500 m.
    NitrogenEvaporated,
    /// Resistance of the copper line of 500 m, Ω.
    CopperResistance,
    /// Current through the line, A.
    Current,
    /// Hours the line runs a month.
    HoursPerMonth,
    /// Length of the line, m.
    LineLength,
    /// Power drawn before the saving, W.
    TotalPower,
    /// Power drawn after it, W.
    RemainingPower,
    /// Year of the trend's forecast.
    ForecastYear,
    /// Money a month for the gateway bundle.
    BundlePrice,
    /// Power the bundle saves, W.
    BundlePowerSaved,
    /// Money a month for the traditional gateway.
    TraditionalPrice,
    /// N(0)V, the coupling of electrons in the BCS formula.
    Coupling,
}

/// What is fixed about a parameter. `{currency}` in `unit` stands for the scenario's currency.
struct Facts {
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    least: f64,
    most: f64,
    stated: f64,
    whose: &'static str,
}

const M4_2: &str = "source, M4.2";
const M4_3: &str = "source, M4.3";
const M4_4: &str = "source, M4.4";

impl Parameter {
    /// Every parameter, in the order of the mission.
    pub const ALL: [Self; 16] = [
        Self::ElectricityPrice,
        Self::CoolingPower,
        Self::NitrogenPrice,
        Self::NitrogenRefilled,
        Self::NitrogenEvaporated,
        Self::CopperResistance,
        Self::Current,
        Self::HoursPerMonth,
        Self::LineLength,
        Self::TotalPower,
        Self::RemainingPower,
        Self::ForecastYear,
        Self::BundlePrice,
        Self::BundlePowerSaved,
        Self::TraditionalPrice,
        Self::Coupling,
    ];

    fn facts(self) -> Facts {
        let (name, title, unit, (least, most), stated, whose) = match self {
            Self::ElectricityPrice => (
                "electricity-price",
                "price of electricity",
                "{currency}/kWh",
                (0.0, 1e6),
                0.5,
                M4_2,
            ),
            Self::CoolingPower => (
                "cooling-power",
                "cooling power of 500 m",
                "kW",
                (0.0, 1e6),
                2.0,
                M4_2,
            ),
            Self::NitrogenPrice => (
                "nitrogen-price",
                "price of nitrogen",
                "{currency}/L",
                (0.0, 1e6),
                8.0,
                M4_2,
            ),
            Self::NitrogenRefilled => (
                "nitrogen-refilled",
                "nitrogen refilled on 500 m",
                "L/day",
                (0.0, 1e6),
                10.0,
                M4_2,
            ),
            Self::NitrogenEvaporated => (
                "nitrogen-evaporated",
                "nitrogen evaporated on 500 m",
                "L/day",
                (0.0, 1e6),
                5.0,
                M4_2,
            ),
            Self::CopperResistance => (
                "copper-resistance",
                "resistance of 500 m of copper",
                "Ω",
                (0.0, 1e6),
                0.1,
                M4_2,
            ),
            Self::Current => ("current", "current", "A", (0.0, 1e6), 100.0, M4_2),
            Self::HoursPerMonth => (
                "hours-per-month",
                "hours a month",
                "h",
                (0.0, 744.0),
                720.0,
                M4_2,
            ),
            Self::LineLength => (
                "line-length",
                "length of the line",
                "m",
                (1.0, 1e7),
                500.0,
                "source, M4.1",
            ),
            other => return other.facts_beyond_the_line(),
        };
        Facts {
            name,
            title,
            unit,
            least,
            most,
            stated,
            whose,
        }
    }

    fn facts_beyond_the_line(self) -> Facts {
        let (name, title, unit, (least, most), stated, whose) = match self {
            Self::TotalPower => (
                "total-power",
                "power before the saving",
                "W",
                (1e-3, 1e12),
                1000.0,
                M4_3,
            ),
            Self::RemainingPower => (
                "remaining-power",
                "power after the saving",
                "W",
                (0.0, 1e12),
                200.0,
                M4_3,
            ),
            Self::ForecastYear => (
                "forecast-year",
                "year of the forecast",
                "",
                (1900.0, 2200.0),
                2030.0,
                M4_3,
            ),
            Self::BundlePrice => (
                "bundle-price",
                "price of the bundle",
                "{currency}/month",
                (0.0, 1e12),
                3000.0,
                M4_4,
            ),
            Self::BundlePowerSaved => (
                "bundle-power-saved",
                "power the bundle saves",
                "W",
                (0.0, 1e9),
                800.0,
                M4_4,
            ),
            Self::TraditionalPrice => (
                "traditional-price",
                "price of the traditional gateway",
                "{currency}/month",
                (1e-3, 1e12),
                2500.0,
                M4_4,
            ),
            // The rest, which is the coupling; a wildcard because the line's parameters are answered for above.
            _ => (
                "coupling",
                "coupling N(0)V",
                "",
                (0.01, 1.0),
                0.3,
                "upper end of weak coupling, where the BCS formula holds",
            ),
        };
        Facts {
            name,
            title,
            unit,
            least,
            most,
            stated,
            whose,
        }
    }

    /// The name in options and messages, such as `line-length`.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// What it is, in words.
    pub fn title(self) -> &'static str {
        self.facts().title
    }

    /// Its unit under a currency.
    pub fn unit(self, currency: &str) -> String {
        self.facts().unit.replace("{currency}", currency)
    }

    /// The least and the greatest value a scenario accepts.
    pub fn bounds(self) -> (f64, f64) {
        let facts = self.facts();
        (facts.least, facts.most)
    }

    /// The default, in [`unit`](Self::unit).
    pub fn stated(self) -> f64 {
        self.facts().stated
    }

    /// Whose figure the default is.
    pub fn stated_by(self) -> &'static str {
        self.facts().whose
    }

    /// The parameter of that name.
    ///
    /// # Errors
    /// Invalid for any other name; proposes the closest.
    pub fn by_name(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::name);
            let problem = Problem::invalid("a scenario has no such parameter")
                .limit(known.join(", "))
                .found(name);
            let closest = known
                .into_iter()
                .max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b)));
            match closest {
                Some(closest) => problem.remedy(format!("did you mean {closest}?")),
                None => problem,
            }
        })
    }

    /// Holds a value against the bounds.
    ///
    /// # Errors
    /// Invalid where the value is no finite number within the bounds.
    pub fn check(self, value: f64) -> Result<()> {
        let (least, most) = self.bounds();
        if (least..=most).contains(&value) {
            return Ok(());
        }
        let unit = self.facts().unit.replace("{currency}", "money");
        Err(
            Problem::invalid(format!("the {} is out of bounds", self.title()))
                .at(self.name())
                .limit(format!("{least} to {most} {unit}").trim_end())
                .found(value),
        )
    }
}
