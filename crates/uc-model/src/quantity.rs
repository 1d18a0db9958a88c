//! Kubernetes quantities: bytes and CPU shares.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// A number of bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// `count` mebibytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// `count` gibibytes.
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }
}

/// Parses a Kubernetes quantity (`128Mi`, `1.5G`, `1e6`, `500`); fractions of a byte round up, as Kubernetes does.
impl FromStr for Bytes {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let milli_bytes = parse_milli(text)?;
        let bytes = milli_bytes.div_ceil(1000);
        u64::try_from(bytes)
            .map(Self)
            .map_err(|_| out_of_range(text))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let mut unit = 0;
        let mut scaled = self.0 as f64;
        while scaled >= 1024.0 && unit + 1 < UNITS.len() {
            scaled /= 1024.0;
            unit += 1;
        }
        if unit == 0 || scaled.fract() < 0.05 || scaled >= 100.0 {
            f.pad(&format!("{scaled:.0} {}", UNITS[unit]))
        } else {
            f.pad(&format!("{scaled:.1} {}", UNITS[unit]))
        }
    }
}

/// Thousandths of a CPU.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MilliCpu(pub u64);

/// Parses a Kubernetes CPU quantity (`500m`, `0.5`, `2`); fractions of a thousandth round up.
impl FromStr for MilliCpu {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let milli = parse_milli(text)?;
        u64::try_from(milli)
            .map(Self)
            .map_err(|_| out_of_range(text))
    }
}

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}", self.0 as f64 / 1000.0))
    }
}

fn out_of_range(text: &str) -> Problem {
    Problem::invalid("the quantity is out of range")
        .limit("a value that fits in 64 bits")
        .found(text)
}

/// Reads a non-negative quantity as thousandths of its unit, exactly, rounding up past the third decimal.
///
/// Grammar: Kubernetes apimachinery `resource.Quantity`: a decimal number, then a binary (`Ki`…`Ei`) or decimal
/// (`n`, `u`, `m`, `k`, `M`…`E`) suffix or a decimal exponent (`e3`, `E3`).
fn parse_milli(text: &str) -> Result<u128, Problem> {
    let bad = || {
        Problem::invalid("not a Kubernetes quantity")
            .limit("a number with an optional suffix, such as 500m, 2, 128Mi, 1G or 1e6")
            .found(format!("{text:?}"))
    };
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 40 {
        return Err(bad());
    }
    let fraction = fraction.trim_end_matches('0');
    let mantissa = format!("{whole}{fraction}");
    let mantissa: u128 = if mantissa.is_empty() {
        0
    } else {
        mantissa.parse().map_err(|_| bad())?
    };
    let (binary, decimal_exponent) = scale(suffix).ok_or_else(bad)?;
    let shift = decimal_exponent + 3 - i32::try_from(fraction.len()).map_err(|_| bad())?;
    let scaled = mantissa
        .checked_mul(binary)
        .ok_or_else(|| out_of_range(text))?;
    let power = 10u128
        .checked_pow(shift.unsigned_abs())
        .ok_or_else(|| out_of_range(text))?;
    if shift >= 0 {
        scaled.checked_mul(power).ok_or_else(|| out_of_range(text))
    } else {
        Ok(scaled.div_ceil(power))
    }
}

/// The binary factor and the decimal exponent that a suffix stands for.
fn scale(suffix: &str) -> Option<(u128, i32)> {
    Some(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            if !(-30..=30).contains(&exponent) {
                return None;
            }
            (1, exponent)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_follow_kubernetes() {
        for (text, bytes) in [
            ("0", 0),
            ("500", 500),
            ("128Mi", 128 << 20),
            ("1.5Gi", 3 << 29),
            ("1e6", 1_000_000),
            ("1E", 1_000_000_000_000_000_000),
            ("0.1", 1),
            ("1500m", 2),
            ("0.5Ki", 512),
            (".5k", 500),
        ] {
            assert_eq!(text.parse::<Bytes>().expect(text), Bytes(bytes), "{text}");
        }
        for wrong in [
            "",
            ".",
            "-1",
            "1.2.3",
            "12Q",
            "1ee3",
            "Mi",
            "99999999999999999999E",
            "1 Mi",
        ] {
            assert!(wrong.parse::<Bytes>().is_err(), "{wrong:?} must not parse");
        }
    }

    #[test]
    fn cpu_is_in_thousandths() {
        for (text, milli) in [("500m", 500), ("0.5", 500), ("2", 2000), ("0.0001", 1)] {
            assert_eq!(text.parse::<MilliCpu>().expect(text), MilliCpu(milli));
        }
    }

    #[test]
    fn bytes_print_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (512 << 20, "512 MiB"),
            (3 << 29, "1.5 GiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
