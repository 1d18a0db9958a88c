//! What real cosign 2.5 and 3.1 wrote, answered as a correct verifier answers it.

use std::collections::BTreeMap;

use uc_model::{Digest, ProblemKind};
use uc_sign::{
    Form, KeyAlgorithm, Message, Outcome, Password, PredicateType, PrivateKey, Subject, Verdict,
    bundle::{Bundle, Content},
    dsse::Envelope,
    judge,
    keys::Scheme,
    oci,
    simple_signing::Payload,
    statement,
    statement::Statement,
    verify_attestations,
};

mod support;

use support::{Layer, Repository, cases, json, no_password, public_key, read, trusting};

/// The verdict on a recorded repository under one key.
fn verdict(case: &str, key: &str) -> Option<Verdict> {
    let cases = cases()?;
    let repository = Repository::open(&cases.join("registry").join(case));
    let subject = repository.subject();
    let layers = repository.evidence(&subject);
    assert!(!layers.is_empty(), "{case} has evidence");
    let evidence: Vec<_> = layers.iter().map(Layer::evidence).collect();
    let key = public_key(&cases.join("keys").join(key));
    Some(judge(&Subject::new(subject), &trusting(key), &evidence))
}

#[test]
fn the_table_of_cases() {
    for (case, key, outcome) in [
        (
            "c2-sig-twokeys-annotations",
            "v2/cosign.pub",
            Outcome::Verified,
        ),
        (
            "c2-sig-twokeys-annotations",
            "v3/cosign.pub",
            Outcome::Verified,
        ),
        ("c3-bundle-sign", "v2/cosign.pub", Outcome::SignedByOthers),
        ("c3-bundle-sign", "v3/cosign.pub", Outcome::Verified),
        ("c3-legacy-sig", "v2/cosign.pub", Outcome::SignedByOthers),
        ("c3-legacy-sig", "v3/cosign.pub", Outcome::Verified),
        ("c2-att-spdx", "v2/cosign.pub", Outcome::Unsigned),
        ("c2-att-spdx", "v3/cosign.pub", Outcome::Unsigned),
        ("c3-att-bundle-spdx", "v2/cosign.pub", Outcome::Unsigned),
        ("c3-att-bundle-spdx", "v3/cosign.pub", Outcome::Unsigned),
        ("keytype-ed25519", "other/ed25519.pub", Outcome::Verified),
        ("keytype-p384", "other/ncurveP384.pub", Outcome::Verified),
        ("keytype-p384", "other/ed25519.pub", Outcome::SignedByOthers),
    ] {
        let Some(verdict) = verdict(case, key) else {
            return;
        };
        assert_eq!(verdict.outcome, outcome, "{case} {key}: {verdict:#?}");
    }
}

#[test]
fn annotations_of_the_signer_are_read() {
    let Some(verdict) = verdict("c2-sig-twokeys-annotations", "v2/cosign.pub") else {
        return;
    };
    let with: Vec<_> = verdict
        .signatures
        .iter()
        .filter(|one| !one.annotations.is_empty())
        .collect();
    assert!(!with.is_empty(), "{verdict:#?}");
}

#[test]
fn both_variants_of_a_key_verify_in_both_forms() {
    for (case, key, schemes) in [
        (
            "keytype-ed25519",
            "other/ed25519.pub",
            [Scheme::Ed25519, Scheme::Ed25519Prehashed],
        ),
        (
            "keytype-p384",
            "other/ncurveP384.pub",
            [Scheme::EcdsaP384Sha256, Scheme::EcdsaP384Sha384],
        ),
    ] {
        let Some(verdict) = verdict(case, key) else {
            return;
        };
        let found: Vec<(Form, Scheme)> = verdict
            .signatures
            .iter()
            .map(|one| (one.form, one.by.scheme))
            .collect();
        assert_eq!(
            found,
            [
                (Form::SimpleSigning, schemes[0]),
                (Form::Bundle, schemes[1])
            ],
            "{case}"
        );
    }
}

