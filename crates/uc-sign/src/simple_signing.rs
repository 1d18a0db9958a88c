//! The simple signing payload: what a `.sig` layer says and its annotation signs.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use uc_model::{Digest, Problem, Result};

use crate::json;

/// The largest payload that is read, in bytes; cosign's have about 250.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// The most annotations that are read.
pub const MAX_ANNOTATIONS: usize = 256;

/// The only type there is.
const TYPE: &str = "cosign container image signature";

/// A claim: this digest, under this name, with these annotations.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// The repository for which it was signed. It stays when the image is copied elsewhere, so it binds nothing.
    pub reference: String,
    /// The manifest that was signed.
    pub digest: Digest,
    /// What the signer added (`cosign sign -a key=value`). Others than us put in more than strings.
    pub annotations: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Document {
    critical: Critical,
    #[serde(
        default,
        deserialize_with = "json::bounded_map::<_, _, MAX_ANNOTATIONS>"
    )]
    optional: BTreeMap<String, Value>,
}

/// Whoever does not understand a critical field must refuse it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(default)]
    identity: Identity,
    image: Image,
    r#type: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(rename = "docker-reference", default)]
    reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

impl Payload {
    /// Reads a payload. Nothing in it is to be believed before its signature is checked.
    ///
    /// # Errors
    /// What is too large, no JSON, of another type, or without a digest.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_PAYLOAD_BYTES {
            return Err(Problem::invalid("the signature's payload is too large")
                .limit(format!("{MAX_PAYLOAD_BYTES} bytes"))
                .found(format!("{} bytes", bytes.len())));
        }
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| json::malformed("the signature's payload is malformed", &error))?;
        if document.critical.r#type != TYPE {
            return Err(Problem::invalid("the payload is not an image signature")
                .limit(format!("type {TYPE:?}"))
                .found(format!("{:?}", document.critical.r#type)));
        }
        Ok(Self {
            reference: document.critical.identity.reference,
            digest: document.critical.image.digest,
            annotations: document.optional,
        })
    }

    /// The payload that cosign writes, byte for byte. `reference` is host and repository without a tag.
    pub fn write(
        reference: &str,
        digest: &Digest,
        annotations: &BTreeMap<String, String>,
    ) -> Vec<u8> {
        let mut out = br#"{"critical":{"identity":{"docker-reference":"#.to_vec();
        json::write_string(reference, &mut out);
        out.extend_from_slice(br#"},"image":{"docker-manifest-digest":"#);
        json::write_string(digest.as_str(), &mut out);
        out.extend_from_slice(br#"},"type":"#);
        json::write_string(TYPE, &mut out);
        out.extend_from_slice(br#"},"optional":"#);
        if annotations.is_empty() {
            out.extend_from_slice(b"null");
        } else {
            json::write_map(annotations, &mut out);
        }
        out.push(b'}');
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest() -> Digest {
        Digest::from_sha256(&[0xab; 32])
    }

    #[test]
    fn what_is_written_reads_back() {
        let annotations = BTreeMap::from([
            ("b".to_owned(), "2".to_owned()),
            ("a<".to_owned(), "\"é\n".to_owned()),
        ]);
        let bytes = Payload::write("host:5000/a/b", &digest(), &annotations);
        let text = str::from_utf8(&bytes).expect("UTF-8");
        assert!(
            text.ends_with(r#""optional":{"a\u003c":"\"é\n","b":"2"}}"#),
            "{text}"
        );
        let payload = Payload::parse(&bytes).expect("read");
        assert_eq!(payload.reference, "host:5000/a/b");
        assert_eq!(payload.digest, digest());
        assert_eq!(payload.annotations["b"], "2");
        let bare = Payload::write("h/r", &digest(), &BTreeMap::new());
        assert!(bare.ends_with(br#""optional":null}"#));
    }

    #[test]
    fn what_is_no_payload_says_so() {
        let good =
            String::from_utf8(Payload::write("h/r", &digest(), &BTreeMap::new())).expect("UTF-8");
        let crowd: Vec<String> = (0..=MAX_ANNOTATIONS)
            .map(|n| format!("\"{n}\":1"))
            .collect();
        for (text, says) in [
            (String::new(), "malformed"),
            ("{}".into(), "missing field `critical`"),
            ("null".into(), "malformed"),
            (good[..good.len() - 5].into(), "malformed"),
            (
                good.replace("cosign container", "atomic container"),
                "not an image signature",
            ),
            (good.replace("sha256:ab", "sha256:AB"), "malformed"),
            (
                good.replace("\"type\"", "\"must-understand\":1,\"type\""),
                "unknown field",
            ),
            (
                good.replace("\"image\"", "\"image\":{},\"image\""),
                "malformed",
            ),
            (
                good.replace("null", &format!("{{{}}}", crowd.join(","))),
                "more than 256 entries",
            ),
            (good.replace("null", r#"{"a":1,"a":2}"#), "twice"),
            (
                good.replace("null", &format!("{{\"a\":{}}}", "[".repeat(100_000))),
                "recursion limit",
            ),
            (" ".repeat(MAX_PAYLOAD_BYTES + 1), "too large"),
        ] {
            let problem = Payload::parse(text.as_bytes()).expect_err(says);
            assert!(problem.to_string().contains(says), "{says}: {problem}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = Payload::parse(&bytes);
        }

        #[test]
        fn any_text_survives(reference in ".{0,40}", key in ".{0,20}", value in ".{0,20}") {
            let annotations = BTreeMap::from([(key, value)]);
            let bytes = Payload::write(&reference, &digest(), &annotations);
            let payload = Payload::parse(&bytes).expect("read");
            prop_assert_eq!(payload.reference, reference);
            for (key, value) in annotations {
                prop_assert_eq!(payload.annotations[&key].as_str(), Some(value.as_str()));
            }
        }
    }
}
