//! Verifying an artifact where it lies.

use uc_model::{Digest, Result};
use uc_sign::{
    AttestationVerdict, Evidence, Outcome, PredicateType, Requirement, Verdict, judge,
    verify_attestations,
};

use super::{
    Artifact, Shelf,
    gather::{Gathered, Piece, Wanted, gather},
};

/// Judges an artifact by what is attached to it. Fetching ends as soon as the artifact is accepted.
///
/// # Errors
/// Unavailable where the place does not answer and what it did answer is not enough; refused as the place says.
pub fn verify(
    shelf: &dyn Shelf,
    artifact: &Artifact,
    requirement: &Requirement,
) -> Result<Verdict> {
    let subject = artifact.subject();
    let digests: Vec<Digest> = subject.digests().cloned().collect();
    let wanted = Wanted {
        signatures: true,
        attestations: !requirement.attestations.is_empty(),
    };
    let verdict_of = |pieces: &[Piece]| judge(&subject, requirement, &evidence(pieces));
    let mut accepted = |pieces: &[Piece]| verdict_of(pieces).outcome == Outcome::Verified;
    let mut gathered = gather(shelf, &digests, wanted, &mut accepted)?;
    let mut verdict = verdict_of(&gathered.pieces);
    verdict.not_examined += gathered.left_out;
    settle(verdict.outcome, &mut gathered)?;
    Ok(verdict)
}

/// The attestations about an artifact that a trusted key signed, all or those of one type.
///
/// # Errors
/// As for [`verify`].
pub fn find_attestations(
    shelf: &dyn Shelf,
    artifact: &Artifact,
    requirement: &Requirement,
    wanted_type: Option<&PredicateType>,
) -> Result<AttestationVerdict> {
    let subject = artifact.subject();
    let digests: Vec<Digest> = subject.digests().cloned().collect();
    let wanted = Wanted {
        signatures: false,
        attestations: true,
    };
    // All of them are wanted, so nothing is ever enough.
    let mut gathered = gather(shelf, &digests, wanted, &mut |_| false)?;
    let mut verdict = verify_attestations(
        &subject,
        requirement,
        wanted_type,
        &evidence(&gathered.pieces),
    );
    verdict.not_examined += gathered.left_out;
    settle(verdict.outcome, &mut gathered)?;
    Ok(verdict)
}

fn evidence(pieces: &[Piece]) -> Vec<Evidence<'_>> {
    pieces.iter().map(Piece::evidence).collect()
}

/// Where something could not be fetched, only acceptance is an answer.
fn settle(outcome: Outcome, gathered: &mut Gathered) -> Result<()> {
    match gathered.unreachable() {
        Some(problem) if !outcome.is_accepted() => Err(problem),
        _ => Ok(()),
    }
}
