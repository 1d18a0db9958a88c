//! Arbitrary texts as /proc: measuring ends with shares between 0 and 1, or a problem.
#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_plan::offload::{Snapshot, measure};

fuzz_target!(|texts: (String, String, Vec<String>, String, String, Vec<String>)| {
    let (stat, softirqs, processes, later_stat, later_softirqs, later_processes) = texts;
    let before = Snapshot {
        stat,
        softirqs,
        processes,
    };
    let after = Snapshot {
        stat: later_stat,
        softirqs: later_softirqs,
        processes: later_processes,
    };
    if let Ok(measured) = measure(&before, &after, 1.0, 100.0, &[]) {
        assert!((0.0..=1.0).contains(&measured.p.value));
    }
});
