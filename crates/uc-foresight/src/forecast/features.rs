//! What a model sees of a series.

use crate::recent::Recent;

/// Steps of the lookback: an hour in minutes.
pub const LOOKBACK_STEPS: usize = 60;
/// Length of a step in seconds.
pub const STEP_S: f64 = 60.0;
/// Bins of [`Recent`] in a step.
const STEP_BINS: usize = 4;
/// Numbers for each step: memory, and whether it was known.
pub const STEP_INPUTS: usize = 2;
/// Numbers for the whole: size of the movement, the last seconds against the last minute, how much of the hour is known.
pub const STATICS: usize = 3;
/// Steps back from now that the linear part of a model sees.
pub const LAGS: [usize; 10] = [1, 2, 3, 5, 8, 12, 20, 30, 45, 59];
/// Known steps without which there is no forecast.
const FEWEST_KNOWN: usize = 3;
/// Movements further out than this many units are cut off.
const FURTHEST: f64 = 8.0;
/// Movements smaller than this share of the memory count as none.
const SMALLEST_MOVEMENT: f64 = 5e-4;

/// The last hour in units of its own movement.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Memory in the last minute, in bytes: zero of the units.
    pub anchor: f64,
    /// Bytes in a unit: the mean distance of the hour's minutes from the anchor.
    pub unit: f64,
    /// Memory in units, and 1 where it was known or 0; oldest first.
    pub steps: [[f32; STEP_INPUTS]; LOOKBACK_STEPS],
    /// See [`STATICS`].
    pub statics: [f32; STATICS],
}

impl Features {
    /// What is seen now. `None` while less than three minutes are known.
    pub fn of(recent: &Recent) -> Option<Self> {
        let grid = recent.grid(LOOKBACK_STEPS, STEP_BINS);
        let known = grid.iter().flatten().count();
        if known < FEWEST_KNOWN {
            return None;
        }
        let anchor = grid[LOOKBACK_STEPS - 1]?;
        let movement = grid
            .iter()
            .flatten()
            .map(|value| (value - anchor).abs())
            .sum::<f64>()
            / known as f64;
        let unit = movement.max(SMALLEST_MOVEMENT * anchor).max(1.0);
        let first = grid.iter().flatten().next().copied()?;
        let in_units = |value: f64| ((value - anchor) / unit).clamp(-FURTHEST, FURTHEST) as f32;
        let mut steps = [[0.0; STEP_INPUTS]; LOOKBACK_STEPS];
        for (step, value) in steps.iter_mut().zip(&grid) {
            *step = [in_units(value.unwrap_or(first)), f32::from(value.is_some())];
        }
        let statics = [
            ((unit / anchor.max(1.0)).ln() / 5.0) as f32,
            in_units(recent.newest()),
            known as f32 / LOOKBACK_STEPS as f32,
        ];
        Some(Self {
            anchor,
            unit,
            steps,
            statics,
        })
    }

    /// The numbers of the linear part: memory at [`LAGS`], then the statics.
    pub fn linear(&self) -> [f32; LAGS.len() + STATICS] {
        let mut numbers = [0.0; LAGS.len() + STATICS];
        for (number, lag) in numbers.iter_mut().zip(LAGS) {
            *number = self.steps[LOOKBACK_STEPS - 1 - lag][0];
        }
        numbers[LAGS.len()..].copy_from_slice(&self.statics);
        numbers
    }
}
