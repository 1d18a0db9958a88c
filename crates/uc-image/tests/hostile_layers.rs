//! Layers made to harm: each is refused by name, and nothing outside the layer's directory changes.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

mod support;

use std::{fs, path::Path};

use proptest::prelude::*;
use support::{Archive, OPTIONS, gzip, unpack, unpack_with, zstd};
use tar::EntryType;
use uc_image::unpack::{Limits, Options};
use uc_model::ProblemKind;

/// A directory with the layer's target in it and a bystander beside it.
struct Scene {
    base: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let base = tempfile::tempdir().expect("makes a directory");
        fs::create_dir(base.path().join("layer")).expect("makes");
        fs::create_dir(base.path().join("outside")).expect("makes");
        fs::write(base.path().join("outside/victim"), "untouched").expect("writes");
        Self { base }
    }

    fn layer(&self) -> std::path::PathBuf {
        self.base.path().join("layer")
    }

    fn assert_untouched(&self) {
        let names = |path: &Path| {
            let mut names: Vec<_> = fs::read_dir(path)
                .expect("lists")
                .map(|entry| entry.expect("lists").file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(self.base.path()), ["layer", "outside"]);
        assert_eq!(names(&self.base.path().join("outside")), ["victim"]);
        assert_eq!(
            fs::read_to_string(self.base.path().join("outside/victim")).expect("reads"),
            "untouched"
        );
    }
}

fn refused(archive: Archive, entry: &str, words: &str) {
    let scene = Scene::new();
    let problem = unpack(&archive.finish(), &scene.layer()).expect_err(words);
    let text = problem.to_string();
    assert!(text.contains(words), "{text:?} must contain {words:?}");
    assert!(
        text.contains(entry),
        "{text:?} must name the entry {entry:?}"
    );
    assert_eq!(problem.kind(), ProblemKind::Refused, "{text}");
    scene.assert_untouched();
}

#[test]
fn names_cannot_climb() {
    refused(
        Archive::default().file("../outside/victim", "x"),
        "../outside/victim",
        "leads out",
    );
    refused(
        Archive::default().file("a/../../outside/x", "x"),
        "a/../../outside/x",
        "leads out",
    );
    refused(
        Archive::default().pax(&[("path", b"../x")]).file("ok", "x"),
        "../x",
        "leads out",
    );
    refused(
        Archive::default().pax(&[("path", b"a\0b")]).file("ok", "x"),
        "a\\0b",
        "NUL",
    );
    refused(
        Archive::default().file(".wh...", ""),
        ".wh...",
        "names nothing",
    );
}

#[test]
fn links_cannot_lead_out() {
    let outside = "../outside";
    refused(
        Archive::default()
            .symlink("l", outside)
            .file("l/victim", "x"),
        "l/victim",
        "leads out of the layer",
    );
    refused(
        Archive::default().symlink("l", "/tmp").file("l/x", "x"),
        "l/x",
        "leads out of the layer",
    );
    refused(
        Archive::default().symlink("l", outside).directory("l/d"),
        "l/d",
        "leads out of the layer",
    );
    refused(
        Archive::default().symlink("l", outside).symlink("l/s", "x"),
        "l/s",
        "leads out of the layer",
    );
    refused(
        Archive::default()
            .symlink("l", outside)
            .file("l/.wh.victim", ""),
        ".wh.victim",
        "leads out of the layer",
    );
    refused(
        Archive::default()
            .symlink("l", outside)
            .file("l/.wh..wh..opq", ""),
        ".opq",
        "leads out of the layer",
    );
    refused(
        Archive::default()
            .symlink("l", outside)
            .hard_link("h", "l/victim"),
        "entry 2 (h)",
        "leads out of the layer",
    );
    refused(
        Archive::default().symlink("l", "l").file("l/x", "x"),
        "l/x",
        "loop",
    );
    refused(
        Archive::default().symlink("l", "missing").file("l/x", "x"),
        "l/x",
        "link to nothing",
    );
    refused(
        Archive::default().hard_link("h", "../outside/victim"),
        "entry 1 (h)",
        "leads out",
    );
    refused(
        Archive::default().hard_link("h", "/etc/passwd"),
        "entry 1 (h)",
        "not in the layer",
    );
}

#[test]
fn writing_to_a_link_replaces_the_link() {
    let scene = Scene::new();
    let archive = Archive::default()
        .symlink("l", "../outside/victim")
        .file("l", "mine");
    unpack(&archive.finish(), &scene.layer()).expect("unpacks");
    scene.assert_untouched();
    assert!(
        fs::symlink_metadata(scene.layer().join("l"))
            .expect("there")
            .is_file()
    );

    let scene = Scene::new();
    let archive = Archive::default()
        .symlink("l", "../outside/victim")
        .hard_link("h", "l")
        .file("h", "mine");
    unpack(&archive.finish(), &scene.layer()).expect("unpacks");
    scene.assert_untouched();
}

#[test]
fn a_link_that_stays_below_is_followed() {
    let scene = Scene::new();
    let archive = Archive::default()
        .directory("usr")
        .directory("usr/bin")
        .symlink("bin", "usr/bin")
        .file("bin/sh", "#!");
    unpack(&archive.finish(), &scene.layer()).expect("unpacks");
    assert_eq!(
        fs::read_to_string(scene.layer().join("usr/bin/sh")).expect("there"),
        "#!"
    );
}

