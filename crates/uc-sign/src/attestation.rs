//! Verifying attestations, and handing out what they say.

use std::ops::Range;

use serde::Serialize;
use uc_model::Digest;

use crate::{
    evidence::{Evidence, Form, Subject},
    judge::{MAX_EVIDENCE, outcome_without_signer},
    opened,
    opened::OpenedStatement,
    predicate::PredicateType,
    requirement::Requirement,
    trust::{Budget, Trust},
    verdict::{Discounted, Outcome, Reason, Refusal, SignedBy, TransparencyLog},
};

/// The most bytes of verified statements that are kept.
pub const MAX_KEPT_BYTES: usize = 256 * 1024 * 1024;

/// An attestation about the subject that a trusted key signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedAttestation {
    /// Where it was found.
    pub found: String,
    /// Its form.
    pub form: Form,
    /// What its predicate is.
    pub predicate_type: PredicateType,
    /// What it is about: the subject, or an index that lists it.
    pub digest: Digest,
    /// Who signed it; at least one.
    pub by: Vec<SignedBy>,
    /// What else is attached and had no say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_consulted: Vec<&'static str>,
    #[serde(skip)]
    buffer: Vec<u8>,
    #[serde(skip)]
    statement: Range<usize>,
    #[serde(skip)]
    predicate: Range<usize>,
}

impl VerifiedAttestation {
    /// The predicate, such as an SBOM: JSON, as it was signed. Empty where the statement has none.
    pub fn predicate(&self) -> &[u8] {
        &self.buffer[self.predicate.clone()]
    }

    /// The whole statement, as it was signed.
    pub fn statement(&self) -> &[u8] {
        &self.buffer[self.statement.clone()]
    }
}

/// The answer about attestations. It serialises to the JSON of `uc verify --type`, without the predicates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttestationVerdict {
    /// The answer in one word.
    pub outcome: Outcome,
    /// What it is about.
    pub subject: Digest,
    /// The type that was looked for; any where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<PredicateType>,
    /// What verified, in the order of the evidence.
    pub attestations: Vec<VerifiedAttestation>,
    /// What did not count, and why.
    pub discounted: Vec<Discounted>,
    /// How many further pieces were not looked at, because there were too many.
    pub not_examined: usize,
    /// No log had a say.
    pub transparency_log: TransparencyLog,
}

/// Finds the attestations about the subject that a trusted key signed, all or those of one type.
///
/// One signer is enough whatever the requirement's threshold: it counts who vouches for the artifact, not who describes
/// it. The requirement's annotations and attestations play no part.
pub fn verify_attestations(
    subject: &Subject,
    requirement: &Requirement,
    wanted: Option<&PredicateType>,
    evidence: &[Evidence<'_>],
) -> AttestationVerdict {
    let trust = Trust::of(requirement);
    let mut budget = Budget::new();
    let mut kept = 0;
    let mut attestations = Vec::new();
    let mut discounted = Vec::new();
    let (examined, rest) = evidence.split_at(evidence.len().min(MAX_EVIDENCE));
    for piece in examined {
        let result = verify(piece, subject, wanted, &trust, &mut budget).and_then(|one| {
            kept += one.buffer.len();
            if kept > MAX_KEPT_BYTES {
                let detail = format!("more than {} MiB of attestations", MAX_KEPT_BYTES >> 20);
                return Err(Refusal::new(Reason::NotExamined, detail));
            }
            Ok(one)
        });
        match result {
            Ok(one) => attestations.push(one),
            Err(refusal) => discounted.push(Discounted::new(piece, refusal)),
        }
    }
    AttestationVerdict {
        outcome: if attestations.is_empty() {
            outcome_without_signer(&discounted, rest.len())
        } else {
            Outcome::Verified
        },
        subject: subject.digest().clone(),
        wanted: wanted.cloned(),
        attestations,
        discounted,
        not_examined: rest.len(),
        transparency_log: TransparencyLog::NotConsulted,
    }
}

fn verify(
    piece: &Evidence<'_>,
    subject: &Subject,
    wanted: Option<&PredicateType>,
    trust: &Trust<'_>,
    budget: &mut Budget,
) -> Result<VerifiedAttestation, Refusal> {
    let not_an_attestation = || {
        Refusal::new(
            Reason::NotAnAttestation,
            "a signature is not an attestation",
        )
    };
    match piece.form() {
        Form::SimpleSigning => return Err(not_an_attestation()),
        Form::Other => {
            return Err(Refusal::new(
                Reason::Unsupported,
                format!(
                    "attestations of type {} are not verified here",
                    piece.media_type
                ),
            ));
        }
        Form::DsseEnvelope | Form::Bundle => {}
    }
    let opened = opened::statement(piece, budget)?;
    let kind = &opened.statement.predicate_type;
    if kind.is_signature() {
        return Err(not_an_attestation());
    }
    if wanted.is_some_and(|wanted| wanted != kind) {
        return Err(Refusal::new(
            Reason::OtherPredicate,
            format!("an attestation of type {kind}"),
        ));
    }
    verify_opened(piece, opened, subject, trust, budget)
}

/// Verifies a statement that is known to be an attestation.
pub(crate) fn verify_opened(
    piece: &Evidence<'_>,
    opened: OpenedStatement,
    subject: &Subject,
    trust: &Trust<'_>,
    budget: &mut Budget,
) -> Result<VerifiedAttestation, Refusal> {
    let digest = opened::bound_digest(&opened.statement, subject)?;
    let by = signers_of(&opened, trust, budget)?;
    let (buffer, statement) = opened.envelope.into_payload();
    let start = statement.start;
    let predicate = opened.statement.predicate.unwrap_or(0..0);
    Ok(VerifiedAttestation {
        found: piece.found.to_owned(),
        form: piece.form(),
        predicate_type: opened.statement.predicate_type,
        digest,
        by,
        not_consulted: opened.not_consulted,
        predicate: start + predicate.start..start + predicate.end,
        statement,
        buffer,
    })
}

/// The trusted keys that signed an envelope, each once; at least one, or the reason why there is none.
pub(crate) fn signers_of(
    opened: &OpenedStatement,
    trust: &Trust<'_>,
    budget: &mut Budget,
) -> Result<Vec<SignedBy>, Refusal> {
    let message = opened.envelope.message();
    let mut signers: Vec<SignedBy> = Vec::new();
    let mut refusal = Refusal::new(Reason::Malformed, "the envelope has no signature");
    let hint = opened.hint.as_deref();
    for signature in opened.envelope.signatures() {
        match trust.find(&message, &signature.bytes, hint, budget) {
            Ok(by) if signers.iter().any(|known| known.key == by.key) => {}
            Ok(by) => signers.push(by),
            Err(other) => refusal = refusal.or_better(other),
        }
    }
    if signers.is_empty() {
        return Err(refusal);
    }
    Ok(signers)
}
