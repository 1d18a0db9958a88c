//! The decision models: which technology to adopt, when, at what cost and risk.
//!
//! Everything here is a function of its arguments: catalogues come in as text, dates and seeds as values. Money is in the
//! catalogue's currency, time in months after the catalogue is read ("as of"), effort in person-days.

pub mod adoption;
pub mod catalogue;
pub mod contradiction;
pub mod energy;
pub mod estimate;
pub mod evaluation;
pub mod monte_carlo;
pub mod offload;
pub mod period;
pub mod portfolio;
pub mod supply_chain;
pub mod timetable;
pub mod timing;
pub mod waiting;

pub use adoption::{Inputs, Weights};
pub use catalogue::{Catalogue, Technology};
pub use estimate::{Distribution, Estimate};
