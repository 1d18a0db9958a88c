//! Indexes, manifests and references from anywhere parse or are refused, and what parses is stable.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_image::{Reference, spec};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(index) = spec::parse_index(bytes) {
        let written = serde_json::to_vec(&index).expect("serialises");
        assert_eq!(spec::parse_index(&written).expect("reads back"), index);
    }
    let _ = spec::parse_manifest(bytes);
    if let Some(reference) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse::<Reference>().ok())
    {
        assert_eq!(
            reference
                .to_string()
                .parse::<Reference>()
                .expect("reads back"),
            reference
        );
    }
});
