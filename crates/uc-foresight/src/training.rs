//! Training of the forecasting model, with candle. Slow and heavy; forecasting uses none of it.

mod examples;
mod fit;

pub use examples::{Example, examples_of};
pub use fit::{Progress, TrainingOptions, train};
