//! How far the worth of an adoption plan may stray when its figures are uncertain: quasi-random sampling.
//!
//! An [`Experiment`] is a set of technologies, those of them that are chosen, and a seed. It is cut into replicates that
//! are functions of their index alone, so callers compute them on as many threads as they like, in any order, and
//! [`Experiment::summarise`] says the same to the last bit:
//!
//! ```
//! # use uc_plan::{Distribution, Weights, monte_carlo::{Experiment, Prospect, Sampling}};
//! # let prospect = Prospect {
//! #     benefit: Distribution::Uniform { low: 1.0, high: 3.0 },
//! #     cost: Distribution::Point(1.0),
//! #     effort: Distribution::Point(0.0),
//! #     failure: Distribution::Point(0.1),
//! #     impact: Distribution::Point(10.0),
//! #     weights: Weights { benefit: 12.0, cost: 12.0, effort: 0.0, failure: 1.0, impact: 1.0 },
//! #     chosen: true,
//! # };
//! let experiment = Experiment::new(&[prospect], Sampling { seed: 1, replicates: 2 })?;
//! let summary = std::thread::scope(|scope| {
//!     let replicates: Vec<_> = (0..2)
//!         .map(|index| scope.spawn({ let experiment = &experiment; move || experiment.replicate(index) }))
//!         .collect();
//!     experiment.summarise(replicates.into_iter().filter_map(|thread| thread.join().ok()))
//! })?;
//! assert!((summary.portfolio.value.mean - (0.9 * 12.0 * 2.0 - 12.0 - 1.0)).abs() < 1e-3);
//! # Ok::<(), uc_model::Problem>(())
//! ```
//!
//! | part | idea |
//! |---|---|
//! | `lattice` | where samples lie in the unit cube |
//! | `sampler`, `quantile_table` | from there to values of figures |
//! | `evaluation`, `ranking` | what follows from the values, a block of samples at a time |
//! | `histogram`, `tally` | what is kept of it |
//! | `replicate`, `summary` | one unit of work, and what all say together |
//! | `sensitivity`, `break_even` | which figure matters, and from where on; exact, without samples |

mod break_even;
mod evaluation;
mod experiment;
mod generating_vector;
mod histogram;
mod interval;
mod lattice;
mod prospect;
mod quantile_table;
mod ranking;
mod replicate;
mod sampler;
mod sensitivity;
pub(crate) mod splitmix;
mod summary;
mod tally;
mod variance;

pub use break_even::BreakEven;
pub use experiment::{Experiment, REPLICATES_LIMIT, Sampling, TECHNOLOGIES_LIMIT};
pub use lattice::POINTS;
pub use prospect::{Figure, Prospect};
pub use ranking::RANKED_LIMIT;
pub use replicate::Partial;
pub use sensitivity::Swing;
pub use summary::{BINS, Chart, Estimated, PortfolioSummary, Spread, Summary, TechnologySummary};
