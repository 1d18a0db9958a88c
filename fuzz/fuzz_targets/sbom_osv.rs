//! Vulnerability records and exports of them; no package is lost whatever they say.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use uc_sbom::{
    Inventory, Package, PackageKind, Subject,
    vulnerability::{Scan, each_record},
};

fuzz_target!(|bytes: &[u8]| {
    let packages = PackageKind::ALL
        .map(|kind| Package::new(kind, "a", "1.0"))
        .to_vec();
    let count = packages.len();
    let inventory = Inventory::new(Subject::default(), None, packages, Vec::new(), Vec::new());
    let mut scan = Scan::new(&inventory);
    let _ = scan.feed(bytes);
    let _ = each_record(&mut Cursor::new(bytes), |_, record| {
        if let Ok(record) = record {
            let _ = scan.feed(record);
        }
    });
    assert_eq!(scan.finish().assessments.len(), count);
});
