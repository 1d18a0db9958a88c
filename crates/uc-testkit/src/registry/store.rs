//! What the registry holds, in memory.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use sha2::{Digest as _, Sha256, Sha512};

/// Every repository by name; one that is asked for is there.
#[derive(Default)]
pub(super) struct Repositories(BTreeMap<String, Repository>);

impl Repositories {
    pub(super) fn of(&mut self, name: &str) -> &mut Repository {
        self.0.entry(name.to_owned()).or_default()
    }
}

/// One repository.
#[derive(Default)]
pub(super) struct Repository {
    pub(super) blobs: BTreeMap<String, Arc<Vec<u8>>>,
    /// Media type and document by digest.
    manifests: BTreeMap<String, (String, Arc<Vec<u8>>)>,
    pub(super) tags: BTreeMap<String, String>,
    /// Descriptors by the digest of their subject, in the order in which they came.
    pub(super) referrers: BTreeMap<String, Vec<Value>>,
    pub(super) uploads: BTreeMap<String, Vec<u8>>,
    next_upload: u64,
}

impl Repository {
    pub(super) fn put_blob(&mut self, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        self.blobs.insert(digest.clone(), Arc::new(bytes.to_vec()));
        digest
    }

    /// Media type and document by tag or digest.
    pub(super) fn manifest(&self, name: &str) -> Option<(String, Arc<Vec<u8>>)> {
        let digest = self.tags.get(name).map_or(name, String::as_str);
        self.manifests.get(digest).cloned()
    }

    pub(super) fn remove_manifest(&mut self, digest: &str) -> bool {
        self.tags.retain(|_, named| named != digest);
        for listed in self.referrers.values_mut() {
            listed.retain(|descriptor| descriptor["digest"].as_str() != Some(digest));
        }
        self.manifests.remove(digest).is_some()
    }

    /// Stores a manifest under its digest, and lists it as a referrer where it names a subject.
    pub(super) fn put_manifest(&mut self, media_type: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let is_new = self
            .manifests
            .insert(
                digest.clone(),
                (media_type.into(), Arc::new(bytes.to_vec())),
            )
            .is_none();
        let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
        if let Some(subject) = document["subject"]["digest"].as_str()
            && is_new
        {
            let artifact_type = document["artifactType"]
                .as_str()
                .or_else(|| document["config"]["mediaType"].as_str());
            let mut descriptor = serde_json::json!({
                "mediaType": media_type, "digest": digest, "size": bytes.len(),
                "artifactType": artifact_type,
            });
            if document["annotations"].is_object() {
                descriptor["annotations"] = document["annotations"].clone();
            }
            self.referrers
                .entry(subject.into())
                .or_default()
                .push(descriptor);
        }
        digest
    }

    pub(super) fn start_upload(&mut self) -> String {
        self.next_upload += 1;
        let id = format!("upload-{}", self.next_upload);
        self.uploads.insert(id.clone(), Vec::new());
        id
    }
}

pub(super) fn digest_of(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// Whether bytes have a digest of either algorithm.
pub(super) fn has_digest(bytes: &[u8], digest: &str) -> bool {
    match digest.strip_prefix("sha512:") {
        Some(expected) => {
            let hex: String = Sha512::digest(bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            hex == expected
        }
        None => digest_of(bytes) == digest,
    }
}
