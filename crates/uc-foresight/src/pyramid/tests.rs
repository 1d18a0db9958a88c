//! The condensed past against a plain one that keeps everything.

use proptest::prelude::*;

use super::*;

/// Every bin of the lowest level since the begin, as it was.
#[derive(Default)]
struct Plain {
    bins: Vec<Option<(f64, f64)>>,
}

/// A window of the plain past.
struct PlainWindow {
    bins: Vec<(f64, f64, f64)>,
    peak_before: Option<f64>,
    step_spread: Option<f64>,
}

impl Plain {
    fn level(&self, index: usize) -> Vec<Option<(f64, f64)>> {
        let mut bins = self.bins.clone();
        for _ in 0..index {
            let join = |pair: &[Option<(f64, f64)>]| match (pair[0], pair[1]) {
                (Some(one), Some(other)) => Some((one.0.min(other.0), (one.1 + other.1) / 2.0)),
                (one, other) => one.or(other),
            };
            bins = bins.chunks_exact(2).map(join).collect();
        }
        bins
    }

    fn window(&self, index: usize) -> PlainWindow {
        let all = self.level(index);
        let (before, shown) = all.split_at(all.len().saturating_sub(BINS));
        let (mut steps, mut mean, mut size) = (0.0f64, 0.0, 0.0);
        for at in 0..before.len() {
            if let (Some(one), Some(next)) = (all[at], all[at + 1]) {
                let step: f64 = next.1 - one.1;
                steps = (steps + 1.0).min(f64::from(STEPS_REMEMBERED));
                mean += (step - mean) / steps;
                size += (step.abs() - size) / steps;
            }
        }
        PlainWindow {
            bins: (0..)
                .zip(shown)
                .filter_map(|(at, bin)| bin.map(|bin| (f64::from(at), bin.0, bin.1)))
                .collect(),
            peak_before: before.iter().flatten().map(|bin| bin.1).reduce(f64::max),
            step_spread: (steps >= f64::from(FEWEST_STEPS))
                .then(|| 1.25 * (size - f64::abs(mean)).max(0.0)),
        }
    }
}

/// Pushes bins into both: for each, how many are missing before it, and its values.
fn both(series: &[(u32, Vec<f64>)]) -> (Pyramid, Plain, f64) {
    let (mut pyramid, mut plain) = (Pyramid::default(), Plain::default());
    let (mut number, mut highest) = (0.0, 0.0f64);
    for (missing, values) in series {
        number += f64::from(*missing);
        if !plain.bins.is_empty() {
            plain.bins.extend((0..*missing).map(|_| None));
        }
        let mut sum = 0.0;
        for (at, bytes) in values.iter().enumerate() {
            pyramid.push((number + at as f64 / 8.0) * BASE_S, *bytes);
            (sum, highest) = (sum + bytes, highest.max(*bytes));
        }
        let floor = values.iter().copied().fold(f64::INFINITY, f64::min);
        plain.bins.push(Some((floor, sum / values.len() as f64)));
        number += 1.0;
    }
    // The last bin is still being filled.
    plain.bins.pop();
    (pyramid, plain, highest)
}

/// A walk with jumps, plateaus and gaps, anywhere from bytes to petabytes.
fn series() -> impl Strategy<Value = Vec<(u32, Vec<f64>)>> {
    let gap = prop_oneof![30 => Just(0u32), 3 => 1u32..4, 1 => 5u32..300];
    let bin = (gap, prop::collection::vec(0.0f64..1.0, 1..4), 0.9f64..1.12);
    (0.0f64..50.0, prop::collection::vec(bin, 2..900)).prop_map(|(magnitude, bins)| {
        let mut level = magnitude.exp2();
        bins.into_iter()
            .map(|(missing, noise, factor)| {
                level = (level * factor).clamp(1.0, 1e17);
                let value = |noise: f64| (level * (1.0 + 0.1 * noise)).floor();
                (missing, noise.into_iter().map(value).collect())
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn windows_are_those_of_a_past_that_keeps_everything(series in series()) {
        let (pyramid, plain, highest) = both(&series);
        // Each level rounds once more, by half a unit of what it holds; a unit is at most a 2^15th of the highest.
        let rounding = highest * 4.0 / 32_768.0 + 1e-3;
        for index in 0..LEVELS {
            let (window, expected) = (pyramid.window(index), plain.window(index));
            prop_assert_eq!(window.bins.len(), expected.bins.len(), "level {}", index);
            for ((at, bin), (plain_at, floor, mean)) in window.bins.iter().zip(&expected.bins) {
                prop_assert_eq!(at, plain_at);
                prop_assert!((f64::from(bin.mean) - mean).abs() <= rounding);
                prop_assert!((f64::from(bin.floor) - floor).abs() <= rounding);
                prop_assert!(bin.floor <= bin.mean);
            }
            let near = |one: Option<f64>, other: Option<f64>, most: f64| match (one, other) {
                (Some(one), Some(other)) => (one - other).abs() <= most,
                (one, other) => one == other,
            };
            prop_assert!(near(window.peak_before, expected.peak_before, rounding));
            prop_assert!(near(window.step_spread, expected.step_spread, 5.0 * rounding));
        }
    }

    #[test]
    fn no_value_and_no_time_is_a_panic(points in prop::collection::vec((any::<f64>(), any::<f64>()), 0..40)) {
        let mut pyramid = Pyramid::default();
        let mut points = points;
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        for (t_s, bytes) in points {
            pyramid.push(t_s, bytes);
        }
        for index in 0..LEVELS {
            pyramid.window(index);
        }
    }
}

#[test]
fn a_ramp_is_a_ramp_at_every_level() {
    let mut pyramid = Pyramid::default();
    for step in 0..80_000 {
        let t_s = f64::from(step) * BASE_S;
        pyramid.push(t_s, t_s);
    }
    for index in 0..LEVELS {
        let window = pyramid.window(index);
        assert_eq!(window.bins.len(), BINS);
        let most = f64::max(1.0, window.bin_s / 1_000.0);
        for pair in window.bins.windows(2) {
            let rise = f64::from(pair[1].1.mean - pair[0].1.mean);
            assert!((rise - window.bin_s).abs() < most, "level {index}: {rise}");
        }
        let first = f64::from(window.bins[0].1.mean);
        assert!(window.peak_before.is_none_or(|peak| peak < first));
    }
}

#[test]
fn what_falls_is_seen_as_finely_as_what_was_always_low() {
    let (mut fallen, mut low) = (Pyramid::default(), Pyramid::default());
    for step in 0..200 {
        let t_s = f64::from(step) * BASE_S;
        let bytes = 1_000.0 + f64::from(step % 3);
        fallen.push(t_s, if step < 50 { 1e12 } else { bytes });
        low.push(t_s, bytes);
    }
    for index in 0..4 {
        assert_eq!(fallen.window(index).bins, low.window(index).bins);
    }
}

#[test]
fn a_gap_leaves_missing_bins_and_costs_no_more_than_a_bounded_loop() {
    let mut pyramid = Pyramid::default();
    pyramid.push(0.0, 5.0);
    pyramid.push(100.0, 6.0);
    pyramid.push(1e12, 7.0);
    pyramid.push(1e12 + 30.0, 7.0);
    assert_eq!(pyramid.window(0).bins.len(), 1);
    assert_eq!(pyramid.window(0).peak_before, Some(6.0));
}
