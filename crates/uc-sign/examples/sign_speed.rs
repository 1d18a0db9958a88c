//! Times what `uc sign` and `uc verify` spend in this crate: `cargo run --release -p uc-sign --example sign_speed`.

#![expect(
    clippy::unwrap_used,
    reason = "a measurement that stops where it fails"
)]
#![expect(clippy::print_stdout, reason = "the timings are its output")]

use std::{collections::BTreeMap, convert::Infallible, hint::black_box, time::Instant};

use rand_core::{TryCryptoRng, TryRng};
use uc_model::Digest;
use uc_sign::{
    Evidence, KeyAlgorithm, Message, Password, PredicateType, PrivateKey, Requirement, Subject,
    bundle::Bundle, dsse::Envelope, judge, oci, simple_signing::Payload, statement,
    verify_attestations,
};

/// No randomness: what is measured is thrown away.
struct Fixed(u8);

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.into())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.into())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

fn measure<T>(what: &str, times: u32, mut work: impl FnMut() -> T) {
    black_box(work());
    let start = Instant::now();
    for _ in 0..times {
        black_box(work());
    }
    let mean_us = start.elapsed().as_secs_f64() * 1e6 / f64::from(times);
    println!("{what:44} {mean_us:12.1} µs");
}

fn main() {
    let digest = Digest::from_sha256(&[1; 32]);
    let subject = Subject::new(digest.clone());
    let none = BTreeMap::new();
    for algorithm in [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::Ed25519,
    ] {
        let key = PrivateKey::generate(algorithm, &mut Fixed(7)).unwrap();
        let pem = key.public_key().to_pem();
        let payload = Payload::write("host/repository", &digest, &none);
        let signature = key.sign(&Message::new(&payload)).unwrap();
        let public = key.public_key();
        measure(&format!("{algorithm}: sign"), 100, || {
            key.sign(&Message::new(&payload))
        });
        measure(&format!("{algorithm}: verify a layer"), 100, || {
            public.verify(&Message::new(&payload), &signature)
        });
        let text = statement::write_signature(&digest, &none);
        let envelope = Envelope::sign(oci::IN_TOTO, &text, &[&key]).unwrap();
        let bundle = Bundle::write(&envelope, &public.hint());
        measure(
            &format!("{algorithm}: key file and bundle to verdict"),
            100,
            || {
                let key = uc_sign::PublicKey::from_pem(pem.as_bytes()).unwrap();
                let requirement = Requirement::any_of([("key".to_owned(), key)]).unwrap();
                judge(&subject, &requirement, &[piece(&bundle, &none)]).outcome
            },
        );
    }
    large_attestation(&subject, &digest);
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256, &mut Fixed(7)).unwrap();
    let password = Password::new(b"x".to_vec());
    let sealed = key.to_encrypted_pem(&password, &mut Fixed(1)).unwrap();
    measure("open an encrypted key", 3, || {
        PrivateKey::from_pem(sealed.as_bytes(), || Ok(password.clone())).unwrap()
    });
}

fn large_attestation(subject: &Subject, digest: &Digest) {
    let file =
        r#"{"SPDXID":"SPDXRef-File-bin-busybox","fileName":"bin/busybox","fileTypes":["BINARY"]}"#;
    let predicate = format!("{{\"files\":[{}]}}", vec![file; 85_000].join(","));
    println!("predicate: {} bytes", predicate.len());
    let none = BTreeMap::new();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256, &mut Fixed(7)).unwrap();
    let kind: PredicateType = "spdxjson".parse().unwrap();
    let make = || {
        let text = statement::write_attestation("h/r", digest, &kind, predicate.as_bytes());
        let envelope = Envelope::sign(oci::IN_TOTO, &text, &[&key]).unwrap();
        Bundle::write(&envelope, &key.public_key().hint())
    };
    measure("7 MB attestation: sign and write", 10, make);
    let bundle = make();
    let requirement = Requirement::any_of([("key".to_owned(), key.public_key())]).unwrap();
    measure("7 MB attestation: verify", 10, || {
        verify_attestations(subject, &requirement, Some(&kind), &[piece(&bundle, &none)])
    });
    measure("7 MB attestation: seen not to be a signature", 10, || {
        judge(subject, &requirement, &[piece(&bundle, &none)]).outcome
    });
    measure("7 MB attestation: parse the bundle", 10, || {
        Bundle::parse(&bundle).unwrap()
    });
}

fn piece<'a>(bytes: &'a [u8], annotations: &'a BTreeMap<String, String>) -> Evidence<'a> {
    Evidence {
        found: "referrer",
        media_type: oci::BUNDLE,
        bytes,
        annotations,
    }
}
