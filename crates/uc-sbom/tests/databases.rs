//! Samples that real tools made, and the same samples damaged in every way.

#![allow(clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use std::io::Cursor;

use proptest::prelude::*;
use support::{deflated, fixture, stored, zip};
use uc_sbom::catalog::{Found, elf, java, rpm};

fn names(found: &Found) -> Vec<String> {
    let mut names: Vec<_> = found
        .packages
        .iter()
        .map(|package| format!("{} {}", package.name, package.version))
        .collect();
    names.sort();
    names
}

const RPMS: [&str; 4] = [
    "alpha 1.2-3.el9",
    "beta 2:1.2-3.el9",
    "delta 1.2-3.el9",
    "gamma 1.2-3.el9",
];

fn sqlite(bytes: &[u8]) -> Found {
    rpm::read_sqlite(&mut Cursor::new(bytes))
}

fn bdb(bytes: &[u8]) -> Found {
    rpm::read_bdb(&mut Cursor::new(bytes))
}

fn ndb(bytes: &[u8]) -> Found {
    rpm::read_ndb(&mut Cursor::new(bytes))
}

/// The headers of the SQLite sample's four packages are in the Berkeley DB one too; this puts one in ndb.
fn ndb_sample() -> Vec<u8> {
    let header = b"\0\0\0\x03\0\0\0\x0c\0\0\x03\xe8\0\0\0\x06\0\0\0\0\0\0\0\x01\0\0\x03\xe9\0\0\0\x06\0\0\0\x04\0\0\0\x01\0\0\x03\xea\0\0\0\x06\0\0\0\x08\0\0\0\x01abc\x001.0\x00el9\0";
    let mut bytes = b"RpmP\0\0\0\0\x01\0\0\0\x01\0\0\0\x02\0\0\0".to_vec();
    bytes.resize(32, 0);
    bytes.extend_from_slice(b"Slot\x01\0\0\0\0\x01\0\0\x05\0\0\0");
    while bytes.len() < 4096 {
        bytes.extend_from_slice(b"Slot\0\0\0\0\0\0\0\0\0\0\0\0");
    }
    bytes.extend_from_slice(b"BlbS\x01\0\0\0\0\0\0\0");
    bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
    bytes.extend_from_slice(header);
    bytes
}

#[test]
fn every_database_of_rpm() {
    let found = sqlite(&fixture("rpmdb.sqlite.gz"));
    assert_eq!(names(&found), RPMS);
    assert!(found.warnings.is_empty());
    let alpha = found
        .packages
        .iter()
        .find(|one| one.name == "alpha")
        .expect("there");
    assert_eq!(alpha.licences[0].as_str(), "GPL-2.0-or-later AND MIT");
    assert_eq!(
        alpha.source.as_ref().map(|source| source.name.as_str()),
        Some("alpha")
    );
    assert_eq!(alpha.supplier.as_deref(), Some("Undercurrent"));
    let found = bdb(&fixture("Packages.gz"));
    assert_eq!(names(&found), RPMS);
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    let found = ndb(&ndb_sample());
    assert_eq!(names(&found), ["abc 1.0-el9"]);
    assert!(found.warnings.is_empty());
}

#[test]
fn truncated_databases_warn_and_end() {
    let (one, two, three) = (
        fixture("rpmdb.sqlite.gz"),
        fixture("Packages.gz"),
        ndb_sample(),
    );
    for length in (0..one.len()).step_by(509) {
        let found = sqlite(&one[..length]);
        assert!(
            found.packages.len() == 4 || !found.warnings.is_empty(),
            "{length}"
        );
    }
    for length in (0..two.len()).step_by(127) {
        let found = bdb(&two[..length]);
        assert!(
            found.packages.len() == 4 || !found.warnings.is_empty(),
            "{length}"
        );
    }
    for length in 0..three.len() {
        assert!(!ndb(&three[..length]).warnings.is_empty(), "{length}");
    }
}

#[test]
fn chains_that_lead_in_circles_end() {
    // Every page of the SQLite file as its own successor: the first bytes of an overflow page are the next one's number.
    let mut bytes = fixture("rpmdb.sqlite.gz");
    let page = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    for number in 1..bytes.len() / page {
        let at = number * page;
        if bytes[at] == 0 && bytes[at + 1] == 0 {
            bytes[at..at + 4].copy_from_slice(&(number as u32 + 1).to_be_bytes());
        }
    }
    let found = sqlite(&bytes);
    assert!(found.packages.len() < 4 && !found.warnings.is_empty());
    // Every overflow page of the Berkeley DB file likewise.
    let mut bytes = fixture("Packages.gz");
    for number in 1..bytes.len() / 4096 {
        let at = number * 4096;
        if bytes[at + 25] == 7 {
            bytes[at + 16..at + 20].copy_from_slice(&(number as u32).to_le_bytes());
        }
    }
    let found = bdb(&bytes);
    assert!(!found.warnings.is_empty());
}

