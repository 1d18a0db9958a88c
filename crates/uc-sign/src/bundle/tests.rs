//! Bundles there and back, with what others put in, and what is none.

use proptest::prelude::*;

use super::*;
use crate::keys::tests::{SIGNING, key};

fn sample() -> String {
    let signer = key(SIGNING[0], 1);
    let envelope = Envelope::sign(oci::IN_TOTO, b"{}", &[&signer]).expect("signed");
    String::from_utf8(Bundle::write(&envelope, &signer.public_key().hint())).expect("UTF-8")
}

#[test]
fn what_is_written_reads_back() {
    let bundle = Bundle::parse(sample().as_bytes()).expect("read");
    let signer = key(SIGNING[0], 1).public_key();
    assert_eq!(bundle.hint.as_deref(), Some(signer.hint().as_str()));
    assert!(bundle.not_consulted.is_empty());
    let Content::Envelope(envelope) = bundle.content else {
        panic!("an envelope");
    };
    let signature = &envelope.signatures()[0].bytes;
    assert!(signer.verify(&envelope.message(), signature).is_some());
}

#[test]
fn older_spellings_are_bundles_too() {
    for name in oci::OLDER_BUNDLES {
        assert!(Bundle::parse(sample().replace(oci::BUNDLE, name).as_bytes()).is_ok());
    }
}

#[test]
fn what_is_not_consulted_is_named() {
    let text = sample().replace(
        r#""verificationMaterial":{"#,
        concat!(
            r#""verificationMaterial":{"certificate":{"rawBytes":"AAAA"},"tlogEntries":[{"logIndex":"1"}],"#,
            r#""timestampVerificationData":{"rfc3161Timestamps":[{}]},"#
        ),
    );
    let bundle = Bundle::parse(text.as_bytes()).expect("read");
    assert_eq!(
        bundle.not_consulted,
        ["certificate", "transparency log entry", "time stamp"]
    );
    let text = sample().replace(
        r#""verificationMaterial":{"#,
        r#""verificationMaterial":{"tlogEntries":[],"timestampVerificationData":null,"#,
    );
    let bundle = Bundle::parse(text.as_bytes()).expect("read");
    assert!(bundle.not_consulted.is_empty());
}

#[test]
fn a_signature_over_a_file_is_told_apart() {
    let text = format!(
        r#"{{"mediaType":"{}","messageSignature":{{"messageDigest":{{}},"signature":"AAAA"}}}}"#,
        oci::BUNDLE
    );
    let bundle = Bundle::parse(text.as_bytes()).expect("read");
    assert!(matches!(bundle.content, Content::MessageSignature));
}

#[test]
fn what_is_no_bundle_says_so() {
    let good = sample();
    for (text, says) in [
        (String::new(), "malformed"),
        ("{}".into(), "missing field"),
        (good[..good.len() - 1].into(), "malformed"),
        (good[..good.len() / 2].into(), "malformed"),
        (good.replace("v0.3", "v0.4"), "not a sigstore bundle"),
        (
            good.replace("dsseEnvelope", "dssEnvelope"),
            "either dsseEnvelope",
        ),
        (
            good.replace(
                "\"dsseEnvelope\"",
                "\"messageSignature\":{},\"dsseEnvelope\"",
            ),
            "either dsseEnvelope",
        ),
        (good.replace("\"hint\":", "\"hint\":1,\"x\":"), "malformed"),
        (good.replace("e30=", "e3"), "no base64"),
    ] {
        let problem = Bundle::parse(text.as_bytes()).expect_err(says);
        assert!(problem.to_string().contains(says), "{says}: {problem}");
    }
}

#[test]
fn a_crowd_of_log_entries_takes_no_memory() {
    let crowd = format!(
        "\"tlogEntries\":[{}],\"publicKey\"",
        vec!["{}"; 1_000_000].join(",")
    );
    let text = sample().replace("\"publicKey\"", &crowd);
    let bundle = Bundle::parse(text.as_bytes()).expect("read");
    assert_eq!(bundle.not_consulted, ["transparency log entry"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = Bundle::parse(&bytes);
    }

    #[test]
    fn a_damaged_bundle_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = sample().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Bundle::parse(&bytes);
    }
}
