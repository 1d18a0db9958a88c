//! Whatever a layer holds, unpacking ends, does not panic and stays in its directory.

#![no_main]

use std::{fs, os::fd::AsFd};

use libfuzzer_sys::fuzz_target;
use uc_image::unpack::{Limits, Options, Ownership, unpack_layer};

fuzz_target!(|bytes: &[u8]| {
    let base = tempfile::tempdir().expect("a temporary directory");
    let target = base.path().join("layer");
    fs::create_dir(&target).expect("a directory");
    let directory = fs::File::open(&target).expect("opens");
    let limits = Limits {
        bytes: 1 << 20,
        entries: 1000,
        ratio: 100,
        ratio_floor: 1 << 20,
    };
    let options = Options {
        limits,
        ownership: Ownership::Squash,
        sync: false,
    };
    let _ = unpack_layer(bytes, directory.as_fd(), None, &options);
    let beside = fs::read_dir(base.path()).expect("lists").count();
    assert_eq!(beside, 1, "something was made outside the layer");
});
