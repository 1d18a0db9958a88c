//! in-toto statements: a predicate about subjects, each named by its digest.
//!
//! A signature of cosign 3 is a statement as well; what tells it from an attestation is its predicate type.

use std::{collections::BTreeMap, ops::Range};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use uc_model::{Digest, Problem, Result};

use crate::{json, predicate::PredicateType};

/// The most subjects of a statement: a release of many files has hundreds.
pub const MAX_SUBJECTS: usize = 4096;
/// The most digests of a subject.
pub const MAX_DIGESTS: usize = 16;
/// The most annotations of a subject.
pub const MAX_ANNOTATIONS: usize = 256;
/// The longest predicate type, in bytes.
pub const MAX_TYPE_BYTES: usize = 1024;

const V0_1: &str = "https://in-toto.io/Statement/v0.1";
const V1: &str = "https://in-toto.io/Statement/v1";

/// A statement that was read. The predicate was skipped over, not read.
#[derive(Debug)]
pub struct Statement {
    /// What it is about, in the order of the document.
    pub subjects: Vec<Subject>,
    /// What the predicate is.
    pub predicate_type: PredicateType,
    /// Where the predicate stands in the document; nothing where there is none.
    pub predicate: Option<Range<usize>>,
}

/// One thing that a statement is about.
#[derive(Debug, Deserialize)]
pub struct Subject {
    /// Its name. It binds nothing.
    #[serde(default)]
    pub name: Option<String>,
    /// Its digests in hexadecimal, by algorithm.
    #[serde(default, deserialize_with = "json::bounded_map::<_, _, MAX_DIGESTS>")]
    pub digest: BTreeMap<String, String>,
    /// What the signer added.
    #[serde(
        default,
        deserialize_with = "json::bounded_map::<_, _, MAX_ANNOTATIONS>"
    )]
    pub annotations: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(rename = "_type")]
    statement_type: String,
    #[serde(deserialize_with = "json::bounded_list::<_, _, MAX_SUBJECTS>")]
    subject: Vec<Subject>,
    predicate_type: String,
    #[serde(borrow, default)]
    predicate: Option<&'a RawValue>,
}

impl Subject {
    /// Whether the subject is the thing of this digest.
    pub fn is(&self, digest: &Digest) -> bool {
        self.digest
            .get(digest.algorithm())
            .is_some_and(|hex| hex == digest.hex())
    }
}

impl Statement {
    /// Reads a statement, version 0.1 or 1. Nothing in it is to be believed before its signature is checked.
    ///
    /// # Errors
    /// What is no statement, or has too many subjects, digests or annotations.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let document: Document<'_> = serde_json::from_slice(bytes)
            .map_err(|error| json::malformed("the statement is malformed", &error))?;
        if ![V0_1, V1].contains(&document.statement_type.as_str()) {
            return Err(Problem::invalid("not an in-toto statement")
                .limit(format!("{V0_1} or {V1}"))
                .found(shortened(&document.statement_type)));
        }
        if document.predicate_type.len() > MAX_TYPE_BYTES {
            return Err(Problem::invalid("the predicate type is too long")
                .limit(format!("{MAX_TYPE_BYTES} bytes"))
                .found(format!("{} bytes", document.predicate_type.len())));
        }
        let place = |raw: &RawValue| {
            let start = raw.get().as_ptr().addr() - bytes.as_ptr().addr();
            start..start + raw.get().len()
        };
        Ok(Self {
            subjects: document.subject,
            predicate_type: PredicateType::from_uri(document.predicate_type),
            predicate: document.predicate.map(place),
        })
    }

    /// The first of these digests that the statement has a subject for.
    pub fn subject_among<'a>(
        &self,
        digests: impl IntoIterator<Item = &'a Digest>,
    ) -> Option<(&Subject, &'a Digest)> {
        digests.into_iter().find_map(|digest| {
            let subject = self.subjects.iter().find(|subject| subject.is(digest))?;
            Some((subject, digest))
        })
    }
}

/// The statement that is a signature: what cosign 3 writes, byte for byte.
pub fn write_signature(digest: &Digest, annotations: &BTreeMap<String, String>) -> Vec<u8> {
    let mut out = format!(r#"{{"_type":"{V1}","subject":[{{"digest":"#).into_bytes();
    write_digest(digest, &mut out);
    out.extend_from_slice(br#","annotations":"#);
    json::write_map(annotations, &mut out);
    out.extend_from_slice(br#"}],"predicateType":"#);
    json::write_string(PredicateType::signature().uri(), &mut out);
    out.extend_from_slice(br#","predicate":{}}"#);
    out
}

/// The statement of an attestation, in version 0.1 as cosign writes it. `name` is host and repository.
///
/// `predicate` is JSON, and stands in the statement as it is; [`crate::predicate::prepare`] makes and checks it.
pub fn write_attestation(
    name: &str,
    digest: &Digest,
    predicate_type: &PredicateType,
    predicate: &[u8],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(predicate.len() + 512);
    out.extend_from_slice(format!(r#"{{"_type":"{V0_1}","subject":[{{"name":"#).as_bytes());
    json::write_string(name, &mut out);
    out.extend_from_slice(br#","digest":"#);
    write_digest(digest, &mut out);
    out.extend_from_slice(br#"}],"predicateType":"#);
    json::write_string(predicate_type.uri(), &mut out);
    out.extend_from_slice(br#","predicate":"#);
    out.extend_from_slice(predicate);
    out.push(b'}');
    out
}

fn write_digest(digest: &Digest, out: &mut Vec<u8>) {
    let (algorithm, hex) = (digest.algorithm(), digest.hex());
    out.extend_from_slice(format!(r#"{{"{algorithm}":"{hex}"}}"#).as_bytes());
}

/// Foreign text in a message.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests;
