//! What is signed or verified: a manifest or an index of any kind.

use uc_image::{media, registry::Registry, spec};
use uc_model::{Digest, Result};
use uc_sign::Subject;

/// An artifact by its content.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// What stands for it in messages and signatures: host and repository, or a layout's path.
    pub repository: String,
    /// Its digest.
    pub digest: Digest,
    /// The media type of its manifest or index.
    pub media_type: String,
    /// The size of that document in bytes.
    pub size: u64,
    /// The index it was chosen from: whoever signed that signed what it lists.
    pub listed_in: Option<Digest>,
    /// The manifests it lists, where it is an index.
    pub lists: Vec<spec::Descriptor>,
}

impl Artifact {
    /// What the registry has under the reference that the client was made for.
    ///
    /// # Errors
    /// Those of [`Registry::manifest`]; invalid for an index that is malformed.
    pub fn of(registry: &Registry<'_>) -> Result<Self> {
        let reference = registry.reference();
        let found = registry.manifest(reference.manifest_name())?;
        let media_type = match &*found.descriptor.media_type {
            // A registry that serves plain files: the document speaks for itself.
            "" => stated_type(&found.bytes),
            stated => stated.to_owned(),
        };
        let lists = if media::is_index(&media_type) {
            spec::parse_index(&found.bytes)?.manifests
        } else {
            Vec::new()
        };
        Ok(Self {
            repository: name_of(registry),
            digest: found.descriptor.digest,
            media_type,
            size: found.descriptor.size,
            listed_in: None,
            lists,
        })
    }

    /// What a layout or archive has under a name.
    pub fn in_layout(image: &uc_image::Image, place: String) -> Self {
        Self {
            repository: place,
            digest: image.named_digest.clone(),
            media_type: media::OCI_MANIFEST.to_owned(),
            size: 0,
            listed_in: None,
            lists: Vec::new(),
        }
    }

    /// The subject whose signatures count.
    pub(super) fn subject(&self) -> Subject {
        let subject = Subject::new(self.digest.clone());
        match &self.listed_in {
            Some(index) => subject.listed_in(index.clone()),
            None => subject,
        }
    }
}

fn stated_type(document: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sketch {
        media_type: Option<String>,
        #[serde(default)]
        manifests: Option<serde::de::IgnoredAny>,
    }
    let sketch: Option<Sketch> = serde_json::from_slice(document).ok();
    let is_index = sketch
        .as_ref()
        .is_some_and(|sketch| sketch.manifests.is_some());
    sketch
        .and_then(|sketch| sketch.media_type)
        .unwrap_or_else(|| {
            let kind = if is_index {
                media::OCI_INDEX
            } else {
                media::OCI_MANIFEST
            };
            kind.to_owned()
        })
}

/// Host and repository as signatures name them, with Docker Hub under the name that cosign gives it.
pub(super) fn name_of(registry: &Registry<'_>) -> String {
    let reference = registry.reference();
    let host = match reference.host() {
        "docker.io" => "index.docker.io",
        host => host,
    };
    format!("{host}/{}", reference.repository())
}
