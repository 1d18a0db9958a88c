//! Executables: Go's build information, cargo-auditable's list.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use uc_sbom::catalog::elf;

fuzz_target!(|bytes: &[u8]| {
    elf::read(&mut Cursor::new(bytes));
});
