//! A layout in a tar file, read in place through a table of offsets.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use uc_model::{Digest, Problem, Result};

use super::{
    Layout, MARKER,
    directory::{check_marker, missing_blob},
};
use crate::{
    bounds,
    image::{BlobSource, Build},
    spec::{self, Descriptor, Index},
};

/// A layout in an uncompressed tar file.
#[derive(Debug, Clone)]
pub struct LayoutArchive {
    path: PathBuf,
    file: Arc<File>,
    /// Name in the archive -> where its content lies.
    members: BTreeMap<String, Span>,
    build: Build,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    offset: u64,
    size: u64,
}

impl LayoutArchive {
    /// Opens an archive and notes where its members lie; no content is read.
    ///
    /// # Errors
    /// Not found; invalid where it is no tar file or holds no layout (an old `docker save` archive is told apart);
    /// refused beyond [`bounds::ARCHIVE_ENTRIES`].
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| {
            Problem::not_found("cannot open the image archive")
                .at(path.display())
                .remedy("check the path: it is relative to the Pod file or the working directory")
                .caused_by(error)
        })?;
        let members = members(&file).map_err(|problem| problem.within(path.display()))?;
        let archive = Self {
            path: path.to_owned(),
            file: Arc::new(file),
            members,
            build: Build::Native,
        };
        archive
            .check_layout()
            .map_err(|problem| problem.within(path.display()))?;
        Ok(archive)
    }

    fn check_layout(&self) -> Result<()> {
        if self.members.contains_key(MARKER.0) {
            return check_marker(&self.member(MARKER.0)?).map_err(|problem| problem.at(MARKER.0));
        }
        let remedy = "write it with: skopeo copy docker://NAME oci-archive:FILE:TAG";
        if self.members.contains_key("manifest.json") {
            return Err(Problem::invalid(
                "the archive is in docker's own format, not an OCI layout",
            )
            .limit("a file oci-layout")
            .found("manifest.json")
            .remedy("convert it with: skopeo copy docker-archive:FILE oci-archive:NEW:TAG"));
        }
        Err(Problem::invalid("the archive holds no OCI image layout")
            .limit("a file oci-layout")
            .remedy(remedy))
    }

    fn member(&self, name: &str) -> Result<Vec<u8>> {
        let span = self.members.get(name).ok_or_else(|| {
            Problem::invalid("the archive lacks a file of the layout").limit(name)
        })?;
        if span.size > bounds::MANIFEST_BYTES {
            return Err(Problem::refused("a file of the layout is too large")
                .at(name)
                .limit(bounds::shown(bounds::MANIFEST_BYTES))
                .found(bounds::shown(span.size)));
        }
        let mut bytes = Vec::new();
        self.reader(*span)
            .read_to_end(&mut bytes)
            .map_err(|error| {
                Problem::invalid("cannot read the archive")
                    .at(name)
                    .caused_by(error)
            })?;
        Ok(bytes)
    }

    fn reader(&self, span: Span) -> SpanReader {
        SpanReader {
            file: Arc::clone(&self.file),
            span,
        }
    }
}

/// The table of offsets. Names are those after `./`; links and extension headers are of no use to a layout.
fn members(file: &File) -> Result<BTreeMap<String, Span>> {
    let malformed = |error: io::Error| {
        Problem::invalid("not a readable tar file")
            .limit("an uncompressed tar archive")
            .remedy("decompress it first, or copy the image again")
            .caused_by(error)
    };
    let mut members = BTreeMap::new();
    let mut archive = tar::Archive::new(file);
    for (count, entry) in archive.entries_with_seek().map_err(malformed)?.enumerate() {
        let entry = entry.map_err(malformed)?;
        if count >= bounds::ARCHIVE_ENTRIES {
            return Err(
                Problem::refused("the archive has too many entries").limit(bounds::ARCHIVE_ENTRIES)
            );
        }
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
        let span = Span {
            offset: entry.raw_file_position(),
            size: entry.size(),
        };
        members.insert(name, span);
    }
    Ok(members)
}

/// Reads a part of a file by position, so that several readers share one descriptor.
struct SpanReader {
    file: Arc<File>,
    span: Span,
}

impl Read for SpanReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted =
            usize::try_from(self.span.size).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read_at(&mut buffer[..wanted], self.span.offset)?;
        self.span.offset += count as u64;
        self.span.size -= count as u64;
        Ok(count)
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

impl Layout for LayoutArchive {
    fn index(&self) -> Result<Index> {
        self.member("index.json")
            .and_then(|bytes| spec::parse_index(&bytes))
            .map_err(|problem| problem.within(format!("{}: index.json", self.path.display())))
    }

    fn blob_size(&self, digest: &Digest) -> Option<u64> {
        self.members.get(&blob_name(digest)).map(|span| span.size)
    }
}

impl LayoutArchive {
    /// The same, choosing this build where an image has several.
    #[must_use]
    pub fn preferring(mut self, build: Build) -> Self {
        self.build = build;
        self
    }
}

impl BlobSource for LayoutArchive {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        match self.members.get(&blob_name(&descriptor.digest)) {
            Some(span) => Ok(Box::new(self.reader(*span))),
            None => Err(missing_blob(descriptor)),
        }
    }

    fn build(&self) -> Build {
        self.build
    }

    fn place(&self) -> String {
        format!("oci-archive:{}", self.path.display())
    }
}
