//! Where copies go.

use std::{collections::BTreeSet, thread};

use serde_json::Value;
use uc_model::{Digest, Problem, ProblemKind, Result};

use crate::{
    bounds,
    image::BlobSource,
    layout::{Layout, LayoutDirectory, LayoutWriter},
    media,
    progress::Progress,
    registry::{ATTEMPTS, FetchedManifest, Merged, Registry, backoff},
    spec::{self, Descriptor, REF_NAME},
    verify::digest_of,
};

/// A place to copy to.
pub trait Destination: Sync {
    /// Brings a blob there, unless it is there.
    ///
    /// # Errors
    /// Those of the source and the place.
    fn put_blob(&self, blob: &Descriptor, source: &dyn BlobSource) -> Result<()>;

    /// Stores a manifest or index whose parts are there, by its digest or under a tag. Says whether the place lists it
    /// among the referrers of its subject by itself.
    ///
    /// # Errors
    /// Those of the place.
    fn put_manifest(&self, manifest: &FetchedManifest, tag: Option<&str>) -> Result<bool>;

    /// Lists manifests that are there as referrers of `subject`.
    ///
    /// # Errors
    /// Those of the place.
    fn list_referrers(&self, entries: &[Descriptor], subject: &Digest) -> Result<()>;

    /// Stores a manifest under a tag for attachments. Layers of what has the tag already are kept.
    ///
    /// # Errors
    /// Those of the place.
    fn merge_tag(&self, tag: &str, manifest: &FetchedManifest) -> Result<()>;
}

impl Destination for Registry<'_> {
    fn put_blob(&self, blob: &Descriptor, source: &dyn BlobSource) -> Result<()> {
        self.push_blob_from(blob, source)
    }

    fn put_manifest(&self, manifest: &FetchedManifest, tag: Option<&str>) -> Result<bool> {
        let descriptor = &manifest.descriptor;
        let name = tag.unwrap_or(descriptor.digest.as_str());
        let pushed = self.push_manifest(name, &descriptor.media_type, &manifest.bytes)?;
        if pushed.descriptor.digest != descriptor.digest
            && pushed.descriptor.digest.algorithm() == descriptor.digest.algorithm()
        {
            return Err(Problem::internal("a manifest was changed on its way"));
        }
        Ok(pushed.subject_known)
    }

    fn list_referrers(&self, entries: &[Descriptor], subject: &Digest) -> Result<()> {
        Registry::list_referrers(self, entries, subject)
    }

    fn merge_tag(&self, tag: &str, manifest: &FetchedManifest) -> Result<()> {
        let mut stored = BTreeSet::new();
        Registry::merge_tag(self, tag, &mut |found| {
            let Some(union) = union(found, manifest)? else {
                return Ok(None);
            };
            if let Some(config) = &union.config
                && stored.insert(digest_of(config))
            {
                self.push_blob(media::OCI_CONFIG, config)?;
            }
            Ok(Some((union.media_type, union.bytes)) as Merged)
        })
    }
}

/// What a tag for attachments is to name.
struct Union {
    media_type: String,
    bytes: Vec<u8>,
    /// A configuration that has to be stored first.
    config: Option<Vec<u8>>,
}

/// What is there with the layers that it lacks; `None` where it lacks none. Layers are told apart by content and
/// annotations: two signatures of one payload differ in the latter alone.
fn union(found: Option<&FetchedManifest>, added: &FetchedManifest) -> Result<Option<Union>> {
    let whole = |manifest: &FetchedManifest| Union {
        media_type: manifest.descriptor.media_type.clone(),
        bytes: manifest.bytes.clone(),
        config: None,
    };
    let Some(found) = found else {
        return Ok(Some(whole(added)));
    };
    if found.descriptor.digest == added.descriptor.digest {
        return Ok(None);
    }
    let parse = |bytes: &[u8]| -> Result<Value> {
        spec::parse(bytes, "manifest of attachments", bounds::MANIFEST_BYTES)
    };
    let (mut there, added_document) = (parse(&found.bytes)?, parse(&added.bytes)?);
    let no_layers = Vec::new();
    let added_layers = added_document["layers"].as_array().unwrap_or(&no_layers);
    let Some(layers) = there["layers"].as_array_mut() else {
        return Err(Problem::refused(
            "the tag for attachments names something else at the destination",
        )
        .remedy("remove the tag there, or copy to another repository"));
    };
    let before = layers.len();
    for layer in added_layers {
        if !layers.contains(layer) {
            layers.push(layer.clone());
        }
    }
    if layers.len() == before {
        return Ok(None);
    }
    let digests: Vec<Value> = layers.iter().map(|layer| layer["digest"].clone()).collect();
    // Cosign's configurations repeat the layers; whatever else a configuration is stays as it is.
    let config = (there["config"]["mediaType"] == media::OCI_CONFIG).then(|| config_for(&digests));
    if let Some(config) = &config {
        there["config"]["digest"] = digest_of(config).as_str().into();
        there["config"]["size"] = config.len().into();
    }
    Ok(Some(Union {
        media_type: crate::origin::media_type_of(&found.bytes, &found.descriptor.media_type)?,
        bytes: spec::to_json(&there)?,
        config,
    }))
}

