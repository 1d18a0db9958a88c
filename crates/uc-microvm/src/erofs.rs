//! Read-only images of the file system EROFS, written by ourselves (kernel: Documentation/filesystems/erofs.rst,
//! fs/erofs/erofs_fs.h).
//!
//! A [`Tree`] is put together from the unpacked layers of an image, as overlayfs would stack them, and from files of our
//! own or of the host. [`write`] lays it out without compression: the superblock, then inodes with the ends of their
//! files beside them, then everything else in whole blocks.

mod copy;
mod dirents;
mod format;
mod image;
mod layout;
mod scan;
mod tree;
mod xattrs;

#[cfg(test)]
mod reader;
#[cfg(test)]
mod tests;

use std::{fs::File, path::PathBuf};

use uc_model::Result;

pub(crate) use image::{Summary, write};
pub(crate) use scan::Id;
pub(crate) use tree::{Owner, Tree};

/// Writes the layers of an image, lowest first, into `out`, an empty file that may grow to `limit` bytes.
///
/// `ids` says who owns a file in the image, from who owns it as this process sees it. Files that this process may not
/// read are a refusal: see [`uc_linux::worker::run_as_reader`].
///
/// # Errors
/// Refused beyond a limit, invalid where a layer cannot be read, storage where `out` cannot be written.
pub(crate) fn write_layers(
    layers: &[PathBuf],
    ids: &dyn Fn(Id) -> u32,
    limit: u64,
    out: &File,
) -> Result<Summary> {
    let mut tree = Tree::new();
    for layer in layers {
        tree.stack_layer(layer, ids)?;
    }
    write(&tree, limit, out)
}
