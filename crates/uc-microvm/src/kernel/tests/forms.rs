//! Kernels made by hand, in every form there is, sound and not.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use proptest::prelude::*;
use uc_model::ProblemKind;

use super::*;
use crate::kernel::{
    bzimage,
    elf::{Elf, LOAD},
    formats,
    krunfw::Bundle,
    payload,
};

const LOAD_AT: u64 = 0x100_0000;

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A kernel of one page with a PVH note, and these texts in it.
fn vmlinux(texts: &[&str]) -> Vec<u8> {
    let mut out = vec![0; 8192];
    put(&mut out, 0, b"\x7fELF\x02\x01\x01");
    put(&mut out, 16, &[2, 0, 62, 0, 1]);
    put(&mut out, 24, &(LOAD_AT + 0x123).to_le_bytes());
    put(&mut out, 32, &64u64.to_le_bytes());
    put(&mut out, 52, &[64, 0, 56, 0, 2, 0]);
    for (index, (kind, offset, size)) in [(1u32, 4096u64, 4096u64), (4, 4096, 24)]
        .into_iter()
        .enumerate()
    {
        let at = 64 + index * 56;
        put(&mut out, at, &kind.to_le_bytes());
        put(&mut out, at + 8, &offset.to_le_bytes());
        for word in [16, 24] {
            put(&mut out, at + word, &LOAD_AT.to_le_bytes());
        }
        for word in [32, 40] {
            put(&mut out, at + word, &size.to_le_bytes());
        }
    }
    put(&mut out, 4096, &[4, 0, 0, 0, 8, 0, 0, 0, 18, 0, 0, 0]);
    put(&mut out, 4108, b"Xen\0");
    put(&mut out, 4112, &LOAD_AT.to_le_bytes());
    let mut at = 4200;
    for text in texts {
        put(&mut out, at, text.as_bytes());
        at += text.len() + 1;
    }
    out
}

fn with_virtio() -> Vec<u8> {
    vmlinux(&[
        "Linux version 6.9.1-x (someone)",
        "virtio-mmio",
        "virtio_console",
        "virtio_blk",
        "virtio_mmio.device",
    ])
}

/// A bzImage around a payload.
fn bz_image(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 1024 + 512];
    out[0x1f1] = 1;
    put(&mut out, 0x202, b"HdrS");
    put(&mut out, 0x206, &0x20fu16.to_le_bytes());
    put(&mut out, 0x20e, &0x200u16.to_le_bytes());
    put(&mut out, 0x236, &[1, 0]);
    put(&mut out, 0x248, &512u32.to_le_bytes());
    put(&mut out, 0x24c, &(payload.len() as u32).to_le_bytes());
    put(&mut out, 0x400, b"6.9.1-x (someone) #1\0");
    out.extend_from_slice(payload);
    out
}

fn with_size(mut stream: Vec<u8>, size: usize) -> Vec<u8> {
    stream.extend_from_slice(&(size as u32).to_le_bytes());
    stream
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("writes");
    encoder.finish().expect("finishes")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    with_size(ruzstd::encoding::compress_to_vec(bytes, level), bytes.len())
}

/// The older frame with blocks of literals alone.
fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x02, 0x21, 0x4c, 0x18];
    for part in bytes.chunks(3000) {
        let mut block = vec![0xf0];
        let mut rest = part.len() - 15;
        while rest >= 255 {
            block.push(255);
            rest -= 255;
        }
        block.push(rest as u8);
        block.extend_from_slice(part);
        out.extend_from_slice(&(block.len() as u32).to_le_bytes());
        out.extend(block);
    }
    with_size(out, bytes.len())
}