/// The configuration that cosign writes beside such layers.
fn config_for(layers: &[Value]) -> Vec<u8> {
    let history = vec![serde_json::json!({ "created": "0001-01-01T00:00:00Z" }); layers.len()];
    serde_json::json!({
        "architecture": "", "os": "", "created": "0001-01-01T00:00:00Z", "history": history,
        "rootfs": { "type": "layers", "diff_ids": layers }, "config": {},
    })
    .to_string()
    .into_bytes()
}

/// A layout directory as a place to copy to.
pub struct LayoutDestination<'a> {
    writer: LayoutWriter,
    layout: LayoutDirectory,
    progress: &'a dyn Progress,
}

impl<'a> LayoutDestination<'a> {
    /// Copies into a layout that a writer has opened.
    pub fn new(writer: LayoutWriter, progress: &'a dyn Progress) -> Self {
        let layout = writer.layout().clone();
        Self {
            writer,
            layout,
            progress,
        }
    }
}

impl Destination for LayoutDestination<'_> {
    fn put_blob(&self, blob: &Descriptor, source: &dyn BlobSource) -> Result<()> {
        let mut attempt = 1;
        while self.layout.blob_size(&blob.digest) != Some(blob.size) {
            match self.writer.add_blob_from(blob, source, self.progress) {
                // A registry that broke off is asked again.
                Err(problem)
                    if problem.kind() == ProblemKind::Unavailable && attempt < ATTEMPTS =>
                {
                    let pause = backoff(attempt);
                    let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                    self.progress
                        .retrying(blob.digest.as_str(), problem.what(), pause_ms);
                    thread::sleep(pause);
                    attempt += 1;
                }
                outcome => outcome?,
            }
        }
        self.progress.finished(&blob.digest, blob.size);
        Ok(())
    }

    fn put_manifest(&self, manifest: &FetchedManifest, tag: Option<&str>) -> Result<bool> {
        self.writer
            .add_verified(&manifest.descriptor, &manifest.bytes)?;
        if let Some(tag) = tag {
            self.writer.name(tag, manifest.descriptor.clone())?;
        }
        Ok(false)
    }

    fn list_referrers(&self, entries: &[Descriptor], _: &Digest) -> Result<()> {
        self.writer.update(|index| {
            let known: BTreeSet<Digest> = index
                .manifests
                .iter()
                .map(|one| one.digest.clone())
                .collect();
            let new = entries
                .iter()
                .filter(|entry| !known.contains(&entry.digest));
            index.manifests.extend(new.cloned().map(|mut entry| {
                entry.annotations.remove(REF_NAME);
                entry
            }));
            Ok(())
        })
    }

    fn merge_tag(&self, tag: &str, manifest: &FetchedManifest) -> Result<()> {
        self.writer.update(|index| {
            let named = |one: &Descriptor| one.ref_name() == Some(tag);
            let found = match index.manifests.iter().find(|one| named(one)) {
                Some(descriptor) => Some(FetchedManifest {
                    bytes: self.layout.read(descriptor, bounds::MANIFEST_BYTES)?,
                    descriptor: descriptor.clone(),
                }),
                None => None,
            };
            let Some(union) = union(found.as_ref(), manifest)? else {
                return Ok(());
            };
            if let Some(config) = &union.config {
                self.writer.add_blob(media::OCI_CONFIG, config)?;
            }
            let mut descriptor = self.writer.add_blob(&union.media_type, &union.bytes)?;
            descriptor.annotations.insert(REF_NAME.into(), tag.into());
            index.manifests.retain(|one| !named(one));
            index.manifests.push(descriptor);
            Ok(())
        })
    }
}
