//! What an agent in a microVM sends, hostile or not: frames, and the messages in them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_guest_protocol::read_all_for_fuzzing;

fuzz_target!(|bytes: &[u8]| {
    read_all_for_fuzzing(bytes);
});