#[test]
fn attestations_verify_under_the_key_that_made_them() {
    let Some(cases) = cases() else {
        return;
    };
    let kind: PredicateType = "spdxjson".parse().expect("known");
    for (case, right, wrong) in [
        ("c2-att-spdx", "v2/cosign.pub", "v3/cosign.pub"),
        ("c3-att-bundle-spdx", "v3/cosign.pub", "v2/cosign.pub"),
    ] {
        let repository = Repository::open(&cases.join("registry").join(case));
        let subject = repository.subject();
        let layers = repository.evidence(&subject);
        let evidence: Vec<_> = layers.iter().map(Layer::evidence).collect();
        let subject = Subject::new(subject);
        let under = |key: &str, kind: &PredicateType| {
            let key = public_key(&cases.join("keys").join(key));
            verify_attestations(&subject, &trusting(key), Some(kind), &evidence)
        };
        let found = under(right, &kind);
        assert_eq!(found.outcome, Outcome::Verified, "{case}: {found:#?}");
        let predicate = json(found.attestations[0].predicate());
        assert_eq!(
            predicate,
            json(&read(&cases.join("sbom/bb.spdx.json"))),
            "{case}"
        );
        assert_eq!(
            under(wrong, &kind).outcome,
            Outcome::SignedByOthers,
            "{case}"
        );
        let vuln = "vuln".parse().expect("known");
        assert_eq!(under(right, &vuln).outcome, Outcome::Unsigned, "{case}");

        let mut requirement = trusting(public_key(&cases.join("keys").join(right)));
        requirement.attestations = vec![kind.clone()];
        let strict = judge(&subject, &requirement, &evidence);
        assert_eq!(
            strict.outcome,
            Outcome::Unsigned,
            "{case}: an attestation is no signature"
        );
        assert_eq!(strict.attestations.len(), 1);
    }
}

/// The older referrer form: the layer of a `.sig` image behind a `subject`.
#[test]
fn the_older_referrer_form_verifies() {
    let Some(cases) = cases() else {
        return;
    };
    let folder = cases.join("cosign3/legacy-oci11");
    let manifest = json(&read(&folder.join("manifest.json")));
    assert_eq!(manifest["config"]["mediaType"], oci::ARTIFACT_SIGNATURE);
    let layer = &manifest["layers"][0];
    let digest = layer["digest"]
        .as_str()
        .expect("a digest")
        .replace("sha256:", "blob-");
    let layer = Layer {
        found: "referrer".into(),
        media_type: layer["mediaType"].as_str().expect("a type").into(),
        bytes: read(&folder.join(digest)),
        annotations: serde_json::from_value(layer["annotations"].clone()).expect("annotations"),
    };
    let subject: Digest = manifest["subject"]["digest"]
        .as_str()
        .expect("a digest")
        .parse()
        .expect("valid");
    let key = public_key(&cases.join("keys/v3/cosign.pub"));
    let verdict = judge(&Subject::new(subject), &trusting(key), &[layer.evidence()]);
    assert_eq!(verdict.outcome, Outcome::Verified, "{verdict:#?}");
}

#[test]
fn key_files_open_with_their_passwords_alone() {
    let Some(cases) = cases() else {
        return;
    };
    let keys = cases.join("keys");
    for (file, public, password) in [
        ("v2/cosign.key", "v2/cosign.pub", "probe-pass-2"),
        ("v3/cosign.key", "v3/cosign.pub", "probe-pass-3"),
        ("other/ed25519.key", "other/ed25519.pub", "x"),
        ("other/ncurveP256.key", "other/ncurveP256.pub", "x"),
        ("other/ncurveP384.key", "other/ncurveP384.pub", "x"),
    ] {
        let bytes = read(&keys.join(file));
        let open = |password: &str| {
            let password = Password::new(password.as_bytes().to_vec());
            PrivateKey::from_pem(&bytes, || Ok(password))
        };
        let private = open(password).unwrap_or_else(|problem| panic!("{file}: {problem}"));
        assert_eq!(
            private.public_key(),
            public_key(&keys.join(public)),
            "{file}"
        );
        let text = String::from_utf8(read(&keys.join(public))).expect("text");
        assert_eq!(
            private.public_key().to_pem(),
            text,
            "{public} is written as cosign writes it"
        );
    }
    let bytes = read(&keys.join("v2/cosign.key"));
    let wrong = PrivateKey::from_pem(&bytes, || Ok(Password::new(b"probe-pass-3".to_vec())));
    assert_eq!(
        wrong.expect_err("wrong").what(),
        "the password does not open the key"
    );
    let rsa = read(&keys.join("other/enbits3072.key"));
    let opened = PrivateKey::from_pem(&rsa, || Ok(Password::new(b"x".to_vec())));
    let problem = opened.expect_err("RSA");
    assert_eq!(problem.kind(), ProblemKind::Refused);
    assert!(
        problem
            .to_string()
            .contains("RSA keys verify, but do not sign"),
        "{problem}"
    );
}

#[test]
fn plain_keys_are_the_same_keys() {
    let Some(cases) = cases() else {
        return;
    };
    let other = cases.join("keys/other");
    for name in ["ed25519", "ncurveP256", "ncurveP384"] {
        let pem = read(&other.join(format!("{name}.pem")));
        let private = PrivateKey::from_pem(&pem, no_password).expect("read");
        assert_eq!(
            private.public_key(),
            public_key(&other.join(format!("{name}.pub")))
        );
        let written = private.to_pkcs8_pem().expect("written");
        assert_eq!(
            written.as_bytes(),
            pem,
            "{name} is written as OpenSSL writes it"
        );
    }
    let rsa = public_key(&other.join("enbits3072.pub"));
    assert_eq!(rsa.algorithm(), KeyAlgorithm::Rsa);
    let text = String::from_utf8(read(&other.join("enbits3072.pub"))).expect("text");
    assert_eq!(rsa.to_pem(), text);
}

