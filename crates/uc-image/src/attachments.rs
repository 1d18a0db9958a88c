//! What is attached to a manifest, for people: signatures, attestations, SBOMs, by subject or by tag.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use uc_model::{Digest, Result};

use crate::{
    artifact, bounds,
    origin::{ATTACHMENT_SUFFIXES, Origin},
    parallel,
    registry::fallback_tag,
    spec::{self, Descriptor},
};

/// Attached manifests that are read to tell what they are; of the others the list says it, which may be wrong.
const LOOKED_AT: usize = 256;
/// Manifests that are read at the same time.
const READS: usize = 8;

/// Something that is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its manifest.
    pub descriptor: Descriptor,
    /// What it is: its artifact type, else the type of its configuration or first layer.
    pub kind: String,
    /// The tag it was found under; `None` for what names its subject.
    pub tag: Option<String>,
    /// Bytes of its layers, where its manifest was read.
    pub content_bytes: Option<u64>,
}

/// Lists what is attached to a manifest, and counts what is beyond the bounds.
///
/// # Errors
/// Those of the origin.
pub fn list(origin: &dyn Origin, subject: &Digest) -> Result<(Vec<Attachment>, usize)> {
    let base = fallback_tag(subject);
    let mut todo: Vec<(usize, Option<String>, Option<Descriptor>)> = ATTACHMENT_SUFFIXES
        .iter()
        .filter(|suffix| !suffix.is_empty())
        .map(|suffix| (0, Some(format!("{base}{suffix}")), None))
        .collect();
    let referrers = origin.referrers(subject)?;
    let listed = referrers.manifests.into_iter();
    todo.extend(listed.map(|descriptor| (0, None, Some(descriptor))));
    for (number, entry) in todo.iter_mut().enumerate() {
        entry.0 = number;
    }
    let found = Mutex::new(Vec::new());
    parallel::for_each(&todo, READS, |(number, tag, listed)| {
        let attachment = match (tag, listed) {
            (Some(tag), _) => by_tag(origin, tag)?,
            (None, Some(listed)) => Some(by_subject(origin, listed, *number < LOOKED_AT)?),
            (None, None) => None,
        };
        if let Some(attachment) = attachment {
            found
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((*number, attachment));
        }
        Ok(())
    })?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(number, _)| *number);
    let attachments = found.into_iter().map(|(_, attachment)| attachment);
    Ok((attachments.collect(), referrers.left_out))
}

fn by_tag(origin: &dyn Origin, tag: &str) -> Result<Option<Attachment>> {
    let Some(found) = origin.find_manifest(tag)? else {
        return Ok(None);
    };
    let (kind, content_bytes) = kind_of(&found.bytes, true);
    Ok(Some(Attachment {
        descriptor: found.descriptor,
        kind,
        tag: Some(tag.to_owned()),
        content_bytes,
    }))
}

fn by_subject(origin: &dyn Origin, listed: &Descriptor, read: bool) -> Result<Attachment> {
    let found = if read {
        origin.find_manifest(listed.digest.as_str())?
    } else {
        None
    };
    let (kind, content_bytes) = match found {
        Some(found) => kind_of(&found.bytes, false),
        None => (listed.artifact_type.clone().unwrap_or_default(), None),
    };
    Ok(Attachment {
        descriptor: listed.clone(),
        kind,
        tag: None,
        content_bytes,
    })
}

/// What a manifest says it is, and how much its layers hold. Signatures by tag look like images: there the layers tell.
fn kind_of(bytes: &[u8], by_layer: bool) -> (String, Option<u64>) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sketch {
        artifact_type: Option<String>,
        config: Option<Descriptor>,
        #[serde(default)]
        layers: Vec<Descriptor>,
    }
    let Ok(sketch) = spec::parse::<Sketch>(bytes, "manifest", bounds::MANIFEST_BYTES) else {
        return ("malformed".into(), None);
    };
    let size = sketch
        .layers
        .iter()
        .fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
    let layer = sketch.layers.first().map(|layer| layer.media_type.clone());
    let config = sketch
        .config
        .map(|config| config.media_type)
        .filter(|config| config != artifact::EMPTY.0);
    let own = sketch
        .artifact_type
        .filter(|artifact_type| !artifact_type.is_empty());
    let kind = if by_layer {
        own.or(layer).or(config)
    } else {
        own.or(config).or(layer)
    };
    (kind.unwrap_or_default(), Some(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_attachment_is_is_told_by_itself() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let blob = |kind: &str| format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":7}}"#);
        let empty = blob(artifact::EMPTY.0);
        for (text, by_layer, expected) in [
            (
                format!(
                    r#"{{"artifactType":"a/b","config":{empty},"layers":[{0},{0}]}}"#,
                    blob("c/d")
                ),
                false,
                ("a/b", Some(14)),
            ),
            (
                format!(r#"{{"config":{empty},"layers":[{}]}}"#, blob("c/d")),
                false,
                ("c/d", Some(7)),
            ),
            (
                format!(r#"{{"config":{},"layers":[{}]}}"#, blob("x/y"), blob("c/d")),
                false,
                ("x/y", Some(7)),
            ),
            (
                format!(r#"{{"config":{},"layers":[{}]}}"#, blob("x/y"), blob("c/d")),
                true,
                ("c/d", Some(7)),
            ),
            ("{}".into(), false, ("", Some(0))),
            ("[".into(), false, ("malformed", None)),
        ] {
            let (kind, size) = kind_of(text.as_bytes(), by_layer);
            assert_eq!((kind.as_str(), size), expected, "{text}");
        }
    }
}
