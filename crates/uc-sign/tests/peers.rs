//! What we write, read by the real cosign on PATH. Registries are not needed: keys and files suffice.

#![expect(clippy::print_stdout, reason = "a test that skips says so")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    path::Path,
    process::{Command, Output},
};

use base64::Engine as _;
use rand_core::{TryCryptoRng, TryRng};
use uc_model::Digest;
use uc_sign::{KeyAlgorithm, Message, Password, PrivateKey, PublicKey, simple_signing::Payload};

/// The same bytes each time.
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

/// Runs cosign in a folder of its own; nothing where it is not installed.
fn cosign(home: &Path, arguments: &[&str]) -> Option<Output> {
    let output = Command::new("cosign")
        .args(arguments)
        .current_dir(home)
        .env("HOME", home)
        .env("COSIGN_PASSWORD", "secret")
        .output();
    match output {
        Ok(output) => Some(output),
        Err(_) => {
            println!("skipped: cosign is not installed (Debian has it from trixie on)");
            None
        }
    }
}

#[test]
fn cosign_reads_our_keys_and_verifies_our_layers() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path();
    let password = Password::new(b"secret".to_vec());
    for algorithm in [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::Ed25519,
    ] {
        let key = PrivateKey::generate(algorithm, &mut Fixed(7)).expect("made");
        let public = key.public_key().to_pem();
        let sealed = key
            .to_encrypted_pem(&password, &mut Fixed(9))
            .expect("sealed");
        let payload = Payload::write("h/r", &Digest::from_sha256(&[1; 32]), &BTreeMap::new());
        let signature = key.sign(&Message::new(&payload)).expect("signed");
        let signature = base64::engine::general_purpose::STANDARD.encode(signature);
        fs::write(home.join("uc.key"), sealed).expect("written");
        fs::write(home.join("uc.pub"), &public).expect("written");
        fs::write(home.join("payload"), payload).expect("written");
        fs::write(home.join("signature"), signature).expect("written");

        let Some(read) = cosign(home, &["public-key", "--key", "uc.key"]) else {
            return;
        };
        assert_eq!(
            String::from_utf8_lossy(&read.stdout),
            public,
            "{algorithm}: {read:?}"
        );
        let verified = cosign(
            home,
            &[
                "verify-blob",
                "--key",
                "uc.pub",
                "--insecure-ignore-tlog",
                "--signature",
                "signature",
                "payload",
            ],
        );
        let verified = verified.expect("installed");
        assert!(verified.status.success(), "{algorithm}: {verified:?}");
    }
}

#[test]
fn keys_that_cosign_makes_open_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path();
    let Some(made) = cosign(home, &["generate-key-pair"]) else {
        return;
    };
    assert!(made.status.success(), "{made:?}");
    let sealed = fs::read(home.join("cosign.key")).expect("there");
    let key =
        PrivateKey::from_pem(&sealed, || Ok(Password::new(b"secret".to_vec()))).expect("opened");
    let public = fs::read(home.join("cosign.pub")).expect("there");
    assert_eq!(
        key.public_key(),
        PublicKey::from_pem(&public).expect("read")
    );
}