/// As kernels are compressed by their build; none without the program.
fn xz(bytes: &[u8]) -> Option<Vec<u8>> {
    let child = Command::new("xz")
        .args(["--check=crc32", "--x86", "--lzma2=dict=32MiB", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: no xz program");
        return None;
    };
    let mut input = child.stdin.take().expect("piped");
    input.write_all(bytes).expect("written");
    drop(input);
    Some(with_size(
        child.wait_with_output().expect("ends").stdout,
        bytes.len(),
    ))
}

#[test]
fn every_compression_of_kernels_is_undone() {
    let plain = with_virtio();
    let compressed = [
        Some(gzip(&plain)),
        Some(zstd(&plain)),
        Some(lz4(&plain)),
        xz(&plain),
    ];
    for payload in compressed.into_iter().flatten() {
        let image = bz_image(&payload);
        let unpacked = bzimage::unpack(&image, 1 << 20).expect("unpacked");
        assert!(unpacked.vmlinux == plain);
        assert_eq!(unpacked.version, "6.9.1-x");
        let problem = bzimage::unpack(&image, 5000).expect_err("too large");
        assert_eq!(problem.kind(), ProblemKind::Refused, "{problem}");
        for length in (0x206..image.len()).step_by(97) {
            assert!(
                bzimage::unpack(&image[..length], 1 << 20).is_err(),
                "{length}"
            );
        }
    }
}

#[test]
fn what_cannot_be_booted_is_refused_with_words() {
    let arm = {
        let mut image = vec![0; 64];
        put(&mut image, 0, b"MZ");
        put(&mut image, 56, b"ARM\x64");
        image
    };
    let mut arm_elf = with_virtio();
    arm_elf[18] = 183;
    let mut no_entry = with_virtio();
    no_entry[24..32].fill(0);
    let mut small = bz_image(&gzip(&with_virtio()));
    small[0x236] = 0;
    let mut old = bz_image(&gzip(&with_virtio()));
    old[0x206] = 7;
    let samples: [(&[u8], &str); 12] = [
        (b"", "an empty file"),
        (b"#!/bin/sh", "something else"),
        (b"MZ and so on", "UEFI"),
        (&arm, "64-bit Arm"),
        (&arm_elf, "64-bit Arm"),
        (&no_entry, "cannot be entered"),
        (&small, "32 bits"),
        (&old, "too old"),
        (&with_virtio()[..5000], "truncated"),
        (&bz_image(b"BZh91AY\0\0\0\0"), "bzip2"),
        (&bz_image(&with_size(vec![0x5d, 0, 0, 0], 9)), "LZMA"),
        (&bz_image(b"what is this"), "known way"),
    ];
    for (bytes, words) in samples {
        let problem = describe(bytes).expect_err(words);
        assert!(problem.to_string().contains(words), "{words}: {problem}");
    }
    let mut wrong_size = gzip(&with_virtio());
    let end = wrong_size.len() - 4;
    wrong_size[end] ^= 1;
    assert!(payload::decompress(&wrong_size, 1 << 20).is_err());
}

#[test]
fn a_file_of_ones_own_is_booted_in_place() {
    let place = tempfile::tempdir().expect("a directory");
    let cache = place.path().join("cache");
    let file = place.path().join("vmlinux");
    fs::write(&file, with_virtio()).expect("written");
    let places = Places {
        boot: Vec::new(),
        modules: Vec::new(),
        libraries: Vec::new(),
    };
    let kernel = find(Some(&file), &places, &cache).expect("prepared");
    assert_eq!(kernel.image, file);
    assert_eq!(
        (kernel.version.as_str(), kernel.needs_acpi),
        ("6.9.1-x", false)
    );
    assert!(kernel.pvh && kernel.require(Feature::VirtioBlk).is_ok());
    let problem = kernel.require(Feature::Erofs).expect_err("not in it");
    assert!(problem.to_string().contains("CONFIG_EROFS_FS"), "{problem}");
    // The file changes, and with it what is known of it.
    fs::write(
        &file,
        vmlinux(&["Linux version 7.0 (", "virtio-mmio", "virtio_blk"]),
    )
    .expect("written");
    let problem = find(Some(&file), &places, &cache).expect_err("no console");
    assert!(
        problem.to_string().contains("CONFIG_VIRTIO_CONSOLE"),
        "{problem}"
    );
    let absent = find(Some(&place.path().join("none")), &places, &cache).expect_err("absent");
    assert_eq!(absent.kind(), ProblemKind::NotFound);
}

#[test]
fn the_newest_kernel_of_the_host_that_works_is_taken() {
    let place = tempfile::tempdir().expect("a directory");
    let boot = place.path().join("boot");
    fs::create_dir(&boot).expect("made");
    let places = Places {
        boot: vec![boot.clone()],
        modules: vec![place.path().join("modules")],
        libraries: vec![place.path().join("lib")],
    };
    let cache = place.path().join("cache");
    let nothing = find(None, &places, &cache).expect_err("nothing there");
    assert_eq!(nothing.kind(), ProblemKind::Host);
    let sound = bz_image(&gzip(&with_virtio()));
    fs::write(boot.join("vmlinuz-6.9.1"), &sound).expect("written");
    fs::write(boot.join("vmlinuz-6.2.0"), &sound).expect("written");
    fs::write(boot.join("vmlinuz-6.10.0"), b"damaged").expect("written");
    let kernel = find(None, &places, &cache).expect("found");
    assert_eq!(kernel.source, boot.join("vmlinuz-6.9.1"));
    assert_eq!(kernel.origin, Origin::Boot);
    assert!(fs::read(&kernel.image).expect("reads") == with_virtio());
    // What was prepared is lost, and made again.
    fs::remove_file(&kernel.image).expect("removed");
    assert_eq!(find(None, &places, &cache).expect("found"), kernel);
    assert!(kernel.image.is_file());
    fs::remove_file(boot.join("vmlinuz-6.9.1")).expect("removed");
    fs::remove_file(boot.join("vmlinuz-6.2.0")).expect("removed");
    // Once seen and once remembered.
    let first = find(None, &places, &cache).expect_err("none works");
    let problem = find(None, &places, &cache)
        .expect_err("none works")
        .to_string();
    assert_eq!(problem, first.to_string());
    assert!(
        problem.contains("vmlinuz-6.10.0: not a kernel"),
        "{problem}"
    );
}

#[test]
fn a_refusal_ends_when_the_modules_come() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("vmlinuz");
    let bare = vmlinux(&["Linux version 6.9.1-x (", "virtio-mmio", "virtio_console"]);
    fs::write(&file, bz_image(&gzip(&bare))).expect("written");
    let modules = place.path().join("modules");
    let places = Places {
        boot: Vec::new(),
        modules: vec![modules.clone()],
        libraries: Vec::new(),
    };
    let cache = place.path().join("cache");
    for _ in 0..2 {
        let problem = find(Some(&file), &places, &cache).expect_err("no disks");
        assert!(
            problem.to_string().contains("CONFIG_VIRTIO_BLK"),
            "{problem}"
        );
        assert_eq!(problem.kind(), ProblemKind::Host);
    }
    let tree = modules.join("6.9.1-x");
    fs::create_dir_all(&tree).expect("made");
    fs::write(tree.join("modules.order"), "").expect("written");
    fs::write(tree.join("modules.builtin"), "kernel/virtio_blk.ko\n").expect("written");
    let kernel = find(Some(&file), &places, &cache).expect("now it has");
    assert!(kernel.has(Feature::VirtioBlk) && kernel.modules.is_empty());
    fs::remove_dir_all(&tree).expect("removed");
    assert!(find(Some(&file), &places, &cache).is_err());
}

