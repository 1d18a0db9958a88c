//! Documents: an inventory as SPDX 2.3, as CycloneDX 1.6, or as rows of a table, and the first two read back.
//!
//! Equal inventories give equal bytes: the time is an argument, and what must be unique to a document is derived from
//! its content.

use serde::Serialize;
use uc_model::{Problem, Result};

mod cyclonedx;
mod identity;
mod read;
mod spdx;
mod table;
mod timestamp;

pub use read::{DocumentFormat, created, read};
pub use table::{Row, rows};
pub use timestamp::parse_time;

use crate::inventory::Inventory;

/// The tool, as documents name it.
const TOOL: &str = "undercurrent";
const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Writes an SPDX 2.3 JSON document. `created_s` is its time, in seconds since 1970: an image's own, or
/// `SOURCE_DATE_EPOCH`.
///
/// # Errors
/// Internal if it cannot be serialised, which a well-formed inventory always can.
pub fn spdx(inventory: &Inventory, created_s: i64) -> Result<Vec<u8>> {
    let mut document = spdx::document(inventory, created_s);
    let id = identity::uuid(&serialise(&document)?);
    document.name_space(&id);
    serialise(&document)
}

/// Writes a CycloneDX 1.6 JSON document; `created_s` as for [`spdx`].
///
/// # Errors
/// As for [`spdx`].
pub fn cyclonedx(inventory: &Inventory, created_s: i64) -> Result<Vec<u8>> {
    let mut document = cyclonedx::document(inventory, created_s);
    let id = identity::uuid(&serialise(&document)?);
    document.serial_number = format!("urn:uuid:{id}");
    serialise(&document)
}

fn serialise(document: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(document)
        .map_err(|error| Problem::internal("the document cannot be serialised").caused_by(error))
}
