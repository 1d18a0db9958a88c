//! From evidence to a verdict.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    attestation,
    evidence::{Evidence, Form, Subject},
    message::Message,
    oci, opened,
    opened::OpenedStatement,
    predicate::PredicateType,
    requirement::Requirement,
    trust::{Budget, Trust},
    verdict::{
        CountedAttestation, CountedSignature, Discounted, Outcome, Reason, Refusal, SignedBy,
        TransparencyLog, Verdict,
    },
};

/// The most pieces of evidence that are looked at.
pub const MAX_EVIDENCE: usize = 10_000;

/// What a piece of evidence contributes.
enum Contribution {
    Signatures(Vec<CountedSignature>),
    Attestation(CountedAttestation),
}

/// Weighs all evidence. Any valid signature by a trusted key counts, whatever else is attached; an attestation is not a
/// signature.
pub fn judge(subject: &Subject, requirement: &Requirement, evidence: &[Evidence<'_>]) -> Verdict {
    let trust = Trust::of(requirement);
    let mut budget = Budget::new();
    let mut signatures = Vec::new();
    let mut attestations = Vec::new();
    let mut discounted = Vec::new();
    let (examined, rest) = evidence.split_at(evidence.len().min(MAX_EVIDENCE));
    for piece in examined {
        match weigh(piece, subject, requirement, &trust, &mut budget) {
            Ok(Contribution::Signatures(more)) => signatures.extend(more),
            Ok(Contribution::Attestation(one)) => attestations.push(one),
            Err(refusal) => discounted.push(Discounted::new(piece, refusal)),
        }
    }
    let signed: BTreeSet<&str> = signatures
        .iter()
        .map(|one| one.by.signer.as_str())
        .collect();
    let is_missing = |kind: &&PredicateType| {
        !attestations
            .iter()
            .any(|one: &CountedAttestation| one.predicate_type == **kind)
    };
    let attestations_missing: Vec<PredicateType> = requirement
        .attestations
        .iter()
        .filter(is_missing)
        .cloned()
        .collect();
    let is_signed = !requirement.signers().is_empty() && signed.len() >= requirement.needed();
    let outcome = match (is_signed, attestations_missing.is_empty()) {
        (true, true) => Outcome::Verified,
        _ if requirement.unsigned_allowed => Outcome::UnsignedAllowed,
        (true, false) => Outcome::AttestationMissing,
        _ if !signed.is_empty() => Outcome::TooFewSigners,
        _ => outcome_without_signer(&discounted, rest.len()),
    };
    Verdict {
        outcome,
        subject: subject.digest().clone(),
        signers: signed.into_iter().map(str::to_owned).collect(),
        signers_needed: requirement.needed(),
        signers_trusted: requirement
            .signers()
            .iter()
            .map(|signer| signer.name.clone())
            .collect(),
        signatures,
        attestations,
        attestations_missing,
        discounted,
        not_examined: rest.len(),
        transparency_log: TransparencyLog::NotConsulted,
    }
}

/// The outcome where nothing counted: the most telling of the reasons.
pub(crate) fn outcome_without_signer(discounted: &[Discounted], not_examined: usize) -> Outcome {
    let has = |reasons: &[Reason]| discounted.iter().any(|one| reasons.contains(&one.reason));
    if has(&[
        Reason::NoTrustedKey,
        Reason::KeyNotValidNow,
        Reason::AnnotationsMissing,
    ]) {
        Outcome::SignedByOthers
    } else if has(&[Reason::Malformed, Reason::WrongDigest, Reason::NotExamined])
        || not_examined > 0
    {
        Outcome::Malformed
    } else {
        Outcome::Unsigned
    }
}

fn weigh(
    piece: &Evidence<'_>,
    subject: &Subject,
    requirement: &Requirement,
    trust: &Trust<'_>,
    budget: &mut Budget,
) -> Result<Contribution, Refusal> {
    let wants_attestations = !requirement.attestations.is_empty();
    match piece.form() {
        Form::SimpleSigning => {
            weigh_payload(piece, subject, requirement, trust, budget).map(Contribution::Signatures)
        }
        Form::DsseEnvelope if !wants_attestations => Err(not_a_signature(
            piece
                .annotations
                .get(oci::PREDICATE_TYPE_ANNOTATION)
                .map(String::as_str),
        )),
        Form::DsseEnvelope | Form::Bundle => {
            let opened = opened::statement(piece, budget)?;
            let kind = &opened.statement.predicate_type;
            if opened.is_bundle && kind.is_signature() {
                return weigh_statement(piece, &opened, subject, requirement, trust, budget)
                    .map(Contribution::Signatures);
            }
            if !requirement.attestations.contains(kind) {
                return Err(not_a_signature(Some(kind.name())));
            }
            let verified = attestation::verify_opened(piece, opened, subject, trust, budget)?;
            Ok(Contribution::Attestation(CountedAttestation {
                found: verified.found,
                predicate_type: verified.predicate_type,
                by: verified.by,
            }))
        }
        Form::Other => Err(Refusal::new(
            Reason::Unsupported,
            format!(
                "signatures of type {} are not verified here",
                piece.media_type
            ),
        )),
    }
}

fn not_a_signature(kind: Option<&str>) -> Refusal {
    let kind: String = kind.unwrap_or("unknown").chars().take(200).collect();
    Refusal::new(
        Reason::NotASignature,
        format!("an attestation ({kind}) is not a signature"),
    )
}

fn weigh_payload(
    piece: &Evidence<'_>,
    subject: &Subject,
    requirement: &Requirement,
    trust: &Trust<'_>,
    budget: &mut Budget,
) -> Result<Vec<CountedSignature>, Refusal> {
    let opened = opened::payload(piece, budget)?;
    let payload = opened.payload;
    if !subject.digests().any(|digest| *digest == payload.digest) {
        return Err(opened::wrong_digest(payload.digest.as_str()));
    }
    let message = Message::new(piece.bytes);
    let by = trust.find(&message, &opened.signature, None, budget)?;
    check_annotations(requirement, &payload.annotations, &by)?;
    Ok(vec![CountedSignature {
        by,
        found: piece.found.to_owned(),
        form: piece.form(),
        digest: payload.digest,
        reference: Some(payload.reference),
        annotations: payload.annotations,
        not_consulted: opened.not_consulted,
    }])
}

/// A bundle can hold signatures of several keys; one that does not count does not spoil the others.
fn weigh_statement(
    piece: &Evidence<'_>,
    opened: &OpenedStatement,
    subject: &Subject,
    requirement: &Requirement,
    trust: &Trust<'_>,
    budget: &mut Budget,
) -> Result<Vec<CountedSignature>, Refusal> {
    let digest = opened::bound_digest(&opened.statement, subject)?;
    let found = opened.statement.subject_among(subject.digests());
    let annotations = found.map_or_else(BTreeMap::new, |(subject, _)| subject.annotations.clone());
    let signers = attestation::signers_of(opened, trust, budget)?;
    check_annotations(requirement, &annotations, &signers[0])?;
    Ok(signers
        .into_iter()
        .map(|by| CountedSignature {
            by,
            found: piece.found.to_owned(),
            form: piece.form(),
            digest: digest.clone(),
            reference: None,
            annotations: annotations.clone(),
            not_consulted: opened.not_consulted.clone(),
        })
        .collect())
}

fn check_annotations(
    requirement: &Requirement,
    annotations: &BTreeMap<String, Value>,
    by: &SignedBy,
) -> Result<(), Refusal> {
    let is_met = |(key, value): &(&String, &String)| {
        annotations.get(*key).and_then(Value::as_str) == Some(value.as_str())
    };
    match requirement.annotations.iter().find(|entry| !is_met(entry)) {
        None => Ok(()),
        Some((key, value)) => Err(Refusal::new(
            Reason::AnnotationsMissing,
            format!(
                "signed by {}, but without the annotation {key}={value}",
                by.signer
            ),
        )),
    }
}

#[cfg(test)]
mod tests;
