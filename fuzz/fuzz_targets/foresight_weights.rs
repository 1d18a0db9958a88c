//! Arbitrary bytes as weights: a model, whose weights are written and read again as they were, or a problem.
#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_foresight::forecast::{Model, Weights};

fuzz_target!(|data: &[u8]| {
    let Ok(weights) = Weights::read(data) else {
        return;
    };
    let _ = Model::of(&weights);
    let written = weights.write().expect("what was read can be written");
    assert!(Weights::read(&written).is_ok());
});
