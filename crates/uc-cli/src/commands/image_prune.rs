//! `uc image prune`: gives back the room of unpacked layers that nothing needs.

use uc_engine::Engine;
use uc_image::store::Store;
use uc_model::{Bytes, Result};

use crate::{
    cli::Format,
    printing::{self, json},
};

/// Removes unpacked layers that no stored image needs and no workload uses, such as those of layouts and archives, and says
/// how much that has freed.
pub(crate) fn prune(engine: &Engine, store: &Store, format: Format) -> Result<()> {
    let freed = engine.forget_layers(store)?;
    match format {
        Format::Json => json(&serde_json::json!({ "freed_bytes": freed })),
        Format::Text => {
            printing::say(&format!("freed {}", Bytes(freed)));
            Ok(())
        }
    }
}
