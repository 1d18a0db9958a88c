//! Where attachments lie: a registry's repository, or an image layout.

use serde::Deserialize;
use uc_image::{
    layout::{Layout, LayoutArchive, LayoutDirectory},
    registry::Registry,
    spec::Descriptor,
};
use uc_model::{Digest, Result};

/// A place that holds artifacts and what is attached to them. It is asked from several threads at once.
pub trait Shelf: Sync {
    /// The manifest or index behind a tag, verified; `None` where there is none.
    ///
    /// # Errors
    /// Those of the place: unavailable, refused.
    fn tagged(&self, tag: &str) -> Result<Option<Vec<u8>>>;

    /// A manifest by its descriptor, verified.
    ///
    /// # Errors
    /// Not found; those of the place.
    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>>;

    /// The manifests that name a subject, and how many more there are than were listed.
    ///
    /// # Errors
    /// Those of the place.
    fn referrers(&self, subject: &Digest) -> Result<(Vec<Descriptor>, usize)>;

    /// A whole blob of at most `limit` bytes, verified.
    ///
    /// # Errors
    /// Not found, refused beyond the limit, those of the place.
    fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>>;
}

impl Shelf for Registry<'_> {
    fn tagged(&self, tag: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.find_manifest(tag)?.map(|found| found.bytes))
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        Ok(Registry::manifest(self, descriptor.digest.as_str())?.bytes)
    }

    fn referrers(&self, subject: &Digest) -> Result<(Vec<Descriptor>, usize)> {
        let found = Registry::referrers(self, subject)?;
        Ok((found.manifests, found.left_out))
    }

    fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        Registry::blob(self, descriptor, limit)
    }
}

/// The part of a manifest that says what it is attached to.
#[derive(Deserialize)]
struct Sketch {
    subject: Option<Descriptor>,
}

fn tagged_in(layout: &impl Layout, tag: &str) -> Result<Option<Vec<u8>>> {
    let index = layout.index()?;
    let mut named = index.manifests.iter();
    named
        .find(|descriptor| descriptor.ref_name() == Some(tag))
        .map(|descriptor| layout.read(descriptor, uc_image::bounds::MANIFEST_BYTES))
        .transpose()
}

fn referrers_in(layout: &impl Layout, subject: &Digest) -> Result<(Vec<Descriptor>, usize)> {
    let mut found = Vec::new();
    // The index is bounded; an entry that cannot be read is attached to nothing.
    for descriptor in layout.index()?.manifests {
        let bytes = layout.read(&descriptor, uc_image::bounds::MANIFEST_BYTES);
        let sketch = bytes
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(Sketch { subject: Some(of) }) = sketch
            && of.digest == *subject
        {
            found.push(descriptor);
        }
    }
    Ok((found, 0))
}

macro_rules! shelf_of_layout {
    ($layout:ty) => {
        impl Shelf for $layout {
            fn tagged(&self, tag: &str) -> Result<Option<Vec<u8>>> {
                tagged_in(self, tag)
            }

            fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
                uc_image::image::BlobSource::read(
                    self,
                    descriptor,
                    uc_image::bounds::MANIFEST_BYTES,
                )
            }

            fn referrers(&self, subject: &Digest) -> Result<(Vec<Descriptor>, usize)> {
                referrers_in(self, subject)
            }

            fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>> {
                uc_image::image::BlobSource::read(self, descriptor, limit)
            }
        }
    };
}

shelf_of_layout!(LayoutDirectory);
shelf_of_layout!(LayoutArchive);
