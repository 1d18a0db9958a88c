//! Signing an artifact and attesting something about it, in both of cosign's forms.

use std::{collections::BTreeMap, thread};

use serde::Serialize;
use uc_image::{
    media,
    registry::{FetchedManifest, Registry},
    spec::{self, Descriptor, Manifest},
};
use uc_model::{Digest, Problem, Result};
use uc_sign::{
    Message, PrivateKey, PublicKey, bundle::Bundle, dsse::Envelope, oci, predicate,
    simple_signing::Payload, statement,
};

use super::{Artifact, artifact::name_of};

/// The empty configuration of an artifact that has none (OCI image specification 1.1, "Guidelines for Artifact Usage").
const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");

/// In which forms something is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forms {
    /// Both: what any version of cosign finds.
    Both,
    /// The layers of `.sig` and `.att` images alone: cosign 1 and 2.
    Legacy,
    /// Bundles as referrers alone: cosign 3.
    Bundle,
}

impl Forms {
    fn legacy(self) -> bool {
        self != Self::Bundle
    }

    fn bundle(self) -> bool {
        self != Self::Legacy
    }
}

/// Who signs, and how.
pub struct Signer<'a> {
    /// The key.
    pub key: &'a PrivateKey,
    /// In which forms.
    pub forms: Forms,
}

/// What was attached to one artifact.
#[derive(Debug, Clone, Serialize)]
pub struct Attached {
    /// What it is attached to.
    pub subject: Digest,
    /// The tag whose image has the layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The manifest of the bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Digest>,
}

/// Signs an artifact, with annotations that become part of what is signed. Signing once more with the same key changes
/// nothing.
///
/// # Errors
/// Those of the registry, above all for one that the caller may not write to.
pub fn sign(
    registry: &Registry<'_>,
    artifact: &Artifact,
    signer: &Signer<'_>,
    annotations: &BTreeMap<String, String>,
) -> Result<Attached> {
    let legacy = || {
        let payload = Payload::write(&name_of(registry), &artifact.digest, annotations);
        let signature = signer.key.sign(&Message::new(&payload))?;
        let layer = Layer {
            media_type: oci::SIMPLE_SIGNING,
            bytes: payload,
            annotations: [(oci::SIGNATURE_ANNOTATION.to_owned(), base64(&signature))].into(),
        };
        let public = signer.key.public_key();
        append(
            registry,
            &oci::tag(&artifact.digest, ".sig"),
            &layer,
            &|there| is_signed_by(&public, there, &layer),
        )
    };
    let bundle = || {
        let text = statement::write_signature(&artifact.digest, annotations);
        let uri = uc_sign::PredicateType::signature();
        attach_bundle(registry, artifact, signer.key, &text, uri.uri())
    };
    both(artifact, signer.forms, legacy, bundle)
}

/// Attests something about an artifact. `type_name` is one of cosign's names or a URI, `file` what is attested, `now` the
/// time in Unix seconds, which some predicates carry.
///
/// # Errors
/// Invalid for a predicate that does not fit its type; those of the registry.
pub fn attest(
    registry: &Registry<'_>,
    artifact: &Artifact,
    signer: &Signer<'_>,
    type_name: &str,
    file: &[u8],
    now: i64,
) -> Result<Attached> {
    let (kind, predicate) = predicate::prepare(type_name, file, now)?;
    let text =
        statement::write_attestation(&name_of(registry), &artifact.digest, &kind, &predicate);
    let legacy = || {
        let envelope = Envelope::sign(oci::IN_TOTO, &text, &[signer.key])?;
        let layer = Layer {
            media_type: oci::DSSE_ENVELOPE,
            bytes: envelope.to_json(),
            annotations: [
                (oci::SIGNATURE_ANNOTATION.to_owned(), String::new()),
                (
                    oci::PREDICATE_TYPE_ANNOTATION.to_owned(),
                    kind.uri().to_owned(),
                ),
            ]
            .into(),
        };
        // Envelopes of the same statement by the same key are the same, where the signature is: then the blob is.
        append(
            registry,
            &oci::tag(&artifact.digest, ".att"),
            &layer,
            &|_| false,
        )
    };
    let bundle = || attach_bundle(registry, artifact, signer.key, &text, kind.uri());
    both(artifact, signer.forms, legacy, bundle)
}

