//! Keys of every kind, there and back, and what must not pass for one.

use std::convert::Infallible;

use proptest::prelude::*;
use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha256};
use uc_model::{Problem, ProblemKind};

use super::*;
use crate::Message;

/// The same bytes each time: tests must not differ between runs.
pub(crate) struct Counter(pub(crate) u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            self.0 += 1;
            let block = Sha256::digest(self.0.to_le_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}

pub(crate) const SIGNING: [KeyAlgorithm; 3] = [
    KeyAlgorithm::EcdsaP256,
    KeyAlgorithm::EcdsaP384,
    KeyAlgorithm::Ed25519,
];

pub(crate) fn key(algorithm: KeyAlgorithm, seed: u64) -> PrivateKey {
    PrivateKey::generate(algorithm, &mut Counter(seed << 32)).expect("made")
}

fn never() -> Result<Password, Problem> {
    panic!("no password may be asked for")
}

#[test]
fn keys_survive_plain_pkcs8_and_the_encrypted_form() {
    for algorithm in SIGNING {
        let made = key(algorithm, 1);
        let public = made.public_key();
        assert_eq!(public.algorithm(), algorithm);

        let plain = made.to_pkcs8_pem().expect("written");
        assert!(!is_encrypted(plain.as_bytes()));
        let read = PrivateKey::from_pem(plain.as_bytes(), never).expect("read");
        assert_eq!(read.public_key(), public);

        let again = PublicKey::from_pem(public.to_pem().as_bytes()).expect("read");
        assert_eq!(again, public);
        assert_eq!(again.fingerprint(), public.fingerprint());
    }
    let made = key(KeyAlgorithm::EcdsaP256, 2);
    let password = Password::new(b"correct horse".to_vec());
    let sealed = made
        .to_encrypted_pem(&password, &mut Counter(7))
        .expect("written");
    assert!(is_encrypted(sealed.as_bytes()));
    for label in ["SIGSTORE", "COSIGN"] {
        let file = sealed.replace("SIGSTORE", label);
        let read = PrivateKey::from_pem(file.as_bytes(), || Ok(password.clone())).expect("opened");
        assert_eq!(read.public_key(), made.public_key());
    }
    let wrong = PrivateKey::from_pem(sealed.as_bytes(), || Ok(Password::new(b"x".to_vec())));
    let problem = wrong.expect_err("the wrong password");
    assert_eq!(problem.what(), "the password does not open the key");
    assert_eq!(problem.kind(), ProblemKind::Refused);
}

#[test]
fn every_scheme_verifies_under_its_key_alone() {
    let message = Message::new(b"what was signed");
    let other = Message::new(b"what was not signed");
    for algorithm in SIGNING {
        let (made, stranger) = (key(algorithm, 3), key(algorithm, 4));
        for scheme in Scheme::of_key(algorithm) {
            let signature = made.sign_by(*scheme, &message).expect("signed");
            assert_eq!(
                made.public_key().verify(&message, &signature),
                Some(*scheme)
            );
            assert_eq!(made.public_key().verify(&other, &signature), None);
            assert_eq!(stranger.public_key().verify(&message, &signature), None);
        }
        assert!(made.sign_by(Scheme::RsaPssSha256, &message).is_err());
        let signature = made.sign(&message).expect("signed");
        assert_eq!(
            made.public_key().verify(&message, &signature),
            Some(Scheme::for_signing(algorithm))
        );
    }
}

/// An RSA-2048 key and its signatures over `what was signed`, made by OpenSSL.
const RSA_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvNpgJsR0MgxptFJmlKwg
ID6yWhuav2/Sidp109TPUZC7lt3okQIOPYxCkVjwqVLzUTlp3TazcQA73we8aLXM
JIPLNvRgCNFcFTD6n6Ah8hTXatLkl4KC/mKku4KMX3k1PY+CFQ+UgblwQqszdpE5
Vael30TuiXsZyDlSXvoXkC2tjWVQEikNQaV+/+0QmZbRdkO/EdnZ+BSLItkH4BVz
nKG0xE98X07kJpHNA8ZKNaEFEN+dj6fSWMH7fMKgvuuGIUcCgZ28Hwa1wv0Comh8
ALLfdLQqEfZ5ob9hy6cjTbnCvOsEH/fzeqzIJi/TDMeIctU9qdLTWUKdHs3hhBts
QwIDAQAB
-----END PUBLIC KEY-----
";
const RSA_PKCS1: &str = concat!(
    "LL2TmN17mxr3OPie3uEajLCmuTPmeMesc+pzCuU58L5svezDmekeKJ0yXb1WWJ0erfDrnNG1ktH5x5AJkdSTQVmLyIPx7didMB7p",
    "/vx2GYj0B1b0RVwIc5CigeLX89WFkTDIBq8mvMau6xu4qbR5247FjiEpmZ+pFJertLT/YodrYrMmpjRgSdoQmBEuheTy9Dfw8DcG",
    "5aBwcqZEOOsphwdxPYwkjoqUhytNRo72zVSF1F6V1IAcPx5259EyFvLt35bllVwnW8Le5DavUrTvoqZEGQiG1YRD9nHZG5EQ0j5Q",
    "kVXMz0YGlEXXqHr+DOqmVyX7h6I4xgx4JyIhv3JvDQ==",
);
const RSA_PSS: &str = concat!(
    "jfhKCQdeqNkzZSQAUevnm7nM1SaLUX+wiNLgdsWgQKAph83H5sTZm7U+z2syPqps0Y5441GhjpGQLgasTPnOkzVFk0G92VSXOKXw",
    "3N3XRqWC91W+xkSw9bgFKFUJznmzxX+FJ7YkllgyLgZC/Zo3uK7vQ2N392HHvt4NmECOLnrRwf9LpatOlgnlC0cuTEuZFRw9DL4C",
    "uv3Kk4wnweK5+ikfvoeFCLyE0Cho3x6JS+n22fglftk3I5piwIrsTaht2frC562vlji5iqI+Y1b+YjNY3aNJS6ABeDTSheplMOVW",
    "j+BVFnzTM8cpXI7Ppi2adWZHTEw2geQ5kd/t6aMkbQ==",
);

#[test]
fn rsa_verifies_in_both_paddings() {
    let key = PublicKey::from_pem(RSA_KEY.as_bytes()).expect("read");
    assert_eq!(key.algorithm(), KeyAlgorithm::Rsa);
    assert_eq!(key.to_pem(), RSA_KEY);
    let message = Message::new(b"what was signed");
    let other = Message::new(b"what was not signed");
    for (signature, scheme) in [
        (RSA_PKCS1, Scheme::RsaPkcs1Sha256),
        (RSA_PSS, Scheme::RsaPssSha256),
    ] {
        let mut signature = crate::encoding::decode(signature).expect("base64");
        assert_eq!(key.verify(&message, &signature), Some(scheme));
        assert_eq!(key.verify(&other, &signature), None);
        for at in 0..signature.len() {
            signature[at] ^= 1;
            assert_eq!(key.verify(&message, &signature), None);
            signature[at] ^= 1;
        }
    }
}

#[test]
fn no_flipped_bit_of_a_signature_verifies() {
    let message = Message::new(b"what was signed");
    for algorithm in SIGNING {
        let made = key(algorithm, 5);
        let public = made.public_key();
        let signature = made.sign(&message).expect("signed");
        for bit in 0..signature.len() * 8 {
            let mut changed = signature.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                public.verify(&message, &changed),
                None,
                "{algorithm} bit {bit}"
            );
        }
        assert_eq!(public.verify(&message, &signature[1..]), None);
        assert_eq!(public.verify(&message, &[]), None);
        assert_eq!(public.verify(&message, &[0; 4096]), None);
    }
}

