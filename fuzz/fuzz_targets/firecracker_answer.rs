//! What Firecracker answers, hostile or not: HTTP, what it tells of itself, and why it refuses.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_microvm::firecracker::api::read_answer_for_fuzzing;

fuzz_target!(|bytes: &[u8]| {
    read_answer_for_fuzzing(bytes);
});
