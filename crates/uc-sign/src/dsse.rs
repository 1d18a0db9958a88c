//! DSSE envelopes: a payload, its type, and signatures over both (Dead Simple Signing Envelope 1.0).
//!
//! A payload may have many megabytes. It is decoded once, straight into the bytes that are signed, and hashed once
//! however many signatures and keys there are.

use std::{borrow::Cow, ops::Range};

use serde::Deserialize;
use uc_model::{Problem, Result};

use crate::{encoding, json, keys::PrivateKey, message::Message};

/// The largest payload that is read, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024 * 1024;
/// The largest envelope, or bundle around one, in bytes: a payload in base64, with room for signatures.
pub const MAX_ENVELOPE_BYTES: usize = MAX_PAYLOAD_BYTES / 3 * 4 + 4 * 1024 * 1024;
/// The most signatures that an envelope may have.
pub const MAX_SIGNATURES: usize = 128;
/// The longest payload type, in bytes: media types are short.
const MAX_TYPE_BYTES: usize = 256;
/// The longest signature that is looked at, in bytes: RSA-8192 has 1024.
pub(crate) const MAX_SIGNATURE_BYTES: usize = 4096;

/// A signature in an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What the signer calls its key; nothing that can be relied on.
    pub key_id: String,
    /// The signature, or nothing where it was no base64: one bad signature does not spoil the others.
    pub bytes: Vec<u8>,
}

/// An envelope that was read or made. Reading checks its form alone.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The bytes that are signed: the payload behind a head that says its type and length.
    signed: Vec<u8>,
    head_length: usize,
    payload_type: String,
    signatures: Vec<Signature>,
}

/// As it stands in JSON; the payload is borrowed from there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawEnvelope<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    payload_type: String,
    #[serde(
        borrow,
        deserialize_with = "json::bounded_list::<_, _, MAX_SIGNATURES>"
    )]
    signatures: Vec<RawSignature<'a>>,
}

#[derive(Deserialize)]
struct RawSignature<'a> {
    #[serde(default)]
    keyid: Option<String>,
    #[serde(borrow)]
    sig: Cow<'a, str>,
}

