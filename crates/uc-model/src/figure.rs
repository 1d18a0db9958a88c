//! A number that says where it comes from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a figure comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "provenance", content = "basis", rename_all = "lowercase")]
pub enum Provenance {
    /// Read off this machine, now; the text says how.
    Measured(String),
    /// Computed; the text names the inputs.
    Modelled(String),
    /// Somebody's claim; the text says whose.
    Assumed(String),
}

impl Provenance {
    /// `measured`, `modelled` or `assumed`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Measured(_) => "measured",
            Self::Modelled(_) => "modelled",
            Self::Assumed(_) => "assumed",
        }
    }

    /// How, from which inputs, or whose.
    pub fn basis(&self) -> &str {
        match self {
            Self::Measured(basis) | Self::Modelled(basis) | Self::Assumed(basis) => basis,
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind(), self.basis())
    }
}

/// A value with its unit and its provenance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The number, in `unit`.
    pub value: f64,
    /// The unit, as printed behind the number (`ms`, `MiB`); empty for ratios.
    pub unit: String,
    /// Where the number comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl Figure {
    /// A figure read off this machine.
    pub fn measured(value: f64, unit: &str, how: &str) -> Self {
        Self {
            value,
            unit: unit.into(),
            provenance: Provenance::Measured(how.into()),
        }
    }

    /// A figure computed from named inputs.
    pub fn modelled(value: f64, unit: &str, inputs: &str) -> Self {
        Self {
            value,
            unit: unit.into(),
            provenance: Provenance::Modelled(inputs.into()),
        }
    }

    /// A figure somebody claims.
    pub fn assumed(value: f64, unit: &str, whose: &str) -> Self {
        Self {
            value,
            unit: unit.into(),
            provenance: Provenance::Assumed(whose.into()),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.unit.is_empty() { "" } else { " " };
        write!(
            f,
            "{}{space}{} ({})",
            for_reading(self.value),
            self.unit,
            self.provenance
        )
    }
}

/// A value with four digits, or all of its whole ones: nobody reads more, and few figures have more.
fn for_reading(value: f64) -> f64 {
    if !value.is_normal() {
        return value;
    }
    let whole_digits = value.abs().log10().floor() as i32 + 1;
    let scale = 10_f64.powi((4 - whole_digits).clamp(0, 300));
    let rounded = (value * scale).round() / scale;
    if rounded.is_finite() { rounded } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_shows_its_provenance_in_words_and_in_json() {
        let figure = Figure::assumed(30.0, "ms", "mission M1.2");
        assert_eq!(figure.to_string(), "30 ms (assumed: mission M1.2)");
        let json = serde_json::to_value(&figure).expect("serialises");
        assert_eq!(json["provenance"], "assumed");
        assert_eq!(json["basis"], "mission M1.2");
        let back: Figure = serde_json::from_value(json).expect("reads back");
        assert_eq!(back, figure);
    }

    #[test]
    fn digits_beyond_what_is_read_are_left_out() {
        for (value, text) in [
            (0.0, "0"),
            (0.355_732_999_999_999_97, "0.3557"),
            (119.186_517, "119.2"),
            (-2.000_04, "-2"),
            (123_456.7, "123457"),
            (0.000_012_345_6, "0.00001235"),
            (f64::MAX, &format!("{}", f64::MAX)),
            (f64::NAN, "NaN"),
        ] {
            let shown = Figure::assumed(value, "", "x").to_string();
            assert_eq!(shown, format!("{text} (assumed: x)"));
        }
    }
}
