//! A layout in a directory, read in place.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use uc_model::{Digest, Problem, Result};

use super::{Layout, MARKER};
use crate::{
    bounds,
    image::{BlobSource, Build},
    spec::{self, Descriptor, Index},
};

/// A layout in a directory.
#[derive(Debug, Clone)]
pub struct LayoutDirectory {
    directory: PathBuf,
    build: Build,
}

impl LayoutDirectory {
    /// Opens a layout.
    ///
    /// # Errors
    /// Not found where the directory or its `oci-layout` file is missing; invalid where the version is unknown.
    pub fn open(directory: &Path) -> Result<Self> {
        let layout = Self {
            directory: directory.to_owned(),
            build: Build::Native,
        };
        let marker = layout.file(MARKER.0)?;
        check_marker(&marker).map_err(|problem| problem.at(directory.join(MARKER.0).display()))?;
        Ok(layout)
    }

    /// The same, choosing this build where an image has several.
    #[must_use]
    pub fn preferring(mut self, build: Build) -> Self {
        self.build = build;
        self
    }

    /// Where a blob lies, whether it is there or not.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.directory
            .join("blobs")
            .join(digest.algorithm())
            .join(digest.hex())
    }

    /// The layout's directory.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    fn file(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.directory.join(name);
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(bounds::MANIFEST_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|error| {
                if self.directory.is_dir() {
                    Problem::not_found("the directory is not an OCI image layout")
                        .at(self.directory.display())
                        .limit(format!("a file {name}"))
                        .remedy("copy an image there, for example with: skopeo copy docker://NAME oci:DIR:TAG")
                        .caused_by(error)
                } else {
                    Problem::not_found("the image layout does not exist")
                        .at(self.directory.display())
                        .remedy("check the path: it is relative to the Pod file or the working directory")
                        .caused_by(error)
                }
            })?;
        Ok(bytes)
    }
}

/// Reads the marker file of a layout.
pub(super) fn check_marker(bytes: &[u8]) -> Result<()> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marker {
        image_layout_version: String,
    }
    let marker: Marker = spec::parse(bytes, "oci-layout file", 4096)?;
    if marker.image_layout_version.starts_with("1.") {
        Ok(())
    } else {
        Err(Problem::invalid("unsupported image layout version")
            .limit("1.x")
            .found(marker.image_layout_version))
    }
}

impl Layout for LayoutDirectory {
    fn index(&self) -> Result<Index> {
        let bytes = self.file("index.json")?;
        spec::parse_index(&bytes)
            .map_err(|problem| problem.within(self.directory.join("index.json").display()))
    }

    fn blob_size(&self, digest: &Digest) -> Option<u64> {
        let metadata = std::fs::metadata(self.blob_path(digest)).ok()?;
        metadata.is_file().then_some(metadata.len())
    }
}

impl BlobSource for LayoutDirectory {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let path = self.blob_path(&descriptor.digest);
        let file = File::open(&path)
            .map_err(|error| missing_blob(descriptor).at(path.display()).caused_by(error))?;
        // A directory or device opens as well, and only reading would tell.
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(Box::new(file)),
            _ => Err(Problem::invalid("the blob is not a regular file").at(path.display())),
        }
    }

    fn build(&self) -> Build {
        self.build
    }

    fn place(&self) -> String {
        format!("oci:{}", self.directory.display())
    }
}

pub(super) fn missing_blob(descriptor: &Descriptor) -> Problem {
    Problem::not_found("the image layout lacks a blob that the image needs")
        .at(&descriptor.digest)
        .limit(format!("a blob of {} bytes", descriptor.size))
        .remedy("copy the whole image again")
}
