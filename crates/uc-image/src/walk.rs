//! Walks a layer entry by entry without unpacking it: what looks into images needs their content, not a copy on disk.
//!
//! What unpacking refuses is refused here as well: names that lead out, what is beyond a limit, a stream without its
//! digest. Nothing is written, so devices and dangling hard links do no harm and are shown like everything else.
//!
//! What a visitor saw is unverified until the walk has ended well: on an error it must be dropped.

use std::io::{self, Read};

use uc_model::{Bytes, Digest, Problem, Result};

use crate::{
    image::{BlobSource, Layer},
    media::{self, Compression, LayerFormat},
    progress::Progress,
    unpack::{
        Limits,
        entry::{self, Kind},
        name::normalise,
        pipeline,
        sparse::Segment,
        stream::Entries,
    },
    verify::wrong_digest,
};

/// How often progress is told, in bytes of the blob.
const PROGRESS_BYTES: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of a file that came earlier.
    HardLink,
    /// A named pipe or a device.
    Other,
}

/// An entry of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Relative to the root, without `.` and empty parts; empty for the root itself.
    pub path: &'a [u8],
    /// What it is.
    pub kind: EntryKind,
    /// Of a file, in bytes, holes included.
    pub size: u64,
    /// Of a link: where it leads, as in the archive.
    pub link: &'a [u8],
}

/// What a layer held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walked {
    /// The digest of the tar stream.
    pub diff_id: Digest,
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of file content, holes included.
    pub bytes: u64,
}

/// Walks a layer of an image and holds it to its digests.
///
/// # Errors
/// Those of [`walk_stream`] and of the blob; invalid where a digest is not the promised one.
pub fn walk_layer(
    source: &dyn BlobSource,
    layer: &Layer,
    limits: Limits,
    progress: &dyn Progress,
    visit: impl FnMut(&Entry<'_>, &mut Content<'_>) -> Result<()>,
) -> Result<Walked> {
    let place = || format!("layer {}", layer.digest.short());
    let Some(LayerFormat::Tar(compression)) = media::layer_format(&layer.media_type) else {
        return Err(Problem::invalid("not a layer of a root file system")
            .at(place())
            .found(&layer.media_type));
    };
    progress.started(&layer.digest, 0, layer.size);
    let reader = Telling {
        inner: source.open(&layer.descriptor())?,
        layer,
        done: 0,
        told: 0,
        progress,
    };
    let walked = walk_stream(reader, Some(compression), limits, visit)
        .map_err(|problem| problem.within(place()));
    // A bar must not stay behind an error.
    progress.finished(&layer.digest, layer.size);
    let walked = walked?;
    if walked.diff_id == layer.diff_id {
        Ok(walked)
    } else {
        Err(wrong_digest(&layer.diff_id, &walked.diff_id).at(format!("{}, decompressed", place())))
    }
}

/// Walks a tar stream. `announced` is the compression that it must have.
///
/// # Errors
/// Those of the visitor; refused for what could harm or is beyond a limit, invalid for what is malformed or truncated.
/// Each names the entry.
pub fn walk_stream<R: Read + Send>(
    reader: R,
    announced: Option<Compression>,
    limits: Limits,
    mut visit: impl FnMut(&Entry<'_>, &mut Content<'_>) -> Result<()>,
) -> Result<Walked> {
    let (counts, diff_id) = pipeline::run(reader, announced, limits, |chunks| {
        let mut entries = Entries::new(chunks);
        let outcome = each(&mut entries, limits, &mut visit);
        outcome.map_err(|problem| problem.within(entries.place()))
    })?;
    Ok(Walked {
        diff_id,
        entries: counts.0,
        bytes: counts.1,
    })
}

/// Visits every entry, then reads the stream to its end; counts entries and bytes.
fn each(
    entries: &mut Entries,
    limits: Limits,
    visit: &mut impl FnMut(&Entry<'_>, &mut Content<'_>) -> Result<()>,
) -> Result<(u64, u64)> {
    let (mut count, mut bytes) = (0, 0u64);
    while let Some(entry) = entries.next_entry()? {
        count += 1;
        if count > limits.entries {
            return Err(Problem::refused("the layer has too many entries")
                .limit(limits.entries)
                .remedy("use an image you trust"));
        }
        let mut content = Content::new(&entry, entries);
        bytes = bytes.saturating_add(content.size);
        if bytes > limits.bytes {
            return Err(Problem::refused("the layer's files are too large together")
                .limit(Bytes(limits.bytes))
                .found(format!("at least {}", Bytes(bytes)))
                .remedy("it looks like a decompression bomb: use an image you trust"));
        }
        let shown = Entry {
            path: &normalise(&entry.name)?,
            kind: match entry.kind {
                Kind::File { .. } => EntryKind::File,
                Kind::Directory => EntryKind::Directory,
                Kind::Symlink => EntryKind::Symlink,
                Kind::HardLink => EntryKind::HardLink,
                Kind::Fifo | Kind::Device => EntryKind::Other,
            },
            size: content.size,
            link: &entry.link,
        };
        visit(&shown, &mut content)?;
    }
    entries.drain();
    Ok((count, bytes))
}

/// The content of the present entry; what is not read is skipped. Holes read as zeros.
///
/// The source of an error is a [`Problem`]; [`crate::verify::problem_of`] takes it out.
pub struct Content<'a> {
    entries: &'a mut Entries,
    /// Those that are not yet read to their end, in order.
    segments: std::vec::IntoIter<Segment>,
    present: Option<Segment>,
    position: u64,
    size: u64,
}

impl<'a> Content<'a> {
    fn new(entry: &entry::Entry, entries: &'a mut Entries) -> Self {
        let (segments, size) = match &entry.kind {
            Kind::File { sparse: Some(map) } => (map.segments.clone(), map.real_size),
            Kind::File { sparse: None } => {
                let whole = Segment {
                    offset: 0,
                    length: entry.stored,
                };
                (vec![whole], entry.stored)
            }
            _ => (Vec::new(), 0),
        };
        let mut segments = segments.into_iter();
        Self {
            entries,
            present: segments.next(),
            segments,
            position: 0,
            size,
        }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(segment) = self.present
            && segment.offset + segment.length <= self.position
        {
            self.present = self.segments.next();
        }
        let most = |end: u64| {
            usize::try_from(end - self.position).map_or(buffer.len(), |left| left.min(buffer.len()))
        };
        match self.present {
            Some(segment) if segment.offset <= self.position => {
                let most = most(segment.offset + segment.length);
                let bytes = self.entries.data().map_err(io::Error::other)?;
                let count = most.min(bytes.len());
                buffer[..count].copy_from_slice(&bytes[..count]);
                self.entries.consume(count);
                self.position += count as u64;
                Ok(count)
            }
            next => {
                let count = most(next.map_or(self.size, |segment| segment.offset));
                buffer[..count].fill(0);
                self.position += count as u64;
                Ok(count)
            }
        }
    }
}

/// Tells how far a blob has been read.
struct Telling<'a, R> {
    inner: R,
    layer: &'a Layer,
    done: u64,
    told: u64,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Telling<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        if self.done - self.told >= PROGRESS_BYTES {
            self.told = self.done;
            self.progress
                .advanced(&self.layer.digest, self.done, self.layer.size);
        }
        Ok(count)
    }
}
