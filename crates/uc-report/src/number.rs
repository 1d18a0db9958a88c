//! Numbers for people.

/// With as many digits as matter: `12,345`, `12.5`, `0.031`, `2.4 M`.
pub(crate) fn short(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let size = value.abs();
    let (scaled, suffix) = match size {
        size if size >= 1e12 => (value / 1e12, " T"),
        size if size >= 1e9 => (value / 1e9, " G"),
        size if size >= 1e6 => (value / 1e6, " M"),
        _ => (value, ""),
    };
    let size = scaled.abs();
    let decimals = match size {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 1.0 => 2,
        size if size >= 0.001 => 4,
        _ => 6,
    };
    let digits = format!("{size:.decimals$}");
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut text = String::new();
    for (at, digit) in whole.chars().enumerate() {
        // Four digits read well without, and may be a year.
        if at > 0 && whole.len() > 4 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    let sign = if value < 0.0 && text != "0" {
        "−"
    } else {
        ""
    };
    format!("{sign}{text}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn digits_that_matter_and_no_others() {
        for (value, text) in [
            (0.0, "0"),
            (2030.0, "2030"),
            (12_344.4, "12,344"),
            (-12.5, "−12.5"),
            (0.031, "0.031"),
            (2_400_000.0, "2.4 M"),
            (f64::NAN, "–"),
            (-1e-9, "0"),
        ] {
            assert_eq!(short(value), text, "{value}");
        }
    }
}
