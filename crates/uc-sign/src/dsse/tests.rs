//! Envelopes there and back, tampered with, and too large.

use proptest::prelude::*;

use super::*;
use crate::keys::tests::{SIGNING, key};

const TYPE: &str = "application/vnd.in-toto+json";

fn verifies(envelope: &Envelope, key: &PrivateKey) -> bool {
    let message = envelope.message();
    let public = key.public_key();
    let mut signatures = envelope.signatures().iter();
    signatures.any(|signature| public.verify(&message, &signature.bytes).is_some())
}

#[test]
fn the_sample_of_the_specification() {
    let envelope = Envelope {
        signed: [
            head("http://example.com/HelloWorld", 11),
            b"hello world".to_vec(),
        ]
        .concat(),
        head_length: 0,
        payload_type: String::new(),
        signatures: Vec::new(),
    };
    assert_eq!(
        envelope.message().bytes(),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
}

#[test]
fn every_signer_of_an_envelope_verifies() {
    let keys: Vec<PrivateKey> = SIGNING
        .into_iter()
        .map(|algorithm| key(algorithm, 1))
        .collect();
    let signers: Vec<&PrivateKey> = keys.iter().collect();
    let made = Envelope::sign(TYPE, b"{}", &signers).expect("signed");
    let read = Envelope::parse(&made.to_json()).expect("read");
    assert_eq!(read.payload(), b"{}");
    assert_eq!(read.payload_type(), TYPE);
    assert_eq!(read.signatures(), made.signatures());
    assert!(keys.iter().all(|key| verifies(&read, key)));
    assert!(!verifies(&read, &key(SIGNING[0], 2)));
    let (buffer, range) = read.into_payload();
    assert_eq!(&buffer[range], b"{}");
}

#[test]
fn one_bad_signature_does_not_spoil_the_others() {
    let signer = key(SIGNING[0], 1);
    let json = Envelope::sign(TYPE, b"{}", &[&signer])
        .expect("signed")
        .to_json();
    let text = String::from_utf8(json).expect("UTF-8");
    let text = text.replace(
        r#"[{"keyid""#,
        r#"[{"keyid":"","sig":"!"},{"sig":""},{"keyid":null,"sig":"AAAA"},{"keyid""#,
    );
    let envelope = Envelope::parse(text.as_bytes()).expect("read");
    assert_eq!(envelope.signatures().len(), 4);
    assert!(verifies(&envelope, &signer));
}

#[test]
fn what_is_no_envelope_says_so() {
    let signer = key(SIGNING[0], 1);
    let json = Envelope::sign(TYPE, b"{}", &[&signer])
        .expect("signed")
        .to_json();
    let good = String::from_utf8(json).expect("UTF-8");
    let many = format!(
        r#"{{"payload":"","payloadType":"","signatures":[{}]}}"#,
        vec![r#"{"sig":""}"#; 10_000].join(",")
    );
    for (text, says) in [
        (String::new(), "malformed"),
        ("[]".into(), "malformed"),
        (good[..good.len() / 2].into(), "malformed"),
        (good.replace("payloadType", "payloadTypo"), "missing field"),
        (good.replace("e30=", "e30"), "no base64"),
        (good.replace("e30=", "e31="), "no base64"),
        (good.replace("e30=", "===="), "no base64"),
        (
            good.replace("\"payload\"", "\"payload\":\"\",\"payload\""),
            "duplicate field",
        ),
        (
            r#"{"payload":"","payloadType":"","signatures":[]}"#.into(),
            "no signature",
        ),
        (
            r#"{"payload":"","payloadType":"","signatures":null}"#.into(),
            "no signature",
        ),
        (
            good.replace("json", &"j".repeat(300)),
            "payload type is too long",
        ),
        (many, "more than 128 elements"),
        (format!("{good}x"), "malformed"),
        ("[".repeat(1_000_000), "malformed"),
    ] {
        let problem = Envelope::parse(text.as_bytes()).expect_err(says);
        assert!(problem.to_string().contains(says), "{says}: {problem}");
    }
    let problem = Envelope::parse(&vec![b' '; MAX_ENVELOPE_BYTES + 1]).expect_err("too large");
    assert!(problem.to_string().contains("too large"), "{problem}");
    assert!(Envelope::sign(TYPE, b"{}", &[]).is_err());
}

#[test]
fn escaped_and_url_safe_payloads_are_read() {
    let text =
        r#"{"payload":"-_8\u003d","payloadType":"t","signatures":[{"sig":"AAAA"}],"more":[[{}]]}"#;
    let envelope = Envelope::parse(text.as_bytes()).expect("read");
    assert_eq!(envelope.payload(), [0xfb, 0xff]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = Envelope::parse(&bytes);
    }

    #[test]
    fn no_flipped_bit_of_the_payload_or_its_type_verifies(
        payload in prop::collection::vec(any::<u8>(), 1..64),
        bit in any::<prop::sample::Index>(),
    ) {
        let signer = key(SIGNING[2], 3);
        let made = Envelope::sign(TYPE, &payload, &[&signer]).expect("signed");
        prop_assert!(verifies(&made, &signer));
        let mut changed = made.clone();
        let bit = bit.index(changed.signed.len() * 8);
        changed.signed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!verifies(&changed, &signer));
    }

    /// A flipped bit anywhere in the document either makes it unreadable, or leaves what was signed and by whom as it
    /// was, or does not verify.
    #[test]
    fn no_flipped_bit_of_the_document_changes_what_verifies(bit in any::<prop::sample::Index>()) {
        let signer = key(SIGNING[0], 4);
        let made = Envelope::sign(TYPE, b"{\"a\":1}", &[&signer]).expect("signed");
        let mut json = made.to_json();
        let bit = bit.index(json.len() * 8);
        json[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = Envelope::parse(&json)
            && verifies(&read, &signer)
        {
            prop_assert_eq!(read.payload(), made.payload());
            prop_assert_eq!(read.payload_type(), TYPE);
            prop_assert_eq!(&read.signatures()[0].bytes, &made.signatures()[0].bytes);
        }
    }
}
