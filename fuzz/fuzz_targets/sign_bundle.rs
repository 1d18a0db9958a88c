//! Bundles from anywhere parse or are refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_sign::bundle::Bundle;

fuzz_target!(|bytes: &[u8]| {
    let _ = Bundle::parse(bytes);
});
