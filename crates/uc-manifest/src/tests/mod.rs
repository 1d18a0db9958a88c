//! Tests of whole manifests.

mod coverage;
mod fields;
mod page;
mod refusals;
mod robustness;

use std::path::Path;

use uc_model::{Problem, workload::Workload};

use crate::{Manifest, parse};

/// A Pod named `p` with more lines under `spec` and one container `c` with more lines of its own.
fn pod(spec: &str, container: &str) -> String {
    let indent = |text: &str, by: usize| -> String {
        text.lines()
            .map(|line| format!("{}{line}\n", " ".repeat(by)))
            .collect()
    };
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n{}  containers:\n  - name: c\n    image: busybox:1\n{}",
        indent(spec, 2),
        indent(container, 4)
    )
}

fn read(text: &str) -> Result<Manifest, Problem> {
    parse(text, "f.yaml", Path::new("/base"))
}

fn accept(text: &str) -> Workload {
    match read(text) {
        Ok(mut manifest) => manifest.workloads.remove(0),
        Err(problem) => panic!("must be accepted, but: {problem}\n{text}"),
    }
}

fn refuse(text: &str) -> Problem {
    match read(text) {
        Ok(_) => panic!("must be refused:\n{text}"),
        Err(problem) => problem,
    }
}
