//! Image configurations from anywhere parse or are refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_image::ImageConfig;

fuzz_target!(|bytes: &[u8]| {
    let _ = ImageConfig::parse(bytes);
});
