//! Kubernetes YAML to workloads.
//!
//! A file holds Pods, and with them the RuntimeClasses, ConfigMaps and Secrets that they refer to. Every field of
//! these objects either has its Kubernetes meaning, or means nothing on one machine and is reported in
//! [`Manifest::notes`], or is refused by its path; none is silently ignored. The crate is pure: paths are joined, but
//! no file is touched.
//!
//! Reading takes three steps: text to a bounded tree with positions (`yaml`), the tree against the field tables
//! (`check`, `schema`), the checked tree to workloads (`document`, `pod` and what they use).

use std::path::Path;

use uc_model::{Problem, workload::Workload};

mod annotation;
mod bare;
mod check;
mod container;
mod context;
mod data;
mod document;
mod downward;
mod env;
mod expand;
mod image;
mod mount;
mod name;
mod pod;
mod port;
mod probe;
mod projection;
mod resources;
mod runtime_class;
mod schema;
mod scope;
mod security;
mod view;
mod volume;
mod yaml;

#[cfg(test)]
mod tests;

pub use bare::workload_for_image;
pub use image::parse_image;
pub use name::check_label;

/// What a file asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its Pods, in the order of the file; at least one, with unique names.
    pub workloads: Vec<Workload>,
    /// What was accepted without effect, or with another effect than a cluster's: one line each, with its place.
    pub notes: Vec<String>,
}

/// Reads a manifest: YAML documents, or JSON, which is YAML too.
///
/// `file_name` is used in messages only. Relative paths (images, hostPath volumes, seccomp profiles) are joined to
/// `base`, the directory of the file.
///
/// # Errors
/// [`uc_model::ProblemKind::Invalid`] for malformed or contradictory input, [`uc_model::ProblemKind::Refused`] for
/// what is well-formed and cannot be honoured; both with `file:line:column` and the path of the field.
pub fn parse(text: &str, file_name: &str, base: &Path) -> Result<Manifest, Problem> {
    let nodes = yaml::read(text, file_name)?;
    let context = context::Context::new(file_name, base);
    let workloads = document::read(&context, &nodes)?;
    Ok(Manifest {
        workloads,
        notes: context.into_notes(),
    })
}
