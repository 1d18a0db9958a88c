//! Walking a layer shows what unpacking it would make, and refuses what unpacking refuses.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::io::Read as _;

use support::{Archive, gzip, zstd};
use tar::EntryType;
use uc_image::{
    Layer, NoProgress,
    layout::{ConfigDraft, Layout as _, LayoutDirectory, LayoutWriter},
    unpack::Limits,
    verify::{digest_of, problem_of},
    walk::{EntryKind, Walked, walk_layer, walk_stream},
};
use uc_model::{Problem, ProblemKind, Result};

type Seen = Vec<(String, EntryKind, u64, Vec<u8>)>;

/// Walks and keeps everything; every other file is left unread, which must not disturb the next.
fn walk(stream: &[u8], limits: Limits) -> Result<(Walked, Seen)> {
    let mut seen = Vec::new();
    let walked = walk_stream(stream, None, limits, |entry, content| {
        let mut bytes = Vec::new();
        if seen.len() % 2 == 0 {
            content.read_to_end(&mut bytes).map_err(|error| {
                problem_of(error, |error| {
                    Problem::invalid("unreadable").caused_by(error)
                })
            })?;
        }
        let path = String::from_utf8_lossy(entry.path).into_owned();
        seen.push((path, entry.kind, entry.size, bytes));
        Ok(())
    })?;
    Ok((walked, seen))
}

#[test]
fn entries_come_in_order_with_their_content() {
    let tar = Archive::default()
        .file("./a//b", "one")
        .file("skipped", &"x".repeat(100_000))
        .file("c", "three")
        .symlink("d", "c")
        .hard_link("e", "missing")
        .entry(EntryType::Char, "dev/null", "", 0o666, b"")
        .file("f", "six")
        .finish();
    for stream in [tar.clone(), gzip(&tar), zstd(&tar)] {
        let (walked, seen) = walk(&stream, Limits::default()).expect("walks");
        assert_eq!(walked.diff_id, digest_of(&tar));
        assert_eq!((walked.entries, walked.bytes), (7, 100_011));
        let names: Vec<_> = seen.iter().map(|one| one.0.as_str()).collect();
        assert_eq!(names, ["a/b", "skipped", "c", "d", "e", "dev/null", "f"]);
        assert_eq!(seen[0].3, b"one");
        assert_eq!((seen[1].2, seen[1].3.len()), (100_000, 0));
        assert_eq!((seen[2].2, seen[2].3.as_slice()), (5, &b"three"[..]));
        let kinds: Vec<_> = seen[3..6].iter().map(|one| one.1).collect();
        let expected = [EntryKind::Symlink, EntryKind::HardLink, EntryKind::Other];
        assert_eq!(kinds, expected);
        assert_eq!(seen[6].3, b"six");
    }
}

#[test]
fn holes_read_as_zeros() {
    // GNU.sparse 0.1: the map is in the extended header, data follows without the holes.
    let tar = Archive::default()
        .pax(&[
            ("GNU.sparse.size", b"20"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.map", b"5,3,10,2"),
        ])
        .file("sparse", "abcde")
        .file("skipped", "")
        .file("after", "whole")
        .finish();
    let (walked, seen) = walk(&tar, Limits::default()).expect("walks");
    assert_eq!(seen[0].3, b"\0\0\0\0\0abc\0\0de\0\0\0\0\0\0\0\0");
    assert_eq!(seen[2].3, b"whole");
    assert_eq!(walked.bytes, 25);
}

#[test]
fn what_unpacking_refuses_is_refused() {
    let limits = Limits {
        bytes: 100,
        entries: 3,
        ratio: 10,
        ratio_floor: 64 << 10,
    };
    let refused = |stream: &[u8], words: &str| {
        let problem = walk(stream, limits).expect_err(words);
        assert!(problem.to_string().contains(words), "{problem}");
        assert_eq!(problem.kind(), ProblemKind::Refused, "{problem}");
    };
    refused(&Archive::default().file("../x", "").finish(), "leads out");
    refused(
        &Archive::default().file("x", &"x".repeat(101)).finish(),
        "too large together",
    );
    let many = (0..4).fold(Archive::default(), |archive, number| {
        archive.file(&format!("file{number}"), "")
    });
    refused(&many.finish(), "too many entries");
    refused(&gzip(&vec![0; 1 << 20]), "grows beyond its limit");
    let sparse = [
        ("GNU.sparse.size", &b"9000000000000000000"[..]),
        ("GNU.sparse.numblocks", b"0"),
        ("GNU.sparse.map", b""),
    ];
    let sparse = Archive::default().pax(&sparse).file("s", "").finish();
    assert!(walk(&sparse, limits).is_err());
}

#[test]
fn truncation_is_an_error_at_every_length() {
    let tar = Archive::default().file("a", &"y".repeat(3000)).finish();
    let whole = gzip(&tar);
    for length in 5..whole.len() {
        let problem = walk(&whole[..length], Limits::default()).expect_err("truncated");
        assert_eq!(problem.kind(), ProblemKind::Invalid, "{problem}");
    }
}

#[test]
fn a_layer_is_held_to_both_digests() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    std::fs::create_dir(&root).expect("made");
    std::fs::write(root.join("file"), "content").expect("written");
    let place = folder.path().join("layout");
    let writer = LayoutWriter::open(&place).expect("opens");
    let layer = writer.add_layer_from_directory(&root).expect("packs");
    writer
        .add_image("latest", &ConfigDraft::default(), &[layer])
        .expect("writes");
    let layout = LayoutDirectory::open(&place).expect("opens");
    let image = layout.image(None).expect("resolves");
    let mut layer = image.layers[0].clone();
    let walk = |layer: &Layer| {
        walk_layer(
            &layout,
            layer,
            Limits::default(),
            &NoProgress,
            |_, _| Ok(()),
        )
    };
    assert_eq!(walk(&layer).expect("walks").entries, 1);
    layer.diff_id = digest_of(b"other");
    let problem = walk(&layer).expect_err("another tar stream");
    assert!(problem.to_string().contains("decompressed"), "{problem}");
    let blob = layout.blob_path(&layer.digest);
    let mut bytes = std::fs::read(&blob).expect("reads");
    let last = bytes.len() - 6;
    bytes[last] ^= 1;
    std::fs::write(&blob, bytes).expect("writes");
    assert!(walk(&image.layers[0]).is_err());
}
