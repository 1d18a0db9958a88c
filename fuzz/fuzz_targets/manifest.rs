//! Arbitrary bytes as a manifest: reading ends with a manifest or a problem that names the file.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match uc_manifest::parse(text, "fuzz.yaml", Path::new("/base")) {
        Ok(manifest) => assert!(!manifest.workloads.is_empty()),
        Err(problem) => assert!(problem.to_string().starts_with("fuzz.yaml")),
    }
    let _ = uc_manifest::parse_image(text, Path::new("/base"));
});
