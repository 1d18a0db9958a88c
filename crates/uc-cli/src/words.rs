//! Numbers for people.

/// A number of months.
pub(crate) fn months(count: i64) -> String {
    if count == 1 {
        "1 month".into()
    } else {
        format!("{count} months")
    }
}

/// A share as a percentage; without bound where it is undefined.
pub(crate) fn share(value: Option<f64>) -> String {
    match value {
        Some(value) => format!("{} %", amount(100.0 * value)),
        None => "unbounded".into(),
    }
}

/// A number with as many decimals as matter, thousands apart.
pub(crate) fn amount(value: f64) -> String {
    if !value.is_finite() {
        return "unbounded".into();
    }
    let decimals = match value.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.01 => 4,
        _ => 6,
    };
    let digits = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        // Four digits read well without, and may be a year.
        if index > 0 && whole.len() > 4 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let is_zero = grouped == "0" && fraction.is_empty();
    let sign = if value < 0.0 && !is_zero { "-" } else { "" };
    if fraction.is_empty() {
        format!("{sign}{grouped}")
    } else {
        format!("{sign}{grouped}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_decimals_that_matter() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (2030.0, "2030"),
            (26_880.6, "26,881"),
            (-94_896.2, "-94,896"),
            (12.34, "12.3"),
            (0.06667, "0.0667"),
            (0.004, "0.004"),
            (-1e-9, "0"),
            (f64::INFINITY, "unbounded"),
        ] {
            assert_eq!(amount(value), text, "{value}");
        }
        assert_eq!(share(Some(0.084_8)), "8.48 %");
        assert_eq!(share(None), "unbounded");
        assert_eq!(months(1), "1 month");
    }
}
