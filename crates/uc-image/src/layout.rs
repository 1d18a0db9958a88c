//! OCI image layouts: read in place from a directory or a tar file, and written.

mod archive;
mod attached;
mod directory;
mod tar_writer;
mod writer;

pub use archive::LayoutArchive;
pub use attached::LayoutOrigin;
pub use directory::LayoutDirectory;
pub use tar_writer::layer_from_directory;
pub use writer::{ConfigDraft, LayoutWriter};

use uc_model::{Digest, Problem, Result};

use crate::{
    image::{self, BlobSource, Build, Image},
    spec::{Descriptor, Index},
};

/// The name of the marker file of a layout, and what it says.
pub(crate) const MARKER: (&str, &str) = ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);

/// A place that holds a layout: blobs and one index of named images.
pub trait Layout: BlobSource + Sized {
    /// The index of named images.
    ///
    /// # Errors
    /// Invalid or not found, naming the file.
    fn index(&self) -> Result<Index>;

    /// The size of a blob as it lies there; `None` where it does not.
    fn blob_size(&self, digest: &Digest) -> Option<u64>;

    /// Resolves the image of a tag, or the only image where no tag is given.
    ///
    /// # Errors
    /// Not found, listing the tags there are; else those of [`image::resolve`].
    fn image(&self, tag: Option<&str>) -> Result<Image> {
        let index = self.index()?;
        let named =
            named(&index, tag, self.build()).map_err(|problem| problem.within(self.place()))?;
        let reference = match tag {
            Some(tag) => format!("{}:{tag}", self.place()),
            None => self.place(),
        };
        image::resolve(self, named, &reference)
    }
}

/// The descriptor that a tag names.
fn named<'a>(index: &'a Index, tag: Option<&str>, build: Build) -> Result<&'a Descriptor> {
    let tags = || {
        let mut tags: Vec<&str> = index
            .manifests
            .iter()
            .filter_map(Descriptor::ref_name)
            .take(64)
            .collect();
        tags.sort_unstable();
        tags.dedup();
        if tags.is_empty() {
            "no tags".to_owned()
        } else {
            tags.join(", ")
        }
    };
    let candidates: Vec<Descriptor> = match tag {
        None => attached::without_attachments(index),
        Some(_) => index
            .manifests
            .iter()
            .filter(|descriptor| descriptor.ref_name() == tag)
            .cloned()
            .collect(),
    };
    let chosen = match candidates.as_slice() {
        [] if index.manifests.is_empty() => {
            return Err(
                Problem::not_found("the image layout is empty").remedy("copy an image into it")
            );
        }
        [] => {
            return Err(Problem::not_found("no image has this tag")
                .at(tag.unwrap_or_default())
                .limit("a tag of the layout")
                .found(tags())
                .remedy("name one of these tags"));
        }
        [only] => Some(only),
        // One image built for several machines, listed without an index of its own.
        several if same_name(several) && several.iter().all(|one| one.platform.is_some()) => {
            image::for_this_machine(several, build)
        }
        several if several.iter().all(|one| one.digest == several[0].digest) => several.first(),
        _ if tag.is_some() => {
            return Err(
                Problem::invalid("several images have this tag").at(tag.unwrap_or_default())
            );
        }
        _ => {
            return Err(
                Problem::invalid("the layout holds several images and no tag is given")
                    .limit("one image, or a tag")
                    .found(tags())
                    .remedy("add :TAG to the image name"),
            );
        }
    };
    let chosen = chosen
        .ok_or_else(|| Problem::not_found("no image of the layout is built for this machine"))?;
    index
        .manifests
        .iter()
        .find(|descriptor| *descriptor == chosen)
        .ok_or_else(|| Problem::internal("the chosen image is not in the index"))
}

fn same_name(descriptors: &[Descriptor]) -> bool {
    descriptors
        .windows(2)
        .all(|pair| pair[0].ref_name() == pair[1].ref_name())
}
