//! What a statement says about its subject: cosign's names for predicate types, and how each predicate is written.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Serialize, de::IgnoredAny};
use uc_model::{Problem, Result};

use crate::{calendar, dsse, json};

const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";
const CUSTOM: &str = "https://cosign.sigstore.dev/attestation/v1";
const SPDX: &str = "https://spdx.dev/Document";

/// The names that `cosign attest --type` knows.
const NAMES: [(&str, &str); 10] = [
    ("custom", CUSTOM),
    ("cyclonedx", "https://cyclonedx.org/bom"),
    ("link", "https://in-toto.io/Link/v1"),
    ("openvex", "https://openvex.dev/ns"),
    ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance02", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
    ("spdx", SPDX),
    ("spdxjson", SPDX),
    ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
];

/// The kind of a predicate: a URI.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PredicateType(String);

impl PredicateType {
    /// The type that makes a statement a signature.
    pub fn signature() -> Self {
        Self(SIGNATURE.to_owned())
    }

    /// A type as it stands in a statement.
    pub fn from_uri(uri: String) -> Self {
        Self(uri)
    }

    /// The URI.
    pub fn uri(&self) -> &str {
        &self.0
    }

    /// Whether a statement of this type is a signature.
    pub fn is_signature(&self) -> bool {
        self.0 == SIGNATURE
    }

    /// cosign's shortest name for it, or the URI where it has none.
    pub fn name(&self) -> &str {
        // `spdxjson` is the one of two that people mean.
        let known = NAMES.iter().filter(|(name, _)| *name != "spdx");
        known
            .into_iter()
            .find(|(_, uri)| *uri == self.0)
            .map_or(&self.0, |(name, _)| name)
    }
}

/// From one of cosign's names, or a URI.
impl FromStr for PredicateType {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self> {
        if let Some((_, uri)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(Self((*uri).to_owned()));
        }
        let is_uri = text
            .split_once(':')
            .is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty())
            && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if is_uri && text.len() <= crate::statement::MAX_TYPE_BYTES {
            return Ok(Self(text.to_owned()));
        }
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        Err(Problem::invalid("not a predicate type")
            .limit(format!("{}, or a URI", names.join(", ")))
            .found(format!("{text:?}")))
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b))
}

impl fmt::Display for PredicateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Makes the predicate that goes into a statement from a file, as `cosign attest --type NAME --predicate FILE` does.
///
/// `custom` wraps any text together with `now` (Unix seconds), `spdx` (the tag-value form) any text; everything else is
/// a JSON object, and is taken as it is.
///
/// # Errors
/// An unknown name, a file that is too large, no text, or no JSON object where one is needed.
pub fn prepare<'a>(name: &str, file: &'a [u8], now: i64) -> Result<(PredicateType, Cow<'a, [u8]>)> {
    let kind: PredicateType = name.parse()?;
    if kind.is_signature() {
        return Err(Problem::refused("a signature is not an attestation")
            .found(SIGNATURE)
            .remedy("use `uc sign`"));
    }
    if file.len() > dsse::MAX_PAYLOAD_BYTES / 2 {
        return Err(Problem::invalid("the predicate is too large")
            .limit(format!("{} bytes", dsse::MAX_PAYLOAD_BYTES / 2))
            .found(format!("{} bytes", file.len())));
    }
    let text =
        || str::from_utf8(file).map_err(|_| Problem::invalid("the predicate is no UTF-8 text"));
    if kind.uri() == CUSTOM {
        let mut out = br#"{"Data":"#.to_vec();
        json::write_string(text()?, &mut out);
        out.extend_from_slice(br#","Timestamp":"#);
        json::write_string(&calendar::rfc3339(now), &mut out);
        out.push(b'}');
        return Ok((kind, out.into()));
    }
    if name == "spdx" {
        let mut out = Vec::with_capacity(file.len() + 2);
        json::write_string(text()?, &mut out);
        return Ok((kind, out.into()));
    }
    let trimmed = file.trim_ascii();
    if !trimmed.starts_with(b"{") {
        return Err(Problem::invalid("the predicate is no JSON object")
            .limit(format!("a JSON object, as type {name} needs")));
    }
    text()?;
    serde_json::from_slice::<IgnoredAny>(trimmed)
        .map_err(|error| json::malformed("the predicate is no JSON object", &error))?;
    Ok((kind, trimmed.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosigns_names_and_uris_are_types() {
        for (name, uri) in NAMES {
            let kind: PredicateType = name.parse().expect("known");
            assert_eq!(kind.uri(), uri);
        }
        let name = |text: &str| {
            text.parse::<PredicateType>()
                .expect("a type")
                .name()
                .to_owned()
        };
        assert_eq!(name("spdx"), "spdxjson");
        assert_eq!(name("slsaprovenance02"), "slsaprovenance");
        assert_eq!(name("https://example.com/x"), "https://example.com/x");
        for wrong in ["", "spdxxml", "a b:c", ":x", "1:x", "x:", "x:\ny"] {
            assert!(wrong.parse::<PredicateType>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn predicates_are_made_as_cosign_makes_them() {
        let made = |name, file: &'static [u8]| {
            prepare(name, file, 1_750_000_000)
                .map(|(_, bytes)| String::from_utf8(bytes.into_owned()).expect("UTF-8"))
        };
        assert_eq!(
            made("custom", b"say \"hi\"").expect("made"),
            r#"{"Data":"say \"hi\"","Timestamp":"2025-06-15T15:06:40Z"}"#
        );
        assert_eq!(made("spdx", b"a\n").expect("made"), r#""a\n""#);
        assert_eq!(
            made("spdxjson", b" {\"a\":1}\n").expect("made"),
            r#"{"a":1}"#
        );
        for (name, file) in [
            ("spdxjson", &b"[]"[..]),
            ("spdxjson", b"{"),
            ("spdxjson", b"{} {}"),
            ("spdxjson", b"{\"\xff\":1}"),
            ("custom", b"\xff"),
            ("nonsense", b"{}"),
            (SIGNATURE, b"{}"),
        ] {
            assert!(prepare(name, file, 0).is_err(), "{name}");
        }
    }
}
