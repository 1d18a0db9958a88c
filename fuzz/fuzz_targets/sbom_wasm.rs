//! WebAssembly modules and components: their custom sections.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use uc_sbom::catalog::wasm;

fuzz_target!(|bytes: &[u8]| {
    wasm::read("a.wasm", &mut Cursor::new(bytes));
});
