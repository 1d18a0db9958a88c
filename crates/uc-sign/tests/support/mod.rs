//! Replays recorded repositories as evidence.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a module of tests, outside any function marked as one"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use uc_model::{Digest, Problem};
use uc_sign::{Evidence, Password, PublicKey, Requirement, oci};

/// The folder of recorded cases, or nothing where it was not handed along.
pub(crate) fn cases() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/interop/cosign");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: the recorded cases are not beside the repository");
    None
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

pub(crate) fn public_key(path: &Path) -> PublicKey {
    PublicKey::from_pem(&read(path)).unwrap_or_else(|problem| panic!("{problem}"))
}

pub(crate) fn trusting(key: PublicKey) -> Requirement {
    Requirement::any_of([("key".to_owned(), key)]).expect("one key")
}

pub(crate) fn no_password() -> Result<Password, Problem> {
    Err(Problem::internal("a password was asked for"))
}

/// A layer as a registry holds it.
pub(crate) struct Layer {
    pub(crate) found: String,
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Layer {
    pub(crate) fn evidence(&self) -> Evidence<'_> {
        Evidence {
            found: &self.found,
            media_type: &self.media_type,
            bytes: &self.bytes,
            annotations: &self.annotations,
        }
    }
}

/// A recorded repository.
pub(crate) struct Repository {
    blobs: PathBuf,
    index: Value,
}

impl Repository {
    pub(crate) fn open(folder: &Path) -> Self {
        Self {
            index: json(&read(&folder.join("index.json"))),
            blobs: folder.join("blobs/sha256"),
        }
    }

    /// The image under the tag `1`.
    pub(crate) fn subject(&self) -> Digest {
        let digest = self.index["tags"]["1"].as_str().expect("a tag");
        digest.parse().expect("a digest")
    }

    /// Every layer that is attached to a digest, in any form.
    pub(crate) fn evidence(&self, subject: &Digest) -> Vec<Layer> {
        let mut layers = Vec::new();
        for suffix in [".sig", ".att"] {
            let tag = oci::tag(subject, suffix);
            if let Some(manifest) = self.tagged(&tag) {
                layers.extend(self.layers(&manifest, &tag));
            }
        }
        let fallback = oci::tag(subject, "");
        if let Some(index) = self.tagged(&fallback) {
            for entry in index["manifests"].as_array().expect("entries") {
                let digest = entry["digest"].as_str().expect("a digest");
                layers.extend(self.layers(&json(&self.blob(digest)), digest));
            }
        }
        layers
    }

    fn tagged(&self, tag: &str) -> Option<Value> {
        let digest = self.index["tags"][tag].as_str()?;
        Some(json(&self.blob(digest)))
    }

    fn blob(&self, digest: &str) -> Vec<u8> {
        read(&self.blobs.join(digest.trim_start_matches("sha256:")))
    }

    fn layers(&self, manifest: &Value, found: &str) -> Vec<Layer> {
        let layers = manifest["layers"].as_array().expect("layers");
        layers
            .iter()
            .enumerate()
            .map(|(index, layer)| Layer {
                found: format!("{found}, layer {index}"),
                media_type: layer["mediaType"].as_str().expect("a type").to_owned(),
                bytes: self.blob(layer["digest"].as_str().expect("a digest")),
                annotations: serde_json::from_value(layer["annotations"].clone())
                    .unwrap_or_default(),
            })
            .collect()
    }
}
