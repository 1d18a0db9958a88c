//! Kernels from anywhere, and libkrunfw, are described or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use uc_microvm::kernel::describe;

fuzz_target!(|bytes: &[u8]| {
    let _ = describe(bytes);
});
