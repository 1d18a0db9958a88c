//! Copies of anything a registry or layout can hold, with everything that is attached to it.
//!
//! A copy has the digests of the original: manifests are sent byte by byte, blobs are verified on the way. What is there
//! already is not sent again, so that a copy that broke off is made whole by making it once more. What is attached comes
//! after what it is attached to, and what the place holds of other signers stays.

mod destination;

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use uc_model::{Digest, Problem, Result};

pub use destination::{Destination, LayoutDestination};

use crate::{
    bounds,
    image::{Document, document},
    media,
    origin::{ATTACHMENT_SUFFIXES, Origin, described},
    parallel,
    registry::{FetchedManifest, fallback_tag, referrer_entry},
    spec::{Descriptor, Index, Manifest},
};

/// Blobs of one manifest that are sent at the same time.
const BLOBS: usize = 4;
/// Attached manifests that are copied at the same time.
const ATTACHMENTS: usize = 6;
/// How far attachments of attachments are followed: a signature of an SBOM of an image is the second.
const DEPTH: usize = 4;

/// What to copy.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Leaves attachments where they are.
    pub only_named: bool,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// What was named.
    pub descriptor: Descriptor,
    /// Manifests and indexes, those attached among them.
    pub manifests: usize,
    /// Blobs that are at the destination now, each counted once.
    pub blobs: usize,
    /// The bytes of those.
    pub blob_bytes: u64,
    /// Manifests that are attached: by subject or by tag.
    pub attached: usize,
    /// Attachments beyond a bound, which were not copied: at least so many.
    pub left_out: usize,
    /// Attachments that the origin lists but does not have, or that name another subject.
    pub missing: usize,
}

/// Copies a manifest or index, with all it lists and, unless told otherwise, all that is attached to it.
///
/// # Errors
/// Those of origin and destination; invalid where content and digest disagree; not found where a part is missing.
pub fn copy(
    origin: &dyn Origin,
    named: &FetchedManifest,
    destination: &dyn Destination,
    tag: Option<&str>,
    options: Options,
) -> Result<Copied> {
    let named = described(&named.descriptor, named.bytes.clone())?;
    let transfer = Transfer {
        origin,
        destination,
        state: Mutex::new(State {
            copied: Copied {
                descriptor: named.descriptor.clone(),
                manifests: 0,
                blobs: 0,
                blob_bytes: 0,
                attached: 0,
                left_out: 0,
                missing: 0,
            },
            blobs: BTreeSet::new(),
            manifests: BTreeSet::new(),
        }),
    };
    let mut subjects = Vec::new();
    let arrived = transfer.tree(&named, tag, BLOBS, 0, &mut subjects)?;
    if !arrived.is_listed {
        // What is copied may itself be attached to something.
        let media_type = &named.descriptor.media_type;
        let (entry, subject) = referrer_entry(media_type, &named.bytes)?;
        if let Some(subject) = subject {
            destination.list_referrers(&[entry], &subject)?;
        }
    }
    if !options.only_named {
        transfer.attachments(&subjects)?;
    }
    let state = transfer.state.into_inner();
    Ok(state.unwrap_or_else(PoisonError::into_inner).copied)
}

struct Transfer<'a> {
    origin: &'a dyn Origin,
    destination: &'a dyn Destination,
    state: Mutex<State>,
}

/// What has arrived so far.
struct State {
    copied: Copied,
    blobs: BTreeSet<Digest>,
    manifests: BTreeSet<Digest>,
}

/// What is known of a manifest that has arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Arrived {
    /// Whether the destination lists it as a referrer by itself.
    is_listed: bool,
}