/// A shared object with a kernel and the function that describes it.
fn krunfw(code: &[u8]) -> Vec<u8> {
    let kernel = &with_virtio()[4096..];
    let names = b"\0KERNEL_BUNDLE\0krunfw_get_kernel\0";
    let mut out = vec![0; 64];
    put(&mut out, 0, b"\x7fELF\x02\x01\x01");
    put(&mut out, 16, &[3, 0, 62, 0, 1]);
    let mut place = |bytes: &[u8]| {
        let at = out.len() as u64;
        out.extend_from_slice(bytes);
        (at, bytes.len() as u64)
    };
    let (data, text, strings) = (place(&[kernel, b"\0"].concat()), place(code), place(names));
    let mut symbols = vec![0; 72];
    for (at, name, section, value, size) in [
        (24, 1u32, 1u16, 0x10_0000u64, data.1),
        (48, 15, 2, 0x1000, text.1),
    ] {
        put(&mut symbols, at, &name.to_le_bytes());
        put(&mut symbols, at + 6, &section.to_le_bytes());
        put(&mut symbols, at + 8, &value.to_le_bytes());
        put(&mut symbols, at + 16, &size.to_le_bytes());
    }
    let symbols = place(&symbols);
    let table = out.len() as u64;
    let sections = [
        (0u32, 0u64, (0, 0), 0u32),
        (1, 0x10_0000, data, 0),
        (1, 0x1000, text, 0),
        (11, 0, symbols, 4),
        (3, 0, strings, 0),
    ];
    for (kind, address, (offset, size), link) in sections {
        let mut section = [0; 64];
        put(&mut section, 4, &kind.to_le_bytes());
        put(&mut section, 16, &address.to_le_bytes());
        put(&mut section, 24, &offset.to_le_bytes());
        put(&mut section, 32, &size.to_le_bytes());
        put(&mut section, 40, &link.to_le_bytes());
        out.extend_from_slice(&section);
    }
    put(&mut out, 40, &table.to_le_bytes());
    put(&mut out, 58, &[64, 0, 5, 0]);
    out
}