/// Attaches in the forms that are wanted, side by side.
fn both(
    artifact: &Artifact,
    forms: Forms,
    legacy: impl FnOnce() -> Result<String> + Send,
    bundle: impl FnOnce() -> Result<Digest> + Send,
) -> Result<Attached> {
    let (tag, bundle) = thread::scope(|scope| {
        let tag = scope.spawn(|| forms.legacy().then(legacy).transpose());
        let bundle = forms.bundle().then(bundle).transpose();
        let tag = tag
            .join()
            .unwrap_or_else(|_| Err(Problem::internal("a signing thread failed")));
        (tag, bundle)
    });
    Ok(Attached {
        subject: artifact.digest.clone(),
        tag: tag?,
        bundle: bundle?,
    })
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// A layer of an image of signatures or attestations.
struct Layer {
    media_type: &'static str,
    bytes: Vec<u8>,
    annotations: BTreeMap<String, String>,
}

/// Whether a layer that is there says the same, signed by the same key.
fn is_signed_by(key: &PublicKey, there: &Descriptor, layer: &Layer) -> bool {
    let signature = there.annotations.get(oci::SIGNATURE_ANNOTATION);
    signature
        .and_then(|text| from_base64(text))
        .is_some_and(|signature| {
            key.verify(&Message::new(&layer.bytes), &signature)
                .is_some()
        })
}

/// Adds a layer to the image behind a tag, keeping those of others.
fn append(
    registry: &Registry<'_>,
    tag: &str,
    layer: &Layer,
    says_the_same: &dyn Fn(&Descriptor) -> bool,
) -> Result<String> {
    let mut descriptor = registry.push_blob(layer.media_type, &layer.bytes)?;
    descriptor.annotations = layer.annotations.clone();
    registry.merge_tag(tag, &mut |there| {
        let mut manifest = read_or_new(there)?;
        let is_there = manifest.layers.iter().any(|one| {
            one.digest == descriptor.digest
                && (one.annotations == descriptor.annotations || says_the_same(one))
        });
        if is_there {
            return Ok(None);
        }
        manifest.layers.push(descriptor.clone());
        let digests: Vec<Digest> = manifest
            .layers
            .iter()
            .map(|one| one.digest.clone())
            .collect();
        manifest.config = registry.push_blob(media::OCI_CONFIG, &oci::image_config(&digests))?;
        Ok(Some((media::OCI_MANIFEST.to_owned(), to_json(&manifest)?)))
    })?;
    Ok(tag.to_owned())
}

fn read_or_new(there: Option<&FetchedManifest>) -> Result<Manifest> {
    let Some(there) = there else {
        return Ok(new_manifest());
    };
    spec::parse_manifest(&there.bytes).map_err(|problem| {
        problem.remedy("remove the tag from the registry: it does not hold what its name says")
    })
}

fn new_manifest() -> Manifest {
    let digest = uc_image::verify::digest_of(EMPTY.1);
    Manifest {
        schema_version: 2,
        media_type: Some(media::OCI_MANIFEST.to_owned()),
        artifact_type: None,
        config: Descriptor::new(EMPTY.0, digest, EMPTY.1.len() as u64),
        layers: Vec::new(),
        subject: None,
        annotations: BTreeMap::new(),
    }
}

/// Attaches a signed statement as a bundle. The same statement by the same key makes the same manifest, so that nothing is
/// attached twice.
fn attach_bundle(
    registry: &Registry<'_>,
    artifact: &Artifact,
    key: &PrivateKey,
    statement: &[u8],
    predicate_uri: &str,
) -> Result<Digest> {
    let envelope = Envelope::sign(oci::IN_TOTO, statement, &[key])?;
    let bytes = Bundle::write(&envelope, &key.public_key().hint());
    let layer = registry.push_blob(oci::BUNDLE, &bytes)?;
    let manifest = Manifest {
        artifact_type: Some(oci::BUNDLE.to_owned()),
        config: registry.push_blob(EMPTY.0, EMPTY.1)?,
        layers: vec![layer],
        subject: Some(Descriptor::new(
            &artifact.media_type,
            artifact.digest.clone(),
            artifact.size,
        )),
        annotations: [
            (
                oci::BUNDLE_CONTENT_ANNOTATION.to_owned(),
                "dsse-envelope".to_owned(),
            ),
            (
                oci::BUNDLE_PREDICATE_ANNOTATION.to_owned(),
                predicate_uri.to_owned(),
            ),
        ]
        .into(),
        ..new_manifest()
    };
    let attached = registry.attach(media::OCI_MANIFEST, &to_json(&manifest)?, &artifact.digest)?;
    Ok(attached.digest)
}

fn to_json(manifest: &Manifest) -> Result<Vec<u8>> {
    serde_json::to_vec(manifest)
        .map_err(|error| Problem::internal("cannot write a manifest").caused_by(error))
}
