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
            self.value, self.unit, self.provenance
        )
    }
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
}
