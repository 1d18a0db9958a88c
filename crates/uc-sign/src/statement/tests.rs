//! Statements there and back, and what is none.

use proptest::prelude::*;

use super::*;

fn digest(byte: u8) -> Digest {
    Digest::from_sha256(&[byte; 32])
}

#[test]
fn a_signature_reads_back() {
    let annotations = BTreeMap::from([("who".to_owned(), "me".to_owned())]);
    let bytes = write_signature(&digest(1), &annotations);
    let statement = Statement::parse(&bytes).expect("read");
    assert_eq!(statement.predicate_type, PredicateType::signature());
    assert_eq!(&bytes[statement.predicate.clone().expect("there")], b"{}");
    let digests = [digest(2), digest(1)];
    let (subject, found) = statement.subject_among(&digests).expect("found");
    assert_eq!(found, &digest(1));
    assert_eq!(subject.annotations["who"], "me");
    assert!(statement.subject_among(&[digest(3)]).is_none());
}

#[test]
fn an_attestation_reads_back_with_its_predicate_as_it_was() {
    let kind: PredicateType = "spdxjson".parse().expect("known");
    let predicate = br#"{ "spdxVersion" : "SPDX-2.3" }"#;
    let bytes = write_attestation("h/r", &digest(1), &kind, predicate);
    let statement = Statement::parse(&bytes).expect("read");
    assert_eq!(statement.predicate_type.uri(), "https://spdx.dev/Document");
    assert_eq!(&bytes[statement.predicate.expect("there")], predicate);
    assert_eq!(statement.subjects[0].name.as_deref(), Some("h/r"));
}

#[test]
fn what_is_no_statement_says_so() {
    let good = String::from_utf8(write_signature(&digest(1), &BTreeMap::new())).expect("UTF-8");
    let subjects = vec!["{}"; MAX_SUBJECTS + 1].join(",");
    let digests: Vec<String> = (0..=MAX_DIGESTS).map(|n| format!("\"{n}\":\"\"")).collect();
    for (text, says) in [
        (String::new(), "malformed"),
        ("null".into(), "malformed"),
        (good[..good.len() - 1].into(), "malformed"),
        (
            good.replace("Statement/v1", "Statement/v2"),
            "not an in-toto statement",
        ),
        (good.replace("subject", "subjects"), "missing field"),
        (
            good.replace("\"predicate\"", "\"predicate\":1,\"predicate\""),
            "duplicate field",
        ),
        (
            good.replace("cosign/sign", &"x".repeat(2000)),
            "predicate type is too long",
        ),
        (
            format!(r#"{{"_type":"{V1}","predicateType":"","subject":[{subjects}]}}"#),
            "more than 4096",
        ),
        (
            format!(
                r#"{{"_type":"{V1}","predicateType":"","subject":[{{"digest":{{{}}}}}]}}"#,
                digests.join(",")
            ),
            "more than 16",
        ),
        (
            good.replace(
                "\"annotations\":{}",
                &format!("\"annotations\":{{\"a\":{}}}", "[".repeat(10_000)),
            ),
            "recursion limit",
        ),
    ] {
        let problem = Statement::parse(text.as_bytes()).expect_err(says);
        assert!(problem.to_string().contains(says), "{says}: {problem}");
    }
}

/// The predicate is skipped, so its depth costs no stack.
#[test]
fn a_deep_predicate_is_skipped() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let kind = PredicateType::from_uri("https://example.com".to_owned());
    let bytes = write_attestation("h/r", &digest(1), &kind, deep.as_bytes());
    let statement = Statement::parse(&bytes).expect("read");
    assert_eq!(statement.predicate.expect("there").len(), 2_000_000);
}

#[test]
fn a_statement_without_predicate_is_one() {
    let text = format!(r#"{{"_type":"{V1}","predicateType":"t","subject":null,"more":[{{}}]}}"#);
    let statement = Statement::parse(text.as_bytes()).expect("read");
    assert!(statement.predicate.is_none());
    assert!(statement.subjects.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = Statement::parse(&bytes);
    }

    #[test]
    fn a_damaged_statement_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = write_signature(&digest(1), &BTreeMap::new());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(statement) = Statement::parse(&bytes) {
            let place = statement.predicate.unwrap_or(0..0);
            prop_assert!(bytes.get(place).is_some());
        }
    }
}
