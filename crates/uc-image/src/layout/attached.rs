//! What is attached to the images of a layout: found by reading what the index lists.

use std::{
    collections::BTreeMap,
    io::Read,
    sync::{Mutex, PoisonError},
};

use serde::Deserialize;
use uc_model::{Digest, Result};

use super::{Layout, named};
use crate::{
    bounds,
    image::BlobSource,
    media,
    origin::{Origin, described},
    registry::{FetchedManifest, List, Referrers, ReferrersSource, fallback_tag},
    spec::{self, Descriptor, Index},
};

/// A layout as a place to look up artifacts and what is attached to them.
///
/// Attachments travel in layouts as other tools write them: manifests that the index lists without a tag and that name
/// their subject, indexes under a fallback tag, and the tags of cosign. The index is read once.
pub struct LayoutOrigin<L> {
    layout: L,
    index: Index,
    /// By subject; made when it is first asked for, since it reads every manifest that the index lists.
    attached: Mutex<Option<Attached>>,
}

struct Attached {
    by_subject: BTreeMap<Digest, Vec<Descriptor>>,
    /// Manifests that were not looked into, beyond the bound.
    left_out: usize,
}

impl<L: Layout> LayoutOrigin<L> {
    /// Looks things up in a layout.
    ///
    /// # Errors
    /// Those of [`Layout::index`].
    pub fn new(layout: L) -> Result<Self> {
        let index = layout.index()?;
        Ok(Self {
            layout,
            index,
            attached: Mutex::new(None),
        })
    }

    /// The layout itself.
    pub fn layout(&self) -> &L {
        &self.layout
    }

    /// The manifest of a tag, or the only image where no tag is given.
    ///
    /// # Errors
    /// Not found, listing the tags there are; invalid where content and digest disagree.
    pub fn manifest(&self, tag: Option<&str>) -> Result<FetchedManifest> {
        let descriptor = named(&self.index, tag, self.layout.build())
            .map_err(|problem| problem.within(self.layout.place()))?;
        self.read_manifest(descriptor)
    }

    fn read_manifest(&self, descriptor: &Descriptor) -> Result<FetchedManifest> {
        self.layout
            .read(descriptor, bounds::MANIFEST_BYTES)
            .and_then(|bytes| described(descriptor, bytes))
            .map_err(|problem| problem.within(self.layout.place()))
    }

    /// Every manifest that names a subject, and every entry of an index that its tag makes a list of referrers.
    fn scan(&self) -> Attached {
        let mut attached = Attached {
            by_subject: BTreeMap::new(),
            left_out: 0,
        };
        let mut budget = bounds::LAYOUT_SCAN_BYTES;
        for listed in &self.index.manifests {
            if !media::is_index(&listed.media_type) && !media::is_manifest(&listed.media_type) {
                continue;
            }
            let Some(left) = budget.checked_sub(listed.size) else {
                attached.left_out += 1;
                continue;
            };
            budget = left;
            // What is damaged or not there is nobody's attachment; whoever asks for it by name is told.
            let Ok(bytes) = self.layout.read(listed, bounds::MANIFEST_BYTES) else {
                continue;
            };
            attached.note(listed, &bytes);
        }
        attached
    }
}

impl Attached {
    fn note(&mut self, listed: &Descriptor, bytes: &[u8]) {
        #[derive(Deserialize)]
        struct Sketch {
            subject: Option<Descriptor>,
            #[serde(default)]
            manifests: Vec<Descriptor>,
        }
        let Ok(sketch) = spec::parse::<Sketch>(bytes, "manifest", bounds::MANIFEST_BYTES) else {
            return;
        };
        if let Some(subject) = sketch.subject {
            let mut entry = listed.clone();
            entry.annotations.remove(spec::REF_NAME);
            self.by_subject
                .entry(subject.digest)
                .or_default()
                .push(entry);
        }
        if let Some(subject) = listed.ref_name().and_then(subject_of_fallback_tag) {
            self.by_subject
                .entry(subject)
                .or_default()
                .extend(sketch.manifests);
        }
    }
}

/// The digest in `sha256-<hex>`.
fn subject_of_fallback_tag(tag: &str) -> Option<Digest> {
    tag.replacen('-', ":", 1)
        .parse()
        .ok()
        .filter(|subject| fallback_tag(subject) == tag)
}

impl<L: Layout> BlobSource for LayoutOrigin<L> {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        self.layout.open_unverified(descriptor)
    }

    fn place(&self) -> String {
        self.layout.place()
    }
}

impl<L: Layout> Origin for LayoutOrigin<L> {
    fn find_manifest(&self, name: &str) -> Result<Option<FetchedManifest>> {
        if !name.contains(':') {
            let is_there = |one: &Descriptor| one.ref_name() == Some(name);
            if !self.index.manifests.iter().any(is_there) {
                return Ok(None);
            }
            return self.manifest(Some(name)).map(Some);
        }
        let digest: Digest = name.parse()?;
        let listed = self.index.manifests.iter().find(|one| one.digest == digest);
        let descriptor = match listed {
            Some(listed) => listed.clone(),
            None => match self.layout.blob_size(&digest) {
                Some(size) => Descriptor::new("", digest, size),
                None => return Ok(None),
            },
        };
        self.read_manifest(&descriptor).map(Some)
    }

    fn referrers(&self, subject: &Digest) -> Result<Referrers> {
        let mut attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        let attached = attached.get_or_insert_with(|| self.scan());
        let mut list = List::default();
        for entry in attached.by_subject.get(subject).into_iter().flatten() {
            list.push(entry.clone());
        }
        let mut found = list.into_referrers(ReferrersSource::Api);
        found.left_out += attached.left_out;
        if found.manifests.is_empty() && found.left_out == 0 {
            found.source = ReferrersSource::None;
        }
        Ok(found)
    }
}

/// The descriptors that may be meant where no tag is given: attachments are not.
pub(super) fn without_attachments(index: &Index) -> Vec<Descriptor> {
    let images: Vec<Descriptor> = index
        .manifests
        .iter()
        .filter(|one| !one.ref_name().is_some_and(crate::origin::is_attachment_tag))
        .cloned()
        .collect();
    let (tagged, untagged): (Vec<_>, Vec<_>) =
        images.into_iter().partition(|one| one.ref_name().is_some());
    if !tagged.is_empty() {
        // An attachment has no tag, so what has none is not meant where others have one.
        return tagged;
    }
    let (artifacts, others): (Vec<_>, Vec<_>) = untagged
        .into_iter()
        .partition(|one| one.artifact_type.is_some());
    if others.is_empty() { artifacts } else { others }
}
