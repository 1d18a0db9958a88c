//! Documents: reproducible, valid by the tools that define validity, and readable, our own and others'.

#![allow(clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use std::{io::Write as _, process::Command};

use support::{Kind, fixture, scan, scan_with};
use uc_sbom::{
    Inventory, Licence, Options, PackageKind, SubjectKind,
    document::{self, DocumentFormat},
};

const CREATED_S: i64 = 1_700_000_000;

/// One of everything, with names and licences that are hard to write.
fn inventory(files: bool) -> Inventory {
    let status: &[u8] = b"Package: libstdc++6\nStatus: install ok installed\nArchitecture: amd64\nSource: gcc-12 (12.2.0-14)\nVersion: 12.2.0-14+b1~x\nMaintainer: Debian \"GCC\" <gcc@lists.debian.org>\nHomepage: http://gcc.gnu.org/<x>\nDescription: GNU \x07 library\n";
    let copyright: &[u8] = b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-3+ with GCC exception, and a/b\n\nFiles: x\nLicense: Expat\n\nFiles: y\nLicense: MIT or Apache-2.0\n\nFiles: z\nLicense: a b\n\nFiles: w\nLicense: a/b\n";
    let apk: &[u8] = b"P:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\no:musl\n";
    let npm: &[u8] = br#"{"name":"@scope/na%me","version":"1.0.0-rc.1+b","license":"SEE LICENSE IN x","author":"A B <a@b> (http://c)"}"#;
    let python: &[u8] =
        b"Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.0\nLicense: BSD\nAuthor: \xc3\xa9\n";
    let gem: &[u8] = b"s.name = \"rack\"\ns.version = \"2.0\"\ns.licenses = [\"MIT\"]\n";
    let (go, rust, rpm) = (
        fixture("go-buildinfo.elf.gz"),
        fixture("cargo-auditable.elf.gz"),
        fixture("rpmdb.sqlite.gz"),
    );
    let options = Options {
        files,
        ..Options::default()
    };
    scan_with(
        &[
            &[
                (
                    "etc/os-release",
                    Kind::File(b"ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian 12\"\n"),
                ),
                ("var/lib/dpkg/status", Kind::File(status)),
                ("usr/share/doc/libstdc++6/copyright", Kind::File(copyright)),
                ("lib/apk/db/installed", Kind::File(apk)),
                ("srv/node_modules/x/package.json", Kind::File(npm)),
            ],
            &[
                ("lib/a.dist-info/METADATA", Kind::File(python)),
                ("gems/specifications/rack-2.0.gemspec", Kind::File(gem)),
                ("bin/go", Kind::File(&go)),
                ("bin/rust", Kind::File(&rust)),
                ("var/lib/rpm/rpmdb.sqlite", Kind::File(&rpm)),
                ("broken/package.json", Kind::File(b"{")),
            ],
        ],
        options,
    )
}

#[test]
fn equal_input_gives_equal_bytes_and_other_input_other_identifiers() {
    for write in [document::spdx, document::cyclonedx] {
        let one = write(&inventory(true), CREATED_S).expect("writes");
        assert_eq!(one, write(&inventory(true), CREATED_S).expect("writes"));
        assert_ne!(one, write(&inventory(true), CREATED_S + 1).expect("writes"));
    }
    let namespace = |created_s| {
        let bytes = document::spdx(&inventory(false), created_s).expect("writes");
        let json: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        json["documentNamespace"].as_str().expect("text").to_owned()
    };
    assert_ne!(namespace(0), namespace(1));
    assert!(namespace(0).starts_with("https://undercurrent.dev/spdx/example.org-app-1-"));
}

#[test]
fn what_is_written_reads_back() {
    let inventory = inventory(false);
    for (write, format) in [
        (
            document::spdx as fn(&Inventory, i64) -> _,
            DocumentFormat::Spdx,
        ),
        (document::cyclonedx, DocumentFormat::CycloneDx),
    ] {
        let bytes = write(&inventory, CREATED_S).expect("writes");
        assert_eq!(document::created(&bytes), Some(CREATED_S));
        let (found, read) = document::read(&bytes).expect("reads");
        assert_eq!(found, format);
        assert_eq!(read.subject, inventory.subject);
        assert_eq!(read.packages.len(), inventory.packages.len());
        assert_eq!(
            read.distribution.as_ref().map(|one| one.qualifier()),
            Some("debian-12".to_owned())
        );
        for (ours, back) in inventory.packages.iter().zip(&read.packages) {
            assert_eq!((ours.kind, &ours.name), (back.kind, &back.name));
            assert_eq!(ours.version, back.version, "{}", ours.name);
            assert_eq!(
                ours.source,
                back.source.clone().or(ours.source.clone()),
                "{}",
                ours.name
            );
            assert_eq!(ours.purl, back.purl);
            assert_eq!(ours.architecture, back.architecture);
        }
        let standard = read
            .packages
            .iter()
            .find(|one| one.name == "libstdc++6")
            .expect("there");
        assert!(standard.licences.contains(&Licence::Named("a b".into())));
        let source = standard.source.as_ref().expect("a source");
        assert_eq!(
            (source.name.as_str(), source.version.as_str()),
            ("gcc-12", "12.2.0-14")
        );
    }
}

