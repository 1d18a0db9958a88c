//! Files that a trace leaves.

use std::path::Path;

use serde::Serialize;
use uc_model::{Problem, Result};

pub(super) fn write_json(file: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|error| Problem::internal("cannot write JSON").caused_by(error))?;
    text.push(b'\n');
    write(file, &text)
}

pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(file, bytes).map_err(|error| {
        Problem::storage("cannot write the file")
            .at(file.display())
            .caused_by(error)
    })
}