/// Thousands of slots that all point to one blob: the work stays in proportion to the file.
#[test]
fn blobs_are_not_read_over_and_over() {
    let mut bytes = ndb_sample();
    let slot = bytes[32..48].to_vec();
    for at in (48..4096).step_by(16) {
        bytes[at..at + 16].copy_from_slice(&slot);
    }
    let found = ndb(&bytes);
    assert!(found.packages.len() < 100 && !found.warnings.is_empty());
}

/// An archive within which every entry is the archive itself.
#[test]
fn archives_that_contain_themselves_end() {
    let entries: Vec<_> = (0..200).map(|_| stored("x.jar", b"")).collect();
    let mut bytes = zip(&entries);
    let length = bytes.len() as u32;
    // Sizes and offset of each entry of the directory: the whole file.
    let mut at = bytes
        .windows(4)
        .position(|found| found == b"PK\x01\x02")
        .expect("there");
    // The data of an entry begins behind its local header.
    let header = 30 + 5;
    while bytes[at..].starts_with(b"PK\x01\x02") {
        for field in [20, 24] {
            bytes[at + field..at + field + 4].copy_from_slice(&(length - header).to_le_bytes());
        }
        bytes[at + 42..at + 46].fill(0);
        at += 46 + 5;
    }
    let found = jar("a-1.jar", &bytes);
    assert!(!found.warnings.is_empty());
    assert!(found.packages.len() <= 10_000);
}

#[test]
fn trees_that_contain_themselves_end() {
    // Turns the root of the schema into an inner page whose only child is itself.
    let mut bytes = fixture("rpmdb.sqlite.gz");
    bytes[100] = 5;
    bytes[103..105].copy_from_slice(&[0, 0]);
    bytes[108..112].copy_from_slice(&1_u32.to_be_bytes());
    let found = sqlite(&bytes);
    assert!(found.packages.is_empty() && found.warnings.len() == 1);
}

#[test]
fn programs_say_what_they_were_built_from() {
    let found = elf::read(&mut Cursor::new(fixture("go-buildinfo.elf.gz")));
    assert_eq!(
        names(&found),
        [
            "example.com/hello (devel)",
            "github.com/spf13/cobra v1.10.2",
            "github.com/spf13/pflag v1.0.9",
            "golang.org/x/text v0.44.0",
            "gopkg.in/yaml.v3 v3.0.1",
            "stdlib 1.26.8",
        ]
    );
    let found = elf::read(&mut Cursor::new(fixture("cargo-auditable.elf.gz")));
    assert!(
        names(&found)
            .iter()
            .any(|name| name.starts_with("serde_json "))
    );
    assert!(found.packages.len() > 10 && found.warnings.is_empty());
}

/// A program as Go wrote it before 1.18: 32-bit, big endian, pointers to strings.
#[test]
fn build_information_behind_pointers() {
    const BASE: u32 = 0x1000;
    let modules = "0123456789abcdefpath\ta.b/c\nmod\ta.b/c\tv1.2.3\th1:x\n0123456789abcdef";
    let mut bytes = b"\x7fELF\x01\x02\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |value: u16| value.to_be_bytes();
    let word = |value: u32| value.to_be_bytes();
    bytes.extend(half(2));
    bytes.extend(half(8));
    bytes.extend(word(1));
    bytes.extend(word(0));
    bytes.extend(word(52));
    bytes.extend(word(0));
    bytes.extend(word(0));
    for value in [52, 32, 1, 0, 0, 0] {
        bytes.extend(half(value));
    }
    for value in [1, 0, BASE, BASE, 4096, 4096, 6, 16] {
        bytes.extend(word(value));
    }
    bytes.resize(96, 0);
    bytes.extend_from_slice(b"\xff Go buildinf:\x04\x01");
    bytes.extend(word(BASE + 128));
    bytes.extend(word(BASE + 136));
    bytes.resize(128, 0);
    bytes.extend(word(BASE + 160));
    bytes.extend(word(6));
    bytes.extend(word(BASE + 176));
    bytes.extend(word(modules.len() as u32));
    bytes.resize(160, 0);
    bytes.extend_from_slice(b"go1.16");
    bytes.resize(176, 0);
    bytes.extend_from_slice(modules.as_bytes());
    bytes.resize(4096, 0);
    let found = elf::read(&mut Cursor::new(&bytes));
    assert_eq!(
        names(&found),
        ["a.b/c v1.2.3", "stdlib 1.16"],
        "{:?}",
        found.warnings
    );
}

fn jar(path: &str, bytes: &[u8]) -> Found {
    java::read(path, &mut Cursor::new(bytes))
}

