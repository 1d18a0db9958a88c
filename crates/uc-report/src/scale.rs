//! From values to places on an axis, with ticks at round numbers.

/// An axis of finite, positive extent.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_log: bool,
    pub(crate) ticks: Vec<f64>,
}

/// What lies beyond is drawn at the edge: sums of such numbers stay finite.
const LARGEST: f64 = 1e200;
/// Ticks of an axis, at most.
const TICKS: usize = 12;

impl Scale {
    /// An axis that shows all finite values, between two places; about so many ticks.
    pub(crate) fn linear(
        values: impl IntoIterator<Item = f64>,
        from: f64,
        to: f64,
        ticks: usize,
    ) -> Self {
        let (mut low, mut high) = extent(values);
        if high - low <= 1e-12 * high.abs().max(low.abs()).max(1e-9) {
            let margin = (0.1 * high.abs()).max(1e-6);
            low -= margin;
            high += margin;
        }
        let step = round_step((high - low) / ticks.max(1) as f64);
        low = (low / step).floor() * step;
        high = (high / step).ceil() * step;
        let count = (((high - low) / step).round() as usize).min(TICKS);
        Self {
            ticks: (0..=count).map(|at| low + step * at as f64).collect(),
            low,
            high,
            from,
            to,
            is_log: false,
        }
    }

    /// A logarithmic axis over the positive values; others stand at its beginning.
    pub(crate) fn logarithmic(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let positive: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite() && *value > 0.0)
            .map(|value| value.clamp(1e-100, 1e100).log10())
            .collect();
        let (low, high) = if positive.is_empty() {
            (0.0, 1.0)
        } else {
            extent(positive)
        };
        let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
        let step = (((high - low) / 8.0).ceil()).max(1.0);
        let count = (((high - low) / step) as usize).min(TICKS);
        Self {
            ticks: (0..=count)
                .map(|at| 10_f64.powf(low + step * at as f64))
                .collect(),
            low,
            high,
            from,
            to,
            is_log: true,
        }
    }

    /// The place of a value, at the edge where it lies beyond.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let value = if self.is_log {
            if value > 0.0 { value.log10() } else { self.low }
        } else {
            value
        };
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        let share = if share.is_finite() { share } else { 0.0 };
        self.from + share * (self.to - self.from)
    }
}

fn extent(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) = finite
        .map(|value| value.clamp(-LARGEST, LARGEST))
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// The next of 1, 2, 2.5, 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-300).log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_hold_all_values() {
        let scale = Scale::linear([3.0, 97.0], 0.0, 100.0, 5);
        assert_eq!(scale.ticks, [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(scale.place(50.0), 50.0);
        let scale = Scale::logarithmic([0.0, 2.0, 2000.0], 0.0, 4.0);
        assert_eq!(scale.ticks, [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(scale.place(-3.0), 0.0);
        assert_eq!(scale.place(100.0), 2.0);
    }

    #[test]
    fn odd_values_make_an_axis_all_the_same() {
        for values in [
            vec![],
            vec![f64::NAN],
            vec![5.0],
            vec![f64::MAX, f64::MIN],
            vec![1e-300, 2e-300],
            vec![f64::INFINITY, 1.0],
        ] {
            for scale in [
                Scale::linear(values.clone(), 0.0, 1.0, 5),
                Scale::logarithmic(values.clone(), 0.0, 1.0),
            ] {
                assert!(!scale.ticks.is_empty() && scale.ticks.len() <= TICKS + 1);
                for value in &values {
                    assert!(
                        (0.0..=1.0).contains(&scale.place(*value)),
                        "{value} {scale:?}"
                    );
                }
            }
        }
    }
}