#[test]
fn secrets_do_not_show() {
    let made = key(KeyAlgorithm::Ed25519, 6);
    assert_eq!(format!("{made:?}"), "PrivateKey(Ed25519, …)");
    let password = Password::new(b"hunter2".to_vec());
    assert_eq!(format!("{password:?}"), "Password(…)");
}

/// A P-256 key as `openssl ecparam -genkey` writes it, parameters first.
#[test]
fn openssl_files_are_read() {
    let made = key(KeyAlgorithm::EcdsaP256, 8);
    let secret = p256::SecretKey::from(match &made.0 {
        private::Signer::P256(key) => key,
        _ => panic!("P-256"),
    });
    let sec1 = secret.to_sec1_der().expect("written");
    let file = format!(
        "-----BEGIN EC PARAMETERS-----\r\nBggqhkjOPQMBBw==\r\n-----END EC PARAMETERS-----\r\n{}",
        pem::write("EC PRIVATE KEY", &sec1).replace('\n', "\r\n")
    );
    let read = PrivateKey::from_pem(file.as_bytes(), never).expect("read");
    assert_eq!(read.public_key(), made.public_key());
}

#[test]
fn what_is_no_key_says_so() {
    let made = key(KeyAlgorithm::EcdsaP256, 9);
    let public = made.public_key().to_pem();
    let private = made.to_pkcs8_pem().expect("written").to_string();
    let certificate = pem::write("CERTIFICATE", b"x").to_string();
    for (file, says) in [
        (String::new(), "no -----BEGIN line"),
        ("garbage\n".into(), "no -----BEGIN line"),
        (private.clone(), "not a public key"),
        (certificate, "not a public key"),
        (format!("{public}{public}"), "more than one public key"),
        (
            public.replace("-----END", "-----NOT"),
            "without its -----END line",
        ),
        (
            public.replace("END PUBLIC", "END PRIVATE"),
            "under another name",
        ),
        (public.replace("MFk", "!!!"), "no base64"),
        (public.replace("MFkw", "MFkx"), "no public key"),
        ("x".repeat(MAX_KEY_FILE_BYTES + 1), "too large"),
        (
            pem::write("PUBLIC KEY", b"").repeat(17),
            "too many PEM blocks",
        ),
    ] {
        let problem = PublicKey::from_pem(file.as_bytes()).expect_err(says);
        assert!(problem.to_string().contains(says), "{says}: {problem}");
    }
    for (file, says) in [
        (public.clone(), "not a private key"),
        (
            private.replace(
                "PRIVATE KEY-----\n",
                "PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n",
            ),
            "encryption is not supported",
        ),
        (
            private.replace("PRIVATE", "ENCRYPTED PRIVATE"),
            "encryption is not supported",
        ),
        (private.replace("PRIVATE", "RSA PRIVATE"), "do not sign"),
        (
            private.replace("PRIVATE", "OPENSSH PRIVATE"),
            "not a private key",
        ),
        (
            private.replace("PRIVATE", "EC PRIVATE"),
            "EC private key cannot be used",
        ),
        (
            private.replace("PRIVATE", "ENCRYPTED SIGSTORE PRIVATE"),
            "encrypted key file is malformed",
        ),
        (private.replace("MIG", "MIH"), "no PKCS#8 private key"),
    ] {
        let problem = PrivateKey::from_pem(file.as_bytes(), never).expect_err(says);
        assert!(problem.to_string().contains(says), "{says}: {problem}");
        let secret = &private[40..60];
        assert!(
            !format!("{problem:?}").contains(secret),
            "{says} tells the secret"
        );
    }
}

