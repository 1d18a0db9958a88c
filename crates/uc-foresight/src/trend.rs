//! How memory moves within one window.

use crate::{
    pyramid::Window,
    robust::{concordance, theil_sen},
};

/// Bins without which a window says nothing.
const FEWEST_BINS: usize = 6;

/// The movement within one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Length of what is known of the window, in seconds.
    pub window_s: f64,
    /// Growth of the floor or of the mean, whichever is slower, in bytes for each second.
    pub slope: f64,
    /// Spread about the line, in bytes.
    pub spread: f64,
    /// The share of pairs of bins in which the later is the higher one.
    pub concordance: f64,
    /// Growth within the last part of the window over that of the whole.
    pub tail: f64,
    /// The last bins' mean in bytes.
    pub level: f64,
    /// The highest mean before the window, in bytes.
    pub peak_before: Option<f64>,
    /// How much steps between bins varied before the window, as a standard deviation in bytes; if enough were seen.
    pub step_spread: Option<f64>,
}

impl Trend {
    /// The movement within a window; `None` if it has too few bins.
    pub fn of(window: &Window) -> Option<Self> {
        if window.bins.len() < FEWEST_BINS {
            return None;
        }
        let means: Vec<(f64, f64)> = window
            .bins
            .iter()
            .map(|(at, bin)| (*at, f64::from(bin.mean)))
            .collect();
        let floors: Vec<(f64, f64)> = window
            .bins
            .iter()
            .map(|(at, bin)| (*at, f64::from(bin.floor)))
            .collect();
        let (mean, floor) = (theil_sen(&means), theil_sen(&floors));
        let values = |points: &[(f64, f64)]| points.iter().map(|point| point.1).collect::<Vec<_>>();
        let (mean_values, floor_values) = (values(&means), values(&floors));
        let slope = mean.slope.min(floor.slope);
        let tail_of = |points: &[(f64, f64)]| theil_sen(&points[points.len() * 3 / 5..]).slope;
        let tail = tail_of(&means).min(tail_of(&floors).max(tail_of(&means) * 0.5));
        Some(Self {
            window_s: window.bin_s * (means[means.len() - 1].0 - means[0].0 + 1.0),
            slope: slope / window.bin_s,
            spread: mean.spread.min(floor.spread.max(mean.spread * 0.5)),
            concordance: concordance(&mean_values).min(concordance(&floor_values)),
            tail: if slope > 0.0 { tail / slope } else { 0.0 },
            level: mean_values[mean_values.len() - 2..].iter().sum::<f64>() / 2.0,
            peak_before: window.peak_before,
            step_spread: window.step_spread,
        })
    }

    /// Growth over the window in bytes.
    pub fn rise(&self) -> f64 {
        self.slope * self.window_s
    }
}
