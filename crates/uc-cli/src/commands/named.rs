//! Commands that do the same with several named workloads.

use std::{collections::BTreeSet, process::ExitCode};

use uc_engine::{Home, Status, record};
use uc_model::Result;

use crate::{
    cli::Format,
    printing::{self, json},
};

/// The workloads of these names or ids, each once. Nothing has been done to any where one of them is unknown.
pub(super) fn find_all(home: &Home, names: &[String]) -> Result<Vec<Status>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for name in names {
        let status = record::find(home, name)?;
        if seen.insert(status.record.id.clone()) {
            found.push(status);
        }
    }
    Ok(found)
}

/// Does `action` with one after the other until one fails, and prints the ids of those that it was done with, in JSON
/// under the name `done`.
pub(super) fn each(
    workloads: &[Status],
    done: &str,
    format: Format,
    action: impl Fn(&Status) -> Result<()>,
) -> Result<ExitCode> {
    let mut ids = Vec::new();
    let result = workloads.iter().try_for_each(|status| {
        action(status)?;
        ids.push(status.record.id.as_str());
        Ok(())
    });
    match format {
        // Of JSON there is one document: the result, or the error.
        Format::Json if result.is_ok() => json(&serde_json::json!({ done: ids }))?,
        Format::Text if !ids.is_empty() => printing::result(&format!("{}\n", ids.join("\n")))?,
        _ => {}
    }
    result.map(|()| ExitCode::SUCCESS)
}