impl Transfer<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A manifest and all that it needs, its parts first. `subjects` gets every manifest of it.
    fn tree(
        &self,
        fetched: &FetchedManifest,
        tag: Option<&str>,
        workers: usize,
        depth: usize,
        subjects: &mut Vec<Digest>,
    ) -> Result<Arrived> {
        let digest = &fetched.descriptor.digest;
        if depth > bounds::INDEX_DEPTH {
            return Err(
                Problem::refused("image indexes are nested too deeply").limit(bounds::INDEX_DEPTH)
            );
        }
        subjects.push(digest.clone());
        let parsed = document(&fetched.bytes, &fetched.descriptor.media_type)
            .map_err(|problem| problem.within(format!("{} {digest}", self.origin.place())))?;
        match parsed {
            Document::Index(index) => self.listed(&index, workers, depth, subjects)?,
            Document::Manifest(manifest) => self.blobs(&manifest, workers)?,
        }
        let is_listed = self.destination.put_manifest(fetched, tag)?;
        let mut state = self.state();
        if state.manifests.insert(digest.clone()) {
            state.copied.manifests += 1;
        }
        Ok(Arrived { is_listed })
    }

    fn listed(
        &self,
        index: &Index,
        workers: usize,
        depth: usize,
        subjects: &mut Vec<Digest>,
    ) -> Result<()> {
        for descriptor in &index.manifests {
            if self.state().manifests.contains(&descriptor.digest) {
                continue;
            }
            if media::is_index(&descriptor.media_type)
                || media::is_manifest(&descriptor.media_type)
                || descriptor.media_type.is_empty()
            {
                let name = descriptor.digest.as_str();
                let found = self.origin.find_manifest(name)?.ok_or_else(|| {
                    Problem::not_found("a manifest that the index lists is not there")
                        .at(format!("{} {name}", self.origin.place()))
                        .remedy("copy the whole index to there first, for all machines")
                })?;
                let found = FetchedManifest {
                    descriptor: Descriptor {
                        media_type: descriptor.media_type.clone(),
                        ..found.descriptor
                    },
                    bytes: found.bytes,
                };
                let found = described(&found.descriptor, found.bytes)?;
                self.tree(&found, None, workers, depth + 1, subjects)?;
            } else {
                self.blob(descriptor)?;
            }
        }
        Ok(())
    }

    fn blobs(&self, manifest: &Manifest, workers: usize) -> Result<()> {
        let mut seen = BTreeSet::new();
        let blobs: Vec<&Descriptor> = manifest
            .layers
            .iter()
            .chain([&manifest.config])
            .filter(|blob| seen.insert(&blob.digest))
            .collect();
        parallel::for_each(&blobs, workers, |blob| self.blob(blob))
    }

    fn blob(&self, blob: &Descriptor) -> Result<()> {
        if self.state().blobs.contains(&blob.digest) {
            return Ok(());
        }
        match self.destination.put_blob(blob, self.origin) {
            // Such layers are fetched from elsewhere, and registries do without them.
            Err(problem)
                if problem.kind() == uc_model::ProblemKind::NotFound
                    && is_foreign(&blob.media_type) =>
            {
                return Ok(());
            }
            outcome => outcome?,
        }
        let mut state = self.state();
        if state.blobs.insert(blob.digest.clone()) {
            state.copied.blobs += 1;
            state.copied.blob_bytes += blob.size;
        }
        Ok(())
    }

    /// What is attached to any of these: by tag, and by subject.
    fn attachments(&self, subjects: &[Digest]) -> Result<()> {
        let tags: Vec<String> = subjects
            .iter()
            .flat_map(|subject| {
                let tag = fallback_tag(subject);
                ATTACHMENT_SUFFIXES
                    .iter()
                    .filter(|suffix| !suffix.is_empty())
                    .map(move |suffix| format!("{tag}{suffix}"))
            })
            .collect();
        parallel::for_each(&tags, ATTACHMENTS, |tag| self.attached_tag(tag))?;
        for subject in subjects {
            self.attached_to(subject, ATTACHMENTS, 0)?;
        }
        Ok(())
    }

    fn attached_tag(&self, tag: &str) -> Result<()> {
        let Some(found) = self.origin.find_manifest(tag)? else {
            return Ok(());
        };
        let found = described(&found.descriptor, found.bytes)?;
        match document(&found.bytes, &found.descriptor.media_type)
            .map_err(|problem| problem.within(format!("{} tag {tag}", self.origin.place())))?
        {
            Document::Manifest(manifest) => self.blobs(&manifest, 1)?,
            Document::Index(index) => self.listed(&index, 1, 0, &mut Vec::new())?,
        }
        self.destination.merge_tag(tag, &found)?;
        let mut state = self.state();
        state.copied.attached += 1;
        state.copied.manifests += 1;
        Ok(())
    }

    /// What names `subject`, and what names that in turn.
    fn attached_to(&self, subject: &Digest, workers: usize, depth: usize) -> Result<()> {
        let found = self.origin.referrers(subject)?;
        self.state().copied.left_out += found.left_out;
        if depth >= DEPTH {
            self.state().copied.left_out += found.manifests.len();
            return Ok(());
        }
        let numbered: Vec<(usize, &Descriptor)> = found.manifests.iter().enumerate().collect();
        let unlisted = Mutex::new(Vec::new());
        parallel::for_each(&numbered, workers, |(number, listed)| {
            if let Some(entry) = self.referrer(listed, subject, depth)? {
                unlisted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((*number, entry));
            }
            Ok(())
        })?;
        let mut unlisted = unlisted
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        // In the order of the origin, so that the same copy gives the same list.
        unlisted.sort_unstable_by_key(|(number, _)| *number);
        let entries: Vec<Descriptor> = unlisted.into_iter().map(|(_, entry)| entry).collect();
        if entries.is_empty() {
            return Ok(());
        }
        self.destination.list_referrers(&entries, subject)
    }

    /// One attached manifest; gives its entry where the destination does not list it by itself.
    fn referrer(
        &self,
        listed: &Descriptor,
        subject: &Digest,
        depth: usize,
    ) -> Result<Option<Descriptor>> {
        {
            let mut state = self.state();
            if state.manifests.contains(&listed.digest) {
                return Ok(None);
            }
            if state.copied.attached >= bounds::REFERRERS {
                state.copied.left_out += 1;
                return Ok(None);
            }
        }
        let Some(found) = self.origin.find_manifest(listed.digest.as_str())? else {
            self.state().copied.missing += 1;
            return Ok(None);
        };
        let found = described(&found.descriptor, found.bytes)?;
        // A list can claim anything; the manifest itself says what it belongs to. That also rules out circles.
        let (entry, own_subject) = referrer_entry(&found.descriptor.media_type, &found.bytes)?;
        if own_subject.as_ref() != Some(subject) {
            self.state().copied.missing += 1;
            return Ok(None);
        }
        let arrived = self.tree(&found, None, 1, 0, &mut Vec::new())?;
        self.state().copied.attached += 1;
        self.attached_to(&listed.digest, 1, depth + 1)?;
        Ok((!arrived.is_listed).then_some(entry))
    }
}

fn is_foreign(media_type: &str) -> bool {
    media_type.contains("nondistributable") || media_type.contains(".foreign.")
}
