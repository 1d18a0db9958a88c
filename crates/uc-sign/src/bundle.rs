//! Sigstore bundles: an envelope with the material to verify it by.
//!
//! Here the material is a key that one holds already. Certificates, entries of a transparency log and time stamps are
//! tolerated but not consulted, and [`Bundle::not_consulted`] says so.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};
use uc_model::{Problem, Result};

use crate::{
    dsse::{self, Envelope, RawEnvelope},
    json, oci,
};

/// The longest hint that is kept, in bytes; base64 of SHA-256 has 44.
const MAX_HINT_BYTES: usize = 1024;

/// A bundle that was read. Reading checks its form alone.
#[derive(Debug)]
pub struct Bundle {
    /// What was signed.
    pub content: Content,
    /// The signer's name for its key, [`crate::keys::PublicKey::hint`]. Nothing that can be relied on.
    pub hint: Option<String>,
    /// What else there is, which plays no part here: `certificate`, `transparency log entry`, `time stamp`.
    pub not_consulted: Vec<&'static str>,
}

/// What a bundle holds.
#[derive(Debug)]
pub enum Content {
    /// A signed statement.
    Envelope(Envelope),
    /// A signature over a file that is not in the bundle. It does not say what kind of thing it signs, so it is none
    /// of an image.
    MessageSignature,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(borrow)]
    media_type: Cow<'a, str>,
    #[serde(borrow, default)]
    verification_material: Material<'a>,
    #[serde(borrow, default)]
    dsse_envelope: Option<RawEnvelope<'a>>,
    #[serde(default)]
    message_signature: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Material<'a> {
    #[serde(borrow)]
    public_key: Option<KeyHint<'a>>,
    certificate: Option<IgnoredAny>,
    x509_certificate_chain: Option<IgnoredAny>,
    /// Elements of no size: any number of them takes no memory.
    tlog_entries: Option<Vec<IgnoredAny>>,
    timestamp_verification_data: Option<Timestamps>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyHint<'a> {
    #[serde(borrow)]
    hint: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Timestamps {
    rfc3161_timestamps: Option<Vec<IgnoredAny>>,
}

impl Bundle {
    /// Reads a bundle of version 0.1, 0.2 or 0.3; for a key that one holds they differ in their name alone.
    ///
    /// # Errors
    /// What is too large, malformed, of another version, or holds nothing that was signed.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        dsse::check_size(bytes)?;
        let document: Document<'_> = serde_json::from_slice(bytes)
            .map_err(|error| json::malformed("the bundle is malformed", &error))?;
        if !is_bundle(&document.media_type) {
            return Err(
                Problem::invalid("not a sigstore bundle of version 0.1 to 0.3")
                    .limit(oci::BUNDLE)
                    .found(document.media_type.chars().take(100).collect::<String>()),
            );
        }
        let content = match (&document.dsse_envelope, &document.message_signature) {
            (Some(raw), None) => Content::Envelope(Envelope::from_raw(raw)?),
            (None, Some(_)) => Content::MessageSignature,
            _ => {
                return Err(Problem::invalid("the bundle is malformed")
                    .limit("either dsseEnvelope or messageSignature"));
            }
        };
        let material = document.verification_material;
        let not_consulted = material.not_consulted();
        let hint = material
            .public_key
            .and_then(|key| key.hint)
            .filter(|hint| hint.len() <= MAX_HINT_BYTES);
        Ok(Self {
            content,
            hint: hint.map(Cow::into_owned),
            not_consulted,
        })
    }

    /// The JSON of a bundle of version 0.3 around an envelope, as cosign 3 writes it.
    pub fn write(envelope: &Envelope, hint: &str) -> Vec<u8> {
        let mut out = br#"{"mediaType":"#.to_vec();
        json::write_string(oci::BUNDLE, &mut out);
        out.extend_from_slice(br#","verificationMaterial":{"publicKey":{"hint":"#);
        json::write_string(hint, &mut out);
        out.extend_from_slice(br#"}},"dsseEnvelope":"#);
        envelope.write_for_bundle(&mut out);
        out.push(b'}');
        out
    }
}

impl Material<'_> {
    fn not_consulted(&self) -> Vec<&'static str> {
        let is_some = |entries: &Option<Vec<IgnoredAny>>| {
            entries.as_ref().is_some_and(|entries| !entries.is_empty())
        };
        let has_certificate = self.certificate.is_some() || self.x509_certificate_chain.is_some();
        let timestamps = self.timestamp_verification_data.as_ref();
        [
            (has_certificate, "certificate"),
            (is_some(&self.tlog_entries), "transparency log entry"),
            (
                timestamps.is_some_and(|data| is_some(&data.rfc3161_timestamps)),
                "time stamp",
            ),
        ]
        .into_iter()
        .filter_map(|(is_there, name)| is_there.then_some(name))
        .collect()
    }
}

/// Whether a media type is one of a bundle that is read here.
pub fn is_bundle(media_type: &str) -> bool {
    media_type == oci::BUNDLE || oci::OLDER_BUNDLES.contains(&media_type)
}

#[cfg(test)]
mod tests;
