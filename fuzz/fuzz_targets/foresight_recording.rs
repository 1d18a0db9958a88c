//! Arbitrary text as a recording: what is read is in order of time and replays to a summary; the rest is a problem.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use uc_foresight::{Observer, forecast::Model, recording::read_recording};

/// Samples of an input that are followed; more only takes time.
const MOST_SAMPLES: usize = 2_000;

fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| Model::shipped().expect("the shipped weights"))
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(recording) = read_recording(text, 1 << 30) else {
        return;
    };
    let samples = &recording.samples;
    assert!(samples.windows(2).all(|pair| pair[0].t_s <= pair[1].t_s));
    let mut observer = Observer::default();
    for sample in samples.iter().take(MOST_SAMPLES) {
        observer.observe(*sample, model());
        let verdict = observer.verdict().expect("a verdict after a sample");
        assert!((0.0..=1.0).contains(&verdict.leak_probability()));
    }
});