#[test]
fn documents_of_others_read() {
    for (name, format) in [
        ("syft-1.18.spdx.json", DocumentFormat::Spdx),
        ("syft-1.18.cdx.json", DocumentFormat::CycloneDx),
    ] {
        let (found, inventory) = document::read(&fixture(name)).expect("reads");
        assert_eq!(found, format);
        assert_eq!(
            support::names(&inventory),
            ["busybox 1.36.1-r29", "musl 1.2.5-r0"],
            "{name}"
        );
        let busybox = &inventory.packages[0];
        assert_eq!(busybox.kind, PackageKind::Apk);
        assert_eq!(busybox.licences, [Licence::Spdx("GPL-2.0-only".into())]);
        let distribution = inventory.distribution.expect("a distribution");
        assert_eq!(distribution.version_id.as_deref(), Some("3.20.3"));
    }
}

#[test]
fn a_statement_around_a_document_is_taken_off() {
    let document: serde_json::Value =
        serde_json::from_slice(&fixture("syft-1.18.spdx.json")).expect("JSON");
    let statement = serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "https://spdx.dev/Document",
        "predicate": document,
    });
    let (format, inventory) = document::read(statement.to_string().as_bytes()).expect("reads");
    assert_eq!(format, DocumentFormat::Spdx);
    assert_eq!(inventory.packages.len(), 2);
    let nested = serde_json::json!({ "predicate": statement });
    assert!(document::read(nested.to_string().as_bytes()).is_err());
}

#[test]
fn nested_components_and_packages_without_a_purl_are_kept() {
    let bytes = br#"{"bomFormat":"CycloneDX","specVersion":"1.4","components":[
        {"type":"library","group":"g","name":"outer","version":"1","purl":"pkg:maven/g/outer@1",
         "components":[{"type":"library","name":"inner","version":"2"}]},
        {"type":"library","name":"odd","version":"3","purl":"not a purl"},
        {"type":"file","name":"/etc/passwd"}]}"#;
    let (_, inventory) = document::read(bytes).expect("reads");
    assert_eq!(
        support::names(&inventory),
        ["g:outer 1", "inner 2", "odd 3"]
    );
    assert_eq!(inventory.warnings.len(), 1);
    for wrong in [
        &b"{}"[..],
        b"[]",
        br#"{"spdxVersion":"SPDX-3.0"}"#,
        br#"{"bomFormat":"CycloneDX","specVersion":"9"}"#,
        br#"{"spdxVersion":"SPDX-2.3","packages":1}"#,
    ] {
        assert!(document::read(wrong).is_err());
    }
}

/// SPDX by the SPDX project's own validator, CycloneDX by the CycloneDX project's own copy of its schema.
#[test]
fn documents_are_valid_by_the_tools_of_their_projects() {
    const SCRIPT: &str = include_str!("support/validate_documents.py");
    let modules = "import spdx_tools, cyclonedx.validation.json, jsonschema";
    let has_modules = |python: &&str| {
        let output = Command::new(python).args(["-c", modules]).output();
        output.is_ok_and(|output| output.status.success())
    };
    // That of `cargo xtask setup --for-tests`, or the system's.
    let own = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/sbom-validators/bin/python3"
    );
    let Some(python) = [own, "python3"].into_iter().find(has_modules) else {
        println!("skipped: python3 lacks spdx-tools or cyclonedx-python-lib[json-validation]");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut paths = Vec::new();
    let mut directory = inventory(false);
    directory.subject.kind = SubjectKind::Directory;
    directory.subject.digest = Some(support::digest(7));
    for (name, inventory) in [
        ("files", inventory(true)),
        ("plain", directory),
        ("empty", scan(&[])),
        ("none", Inventory::default()),
    ] {
        for (ending, bytes) in [
            ("spdx.json", document::spdx(&inventory, CREATED_S)),
            ("cdx.json", document::cyclonedx(&inventory, CREATED_S)),
        ] {
            let path = folder.path().join(format!("{name}.{ending}"));
            let mut file = std::fs::File::create(&path).expect("creates");
            file.write_all(&bytes.expect("serialises")).expect("writes");
            paths.push(path);
        }
    }
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .args(&paths)
        .output()
        .expect("runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
