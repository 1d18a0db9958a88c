//! How good the verdict is, beside other rules, on machines and programs never trained on.

mod detection;
mod forecasts;
mod interval;
pub mod rule;

pub use detection::{Detection, Outcome, detect};
pub use forecasts::{ForecastScore, score_forecasts};
pub use interval::Interval;
