//! Executables: which system calls their code can make.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_trace::scan;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(report) = scan::from_bytes(bytes) {
        assert_eq!(report.libraries.len(), 1);
    }
});
