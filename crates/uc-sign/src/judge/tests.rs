//! Verdicts over evidence of every form, honest and not.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uc_model::{Digest, ProblemKind};

use super::*;
use crate::{
    attestation::verify_attestations,
    bundle::Bundle,
    dsse::Envelope,
    keys::{
        KeyAlgorithm, PrivateKey,
        tests::{SIGNING, key},
    },
    requirement::{KeyState, Signer, Threshold, TrustedKey},
    simple_signing::Payload,
    statement,
    verdict::TransparencyLog,
};

/// A piece of evidence that owns what it holds.
struct Piece {
    found: String,
    media_type: &'static str,
    bytes: Vec<u8>,
    annotations: BTreeMap<String, String>,
}

impl Piece {
    fn borrow(&self) -> Evidence<'_> {
        Evidence {
            found: &self.found,
            media_type: self.media_type,
            bytes: &self.bytes,
            annotations: &self.annotations,
        }
    }
}

fn digest(byte: u8) -> Digest {
    Digest::from_sha256(&[byte; 32])
}

fn signer(seed: u64) -> PrivateKey {
    key(KeyAlgorithm::EcdsaP256, seed)
}

fn layer(signer: &PrivateKey, digest: &Digest, annotations: &BTreeMap<String, String>) -> Piece {
    let bytes = Payload::write("h/r", digest, annotations);
    let signature = signer.sign(&Message::new(&bytes)).expect("signed");
    let signature = crate::encoding::encode(&signature);
    Piece {
        found: "tag .sig, layer 0".into(),
        media_type: oci::SIMPLE_SIGNING,
        bytes,
        annotations: BTreeMap::from([(oci::SIGNATURE_ANNOTATION.to_owned(), signature)]),
    }
}

fn bundle(signers: &[&PrivateKey], payload: &[u8]) -> Piece {
    let envelope = Envelope::sign(oci::IN_TOTO, payload, signers).expect("signed");
    Piece {
        found: "referrer 0".into(),
        media_type: oci::BUNDLE,
        bytes: Bundle::write(&envelope, &signers[0].public_key().hint()),
        annotations: BTreeMap::new(),
    }
}

fn signature_bundle(signers: &[&PrivateKey], digest: &Digest) -> Piece {
    bundle(
        signers,
        &statement::write_signature(digest, &BTreeMap::new()),
    )
}