impl Envelope {
    /// Reads an envelope in JSON.
    ///
    /// # Errors
    /// What is too large, malformed, or has no signature or too many.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        check_size(bytes)?;
        let raw: RawEnvelope<'_> = serde_json::from_slice(bytes)
            .map_err(|error| json::malformed("the envelope is malformed", &error))?;
        Self::from_raw(&raw)
    }

    pub(crate) fn from_raw(raw: &RawEnvelope<'_>) -> Result<Self> {
        let length = encoding::decoded_length(&raw.payload);
        if length > MAX_PAYLOAD_BYTES {
            return Err(Problem::invalid("the envelope's payload is too large")
                .limit(format!("{MAX_PAYLOAD_BYTES} bytes"))
                .found(format!("{length} bytes")));
        }
        if raw.payload_type.len() > MAX_TYPE_BYTES {
            return Err(Problem::invalid("the envelope's payload type is too long")
                .limit(format!("{MAX_TYPE_BYTES} bytes"))
                .found(format!("{} bytes", raw.payload_type.len())));
        }
        if raw.signatures.is_empty() {
            return Err(Problem::invalid("the envelope has no signature"));
        }
        let mut signed = head(&raw.payload_type, length);
        let head_length = signed.len();
        signed.reserve_exact(length);
        encoding::decode_onto(&raw.payload, &mut signed)
            .filter(|()| signed.len() == head_length + length)
            .ok_or_else(|| Problem::invalid("the envelope's payload is no base64"))?;
        let signatures = raw.signatures.iter().map(|signature| Signature {
            key_id: signature.keyid.clone().unwrap_or_default(),
            bytes: signature_bytes(&signature.sig),
        });
        Ok(Self {
            signatures: signatures.collect(),
            payload_type: raw.payload_type.clone(),
            signed,
            head_length,
        })
    }

    /// Puts a payload into an envelope and signs it with each key. A bundle wants exactly one.
    ///
    /// # Errors
    /// A payload that no reader would take, no key or too many, and defects of ours.
    pub fn sign(payload_type: &str, payload: &[u8], keys: &[&PrivateKey]) -> Result<Self> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(Problem::invalid("what is to be signed is too large")
                .limit(format!("{MAX_PAYLOAD_BYTES} bytes"))
                .found(format!("{} bytes", payload.len())));
        }
        if !(1..=MAX_SIGNATURES).contains(&keys.len()) {
            return Err(
                Problem::invalid("an envelope cannot be signed by so many keys")
                    .limit(format!("1 to {MAX_SIGNATURES} keys"))
                    .found(format!("{} keys", keys.len())),
            );
        }
        let mut signed = head(payload_type, payload.len());
        let head_length = signed.len();
        signed.extend_from_slice(payload);
        let message = Message::new(&signed);
        let signatures = keys.iter().map(|key| {
            Ok(Signature {
                key_id: String::new(),
                bytes: key.sign(&message)?,
            })
        });
        Ok(Self {
            signatures: signatures.collect::<Result<_>>()?,
            payload_type: payload_type.to_owned(),
            signed,
            head_length,
        })
    }

    /// What the payload is: a media type.
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// The payload. Nothing in it is to be believed before a signature is checked.
    pub fn payload(&self) -> &[u8] {
        &self.signed[self.head_length..]
    }

    /// What is signed: the payload behind its type and length.
    pub fn message(&self) -> Message<'_> {
        Message::new(&self.signed)
    }

    /// The signatures, at least one.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The payload's bytes without a copy: a buffer, and where in it they stand.
    pub(crate) fn into_payload(self) -> (Vec<u8>, Range<usize>) {
        let range = self.head_length..self.signed.len();
        (self.signed, range)
    }

    /// The JSON of an `.att` layer, as cosign 2 writes it.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.signed.len() / 3 * 4 + 1024);
        out.extend_from_slice(br#"{"payloadType":"#);
        json::write_string(&self.payload_type, &mut out);
        out.extend_from_slice(br#","payload":""#);
        encoding::encode_onto(self.payload(), &mut out);
        out.extend_from_slice(br#"","signatures":["#);
        for (index, signature) in self.signatures.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"" } else { b"," });
            out.extend_from_slice(br#"{"keyid":"#);
            json::write_string(&signature.key_id, &mut out);
            out.extend_from_slice(br#","sig":""#);
            encoding::encode_onto(&signature.bytes, &mut out);
            out.extend_from_slice(br#""}"#);
        }
        out.extend_from_slice(b"]}");
        out
    }

    /// Appends the JSON that stands in a bundle.
    pub(crate) fn write_for_bundle(&self, out: &mut Vec<u8>) {
        out.reserve(self.signed.len() / 3 * 4 + 1024);
        out.extend_from_slice(br#"{"payload":""#);
        encoding::encode_onto(self.payload(), out);
        out.extend_from_slice(br#"","payloadType":"#);
        json::write_string(&self.payload_type, out);
        out.extend_from_slice(br#","signatures":["#);
        for (index, signature) in self.signatures.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"" } else { b"," });
            out.extend_from_slice(br#"{"sig":""#);
            encoding::encode_onto(&signature.bytes, out);
            out.extend_from_slice(br#""}"#);
        }
        out.extend_from_slice(b"]}");
    }
}

/// Refuses a document that is too large to hold any envelope.
pub(crate) fn check_size(bytes: &[u8]) -> Result<()> {
    if bytes.len() > MAX_ENVELOPE_BYTES {
        return Err(Problem::invalid("the envelope is too large")
            .limit(format!("{MAX_ENVELOPE_BYTES} bytes"))
            .found(format!("{} bytes", bytes.len())));
    }
    Ok(())
}

/// A decoded signature, or nothing where it is none.
pub(crate) fn signature_bytes(base64: &str) -> Vec<u8> {
    if base64.len() > MAX_SIGNATURE_BYTES {
        return Vec::new();
    }
    encoding::decode(base64).unwrap_or_default()
}

/// What stands before the payload in the signed bytes (DSSE's pre-authentication encoding).
fn head(payload_type: &str, payload_length: usize) -> Vec<u8> {
    let type_length = payload_type.len();
    format!("DSSEv1 {type_length} {payload_type} {payload_length} ").into_bytes()
}

#[cfg(test)]
mod tests;
