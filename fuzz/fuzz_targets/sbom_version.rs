//! Versions of every scheme: orders that are total, as far as those of their ecosystems are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_sbom::version::{Version, VersionScheme};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default();
    let (a, b, c) = (next(), next(), next());
    for scheme in VersionScheme::ALL {
        let parse = |text| Version::parse(scheme, text);
        if let (Ok(a), Ok(b), Ok(c)) = (parse(a), parse(b), parse(c)) {
            let order = |x: &Version, y: &Version| x.compare(y).expect("one scheme");
            assert!(order(&a, &a).is_eq());
            assert_eq!(order(&a, &b), order(&b, &a).reverse());
            // Maven's own order goes in circles.
            if scheme == VersionScheme::Maven {
                continue;
            }
            if order(&a, &b).is_le() && order(&b, &c).is_le() {
                assert!(order(&a, &c).is_le());
            }
        }
    }
});
