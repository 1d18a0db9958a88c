//! Chart.yaml files from anywhere are read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_image::artifact::Chart;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(chart) = Chart::parse(bytes) {
        assert!(!chart.tag().is_empty());
    }
});
