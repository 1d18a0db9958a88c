//! `cargo xtask example-image DIR`: packs Debian's busybox as an OCI image layout, the same bytes each time.

mod busybox;
pub(crate) mod layout;

use std::path::Path;

use uc_model::Result;

/// Makes the layout, unless a finished one is there.
///
/// # Errors
/// When there is no static busybox to be had, or the folder cannot be written.
pub fn run(folder: &Path) -> Result<()> {
    if folder.join("index.json").exists() {
        return Ok(());
    }
    let root = busybox::root_file_system()?;
    layout::write(folder, &root)
}