/// The bytes that cosign wrote, from the same inputs; with deterministic ECDSA only the signatures differ.
#[test]
fn what_we_write_is_what_cosign_writes() {
    let Some(cases) = cases() else {
        return;
    };
    let payload = read(&cases.join("cosign2/sign/payload.json"));
    let parsed = Payload::parse(&payload).expect("read");
    let none = BTreeMap::new();
    assert_eq!(
        Payload::write(&parsed.reference, &parsed.digest, &none),
        payload
    );

    let config = read(&cases.join("cosign2/sign/config.json"));
    let manifest = json(&read(&cases.join("cosign2/sign/manifest.json")));
    let layer: Digest = manifest["layers"][0]["digest"]
        .as_str()
        .expect("a digest")
        .parse()
        .expect("valid");
    assert_eq!(oci::image_config(&[layer]), config);

    let bytes = read(&cases.join("cosign3/sign-bundle-file.json"));
    let bundle = Bundle::parse(&bytes).expect("read");
    let hint = bundle.hint.expect("a hint");
    assert_eq!(hint, public_key(&cases.join("keys/v3/cosign.pub")).hint());
    let Content::Envelope(envelope) = bundle.content else {
        panic!("an envelope");
    };
    assert_eq!(Bundle::write(&envelope, &hint), bytes);
    let statement = Statement::parse(envelope.payload()).expect("read");
    let hex = &statement.subjects[0].digest["sha256"];
    let digest: Digest = format!("sha256:{hex}").parse().expect("valid");
    assert_eq!(
        statement::write_signature(&digest, &none),
        envelope.payload()
    );

    let bytes = read(&cases.join("cosign3/attest/bundle.json"));
    let Content::Envelope(envelope) = Bundle::parse(&bytes).expect("read").content else {
        panic!("an envelope");
    };
    let parsed = Statement::parse(envelope.payload()).expect("read");
    let predicate = &envelope.payload()[parsed.predicate.expect("there")];
    let name = parsed.subjects[0].name.as_deref().expect("a name");
    let written = statement::write_attestation(name, &digest, &parsed.predicate_type, predicate);
    assert_eq!(written, envelope.payload());

    let bytes = read(&cases.join("cosign2/attest/dsse-envelope.json"));
    assert_eq!(Envelope::parse(&bytes).expect("read").to_json(), bytes);
}

#[test]
fn no_flipped_bit_of_a_recorded_signature_verifies() {
    let Some(cases) = cases() else {
        return;
    };
    let key = public_key(&cases.join("keys/v3/cosign.pub"));
    let bytes = read(&cases.join("cosign3/sign-bundle-file.json"));
    let Content::Envelope(envelope) = Bundle::parse(&bytes).expect("read").content else {
        panic!("an envelope");
    };
    let message = envelope.message();
    let signature = &envelope.signatures()[0].bytes;
    assert_eq!(
        key.verify(&message, signature),
        Some(Scheme::EcdsaP256Sha256)
    );
    for bit in 0..signature.len() * 8 {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.verify(&message, &changed), None, "bit {bit}");
    }
    let signed = message.bytes();
    for bit in (0..signed.len() * 8).step_by(7) {
        let mut changed = signed.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            key.verify(&Message::new(&changed), signature),
            None,
            "bit {bit}"
        );
    }
}

/// Ed25519 is deterministic: from cosign's key and payloads come cosign's signatures.
#[test]
fn cosigns_keys_sign_as_cosign_does() {
    let Some(cases) = cases() else {
        return;
    };
    let pem = read(&cases.join("keys/other/ed25519.pem"));
    let private = PrivateKey::from_pem(&pem, no_password).expect("read");
    let repository = Repository::open(&cases.join("registry/keytype-ed25519"));
    let layers = repository.evidence(&repository.subject());
    let ours = private
        .sign(&Message::new(&layers[0].bytes))
        .expect("signed");
    assert_eq!(
        base64(&ours),
        layers[0].annotations[oci::SIGNATURE_ANNOTATION]
    );
    let Content::Envelope(envelope) = Bundle::parse(&layers[1].bytes).expect("read").content else {
        panic!("an envelope");
    };
    let ours = private
        .sign_by(Scheme::Ed25519Prehashed, &envelope.message())
        .expect("signed");
    assert_eq!(ours, envelope.signatures()[0].bytes);
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
