//! What layers hide, what they add, and where packages are said to be.

mod support;

use support::{Kind, digest, names, scan, scan_with};
use uc_sbom::{Licence, Options};

const STATUS: &str = "var/lib/dpkg/status";
const OLD: &[u8] = b"Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: b\nStatus: install ok installed\nVersion: 1\n";
const NEW: &[u8] = b"Package: a\nStatus: install ok installed\nVersion: 2\n";

#[test]
fn a_later_database_replaces_an_earlier_one() {
    let inventory = scan(&[&[(STATUS, Kind::File(OLD))], &[(STATUS, Kind::File(NEW))]]);
    assert_eq!(names(&inventory), ["a 2"]);
    let location = &inventory.packages[0].locations[0];
    assert_eq!(location.path, STATUS);
    assert_eq!(location.layer, Some(digest(1)));
}

#[test]
fn removed_databases_are_gone_however_they_were_removed() {
    for removal in [
        ("var/lib/dpkg/.wh.status", Kind::File(b"")),
        ("var/lib/.wh.dpkg", Kind::File(b"")),
        ("./var/lib/.wh..wh..opq", Kind::File(b"")),
        ("/.wh..wh..opq", Kind::File(b"")),
        ("var/lib/dpkg", Kind::Symlink("../cache")),
        ("var/lib", Kind::File(b"a file in its place")),
        ("var/lib/dpkg/status", Kind::Directory),
    ] {
        let inventory = scan(&[&[(STATUS, Kind::File(OLD))], &[removal]]);
        assert_eq!(names(&inventory), [""; 0], "{}", removal.0);
    }
}

#[test]
fn a_whiteout_spares_its_own_layer_whatever_the_order() {
    let file = (STATUS, Kind::File(NEW));
    let opaque = ("var/lib/dpkg/.wh..wh..opq", Kind::File(&b""[..]));
    for layer in [[file, opaque], [opaque, file]] {
        let inventory = scan(&[&[(STATUS, Kind::File(OLD))], &layer]);
        assert_eq!(names(&inventory), ["a 2"]);
    }
    let others = scan(&[&[file], &[("var/lib/.wh.dpkg-old", Kind::File(b""))]]);
    assert_eq!(names(&others), ["a 2"]);
}

#[test]
fn a_hard_link_keeps_what_its_target_held() {
    let package: &[u8] = br#"{"name":"x","version":"1.0.0"}"#;
    let inventory = scan(&[
        &[
            ("a/package.json", Kind::File(package)),
            ("b/package.json", Kind::HardLink("./a/package.json")),
        ],
        &[("a/.wh.package.json", Kind::File(b""))],
    ]);
    assert_eq!(names(&inventory), ["x 1.0.0"]);
    assert_eq!(inventory.packages[0].locations.len(), 1);
    assert_eq!(inventory.packages[0].locations[0].path, "b/package.json");
}

#[test]
fn damage_is_a_warning_only_as_long_as_the_file_is_there() {
    let broken = ("app/package.json", Kind::File(&b"{"[..]));
    let layer = [broken, (STATUS, Kind::File(OLD))];
    let inventory = scan(&[&layer]);
    assert_eq!(inventory.packages.len(), 2);
    assert_eq!(inventory.warnings.len(), 1);
    assert_eq!(inventory.warnings[0].path, "app/package.json");
    assert_eq!(inventory.warnings[0].layer, Some(digest(0)));
    let mended = scan(&[&layer, &[("app/.wh.package.json", Kind::File(b""))]]);
    assert_eq!(mended.warnings, []);
}

#[test]
fn licences_and_the_distribution_come_from_their_own_files() {
    let copyright: &[u8] = b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: Expat\n";
    let inventory = scan(&[&[
        (STATUS, Kind::File(OLD)),
        ("usr/share/doc/a/copyright", Kind::File(copyright)),
        ("usr/share/doc/b", Kind::Symlink("a")),
        (
            "usr/lib/os-release",
            Kind::File(b"ID=debian\nVERSION_ID=\"12\"\n"),
        ),
        ("etc/os-release", Kind::Symlink("../usr/lib/os-release")),
    ]]);
    for package in &inventory.packages {
        assert_eq!(
            package.licences,
            [Licence::Spdx("MIT".into())],
            "{}",
            package.name
        );
    }
    assert_eq!(
        inventory.packages[0].purl.as_deref(),
        Some("pkg:deb/debian/a@1?distro=debian-12")
    );
}

#[test]
fn lock_files_count_where_they_are_asked_for() {
    let lock: &[u8] = br#"{"lockfileVersion":3,"packages":{"node_modules/a":{"version":"1.0.0"}}}"#;
    let layer = [("app/package-lock.json", Kind::File(lock))];
    assert_eq!(names(&scan(&[&layer])), [""; 0]);
    let options = Options {
        declared: true,
        ..Options::default()
    };
    assert_eq!(names(&scan_with(&[&layer], options)), ["a 1.0.0"]);
}

#[test]
fn file_lists_follow_the_layers_too() {
    let options = Options {
        files: true,
        ..Options::default()
    };
    let inventory = scan_with(
        &[
            &[
                ("a", Kind::File(b"one")),
                ("gone", Kind::File(b"x")),
                ("dir", Kind::Directory),
                ("link", Kind::HardLink("a")),
            ],
            &[("a", Kind::File(b"two")), (".wh.gone", Kind::File(b""))],
        ],
        options,
    );
    let list: Vec<_> = inventory
        .files
        .iter()
        .map(|file| (file.path.as_str(), &file.sha1[..8], file.layer.clone()))
        .collect();
    // SHA-1 of `two` and of `one`.
    assert_eq!(
        list,
        [
            ("a", "ad782ecd", Some(digest(1))),
            ("link", "fe05bcdc", Some(digest(0))),
        ]
    );
}

#[test]
fn files_too_large_to_look_into_are_named() {
    use uc_sbom::{Collector, Entry, EntryKind, Subject, Want};
    let mut collector = Collector::new(Options::default());
    collector.begin_layer(None);
    let want = collector.entry(&Entry {
        path: STATUS.as_bytes(),
        kind: EntryKind::File,
        size: u64::MAX,
        link: b"",
    });
    assert_eq!(want, Want::Nothing);
    let inventory = collector.finish(Subject::default());
    assert_eq!(inventory.warnings.len(), 1);
}
