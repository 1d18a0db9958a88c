//! What is found beside an artifact in a registry, before anyone has judged it.

use std::collections::BTreeMap;

use serde::Serialize;
use uc_model::Digest;

use crate::{bundle, oci};

/// The thing whose signatures are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    digest: Digest,
    containing: Vec<Digest>,
}

impl Subject {
    /// A manifest or index.
    pub fn new(digest: Digest) -> Self {
        Self {
            digest,
            containing: Vec::new(),
        }
    }

    /// Adds an index that lists the subject: whoever signed the index signed what it lists. The caller has read the
    /// index and seen that it does. Never the other way round: a signed platform does not speak for its index.
    #[must_use]
    pub fn listed_in(mut self, index: Digest) -> Self {
        if index != self.digest && !self.containing.contains(&index) {
            self.containing.push(index);
        }
        self
    }

    /// The thing itself.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Every digest whose signature counts, the thing's own first.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> + Clone {
        std::iter::once(&self.digest).chain(&self.containing)
    }
}

/// One layer of a signature image, attestation image or referrer, as fetched. Its bytes have the digest that its manifest
/// names; nothing else about it is known.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Where it was found, for people: `tag sha256-….sig, layer 2`.
    pub found: &'a str,
    /// The layer's media type.
    pub media_type: &'a str,
    /// The layer.
    pub bytes: &'a [u8],
    /// The layer's annotations, which hold the signature of a simple signing layer.
    pub annotations: &'a BTreeMap<String, String>,
}

impl Evidence<'_> {
    /// Which form it claims to have.
    pub fn form(&self) -> Form {
        Form::of(self.media_type)
    }
}

/// A form that signatures and attestations have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The layer of a `.sig` image, or of the older referrer form.
    SimpleSigning,
    /// The layer of an `.att` image.
    DsseEnvelope,
    /// A sigstore bundle.
    Bundle,
    /// Anything else.
    Other,
}

impl Form {
    /// The form of a layer.
    pub fn of(media_type: &str) -> Self {
        match media_type {
            oci::SIMPLE_SIGNING => Self::SimpleSigning,
            oci::DSSE_ENVELOPE => Self::DsseEnvelope,
            _ if bundle::is_bundle(media_type) => Self::Bundle,
            _ => Self::Other,
        }
    }
}