fn attestation(signer: &PrivateKey, digest: &Digest, kind: &str, form: Form) -> Piece {
    let kind: PredicateType = kind.parse().expect("known");
    let payload = statement::write_attestation("h/r", digest, &kind, br#"{"a":[1,2]}"#);
    if form == Form::Bundle {
        return bundle(&[signer], &payload);
    }
    let envelope = Envelope::sign(oci::IN_TOTO, &payload, &[signer]).expect("signed");
    Piece {
        found: "tag .att, layer 0".into(),
        media_type: oci::DSSE_ENVELOPE,
        bytes: envelope.to_json(),
        annotations: BTreeMap::from([(oci::PREDICATE_TYPE_ANNOTATION.into(), kind.uri().into())]),
    }
}

fn trusting(keys: &[&PrivateKey]) -> Requirement {
    let named = keys.iter().enumerate();
    Requirement::any_of(named.map(|(index, key)| (format!("key{index}"), key.public_key())))
        .expect("keys")
}

fn verdict(requirement: &Requirement, pieces: &[Piece]) -> Verdict {
    let evidence: Vec<Evidence<'_>> = pieces.iter().map(Piece::borrow).collect();
    judge(&Subject::new(digest(1)), requirement, &evidence)
}

fn reasons(verdict: &Verdict) -> Vec<Reason> {
    verdict.discounted.iter().map(|one| one.reason).collect()
}

#[test]
fn every_algorithm_verifies_in_every_form() {
    for algorithm in SIGNING {
        let signer = key(algorithm, 1);
        let pieces = [
            layer(&signer, &digest(1), &BTreeMap::new()),
            signature_bundle(&[&signer], &digest(1)),
        ];
        let verdict = verdict(&trusting(&[&signer]), &pieces);
        assert_eq!(verdict.outcome, Outcome::Verified);
        assert_eq!(verdict.signatures.len(), 2);
        assert_eq!(verdict.signers, ["key0"]);
        assert!(verdict.problem().is_none());
        assert_eq!(verdict.signatures[0].reference.as_deref(), Some("h/r"));
    }
}

#[test]
fn a_valid_signature_suffices_whatever_else_is_attached() {
    let (good, other) = (signer(1), signer(2));
    let mut truncated = signature_bundle(&[&good], &digest(1));
    truncated.bytes.truncate(300);
    let mut tampered = layer(&good, &digest(1), &BTreeMap::new());
    tampered.bytes = Payload::write("h/other", &digest(1), &BTreeMap::new());
    let mut unsigned = layer(&good, &digest(1), &BTreeMap::new());
    unsigned.annotations.clear();
    let mut no_base64 = layer(&good, &digest(1), &BTreeMap::new());
    no_base64
        .annotations
        .insert(oci::SIGNATURE_ANNOTATION.into(), "!".into());
    let pieces = [
        truncated,
        signature_bundle(&[&other], &digest(1)),
        tampered,
        layer(&good, &digest(9), &BTreeMap::new()),
        signature_bundle(&[&good], &digest(9)),
        attestation(&good, &digest(1), "spdxjson", Form::Bundle),
        attestation(&good, &digest(1), "spdxjson", Form::DsseEnvelope),
        Piece {
            found: "x".into(),
            media_type: "application/jose+json",
            bytes: Vec::new(),
            annotations: BTreeMap::new(),
        },
        unsigned,
        no_base64,
        layer(&good, &digest(1), &BTreeMap::new()),
    ];
    let verdict = verdict(&trusting(&[&good]), &pieces);
    assert_eq!(verdict.outcome, Outcome::Verified);
    assert_eq!(
        reasons(&verdict),
        [
            Reason::Malformed,
            Reason::NoTrustedKey,
            Reason::NoTrustedKey,
            Reason::WrongDigest,
            Reason::WrongDigest,
            Reason::NotASignature,
            Reason::NotASignature,
            Reason::Unsupported,
            Reason::Malformed,
            Reason::Malformed,
        ]
    );
}

#[test]
fn the_outcome_is_the_most_telling_reason() {
    let (good, other) = (signer(1), signer(2));
    let trusted = trusting(&[&good]);
    let outcome = |pieces: &[Piece]| {
        let verdict = verdict(&trusted, pieces);
        (
            verdict.outcome,
            verdict.problem().expect("not accepted").kind(),
        )
    };
    assert_eq!(outcome(&[]), (Outcome::Unsigned, ProblemKind::Unsigned));
    let sbom = attestation(&good, &digest(1), "spdxjson", Form::Bundle);
    assert_eq!(outcome(&[sbom]), (Outcome::Unsigned, ProblemKind::Unsigned));
    let elsewhere = layer(&good, &digest(9), &BTreeMap::new());
    assert_eq!(
        outcome(&[elsewhere]),
        (Outcome::Malformed, ProblemKind::Invalid)
    );
    let garbage = Piece {
        bytes: vec![0xff; 100],
        ..layer(&good, &digest(1), &BTreeMap::new())
    };
    let foreign = layer(&other, &digest(1), &BTreeMap::new());
    assert_eq!(
        outcome(&[garbage, foreign]),
        (Outcome::SignedByOthers, ProblemKind::Untrusted)
    );
}

/// A statement that is a signature, but stands in an `.att` layer, is no signature: nobody writes that.
#[test]
fn a_signature_has_to_be_in_a_bundle() {
    let good = signer(1);
    let payload = statement::write_signature(&digest(1), &BTreeMap::new());
    let envelope = Envelope::sign(oci::IN_TOTO, &payload, &[&good]).expect("signed");
    let piece = Piece {
        media_type: oci::DSSE_ENVELOPE,
        bytes: envelope.to_json(),
        ..layer(&good, &digest(1), &BTreeMap::new())
    };
    let verdict = verdict(&trusting(&[&good]), &[piece]);
    assert_eq!(reasons(&verdict), [Reason::NotASignature]);
}

#[test]
fn an_index_speaks_for_its_platforms_and_not_the_other_way_round() {
    let good = signer(1);
    let pieces = [
        layer(&good, &digest(2), &BTreeMap::new()),
        signature_bundle(&[&good], &digest(2)),
    ];
    let evidence: Vec<Evidence<'_>> = pieces.iter().map(Piece::borrow).collect();
    let platform = Subject::new(digest(1)).listed_in(digest(2));
    let verdict = judge(&platform, &trusting(&[&good]), &evidence);
    assert_eq!(verdict.outcome, Outcome::Verified);
    assert_eq!(verdict.signatures[1].digest, digest(2));
    let verdict = judge(&Subject::new(digest(1)), &trusting(&[&good]), &evidence);
    assert_eq!(verdict.outcome, Outcome::Malformed);
}

#[test]
fn signers_are_counted_once_each() {
    let (old, new, second) = (signer(1), signer(2), signer(3));
    let trusted = |key: &PrivateKey, state| TrustedKey {
        key: key.public_key(),
        state,
    };
    let signers = |state| {
        vec![
            Signer {
                name: "a".into(),
                keys: vec![trusted(&old, state), trusted(&new, KeyState::Valid)],
            },
            Signer {
                name: "b".into(),
                keys: vec![trusted(&second, KeyState::Valid)],
            },
        ]
    };
    for threshold in [Threshold::All, Threshold::AtLeast(2)] {
        let requirement = Requirement::new(signers(KeyState::Valid), threshold).expect("signers");
        let rotated = [
            layer(&old, &digest(1), &BTreeMap::new()),
            layer(&new, &digest(1), &BTreeMap::new()),
        ];
        let one = verdict(&requirement, &rotated);
        assert_eq!(one.outcome, Outcome::TooFewSigners);
        assert_eq!((one.signers.len(), one.signers_needed), (1, 2));
        let both = [
            layer(&old, &digest(1), &BTreeMap::new()),
            signature_bundle(&[&second], &digest(1)),
        ];
        assert_eq!(verdict(&requirement, &both).outcome, Outcome::Verified);
        let together = [signature_bundle(&[&new, &second], &digest(1))];
        assert_eq!(verdict(&requirement, &together).outcome, Outcome::Verified);
    }
    let requirement =
        Requirement::new(signers(KeyState::Expired(0)), Threshold::Any).expect("signers");
    let expired = verdict(&requirement, &[layer(&old, &digest(1), &BTreeMap::new())]);
    assert_eq!(expired.outcome, Outcome::SignedByOthers);
    assert_eq!(reasons(&expired), [Reason::KeyNotValidNow]);
    assert!(
        expired.discounted[0]
            .detail
            .contains("expired at 1970-01-01T00:00:00Z")
    );

    let twice = [signers(KeyState::Valid), signers(KeyState::Valid)].concat();
    assert!(Requirement::new(twice, Threshold::Any).is_err());
    assert!(Requirement::new(Vec::new(), Threshold::Any).is_err());
    assert!(Requirement::new(signers(KeyState::Valid), Threshold::AtLeast(3)).is_err());
    let same = [
        ("x".to_owned(), old.public_key()),
        ("y".to_owned(), old.public_key()),
    ];
    assert_eq!(Requirement::any_of(same).expect("keys").signers().len(), 1);
}

#[test]
fn annotations_can_be_required() {
    let good = signer(1);
    let annotations = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
    let pieces = [
        layer(&good, &digest(1), &annotations),
        bundle(
            &[&good],
            &statement::write_signature(&digest(1), &annotations),
        ),
    ];
    let mut requirement = trusting(&[&good]);
    requirement.annotations.clone_from(&annotations);
    assert_eq!(verdict(&requirement, &pieces).signatures.len(), 2);
    requirement.annotations.insert("env".into(), "test".into());
    let missing = verdict(&requirement, &pieces);
    assert_eq!(missing.outcome, Outcome::SignedByOthers);
    assert_eq!(reasons(&missing), [Reason::AnnotationsMissing; 2]);
}

#[test]
fn what_may_be_unsigned_is_accepted_and_reported() {
    let (good, other) = (signer(1), signer(2));
    let pieces = [layer(&other, &digest(1), &BTreeMap::new())];
    let open = verdict(&Requirement::nothing(), &pieces);
    assert_eq!(open.outcome, Outcome::UnsignedAllowed);
    assert_eq!(reasons(&open), [Reason::NoTrustedKey]);
    let mut requirement = trusting(&[&good]);
    requirement.unsigned_allowed = true;
    assert_eq!(
        verdict(&requirement, &pieces).outcome,
        Outcome::UnsignedAllowed
    );
    let signed = [layer(&good, &digest(1), &BTreeMap::new())];
    assert_eq!(verdict(&requirement, &signed).outcome, Outcome::Verified);
}

#[test]
fn attestations_verify_and_hand_out_their_predicate() {
    let (good, other) = (signer(1), signer(2));
    let kind: PredicateType = "spdxjson".parse().expect("known");
    let pieces = [
        layer(&good, &digest(1), &BTreeMap::new()),
        signature_bundle(&[&good], &digest(1)),
        attestation(&good, &digest(1), "vuln", Form::DsseEnvelope),
        attestation(&other, &digest(1), "spdxjson", Form::Bundle),
        attestation(&good, &digest(9), "spdxjson", Form::Bundle),
        attestation(&good, &digest(1), "spdxjson", Form::DsseEnvelope),
        attestation(&good, &digest(1), "spdxjson", Form::Bundle),
    ];
    let evidence: Vec<Evidence<'_>> = pieces.iter().map(Piece::borrow).collect();
    let subject = Subject::new(digest(1));
    let found = verify_attestations(&subject, &trusting(&[&good]), Some(&kind), &evidence);
    assert_eq!(found.outcome, Outcome::Verified);
    assert_eq!(found.attestations.len(), 2);
    for one in &found.attestations {
        assert_eq!(one.predicate(), br#"{"a":[1,2]}"#);
        assert!(one.statement().starts_with(br#"{"_type":"#));
        assert_eq!(one.by[0].signer, "key0");
    }
    let reasons: Vec<Reason> = found.discounted.iter().map(|one| one.reason).collect();
    assert_eq!(
        reasons,
        [
            Reason::NotAnAttestation,
            Reason::NotAnAttestation,
            Reason::OtherPredicate,
            Reason::NoTrustedKey,
            Reason::WrongDigest
        ]
    );
    let all = verify_attestations(&subject, &trusting(&[&good]), None, &evidence);
    assert_eq!(all.attestations.len(), 3);
    let none = verify_attestations(&subject, &trusting(&[&good]), Some(&kind), &evidence[..3]);
    assert_eq!(none.outcome, Outcome::Unsigned);
}

#[test]
fn attestations_can_be_required() {
    let (good, other) = (signer(1), signer(2));
    let mut requirement = trusting(&[&good]);
    requirement.attestations = vec!["spdxjson".parse().expect("known")];
    let signed = layer(&good, &digest(1), &BTreeMap::new());
    let foreign = attestation(&other, &digest(1), "spdxjson", Form::DsseEnvelope);
    let missing = verdict(&requirement, &[signed, foreign]);
    assert_eq!(missing.outcome, Outcome::AttestationMissing);
    assert!(missing.summary().contains("spdxjson"));
    for form in [Form::DsseEnvelope, Form::Bundle] {
        let signed = layer(&good, &digest(1), &BTreeMap::new());
        let complete = verdict(
            &requirement,
            &[signed, attestation(&good, &digest(1), "spdxjson", form)],
        );
        assert_eq!(complete.outcome, Outcome::Verified);
        assert_eq!(complete.attestations.len(), 1);
        let only = verdict(
            &requirement,
            &[attestation(&good, &digest(1), "spdxjson", form)],
        );
        assert_eq!(only.outcome, Outcome::Unsigned);
    }
}

#[test]
fn ten_thousand_signatures_are_bounded_and_the_good_one_is_found() {
    let (good, other) = (signer(1), signer(2));
    let junk = layer(&other, &digest(1), &BTreeMap::new());
    let real = layer(&good, &digest(1), &BTreeMap::new());
    let mut evidence = vec![junk.borrow(); 12_000];
    evidence[3_000] = real.borrow();
    let subject = Subject::new(digest(1));
    let verdict = judge(&subject, &trusting(&[&good]), &evidence);
    assert_eq!(verdict.outcome, Outcome::Verified);
    assert_eq!(verdict.not_examined, 2_000);
    let unexamined = verdict
        .discounted
        .iter()
        .filter(|one| one.reason == Reason::NotExamined);
    assert_eq!(unexamined.count(), MAX_EVIDENCE - crate::MAX_ATTEMPTS);
}

#[test]
fn the_json_says_that_no_log_was_consulted() {
    let good = signer(1);
    let mut piece = layer(&good, &digest(1), &BTreeMap::new());
    piece
        .annotations
        .insert(oci::LOG_ANNOTATION.into(), "{}".into());
    let verdict = verdict(&trusting(&[&good]), &[piece]);
    assert_eq!(verdict.transparency_log, TransparencyLog::NotConsulted);
    assert!(
        verdict
            .summary()
            .contains("no transparency log was consulted")
    );
    let json = serde_json::to_value(&verdict).expect("serialises");
    assert_eq!(json["outcome"], "verified");
    assert_eq!(json["transparency_log"], "not-consulted");
    assert_eq!(json["signatures"][0]["signer"], "key0");
    assert_eq!(json["signatures"][0]["scheme"], "ecdsa-p256-sha256");
    assert_eq!(json["signatures"][0]["form"], "simple-signing");
    assert_eq!(
        json["signatures"][0]["not_consulted"][0],
        "transparency log entry"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_evidence_never_verifies(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        annotation in ".{0,50}",
        media_type in prop::sample::select(vec![oci::SIMPLE_SIGNING, oci::DSSE_ENVELOPE, oci::BUNDLE]),
    ) {
        let annotations = BTreeMap::from([(oci::SIGNATURE_ANNOTATION.to_owned(), annotation)]);
        let piece = Piece { found: "x".into(), media_type, bytes, annotations };
        let verdict = verdict(&trusting(&[&signer(1)]), &[piece]);
        prop_assert!(verdict.signatures.is_empty());
    }

    #[test]
    fn no_flipped_bit_of_a_layer_or_its_signature_verifies(bit in any::<prop::sample::Index>(), flips_signature in any::<bool>()) {
        let good = signer(1);
        let mut piece = layer(&good, &digest(1), &BTreeMap::new());
        if flips_signature {
            let signature = piece.annotations.get_mut(oci::SIGNATURE_ANNOTATION).expect("there");
            let mut bytes = signature.clone().into_bytes();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            *signature = String::from_utf8_lossy(&bytes).into_owned();
        } else {
            let bit = bit.index(piece.bytes.len() * 8);
            piece.bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let verdict = verdict(&trusting(&[&good]), &[piece]);
        prop_assert!(verdict.signatures.is_empty());
    }

    #[test]
    fn no_flipped_bit_of_a_bundle_signs_anything_else(bit in any::<prop::sample::Index>()) {
        let good = signer(1);
        let mut piece = signature_bundle(&[&good], &digest(1));
        let bit = bit.index(piece.bytes.len() * 8);
        piece.bytes[bit / 8] ^= 1 << (bit % 8);
        let verdict = verdict(&trusting(&[&good]), &[piece]);
        for signature in verdict.signatures {
            prop_assert_eq!(signature.digest, digest(1));
        }
    }

    #[test]
    fn no_other_digest_verifies(bit in 0_usize..256) {
        let good = signer(1);
        let mut bytes = [1; 32];
        bytes[bit / 8] ^= 1 << (bit % 8);
        let other = Digest::from_sha256(&bytes);
        let pieces = [layer(&good, &other, &BTreeMap::new()), signature_bundle(&[&good], &other)];
        prop_assert_eq!(verdict(&trusting(&[&good]), &pieces).outcome, Outcome::Malformed);
    }
}
