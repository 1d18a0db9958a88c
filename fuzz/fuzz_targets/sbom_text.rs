//! Package databases that are text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_sbom::{Distribution, Licence, catalog, purl::Purl};

fuzz_target!(|bytes: &[u8]| {
    catalog::dpkg::read(bytes);
    catalog::apk::read(bytes);
    catalog::python::read(bytes);
    catalog::gem::read(bytes);
    catalog::npm::read(bytes);
    catalog::npm::lock::read(bytes);
    catalog::npm::yarn::read(bytes);
    catalog::npm::pnpm::read(bytes);
    let _ = Distribution::parse(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = Purl::parse(&text);
    let _ = Licence::parse(&text);
});
