//! Places where artifacts and what is attached to them are looked up: a repository, a layout, an archive.

use uc_model::{Digest, Result};

use crate::{
    image::BlobSource,
    media,
    registry::{FetchedManifest, Referrers, Registry},
    spec::{self, Descriptor},
};

/// A place with manifests under tags and digests, and with manifests that name others as their subject.
pub trait Origin: BlobSource {
    /// The manifest of a tag or digest, verified; `None` where it is not there.
    ///
    /// # Errors
    /// Those of the place; invalid where content and digest disagree.
    fn find_manifest(&self, name: &str) -> Result<Option<FetchedManifest>>;

    /// Manifests that name `subject`.
    ///
    /// # Errors
    /// Those of the place; invalid for a malformed list.
    fn referrers(&self, subject: &Digest) -> Result<Referrers>;
}

impl Origin for Registry<'_> {
    fn find_manifest(&self, name: &str) -> Result<Option<FetchedManifest>> {
        Registry::find_manifest(self, name)
    }

    fn referrers(&self, subject: &Digest) -> Result<Referrers> {
        Registry::referrers(self, subject)
    }
}

/// The media type of a manifest or index: as announced, else as it says itself, else as its fields tell.
///
/// # Errors
/// Invalid for a malformed document.
pub fn media_type_of(bytes: &[u8], announced: &str) -> Result<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sketch {
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    if !announced.is_empty() {
        return Ok(announced.to_owned());
    }
    let sketch: Sketch = spec::parse(bytes, "manifest", crate::bounds::MANIFEST_BYTES)?;
    Ok(match sketch.media_type {
        Some(own) if !own.is_empty() => own,
        _ if sketch.manifests.is_some() => media::OCI_INDEX.into(),
        _ => media::OCI_MANIFEST.into(),
    })
}

/// A tag that holds what belongs to a digest, as cosign and registries without referrers have it: `sha256-<hex>`, alone
/// or with `.sig`, `.att` or `.sbom` behind it.
pub fn is_attachment_tag(tag: &str) -> bool {
    let Some((algorithm, rest)) = tag.split_once('-') else {
        return false;
    };
    let hex = rest.split('.').next().unwrap_or_default();
    let suffix = &rest[hex.len()..];
    ATTACHMENT_SUFFIXES.contains(&suffix) && format!("{algorithm}:{hex}").parse::<Digest>().is_ok()
}

/// What stands behind the digest in tags for attachments; nothing for the index of referrers.
pub const ATTACHMENT_SUFFIXES: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// A descriptor of a manifest that was read.
pub(crate) fn described(descriptor: &Descriptor, bytes: Vec<u8>) -> Result<FetchedManifest> {
    let media_type = media_type_of(&bytes, &descriptor.media_type)?;
    let descriptor = Descriptor::new(&media_type, descriptor.digest.clone(), bytes.len() as u64);
    Ok(FetchedManifest { descriptor, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_attachments_are_known() {
        let hex = "a".repeat(64);
        for yes in ["", ".sig", ".att", ".sbom"] {
            assert!(is_attachment_tag(&format!("sha256-{hex}{yes}")));
        }
        for no in [
            "latest".to_owned(),
            "sha256-".into(),
            "v1-2.sig".into(),
            format!("sha256-{hex}.tar"),
            format!("sha256-{hex}.sig.sig"),
            format!("md5-{hex}.sig"),
        ] {
            assert!(!is_attachment_tag(&no), "{no}");
        }
    }

    #[test]
    fn a_manifest_that_does_not_say_what_it_is_shows_it() {
        for (text, announced, expected) in [
            (r#"{"manifests":[]}"#, "", media::OCI_INDEX),
            (r#"{"config":{}}"#, "", media::OCI_MANIFEST),
            (r#"{"mediaType":"x/y"}"#, "", "x/y"),
            (r#"{"manifests":[]}"#, "a/b", "a/b"),
        ] {
            let found = media_type_of(text.as_bytes(), announced).expect("readable");
            assert_eq!(found, expected);
        }
    }
}
