//! Random bytes for every reader: none panics, and none takes longer than its input deserves.

#![allow(clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use std::io::Cursor;

use proptest::prelude::*;
use support::{Kind, scan_with};
use uc_sbom::{
    Distribution, Inventory, Licence, Options, catalog, document, purl::Purl, vulnerability,
};

/// The readers of whole files, by the path that leads to them.
const PATHS: [&str; 17] = [
    "etc/os-release",
    "var/lib/dpkg/status",
    "var/lib/dpkg/status.d/base",
    "usr/share/doc/a/copyright",
    "lib/apk/db/installed",
    "var/lib/rpm/rpmdb.sqlite",
    "var/lib/rpm/Packages.db",
    "var/lib/rpm/Packages",
    "lib/a.dist-info/METADATA",
    "lib/a.egg-info",
    "node_modules/a/package.json",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "specifications/a.gemspec",
    "lib/a.jar",
    "bin/program",
];

/// Text with what the readers look for, so that they get beyond the first check.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "Package: ",
        "Version: ",
        "Status: install ok installed",
        "P:",
        "V:",
        "Name: ",
        "License: ",
        "Format: copyright-format",
        "{",
        "}",
        "\"name\":",
        "\"version\":",
        "\"1.0.0\"",
        "[",
        "]",
        ":",
        ",",
        "packages:",
        "  ",
        "@",
        "a",
        "1",
        "\n",
        "\n\n",
        "s.name = \"",
        "\"",
        "ID=",
        "'",
        "\\",
        "/usr/share/common-licenses/",
        "é",
        "\t",
        "=>",
        "(",
        ")",
        " AND ",
        "MIT",
        "+",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat().into_bytes())
}

fn scan_all(bytes: &[u8]) -> Inventory {
    let layer: Vec<_> = PATHS
        .iter()
        .map(|path| (*path, Kind::File(bytes)))
        .collect();
    let options = Options {
        declared: true,
        files: true,
    };
    scan_with(&[&layer], options)
}

fn everything(bytes: &[u8]) {
    let inventory = scan_all(bytes);
    for write in [document::spdx, document::cyclonedx] {
        let written = write(&inventory, 0).expect("writes");
        let (_, read) = document::read(&written).expect("reads back");
        assert_eq!(read.packages.len(), inventory.packages.len());
    }
    let mut scan = vulnerability::Scan::new(&inventory);
    let _ = scan.feed(bytes);
    assert_eq!(scan.finish().assessments.len(), inventory.packages.len());
    let _ = document::read(bytes);
    let _ = Distribution::parse(bytes);
    let _ = catalog::rpm::read_header(bytes);
    let _ = vulnerability::each_record(&mut Cursor::new(bytes), |_, _| {});
    let text = String::from_utf8_lossy(bytes);
    let _ = Purl::parse(&text);
    if let Some(Licence::Spdx(expression)) = Licence::parse(&text) {
        assert_eq!(Licence::parse(&expression), Some(Licence::Spdx(expression)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..6000)) {
        everything(&bytes);
    }

    #[test]
    fn plausible_text(bytes in plausible()) {
        everything(&bytes);
    }
}

#[test]
fn millions_of_lines() {
    for line in [
        "A: b\n",
        "Package: a\nVersion: 1\n\n",
        "P:a\nV:1\n\n",
        "a@1:\n  version 1\n",
        "\n",
        " x\n",
        "[",
        "{\"a\":",
    ] {
        everything(line.repeat(4_000_000 / line.len()).as_bytes());
    }
}
