//! The JSON documents of the OCI image specification 1.1, as far as we read and write them.
//!
//! Unknown fields are ignored, as the specification asks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uc_model::{Digest, Problem, Result};

use crate::bounds;

/// The annotation that carries a tag in a layout's index.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Points to a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    #[serde(default)]
    pub media_type: String,
    /// Its content.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Which machine it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Notes, such as the tag.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What the artifact behind the blob is, where that is not told by its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// A descriptor without platform and annotations.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
            artifact_type: None,
        }
    }

    /// The tag of a descriptor in a layout's index.
    pub fn ref_name(&self) -> Option<&str> {
        self.annotations.get(REF_NAME).map(String::as_str)
    }
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// In Go's terms: `amd64`, `arm64`, `wasm`.
    #[serde(default)]
    pub architecture: String,
    /// In Go's terms: `linux`, `wasip1`.
    #[serde(default)]
    pub os: String,
    /// `v7`, `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// An image index or Docker manifest list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// What this document is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What the index is, where it is more than a list of images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What it lists.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    /// What it is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            schema_version: 2,
            media_type: Some(crate::media::OCI_INDEX.into()),
            artifact_type: None,
            manifests: Vec::new(),
            subject: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// An image manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What this document is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What the artifact is, where it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    /// What it is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Reads an index.
pub fn parse_index(bytes: &[u8]) -> Result<Index> {
    let index: Index = parse(bytes, "image index", bounds::MANIFEST_BYTES)?;
    if index.schema_version != 2 {
        return Err(wrong_schema("image index", index.schema_version));
    }
    if index.manifests.len() > bounds::INDEX_ENTRIES {
        return Err(Problem::refused("the image index lists too many manifests")
            .limit(bounds::INDEX_ENTRIES)
            .found(index.manifests.len()));
    }
    Ok(index)
}

/// Reads a manifest.
pub fn parse_manifest(bytes: &[u8]) -> Result<Manifest> {
    let manifest: Manifest = parse(bytes, "image manifest", bounds::MANIFEST_BYTES)?;
    if manifest.schema_version != 2 {
        return Err(wrong_schema("image manifest", manifest.schema_version));
    }
    if manifest.layers.len() > bounds::MANIFEST_LAYERS {
        return Err(Problem::refused("the manifest has too many layers")
            .limit(bounds::MANIFEST_LAYERS)
            .found(manifest.layers.len()));
    }
    Ok(manifest)
}

/// Reads one JSON document of a bounded size. The parser bounds the nesting (128 levels).
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str, limit: u64) -> Result<T> {
    if bytes.len() as u64 > limit {
        return Err(Problem::refused(format!("the {what} is too large"))
            .limit(bounds::shown(limit))
            .found(bounds::shown(bytes.len() as u64)));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        Problem::invalid(format!("the {what} is malformed"))
            .at(format!("line {} column {}", error.line(), error.column()))
            .found(&error)
            .remedy("fetch or build the image again")
    })
}

/// Writes a document. Field order is that of the type, so equal values give equal bytes.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Problem::internal("cannot write a JSON document").caused_by(error))
}

fn wrong_schema(what: &str, version: u32) -> Problem {
    let remedy = if version == 1 {
        "push the image again with a tool of this decade; schema 1 is obsolete"
    } else {
        "build the image again"
    };
    Problem::invalid(format!("the {what} has an unsupported schema version"))
        .limit(2)
        .found(version)
        .remedy(remedy)
}
