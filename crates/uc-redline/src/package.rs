//! Mission M6.1: a sandbox package is smaller than 30 MB.

use crate::verdict::{Facts, RedLine, Verdict};

/// 30 MB, in bytes: the mission counts in powers of ten.
const MAX_PACKAGE_BYTES: u64 = 30_000_000;

/// The bound on a WebAssembly package (mission M6.1).
pub const WASM_PACKAGE: RedLine = RedLine {
    id: "M6.1-package",
    title: "a WebAssembly package is smaller than 30 MB",
};

/// Judges the size of a WebAssembly binary.
pub fn package_size(facts: &Facts) -> Vec<Verdict> {
    let Some(size) = facts.package_bytes else {
        return Vec::new();
    };
    let found = format!("{:.1} MB", size as f64 / 1e6);
    let limit = "less than 30 MB";
    vec![if size < MAX_PACKAGE_BYTES {
        Verdict::pass(&WASM_PACKAGE, facts, found, limit)
    } else {
        let remedy = "strip debug information and unused code (wasm-strip, wasm-opt -Oz), move data to a volume, or run it as a container";
        Verdict::refuse(&WASM_PACKAGE, facts, found, limit, remedy)
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Level;

    #[test]
    fn the_bound_is_exact() {
        for (size, level) in [(29_999_999, Level::Pass), (30_000_000, Level::Refuse)] {
            let facts = Facts {
                package_bytes: Some(size),
                ..Facts::default()
            };
            assert_eq!(package_size(&facts)[0].level, level, "{size}");
        }
        assert!(package_size(&Facts::default()).is_empty());
    }
}
