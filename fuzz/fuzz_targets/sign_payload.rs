//! Simple signing payloads from anywhere parse or are refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_sign::simple_signing::Payload;

fuzz_target!(|bytes: &[u8]| {
    let _ = Payload::parse(bytes);
});
