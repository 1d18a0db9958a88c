//! Arbitrary bytes as a catalogue of technologies: reading ends with technologies or a problem that names the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_plan::Catalogue;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Catalogue::read("fuzz.toml", text) {
        Ok(catalogue) => {
            assert!(!catalogue.technologies.is_empty());
            let _ = uc_plan::evaluation::evaluate(&catalogue, catalogue.dated);
            let _ = uc_plan::contradiction::check(&catalogue);
        }
        Err(problem) => assert!(problem.to_string().starts_with("fuzz.toml")),
    }
});
