//! Where memory samples come from, and where they are kept.
//!
//! [`cgroup`] and [`process`] read this host, [`prometheus`] what a cluster has recorded; all yield
//! [`uc_foresight::Sample`]. [`history`] keeps samples, and what else must survive a restart, in one bounded file. Nothing here
//! reads a clock: whoever asks says what time it is.

pub mod cgroup;
pub mod history;
pub mod http;
mod kernel_file;
pub mod pressure;
pub mod process;
pub mod prometheus;

pub use cgroup::{Group, Groups, MemoryHierarchy};
pub use history::{Bounds, History};
pub use process::Processes;
pub use prometheus::{MemorySamples, Prometheus, SeriesKey, memory_samples};
