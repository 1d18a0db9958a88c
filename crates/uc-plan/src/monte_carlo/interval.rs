//! Between which ends a result lies: interval arithmetic over the ends of the figures.

/// A closed interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Interval {
    pub(super) const ZERO: Self = Self::new(0.0, 0.0);

    pub(super) const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self::new(self.low + other.low, self.high + other.high)
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self::new(self.low - other.high, self.high - other.low)
    }

    /// By a factor that is not negative.
    pub(super) fn times(self, factor: Self) -> Self {
        Self::around([
            self.low * factor.low,
            self.low * factor.high,
            self.high * factor.low,
            self.high * factor.high,
        ])
    }

    /// The finite quotients by a divisor that is not negative; those by less than 2^-40 of the greatest are left out.
    pub(super) fn over(self, divisor: Self) -> Self {
        if divisor.high <= 0.0 {
            return Self::ZERO;
        }
        let least = divisor.low.max(divisor.high * 2.0_f64.powi(-40));
        Self::around([
            self.low / least,
            self.low / divisor.high,
            self.high / least,
            self.high / divisor.high,
        ])
    }

    fn around(ends: [f64; 4]) -> Self {
        Self::new(
            ends.into_iter().fold(f64::INFINITY, f64::min),
            ends.into_iter().fold(f64::NEG_INFINITY, f64::max),
        )
    }
}
