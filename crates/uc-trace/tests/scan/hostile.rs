//! Bytes that were made to hurt: they are read or refused, in bounded time, and nothing panics.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use uc_trace::scan::from_bytes;

use super::small::elf;

/// What the fuzz target does.
fn read(bytes: &[u8]) {
    if let Ok(report) = from_bytes(bytes) {
        assert_eq!(report.libraries.len(), 1);
    }
}

/// Small programs with sections, symbols and unwind tables, as far as this host has them.
fn seeds() -> Vec<Vec<u8>> {
    let paths = [
        "/usr/bin/true",
        "/lib64/ld-linux-x86-64.so.2",
        "/lib/ld-linux-aarch64.so.1",
    ];
    let mut seeds: Vec<Vec<u8>> = paths
        .iter()
        .filter_map(|path| std::fs::read(path).ok())
        .collect();
    seeds.push(elf(62, &[0xb8, 39, 0, 0, 0, 0x0f, 5, 0xc3]));
    seeds.push(elf(183, &[0x88, 0x15, 0x80, 0xd2, 1, 0, 0, 0xd4]));
    seeds
}

#[test]
fn headers_that_lie_are_survived() {
    const LIES: [u64; 7] = [
        0,
        1,
        0x7fff_ffff,
        0xffff_ffff,
        1 << 40,
        u64::MAX - 7,
        u64::MAX,
    ];
    for seed in seeds().iter().filter(|seed| seed.len() < 100_000) {
        for at in (0..200.min(seed.len() - 8)).step_by(4) {
            for lie in LIES {
                let mut bytes = seed.clone();
                bytes[at..at + 8].copy_from_slice(&lie.to_le_bytes());
                read(&bytes);
            }
        }
    }
}

#[test]
fn files_that_end_anywhere_are_survived() {
    for seed in seeds().iter().filter(|seed| seed.len() < 100_000) {
        for length in (0..seed.len()).step_by(97) {
            read(&seed[..length]);
        }
    }
}

#[test]
fn code_that_is_nothing_but_jumps_ends() {
    let runs: [(u16, &[u8]); 8] = [
        (62, &[0x0f, 0x05]),
        (62, &[0xff, 0xe0]),
        (62, &[0x74, 0x00]),
        (62, &[0x0f, 0x05, 0x75, 0xfc, 0xff, 0xe0]),
        (62, &[0xe8, 0, 0, 0, 0, 0x0f, 0x05]),
        (62, &[0x50, 0x0f, 0x05, 0x7f, 0x81]),
        (183, &[0x01, 0x00, 0x00, 0xd4, 0x00, 0x00, 0x1f, 0xd6]),
        (183, &[0x01, 0x00, 0x00, 0xd4, 0x20, 0x00, 0x00, 0x54]),
    ];
    for (machine, run) in runs {
        let code: Vec<u8> = run.iter().copied().cycle().take(200_000).collect();
        let start = Instant::now();
        read(&elf(machine, &code));
        let spent = start.elapsed();
        println!("{run:x?}: {spent:?}");
        assert!(spent < Duration::from_secs(60), "{run:x?}: {spent:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_code_is_survived(arm: bool, code in prop::collection::vec(any::<u8>(), 0..3000)) {
        read(&elf(if arm { 183 } else { 62 }, &code));
    }

    #[test]
    fn any_damage_is_survived(
        which in 0..8_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let seeds = seeds();
        let mut bytes = seeds[which % seeds.len()].clone();
        prop_assume!(bytes.len() < 100_000);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read(&bytes);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        read(&bytes);
    }
}
