//! Rules and chores of this repository, as a library so that its own tests can run them.

pub mod compare_gvisor;
pub mod compare_plan;
pub mod compare_sbom;
pub mod compare_wasm;
pub mod example_image;
pub mod guest;
mod measure;
mod python;
pub mod record_programs;
pub mod setup;
pub mod source;
pub mod tidy;
pub mod workspace;