/// `mov qword [rdi], load`, and so on.
fn description(load: u32, entry: u32, size: u32) -> Vec<u8> {
    let mut code = Vec::new();
    for (register, constant) in [(7, load), (6, entry), (2, size)] {
        code.extend_from_slice(&[0x48, 0xc7, register]);
        code.extend_from_slice(&constant.to_le_bytes());
    }
    code.push(0xc3);
    code
}

#[test]
fn libkrunfw_says_where_it_is_loaded_and_entered() {
    let cases = [
        (description(0x100_0000, 0x100_0123, 4096), 0x100_0123),
        // Code that is not understood: the kernel's own note is.
        (vec![0xc3], LOAD_AT),
        (description(0x100_0000, 0x900_0000, 4096), LOAD_AT),
    ];
    for (code, entry) in cases {
        let library = krunfw(&code);
        let read = formats::read(&library).expect("read");
        assert!(read.is_krunfw && read.pvh);
        assert_eq!(read.inside.version, "6.9.1-x");
        let elf = Elf::parse(&read.elf).expect("an ELF");
        assert_eq!(elf.entry, entry);
        assert_eq!(elf.pvh_entry().expect("sound"), Some(LOAD_AT));
        let segments = elf.segments().expect("sound");
        assert_eq!((segments[0].kind, segments[0].address), (LOAD, LOAD_AT));
        assert!(segments[0].bytes == &with_virtio()[4096..]);
        assert!(Bundle::find(&elf).is_err(), "no libkrunfw itself");
    }
}

proptest! {
    #[test]
    fn damage_never_panics(
        form in 0..5usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let plain = with_virtio();
        let mut bytes = match form {
            0 => bz_image(&gzip(&plain)),
            1 => bz_image(&zstd(&plain)),
            2 => bz_image(&lz4(&plain)),
            3 => plain,
            _ => krunfw(&description(0x100_0000, 0x100_0123, 4096)),
        };
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        let _ = describe(&bytes);
    }

    #[test]
    fn random_bytes_are_no_kernel(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(describe(&bytes).is_err());
    }
}
