//! Key files from anywhere are keys or are refused; no password is asked for beyond the bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_model::Problem;
use uc_sign::{PrivateKey, PublicKey};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = PublicKey::from_pem(bytes) {
        let again = PublicKey::from_pem(key.to_pem().as_bytes()).expect("reads back");
        assert_eq!(again.fingerprint(), key.fingerprint());
    }
    let _ = PublicKey::from_spki(bytes);
    let _ = PrivateKey::from_pem(bytes, || Err(Problem::invalid("no password")));
});