const PROPERTIES: &[u8] = b"#Generated\ngroupId=org.example\nartifactId=inner\nversion=1.5\n";

#[test]
fn archives_within_archives_stored_or_deflated() {
    let inner = zip(&[deflated(
        "META-INF/maven/org.example/inner/pom.properties",
        PROPERTIES,
    )]);
    let manifest = b"Manifest-Version: 1.0\r\nImplementation-Version: 2.0\r\n";
    let middle = zip(&[
        stored("META-INF/MANIFEST.MF", manifest),
        stored("lib/inner-1.5.jar", &inner),
    ]);
    let outer = zip(&[
        deflated("WEB-INF/lib/middle.jar", &middle),
        stored("WEB-INF/lib/inner.jar", &inner),
    ]);
    let found = jar("srv/app-3.0.war", &outer);
    assert_eq!(
        names(&found),
        [
            "app 3.0",
            "middle 2.0",
            "org.example:inner 1.5",
            "org.example:inner 1.5"
        ]
    );
    let mut paths: Vec<_> = found
        .packages
        .iter()
        .flat_map(|package| &package.locations)
        .map(|location| location.path.as_str())
        .collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "!/WEB-INF/lib/inner.jar",
            "!/WEB-INF/lib/middle.jar",
            "!/WEB-INF/lib/middle.jar!/lib/inner-1.5.jar",
        ]
    );
}

#[test]
fn a_program_before_the_archive_does_not_hide_it() {
    let archive = zip(&[deflated(
        "META-INF/maven/org.example/inner/pom.properties",
        PROPERTIES,
    )]);
    let executable = [b"#!/bin/sh\nexec java -jar $0\n".as_slice(), &archive].concat();
    assert_eq!(
        names(&jar("inner-1.5.jar", &executable)),
        ["org.example:inner 1.5"]
    );
}

#[test]
fn the_real_archive_tool_agrees() {
    use std::process::Command;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("META-INF/maven/g/a")).expect("creates");
    std::fs::write(path("META-INF/maven/g/a/pom.properties"), PROPERTIES).expect("writes");
    let made = Command::new("zip")
        .args(["-q", "-r", "a.jar", "META-INF"])
        .current_dir(folder.path())
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        println!("skipped: zip is not installed");
        return;
    }
    let bytes = std::fs::read(path("a.jar")).expect("reads");
    assert!(names(&jar("a.jar", &bytes)).contains(&"org.example:inner 1.5".to_owned()));
}

#[test]
fn bombs_and_lies_are_refused() {
    // 200 MB of zeros in 200 kB, honest and not.
    let zeros = vec![0; 200 << 20];
    for claimed in [None, Some(100)] {
        let bomb = zip(&[support::ZipFile {
            claimed,
            ..deflated("lib/bomb.jar", &zeros)
        }]);
        assert!(bomb.len() < 1 << 20);
        let found = jar("a-1.jar", &bomb);
        assert_eq!(names(&found), ["a 1"]);
        assert_eq!(found.warnings.len(), 1);
        let text = zip(&[support::ZipFile {
            claimed,
            ..deflated("META-INF/MANIFEST.MF", &zeros)
        }]);
        assert_eq!(jar("a-1.jar", &text).warnings.len(), 1);
    }
    let liar = zip(&[support::ZipFile {
        claimed: Some(u32::MAX - 1),
        ..deflated("META-INF/MANIFEST.MF", b"x")
    }]);
    assert_eq!(jar("a-1.jar", &liar).warnings.len(), 1);
}

#[test]
fn nesting_is_bounded() {
    let mut archive = zip(&[]);
    for _ in 0..50 {
        archive = zip(&[stored("x.jar", &archive)]);
    }
    let found = jar("a-1.jar", &archive);
    assert_eq!(found.warnings.len(), 1);
    assert!(found.packages.len() < 10);
}

#[test]
fn what_is_no_archive_warns() {
    for bytes in [&b""[..], b"PK", b"PK\x05\x06", &[0; 100]] {
        assert_eq!(jar("a.jar", bytes).warnings.len(), 1, "{bytes:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_samples_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let inner = zip(&[deflated("META-INF/maven/a/b/pom.properties", PROPERTIES)]);
        let archive = zip(&[stored("x.jar", &inner), deflated("y.jar", &inner)]);
        for (mut bytes, read) in [
            (fixture("rpmdb.sqlite.gz"), sqlite as fn(&[u8]) -> Found),
            (fixture("Packages.gz"), bdb),
            (ndb_sample(), ndb),
            (fixture("go-buildinfo.elf.gz"), |bytes| elf::read(&mut Cursor::new(bytes))),
            (fixture("cargo-auditable.elf.gz"), |bytes| elf::read(&mut Cursor::new(bytes))),
            (archive, |bytes| jar("a.jar", bytes)),
        ] {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            read(&bytes);
        }
    }
}
