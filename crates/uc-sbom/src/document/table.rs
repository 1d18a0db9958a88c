//! Rows for people.

use serde::Serialize;

use crate::inventory::Inventory;

/// One package as a row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The type, as package URLs name it.
    pub kind: &'static str,
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The licences, joined; empty if unknown.
    pub licences: String,
    /// The first file that it was found in.
    pub path: String,
}

/// A row for each package, in the inventory's order.
pub fn rows(inventory: &Inventory) -> Vec<Row> {
    inventory
        .packages
        .iter()
        .map(|package| {
            let licences: Vec<_> = package.licences.iter().map(|one| one.as_str()).collect();
            Row {
                kind: package.kind.purl_type(),
                name: package.name.clone(),
                version: package.version.clone(),
                licences: licences.join(", "),
                path: package
                    .locations
                    .first()
                    .map(|location| location.path.clone())
                    .unwrap_or_default(),
            }
        })
        .collect()
}
