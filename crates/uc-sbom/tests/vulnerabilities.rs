//! Inventories against OSV records, one of each ecosystem.

#![allow(clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use std::io::Cursor;

use serde_json::{Value, json};
use support::{deflated, zip};
use uc_sbom::{
    Distribution, Inventory, Package, PackageKind, SourcePackage, Subject,
    vulnerability::{Match, Rating, Report, Scan, Verdict, each_record},
};

fn inventory(distribution: (&str, &str), packages: Vec<Package>) -> Inventory {
    let distribution = Distribution {
        id: distribution.0.into(),
        version_id: Some(distribution.1.into()),
        ..Distribution::default()
    };
    Inventory::new(
        Subject::default(),
        Some(distribution),
        packages,
        Vec::new(),
        Vec::new(),
    )
}

fn scan(inventory: &Inventory, records: &[Value]) -> Report {
    let mut scan = Scan::new(inventory);
    for record in records {
        scan.feed(record.to_string().as_bytes()).expect("a record");
    }
    scan.finish()
}

fn record(id: &str, ecosystem: &str, name: &str, fixed: &str) -> Value {
    json!({
        "id": id,
        "affected": [{
            "package": {"ecosystem": ecosystem, "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
        }],
    })
}

fn matches(verdict: &Verdict) -> &[Match] {
    match verdict {
        Verdict::Matched { matches } => matches,
        _ => &[],
    }
}

/// Distribution, kind, name; ecosystem; an affected version, the one that mends it, and one that is mended.
type Sample = (
    (&'static str, &'static str),
    PackageKind,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const SAMPLES: [Sample; 13] = [
    (
        ("debian", "12"),
        PackageKind::Deb,
        "glibc",
        "Debian:12",
        "2.36-9+deb12u3",
        "2.36-9+deb12u10",
        "2.36-9+deb12u10",
    ),
    (
        ("ubuntu", "22.04"),
        PackageKind::Deb,
        "glibc",
        "Ubuntu:22.04:LTS",
        "2.35-0ubuntu3",
        "2.35-0ubuntu3.1",
        "2.35-0ubuntu3.1",
    ),
    (
        ("alpine", "3.20.3"),
        PackageKind::Apk,
        "busybox",
        "Alpine:v3.20",
        "1.36.1-r9",
        "1.36.1-r29",
        "1.36.1-r30",
    ),
    (
        ("rocky", "9.3"),
        PackageKind::Rpm,
        "bash",
        "Rocky Linux:9",
        "5.1.8-6.el9",
        "0:5.1.8-9.el9",
        "5.1.8-10.el9",
    ),
    (
        ("almalinux", "9.3"),
        PackageKind::Rpm,
        "bash",
        "AlmaLinux:9",
        "5.1.8-6.el9",
        "5.1.8-9.el9",
        "5.1.8-9.el9",
    ),
    (
        ("opensuse-leap", "15.5"),
        PackageKind::Rpm,
        "bash",
        "openSUSE:Leap 15.5",
        "4.4-150.1",
        "4.4-150.2",
        "4.4-150.10",
    ),
    (
        ("x", "1"),
        PackageKind::Pypi,
        "Foo_Bar",
        "PyPI",
        "1.0rc1",
        "1.0",
        "1.0.post1",
    ),
    (
        ("x", "1"),
        PackageKind::Npm,
        "@a/b",
        "npm",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.0",
    ),
    (
        ("x", "1"),
        PackageKind::Go,
        "golang.org/x/net",
        "Go",
        "v0.9.0",
        "0.10.0",
        "v0.10.0",
    ),
    (
        ("x", "1"),
        PackageKind::Go,
        "stdlib",
        "Go",
        "1.22rc1",
        "1.22.0",
        "1.22.0",
    ),
    (
        ("x", "1"),
        PackageKind::Cargo,
        "time",
        "crates.io",
        "0.1.9",
        "0.1.10",
        "0.1.10",
    ),
    (
        ("x", "1"),
        PackageKind::Maven,
        "org.a:b",
        "Maven",
        "2.0-rc1",
        "2.0",
        "2.0.0",
    ),
    (
        ("x", "1"),
        PackageKind::Gem,
        "rack",
        "RubyGems",
        "2.0.9.a",
        "2.0.9",
        "2.0.9",
    ),
];

#[test]
fn each_ecosystem_by_its_own_order() {
    for (distribution, kind, name, ecosystem, affected, fixed, mended) in SAMPLES {
        let name_in_record = if kind == PackageKind::Pypi {
            "foo-bar"
        } else {
            name
        };
        let records = [record("X-1", ecosystem, name_in_record, fixed)];
        let judge = |version: &str| {
            let inventory = inventory(distribution, vec![Package::new(kind, name, version)]);
            scan(&inventory, &records).assessments.remove(0).verdict
        };
        let found = judge(affected);
        assert_eq!(matches(&found).len(), 1, "{ecosystem}: {found:?}");
        assert_eq!(matches(&found)[0].fixed, [fixed]);
        assert_eq!(judge(mended), Verdict::Clean, "{ecosystem}");
    }
}

#[test]
fn distributions_match_by_source_and_release() {
    let mut package = Package::new(PackageKind::Deb, "libc6", "2.36-9+b5");
    package.source = Some(SourcePackage {
        name: "glibc".into(),
        version: "2.36-9".into(),
    });
    let inventory = inventory(("debian", "12"), vec![package]);
    let verdict = |records: &[Value]| scan(&inventory, records).assessments.remove(0).verdict;
    // The source's version counts, not that of the binary, which was built again.
    assert_eq!(
        matches(&verdict(&[record("A", "Debian:12", "glibc", "2.36-9+a")])).len(),
        1
    );
    assert_eq!(
        verdict(&[record("A", "Debian:12", "glibc", "2.36-9")]),
        Verdict::Clean
    );
    assert_eq!(
        verdict(&[record("A", "Debian:12", "libc6", "9")]),
        Verdict::Clean
    );
    assert!(matches!(
        verdict(&[record("A", "Debian:11", "glibc", "9")]),
        Verdict::Unknown { reason } if reason.contains("Debian:12")
    ));
}

#[test]
fn none_is_dropped() {
    let list = vec![
        Package::new(PackageKind::Npm, "clean", "1.0.0"),
        Package::new(PackageKind::Npm, "odd", "latest"),
        Package::new(PackageKind::Gem, "elsewhere", "1.0"),
        Package::new(PackageKind::Maven, "nogroup", "1.0"),
        Package::new(PackageKind::Go, "a.b/c", "(devel)"),
        Package::new(PackageKind::Rpm, "bash", "5"),
        Package::new(PackageKind::Other, "thing", "1"),
        Package::new(PackageKind::Npm, "git-only", "1.0.0"),
    ];
    let count = list.len();
    let inventory = inventory(("fedora", "39"), list);
    let git = json!({"id": "G", "affected": [{"package": {"ecosystem": "npm", "name": "git-only"},
        "ranges": [{"type": "GIT", "repo": "x", "events": [{"introduced": "0"}]}]}]});
    let report = scan(
        &inventory,
        &[
            record("N", "npm", "other", "1.0.0"),
            record("O", "Go", "x", "1.0.0"),
            git,
        ],
    );
    assert_eq!(report.assessments.len(), count);
    for one in &report.assessments {
        match (&one.verdict, one.name.as_str()) {
            (Verdict::Clean, "clean") => {}
            (Verdict::Unknown { reason }, _) => assert!(!reason.is_empty()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn records_of_one_vulnerability_merge_and_withdrawn_ones_do_not_count() {
    let inventory = inventory(
        ("x", "1"),
        vec![Package::new(PackageKind::Pypi, "flask", "1.0")],
    );
    let with = |mut record: Value, more: Value| {
        let fields = more.as_object().expect("fields").clone();
        record.as_object_mut().expect("a record").extend(fields);
        record
    };
    let ghsa = with(
        record("GHSA-1", "PyPI", "Flask", "2.0"),
        json!({"aliases": ["CVE-1"], "summary": "bad", "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]}),
    );
    let pysec = with(
        record("PYSEC-1", "PyPI", "flask", "2.0.1"),
        json!({"aliases": ["CVE-1"]}),
    );
    let other = with(
        record("GHSA-2", "PyPI", "flask", "3.0"),
        json!({"database_specific": {"severity": "MODERATE"}, "severity": [{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N"}]}),
    );
    let withdrawn = with(
        record("GHSA-3", "PyPI", "flask", "3.0"),
        json!({"withdrawn": "2024-01-01T00:00:00Z"}),
    );
    let records = [ghsa, pysec, other, withdrawn];
    let report = scan(&inventory, &records);
    assert_eq!(
        (report.records, report.withdrawn, report.unreadable),
        (4, 1, 0)
    );
    let found = matches(&report.assessments[0].verdict);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].id, "GHSA-1");
    assert_eq!(found[0].aliases, ["CVE-1", "PYSEC-1"]);
    assert_eq!(found[0].fixed, ["2.0", "2.0.1"]);
    assert_eq!(found[0].severities[0].score, Some(9.8));
    assert_eq!(found[0].rating, Some(Rating::Critical));
    assert_eq!(found[1].rating, Some(Rating::Medium));
    // In any order.
    let reversed: Vec<_> = records.iter().rev().cloned().collect();
    assert_eq!(scan(&inventory, &reversed), report);
}

#[test]
fn an_export_is_read_record_by_record_and_broken_ones_are_counted() {
    let good = record("A", "npm", "a", "2.0.0").to_string();
    let export = zip(&[
        deflated("A.json", good.as_bytes()),
        deflated("B.json", b"{"),
        deflated("README", b"x"),
    ]);
    let inventory = inventory(
        ("x", "1"),
        vec![Package::new(PackageKind::Npm, "a", "1.0.0")],
    );
    let mut scan = Scan::new(&inventory);
    let mut broken = Vec::new();
    each_record(&mut Cursor::new(export), |name, bytes| {
        if let Err(problem) = bytes.and_then(|bytes| scan.feed(bytes)) {
            broken.push((name.to_owned(), problem));
        }
    })
    .expect("a zip archive");
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].0, "B.json");
    let report = scan.finish();
    assert_eq!((report.records, report.unreadable), (2, 1));
    assert_eq!(matches(&report.assessments[0].verdict).len(), 1);
}

#[test]
fn the_report_serialises_flat() {
    let inventory = inventory(
        ("x", "1"),
        vec![Package::new(PackageKind::Npm, "a", "1.0.0")],
    );
    let report = scan(&inventory, &[record("A", "npm", "a", "2.0.0")]);
    let json = serde_json::to_value(&report).expect("serialises");
    assert_eq!(json["assessments"][0]["verdict"], "matched");
    assert_eq!(json["assessments"][0]["matches"][0]["id"], "A");
    assert_eq!(json["assessments"][0]["purl"], "pkg:npm/a@1.0.0");
}