#[test]
fn weak_and_strange_algorithms_are_refused() {
    let mut modulus = vec![0x02, 0x81, 0x81, 0x00];
    modulus.extend([0xff; 128]);
    let mut pkcs1 = vec![0x30, 0x81, 0x89];
    pkcs1.extend(modulus);
    pkcs1.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
    let mut spki = vec![
        0x30, 0x81, 0x9f, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
        0x01, 0x05, 0x00, 0x03, 0x81, 0x8d, 0x00,
    ];
    spki.extend(pkcs1);
    let problem = PublicKey::from_spki(&spki).expect_err("weak");
    assert!(problem.to_string().contains("too weak"), "{problem}");
    assert!(problem.to_string().contains("1024 bits"), "{problem}");

    let x25519 = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00,
    ];
    let problem = PublicKey::from_spki(&[&x25519[..], &[9; 32]].concat()).expect_err("X25519");
    assert!(problem.to_string().contains("not supported"), "{problem}");

    // The neutral element: every signature of a certain form verifies under it.
    let head = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ];
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let problem = PublicKey::from_spki(&[&head[..], &neutral].concat()).expect_err("weak");
    assert!(problem.to_string().contains("weak Ed25519"), "{problem}");

    assert!(PrivateKey::generate(KeyAlgorithm::Rsa, &mut Counter(0)).is_err());
}

/// What the fuzz target calls.
fn read_as_anything(bytes: &[u8]) {
    let _ = PublicKey::from_pem(bytes);
    let _ = PublicKey::from_spki(bytes);
    let _ = is_encrypted(bytes);
    let _ = PrivateKey::from_pem(bytes, || Err(Problem::invalid("no password")));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        read_as_anything(&bytes);
    }

    #[test]
    fn random_contents_under_a_right_label_never_panic(
        label in prop::sample::select(vec![
            "PUBLIC KEY", "PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED SIGSTORE PRIVATE KEY",
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..256),
    ) {
        read_as_anything(pem::write(label, &bytes).as_bytes());
    }

    #[test]
    fn a_damaged_key_never_panics(at in 0_usize..120, byte in any::<u8>(), seed in 0_u64..4) {
        for algorithm in SIGNING {
            let mut spki = key(algorithm, seed).public_key().spki().to_vec();
            let at = at % spki.len();
            spki[at] = byte;
            read_as_anything(&spki);
            read_as_anything(pem::write("PUBLIC KEY", &spki).as_bytes());
        }
    }
}
