//! SBOMs from anywhere read or are refused; what is read can be written, and read again without loss.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_sbom::document;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((_, inventory)) = document::read(bytes) {
        for write in [document::spdx, document::cyclonedx] {
            let written = write(&inventory, 0).expect("serialises");
            let (_, again) = document::read(&written).expect("reads back");
            assert_eq!(again.packages.len(), inventory.packages.len());
        }
    }
});
