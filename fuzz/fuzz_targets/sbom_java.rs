//! Java archives, nested ones among them.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use uc_sbom::catalog::java;

fuzz_target!(|bytes: &[u8]| {
    java::read("lib/app-1.0.jar", &mut Cursor::new(bytes));
});
