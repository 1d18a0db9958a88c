//! RPM's databases, and the headers in them.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use uc_sbom::catalog::rpm;

fuzz_target!(|bytes: &[u8]| {
    rpm::read_sqlite(&mut Cursor::new(bytes));
    rpm::read_ndb(&mut Cursor::new(bytes));
    rpm::read_bdb(&mut Cursor::new(bytes));
    rpm::read_header(bytes);
});
