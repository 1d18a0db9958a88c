//! Arbitrary text as a trace of machines: each machine's points are in order of time and within its memory, or it is a problem.
#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_foresight::corpus::read_trace;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for machine in read_trace(text).unwrap_or_default() {
        assert!(machine.points.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        assert!(
            machine
                .points
                .iter()
                .all(|(_, share)| (0.0..=1.0).contains(share))
        );
    }
});
