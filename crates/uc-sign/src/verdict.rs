//! The answer: verified, unsigned, signed by others, and why each piece of evidence did or did not count.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use uc_model::{Digest, Problem};

use crate::{
    evidence::{Evidence, Form},
    keys::{KeyAlgorithm, Scheme},
    predicate::PredicateType,
};

/// The answer in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Enough trusted signers signed the subject, and every attestation that is required is there.
    Verified,
    /// It is not verified, and need not be.
    UnsignedAllowed,
    /// Nothing attached claims to sign the subject.
    Unsigned,
    /// It is signed, but by no key that is trusted and counts now.
    SignedByOthers,
    /// Trusted signers signed it, but too few.
    TooFewSigners,
    /// It is signed as required, but an attestation that is required is missing.
    AttestationMissing,
    /// What is attached is broken, or was made for another digest.
    Malformed,
}

impl Outcome {
    /// Whether the artifact may be used.
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Verified | Self::UnsignedAllowed)
    }
}

/// Why a piece of evidence did not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It is an attestation, which says something about the subject but does not sign it.
    NotASignature,
    /// It is a signature, where attestations are looked for.
    NotAnAttestation,
    /// It is an attestation of another type than the one looked for.
    OtherPredicate,
    /// It was made for another digest.
    WrongDigest,
    /// It cannot be read.
    Malformed,
    /// No trusted key made it, or it was changed after it was made: nobody can tell which.
    NoTrustedKey,
    /// A trusted key made it, but that key does not count now.
    KeyNotValidNow,
    /// A trusted key made it, but it lacks an annotation that is required.
    AnnotationsMissing,
    /// Its form is not one of those that are verified here.
    Unsupported,
    /// There was more to examine than the limits allow.
    NotExamined,
}

/// Whether a transparency log had a say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransparencyLog {
    /// None was asked, and none is ever asked: the keys alone decide.
    NotConsulted,
}

/// The key behind a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedBy {
    /// The signer's name.
    pub signer: String,
    /// The key's fingerprint.
    pub key: Digest,
    /// The key's kind.
    pub algorithm: KeyAlgorithm,
    /// How the signature was made.
    pub scheme: Scheme,
}

/// A signature that counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CountedSignature {
    /// Who signed.
    #[serde(flatten)]
    pub by: SignedBy,
    /// Where it was found.
    pub found: String,
    /// Its form.
    pub form: Form,
    /// What it signs: the subject, or an index that lists it.
    pub digest: Digest,
    /// The repository that it was made for, which need not be the one it was found in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What the signer added.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Value>,
    /// What else is attached and had no say: a certificate, an entry of a transparency log, a time stamp.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_consulted: Vec<&'static str>,
}

/// A piece of evidence that did not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Discounted {
    /// Where it was found.
    pub found: String,
    /// The form it claims to have.
    pub form: Form,
    /// Why it did not count.
    pub reason: Reason,
    /// The reason in words.
    pub detail: String,
}

impl Discounted {
    pub(crate) fn new(piece: &Evidence<'_>, refusal: Refusal) -> Self {
        Self {
            found: piece.found.to_owned(),
            form: piece.form(),
            reason: refusal.reason,
            detail: refusal.detail,
        }
    }
}

/// A reason with its words, before it is known which piece it is about.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

impl Refusal {
    /// The more telling of two reasons for the signatures of one envelope.
    pub(crate) fn or_better(self, other: Self) -> Self {
        let telling = |reason| match reason {
            Reason::KeyNotValidNow => 3,
            Reason::NoTrustedKey => 2,
            Reason::NotExamined => 1,
            _ => 0,
        };
        if telling(other.reason) >= telling(self.reason) {
            other
        } else {
            self
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::new(Reason::Malformed, problem.to_string())
    }
}

/// A required attestation that was found and verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CountedAttestation {
    /// Where it was found.
    pub found: String,
    /// Its type.
    pub predicate_type: PredicateType,
    /// Who signed it.
    pub by: Vec<SignedBy>,
}

/// The whole answer. It serialises to the JSON of `uc verify`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The answer in one word.
    pub outcome: Outcome,
    /// What it is about.
    pub subject: Digest,
    /// The names of the trusted signers that signed, in order.
    pub signers: Vec<String>,
    /// How many are needed.
    pub signers_needed: usize,
    /// The names of all that are trusted.
    pub signers_trusted: Vec<String>,
    /// The signatures that counted, in the order of the evidence.
    pub signatures: Vec<CountedSignature>,
    /// The attestations that were required and counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<CountedAttestation>,
    /// The types of attestations that are required and missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attestations_missing: Vec<PredicateType>,
    /// What did not count, and why.
    pub discounted: Vec<Discounted>,
    /// How many further pieces were not looked at, because there were too many.
    pub not_examined: usize,
    /// No log had a say.
    pub transparency_log: TransparencyLog,
}

impl Verdict {
    /// The answer in one sentence, without a full stop.
    pub fn summary(&self) -> String {
        let trusted = self.signers_trusted.join(", ");
        match self.outcome {
            Outcome::Verified => format!(
                "verified: signed by {}; no transparency log was consulted",
                self.signers.join(", ")
            ),
            Outcome::UnsignedAllowed => {
                "not verified: the policy allows this artifact to be unsigned".to_owned()
            }
            Outcome::Unsigned => "not signed: no signature is attached".to_owned(),
            Outcome::SignedByOthers => {
                format!("signed, but no signature is by a trusted key ({trusted})")
            }
            Outcome::TooFewSigners => format!(
                "signed by {} of {} needed signers: {}",
                self.signers.len(),
                self.signers_needed,
                self.signers.join(", ")
            ),
            Outcome::AttestationMissing => {
                let names: Vec<&str> = self
                    .attestations_missing
                    .iter()
                    .map(|kind| kind.name())
                    .collect();
                format!("signed, but attestations are missing: {}", names.join(", "))
            }
            Outcome::Malformed => {
                "not signed: what is attached is broken, or was made for another digest".to_owned()
            }
        }
    }

    /// The verdict as a problem, or `None` where the artifact is accepted.
    pub fn problem(&self) -> Option<Problem> {
        let problem = match self.outcome {
            Outcome::Verified | Outcome::UnsignedAllowed => return None,
            Outcome::Malformed => Problem::invalid(self.summary()),
            Outcome::Unsigned | Outcome::AttestationMissing => Problem::unsigned(self.summary()),
            Outcome::SignedByOthers | Outcome::TooFewSigners => Problem::untrusted(self.summary()),
        };
        let limit = match (self.signers_needed, self.signers_trusted.len()) {
            (1, 1) => format!("a signature by {}", self.signers_trusted.join("")),
            (needed, _) => format!(
                "signatures by {needed} of {}",
                self.signers_trusted.join(", ")
            ),
        };
        let problem = problem.at(&self.subject).limit(limit);
        let problem = match self.discounted.first() {
            Some(first) => problem.found(format!("{}: {}", first.found, first.detail)),
            None => problem,
        };
        Some(problem.remedy(match self.outcome {
            Outcome::SignedByOthers => {
                "trust the key that signed it, or have it signed by a trusted key"
            }
            Outcome::AttestationMissing => "attach the attestation with `uc attest`",
            _ => "have it signed: `uc sign --key KEY REF`",
        }))
    }
}
