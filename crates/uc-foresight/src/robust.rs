//! Statistics that a few wild values do not spoil.

/// The median; reorders the values. Zero for none.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The quantile `share`, from 0 to 1, by linear interpolation; reorders the values. Zero for none.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else {
        return 0.0;
    };
    values.sort_unstable_by(f64::total_cmp);
    let at = share.clamp(0.0, 1.0) * last as f64;
    let below = values[at.floor() as usize];
    let above = values[at.ceil() as usize];
    below + (above - below) * at.fract()
}

/// A straight line through points, robust against wild ones.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Line {
    /// Change for each unit of `x`.
    pub(crate) slope: f64,
    /// The value at `x = 0`.
    pub(crate) start: f64,
    /// Spread of the points about the line: 1.4826 times the median distance, which is the standard deviation of normal noise.
    pub(crate) spread: f64,
}

/// The line of Theil and Sen: the median slope of all pairs. At most a few dozen points.
pub(crate) fn theil_sen(points: &[(f64, f64)]) -> Line {
    let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
    for (index, (x, y)) in points.iter().enumerate() {
        for (other_x, other_y) in &points[index + 1..] {
            if other_x > x {
                slopes.push((other_y - y) / (other_x - x));
            }
        }
    }
    let slope = median(&mut slopes);
    let mut starts: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    let start = median(&mut starts);
    let mut distances: Vec<f64> = points
        .iter()
        .map(|(x, y)| (y - start - slope * x).abs())
        .collect();
    Line {
        slope,
        start,
        spread: 1.4826 * median(&mut distances),
    }
}

/// The share of pairs in which the later value is the greater one; 1 for a series that only climbs.
pub(crate) fn concordance(values: &[f64]) -> f64 {
    let (mut up, mut all) = (0.0, 0.0);
    for (index, early) in values.iter().enumerate() {
        for late in &values[index + 1..] {
            all += 1.0;
            up += if late > early {
                1.0
            } else if late == early {
                0.5
            } else {
                0.0
            };
        }
    }
    if all == 0.0 { 0.5 } else { up / all }
}

/// The probability that a standard normal value is below `z`; error below 2e-7 (Abramowitz and Stegun 7.1.26).
pub(crate) fn normal_below(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let tail = 0.5 * polynomial * (-x * x).exp();
    if z >= 0.0 { 1.0 - tail } else { tail }
}

/// The logistic function: 0 far below zero, 1 far above.
pub(crate) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_in_spite_of_wild_points() {
        let mut points: Vec<(f64, f64)> = (0..10)
            .map(|x| (f64::from(x), 3.0 + 2.0 * f64::from(x)))
            .collect();
        points[4].1 = 1e6;
        let line = theil_sen(&points);
        assert!(
            (line.slope - 2.0).abs() < 1e-9 && (line.start - 3.0).abs() < 1e-9,
            "{line:?}"
        );
        assert_eq!(line.spread, 0.0);
        assert_eq!(theil_sen(&[]), Line::default());
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&mut [4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert_eq!(quantile(&mut [], 0.5), 0.0);
    }

    #[test]
    fn the_normal_distribution_has_its_known_values() {
        for (z, expected) in [
            (0.0, 0.5),
            (1.0, 0.841_345),
            (-1.96, 0.024_998),
            (3.0, 0.998_650),
        ] {
            assert!((normal_below(z) - expected).abs() < 1e-5, "{z}");
        }
    }
}