#[test]
fn devices_stay_out() {
    let device = |name: &str| {
        Archive::default().entry_with(EntryType::Block, name, "", b"", |header| {
            header.set_device_major(8).expect("a GNU header");
            header.set_device_minor(0).expect("a GNU header");
        })
    };
    refused(device("disk"), "disk", "device");
    refused(device("dev/../disk"), "disk", "leads out");
    let scene = Scene::new();
    let unpacked = unpack(&device("dev/sda").finish(), &scene.layer()).expect("unpacks");
    assert_eq!(unpacked.skipped_devices, 1);
    assert!(!scene.layer().join("dev/sda").exists());
}

#[test]
fn bombs_stop_at_their_limits() {
    let small = |limits| Options { limits, ..OPTIONS };
    let limits = Limits {
        bytes: 1 << 20,
        entries: 100,
        ratio: 50,
        ratio_floor: 2 << 20,
    };

    let sparse = Archive::default()
        .pax(&[
            ("GNU.sparse.size", b"9000000000000000"),
            ("GNU.sparse.map", b"0,0"),
            ("GNU.sparse.name", b"hole"),
        ])
        .file("x", "");
    let many = (0..101).fold(Archive::default(), |archive, at| {
        archive.file(&format!("f{at}"), "")
    });
    let large = Archive::default().entry(EntryType::Regular, "large", "", 0o644, &vec![1; 2 << 20]);
    for (archive, entry, words) in [
        (sparse, "hole", "too large together"),
        (many, "f100", "too many entries"),
        (large, "large", "too large together"),
    ] {
        let scene = Scene::new();
        let problem =
            unpack_with(&archive.finish(), &scene.layer(), &small(limits)).expect_err(words);
        assert!(
            problem.to_string().contains(words) && problem.to_string().contains(entry),
            "{problem}"
        );
    }

    let zeros = Archive::default()
        .entry(EntryType::Regular, "zeros", "", 0o644, &vec![0; 8 << 20])
        .finish();
    for compressed in [gzip(&zeros), zstd(&zeros)] {
        let scene = Scene::new();
        let generous = Limits {
            bytes: 1 << 30,
            ..limits
        };
        let problem =
            unpack_with(&compressed, &scene.layer(), &small(generous)).expect_err("a bomb");
        assert!(
            problem.to_string().contains("50 times its compressed size"),
            "{problem}"
        );
    }
    let after_the_end = [Archive::default().finish(), vec![0; 8 << 20]].concat();
    let scene = Scene::new();
    let tiny = Limits {
        bytes: 1 << 20,
        entries: 1,
        ..limits
    };
    unpack_with(&after_the_end, &scene.layer(), &small(tiny))
        .expect_err("padding is bounded as well");
}

#[test]
fn oversized_headers_are_not_read() {
    let scene = Scene::new();
    let archive = Archive::default().entry_with(EntryType::XHeader, "x", "", b"", |header| {
        header.set_size(1 << 40);
    });
    let problem =
        unpack(&archive.unterminated(), &scene.layer()).expect_err("a header of a tebibyte");
    assert!(
        problem
            .to_string()
            .contains("extension header is too large"),
        "{problem}"
    );
    let endless = (0..100).fold(Archive::default(), |archive, _| {
        archive.pax(&[("comment", b"x")])
    });
    let problem = unpack(&endless.finish(), &scene.layer()).expect_err("only headers");
    assert!(
        problem.to_string().contains("too many extension headers"),
        "{problem}"
    );
}

#[test]
fn truncation_and_damage_are_told() {
    let scene = Scene::new();
    let stream = Archive::default()
        .file("whole", "x")
        .file("cut", &"y".repeat(3000))
        .finish();
    let problem = unpack(&stream[..2500], &scene.layer()).expect_err("cut in the data");
    assert!(
        problem.to_string().contains("truncated") && problem.to_string().contains("(cut)"),
        "{problem}"
    );

    let scene = Scene::new();
    let compressed = gzip(&stream);
    let problem =
        unpack(&compressed[..compressed.len() - 9], &scene.layer()).expect_err("cut gzip");
    assert!(problem.to_string().contains("truncated"), "{problem}");

    let mut damaged = stream.clone();
    damaged[0] ^= 1;
    let problem = unpack(&damaged, &scene.layer()).expect_err("a wrong checksum");
    assert!(
        problem.to_string().contains("not a tar archive"),
        "{problem}"
    );

    let mut damaged = compressed;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    assert!(
        unpack(&damaged, Scene::new().layer().as_path()).is_err(),
        "the gzip checksum must notice"
    );
}

#[test]
fn unknown_kinds_are_refused() {
    refused(
        Archive::default().entry(EntryType::new(b'M'), "volume", "", 0, b""),
        "volume",
        "unknown type",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let scene = Scene::new();
        let _ = unpack(&bytes, &scene.layer());
        scene.assert_untouched();
    }

    #[test]
    fn arbitrary_entries_stay_inside(
        entries in proptest::collection::vec(
            (0usize..8, "(\\.\\./|/|a/|b/|\\./|\\.wh\\.){0,3}(a|b|\\.\\.|\\.wh\\.a|\\.wh\\.\\.wh\\.\\.opq)", "(\\.\\./|/|a/|b/){0,3}(a|b|\\.|outside/victim)"),
            0..12,
        ),
    ) {
        let kinds = [
            EntryType::Regular, EntryType::Directory, EntryType::Symlink, EntryType::Link,
            EntryType::Fifo, EntryType::Char, EntryType::GNULongName, EntryType::XHeader,
        ];
        let archive = entries.iter().fold(Archive::default(), |archive, (kind, name, link)| {
            let data: &[u8] = if *kind == 6 { link.as_bytes() } else { b"" };
            archive.entry(kinds[*kind], name, link, 0o755, data)
        });
        let scene = Scene::new();
        let _ = unpack(&archive.finish(), &scene.layer());
        scene.assert_untouched();
    }
}
