//! `uc sbom` and `uc sbom scan`: real content, images of every form, damage, documents that validators accept.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

#[path = "support/hand_made.rs"]
mod hand_made;
#[allow(dead_code, reason = "each test file uses a part of it")]
#[path = "../../uc-image/tests/support/peers.rs"]
mod peers;
mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use hand_made::{Layer, image, zip};
use serde_json::{Value, json};
use support::{Ended, Host};

const CREATED: &str = "2024-02-29T12:00:00.5Z";
const DEBIAN: &str = "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n";

fn status(packages: &[(&str, &str)]) -> String {
    packages
        .iter()
        .map(|(name, version)| {
            format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n")
        })
        .collect()
}

fn npm(name: &str, version: &str) -> String {
    format!(r#"{{"name":"{name}","version":"{version}","license":"MIT"}}"#)
}

fn python(name: &str, version: &str) -> String {
    format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
}

/// A small system: a distribution, and packages of two languages.
fn system() -> Layer {
    Layer::default()
        .file("etc/os-release", DEBIAN)
        .file(
            "var/lib/dpkg/status",
            status(&[("zlib1g", "1:1.2.13.dfsg-1"), ("tar", "1.34+dfsg-1")]),
        )
        .file(
            "srv/node_modules/left-pad/package.json",
            npm("left-pad", "1.0.0"),
        )
        .file(
            "usr/lib/python3/x.dist-info/METADATA",
            python("Jinja2", "3.1.0"),
        )
}

/// The inventory as uc keeps it.
fn inventory(host: &Host, arguments: &[&str]) -> Value {
    let ended = host.run(
        &[
            &["sbom", "--output", "table", "--format", "json"],
            arguments,
        ]
        .concat(),
    );
    assert_eq!(ended.code, 0, "{ended}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

/// `kind name version` of each package.
fn packages(inventory: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = inventory["packages"].as_array().expect("a list");
    list.iter()
        .map(|one| {
            let parts = [&one["kind"], &one["name"], &one["version"]];
            parts.map(text).join(" ")
        })
        .collect()
}

#[test]
fn an_image_is_listed_in_every_form() {
    let Some(host) = Host::new() else { return };
    image(&host.path().join("app"), CREATED, [system()]);
    let expected = [
        "deb tar 1.34+dfsg-1",
        "deb zlib1g 1:1.2.13.dfsg-1",
        "npm left-pad 1.0.0",
        "pypi Jinja2 3.1.0",
    ];
    assert_eq!(packages(&inventory(&host, &["oci:app:latest"])), expected);
    let ended = host.run(&["sbom", "oci:app:latest"]);
    let spdx: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(spdx["spdxVersion"], "SPDX-2.3");
    assert_eq!(spdx["name"], "app:latest");
    assert_eq!(spdx["creationInfo"]["created"], "2024-02-29T12:00:00Z");
    let ended = host.run(&["sbom", "oci:app:latest", "--output", "cyclonedx-json"]);
    let cyclonedx: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(cyclonedx["specVersion"], "1.6");
    assert_eq!(cyclonedx["components"].as_array().map(Vec::len), Some(5));
    let ended = host.run(&["sbom", "oci:app:latest", "--output", "table"]);
    assert_eq!(
        ended.stdout,
        "TYPE  NAME      VERSION          LICENCES  PATH\n\
         deb   tar       1.34+dfsg-1                var/lib/dpkg/status\n\
         deb   zlib1g    1:1.2.13.dfsg-1            var/lib/dpkg/status\n\
         npm   left-pad  1.0.0            MIT       srv/node_modules/left-pad/package.json\n\
         pypi  Jinja2    3.1.0                      usr/lib/python3/x.dist-info/METADATA\n"
    );
    assert_eq!(ended.stderr, "4 packages: 2 deb, 1 npm, 1 pypi\n");
    let ended = host.run(&[
        "sbom",
        "oci:app",
        "--output",
        "cyclonedx-json",
        "--file",
        "out.json",
    ]);
    ended.expect(0, "");
    let written = fs::read(host.path().join("out.json")).expect("written");
    let written: Value = serde_json::from_slice(&written).expect("JSON");
    assert_eq!(written["components"], cyclonedx["components"]);
    // A layout is recognised where somebody forgot to say so.
    let ended = host.run(&["sbom", "./app", "--output", "table"]);
    assert!(ended.stderr.contains("taken as oci:./app"), "{ended}");
    assert!(ended.stdout.contains("left-pad"), "{ended}");
}

#[test]
fn equal_content_gives_equal_bytes() {
    let Some(host) = Host::new() else { return };
    image(&host.path().join("app"), CREATED, [system()]);
    peers::run(
        "tar",
        &[
            "-cf",
            &host.path().join("app.tar").to_string_lossy(),
            "-C",
            &host.path().join("app").to_string_lossy(),
            ".",
        ],
    );
    let mut targets = vec![
        "oci:app:latest".to_owned(),
        "oci-archive:app.tar:latest".into(),
    ];
    let registry = peers::present(&["docker-registry", "skopeo"])
        .then(|| peers::Registry::start(host.path(), None));
    if let Some(registry) = &registry {
        let reference = format!("127.0.0.1:{}/app:latest", registry.port);
        let source = format!("oci:{}:latest", host.path().join("app").display());
        let target = format!("docker://{reference}");
        peers::run(
            "skopeo",
            &["copy", "--dest-tls-verify=false", &source, &target],
        );
        targets.push(reference);
    }
    for output in ["spdx-json", "cyclonedx-json"] {
        let document = |target: &str| {
            let fixed = [
                "sbom", target, "--files", "--name", "app", "--output", output,
            ];
            let ended = host.run(&fixed);
            assert_eq!(ended.code, 0, "{ended}");
            ended.stdout
        };
        let first = document(&targets[0]);
        for target in &targets {
            assert_eq!(document(target), first, "{target}");
        }
        let renamed = [
            "sbom",
            &targets[0],
            "--files",
            "--name",
            "other",
            "--output",
            output,
        ];
        assert_ne!(host.run(&renamed).stdout, first);
    }
    let mut command = host.uc();
    command
        .args(["sbom", "oci:app"])
        .env("SOURCE_DATE_EPOCH", "1700000000");
    let ended = Ended::of(&command.output().expect("runs"));
    assert!(ended.stdout.contains("2023-11-14T22:13:20Z"), "{ended}");
    let mut command = host.uc();
    command
        .args(["sbom", "oci:app"])
        .env("SOURCE_DATE_EPOCH", "soon");
    Ended::of(&command.output().expect("runs")).refuses(65, &["SOURCE_DATE_EPOCH", "soon"]);
}

#[test]
fn upper_layers_hide_what_is_below() {
    let Some(host) = Host::new() else { return };
    let upper = Layer::default()
        .file("srv/node_modules/.wh.left-pad", "")
        .file("usr/lib/python3/.wh..wh..opq", "")
        .file(
            "usr/lib/python3/y.dist-info/METADATA",
            python("flask", "3.0.0"),
        )
        .file("var/lib/dpkg/status", status(&[("tar", "1.35")]))
        .symlink("usr/lib/python3/z.dist-info", "y.dist-info");
    image(&host.path().join("app"), CREATED, [system(), upper]);
    let found = inventory(&host, &["oci:app"]);
    assert_eq!(packages(&found), ["deb tar 1.35", "pypi flask 3.0.0"]);
    let locations: Vec<_> = found["packages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["locations"][0]["layer"].as_str())
        .collect();
    assert_eq!(locations[0], locations[1]);
    assert!(locations[0].is_some_and(|layer| layer.starts_with("sha256:")));
}

#[test]
fn directories_and_files_are_listed() {
    let Some(host) = Host::new() else { return };
    let tree = host.path().join("tree");
    for (path, content) in [
        ("node_modules/a/package.json", npm("a", "1.0.0")),
        (
            "package-lock.json",
            r#"{"lockfileVersion":3,"packages":{"node_modules/b":{"version":"2.0.0"}}}"#.into(),
        ),
    ] {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, content).expect("written");
    }
    assert_eq!(
        packages(&inventory(&host, &["./tree"])),
        ["npm a 1.0.0", "npm b 2.0.0"]
    );
    let found = inventory(&host, &["./tree", "--declared=false"]);
    assert_eq!(packages(&found), ["npm a 1.0.0"]);
    // The same tree as a root file system: what is installed counts.
    fs::create_dir(tree.join("etc")).expect("made");
    fs::write(tree.join("etc/os-release"), DEBIAN).expect("written");
    assert_eq!(packages(&inventory(&host, &["./tree"])), ["npm a 1.0.0"]);
    let found = inventory(&host, &["./tree", "--declared"]);
    assert_eq!(packages(&found), ["npm a 1.0.0", "npm b 2.0.0"]);

    let properties: &[u8] = b"groupId=org.example\nartifactId=inner\nversion=1.5\n";
    let inner = zip(&[(
        "META-INF/maven/org.example/inner/pom.properties",
        properties,
    )]);
    let outer = zip(&[("BOOT-INF/lib/inner-1.5.jar", &inner)]);
    fs::write(host.path().join("app.jar"), outer).expect("written");
    let found = inventory(&host, &["app.jar"]);
    assert!(
        packages(&found).contains(&"maven org.example:inner 1.5".to_owned()),
        "{found}"
    );
    assert_eq!(found["subject"]["kind"], "file");

    let module = b"\0asm\x01\0\0\0\0\x0d\x07version1.2.3";
    fs::write(host.path().join("hello.wasm"), module).expect("written");
    assert_eq!(
        packages(&inventory(&host, &["hello.wasm"])),
        ["other hello 1.2.3"]
    );

    host.file("notes.txt", "nothing");
    host.run(&["sbom", "notes.txt"])
        .refuses(65, &["notes.txt", "help:"]);
    host.run(&["sbom", "./none"]).refuses(66, &["./none"]);
    host.run(&["sbom", "app.json"]).refuses(66, &["app.json"]);
}

#[test]
fn a_wasm_artifact_is_listed_by_what_it_says_of_itself() {
    let Some(host) = Host::new() else { return };
    let module = b"\0asm\x01\0\0\0\0\x0d\x07version1.2.3";
    uc_image::layout::LayoutWriter::open(&host.path().join("artifact"))
        .and_then(|writer| writer.add_wasm("latest", module))
        .expect("writes");
    let found = inventory(&host, &["oci:artifact"]);
    assert_eq!(packages(&found), ["other module 1.2.3"]);
    let layer = &found["packages"][0]["locations"][0]["layer"];
    assert!(
        layer
            .as_str()
            .is_some_and(|layer| layer.starts_with("sha256:"))
    );
}

#[test]
fn a_document_is_converted_and_keeps_its_packages() {
    let Some(host) = Host::new() else { return };
    image(&host.path().join("app"), CREATED, [system()]);
    let expected = packages(&inventory(&host, &["oci:app"]));
    for output in ["spdx-json", "cyclonedx-json"] {
        host.run(&["sbom", "oci:app", "--output", output, "--file", "doc.json"])
            .expect(0, "");
        assert_eq!(
            packages(&inventory(&host, &["doc.json"])),
            expected,
            "{output}"
        );
    }
    host.file("doc.json", r#"{"spdxVersion":"SPDX-9"}"#);
    host.run(&["sbom", "doc.json"])
        .refuses(65, &["doc.json", "SPDX-9"]);
}

#[test]
fn hostile_and_damaged_images_end_with_a_clear_error() {
    let Some(host) = Host::new() else { return };
    let place = host.path().join("app");
    image(&place, CREATED, [Layer::default().file("../../etc/x", "")]);
    host.run(&["sbom", "oci:app"]).refuses(
        77,
        &["oci:app", "layer", "entry 1 (../../etc/x)", "leads out"],
    );
    let whole = host.path().join("whole");
    image(&whole, CREATED, [system()]);
    let manifest: Value = host
        .run(&["sbom", "oci:whole", "--format", "json", "--output", "table"])
        .stdout
        .parse()
        .expect("JSON");
    let layer = manifest["packages"][0]["locations"][0]["layer"]
        .as_str()
        .expect("a layer");
    let blob = whole.join("blobs").join(layer.replace(':', "/"));
    let bytes = fs::read(&blob).expect("read");
    fs::write(&blob, &bytes[..bytes.len() / 2]).expect("written");
    host.run(&["sbom", "oci:whole"])
        .refuses(65, &["layer", "truncated"]);
    let mut changed = bytes.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(&blob, changed).expect("written");
    let ended = host.run(&["sbom", "oci:whole"]);
    assert!(ended.code == 65 && ended.stdout.is_empty(), "{ended}");
    fs::remove_file(&blob).expect("removed");
    host.run(&["sbom", "oci:whole"]).refuses(66, &["blob"]);
}

#[test]
fn a_damaged_database_is_a_warning_and_the_rest_is_listed() {
    let Some(host) = Host::new() else { return };
    let damaged = Layer::default()
        .file("srv/node_modules/b/package.json", "{")
        .file("var/lib/rpm/rpmdb.sqlite", "no database")
        .file("opt/app.jar", "no archive");
    image(&host.path().join("app"), CREATED, [system(), damaged]);
    let ended = host.run(&["sbom", "oci:app", "--output", "table"]);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.stdout.contains("left-pad"), "{ended}");
    for path in [
        "srv/node_modules/b/package.json",
        "var/lib/rpm/rpmdb.sqlite",
        "opt/app.jar",
    ] {
        assert!(
            ended.stderr.contains(&format!("warning: {path}: ")),
            "{ended}"
        );
    }
    let found = inventory(&host, &["oci:app"]);
    assert_eq!(found["warnings"].as_array().map(Vec::len), Some(3));
}

/// A record of one package, fixed in one version.
fn record(id: &str, ecosystem: &str, name: &str, fixed: &str, more: &Value) -> Value {
    let mut record = json!({
        "id": id, "modified": "2024-01-01T00:00:00Z",
        "affected": [{
            "package": { "ecosystem": ecosystem, "name": name },
            "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": fixed }] }],
        }],
    });
    for (key, value) in more.as_object().expect("an object") {
        record[key] = value.clone();
    }
    record
}

/// An export with single records, an archive, and damage.
fn export(host: &Host) {
    let high = json!({ "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N" }] });
    let low = json!({ "database_specific": { "severity": "LOW" }, "aliases": ["CVE-2024-3"] });
    let records = [
        record(
            "DSA-1",
            "Debian:12",
            "zlib1g",
            "1:1.2.13.dfsg-2",
            &json!({}),
        ),
        record("DSA-2", "Debian:11", "tar", "9", &json!({})),
        record("GHSA-1", "npm", "left-pad", "1.0.1", &high),
        record("GHSA-2", "npm", "left-pad", "0.9", &json!({})),
        record(
            "GHSA-3",
            "npm",
            "left-pad",
            "2",
            &json!({ "withdrawn": "2024-01-02T00:00:00Z" }),
        ),
    ];
    let folder = host.path().join("osv/records");
    fs::create_dir_all(&folder).expect("made");
    for record in records {
        let name = format!("{}.json", record["id"].as_str().expect("text"));
        fs::write(folder.join(name), record.to_string()).expect("written");
    }
    fs::write(folder.join("broken.json"), "{").expect("written");
    fs::write(folder.join("notes.txt"), "none of ours").expect("written");
    let python = record("PYSEC-1", "PyPI", "jinja2", "3.1.1", &low).to_string();
    let archive = zip(&[("PYSEC-1.json", python.as_bytes()), ("PYSEC-2.json", b"[]")]);
    let folder = host.path().join("osv/PyPI");
    fs::create_dir_all(&folder).expect("made");
    fs::write(folder.join("all.zip"), archive).expect("written");
    fs::write(folder.join("cut.zip"), b"PK\x03\x04").expect("written");
}

/// An image with packages that are affected, clean and unknown.
fn vulnerable(host: &Host) {
    let more = Layer::default()
        .file(
            "usr/share/x/specifications/rack-2.0.gemspec",
            "s.name = \"rack\"\ns.version = \"2.0\"\n",
        )
        .file(
            "usr/lib/python3/c.dist-info/METADATA",
            python("c", "not.a.version"),
        );
    image(&host.path().join("app"), CREATED, [system(), more]);
    export(host);
}

#[test]
fn every_package_gets_a_verdict() {
    let Some(host) = Host::new() else { return };
    vulnerable(&host);
    let ended = host.run(&[
        "sbom", "scan", "oci:app", "--osv", "osv", "--format", "json",
    ]);
    assert_eq!(ended.code, 0, "{ended}");
    let scanned: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let verdicts: Vec<_> = scanned["assessments"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            let matches = one["matches"].as_array().into_iter().flatten();
            let ids: Vec<_> = matches.filter_map(|found| found["id"].as_str()).collect();
            let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            [text("name"), text("verdict"), ids.join(" ")]
                .join(" ")
                .trim()
                .to_owned()
        })
        .collect();
    assert_eq!(
        verdicts,
        [
            "tar clean",
            "zlib1g matched DSA-1",
            "rack unknown",
            "left-pad matched GHSA-1",
            "Jinja2 matched PYSEC-1",
            "c unknown",
        ]
    );
    let reasons: Vec<_> = scanned["assessments"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["reason"].as_str())
        .collect();
    assert!(reasons[0].contains("no records of RubyGems"), "{reasons:?}");
    assert!(reasons[1].contains("not.a.version"), "{reasons:?}");
    assert_eq!(
        scanned["summary"],
        json!({ "packages": 6, "matched": 3, "clean": 1, "unknown": 2, "vulnerabilities": 3, "without_severity": 1 })
    );
    assert_eq!(scanned["records"], 8);
    assert_eq!(scanned["withdrawn"], 1);
    // A broken file, a broken record of an archive, a broken archive.
    assert_eq!(scanned["unreadable"], 3);
    let places: Vec<_> = scanned["unreadable_records"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["where"].as_str())
        .collect();
    assert_eq!(
        places,
        [
            "osv/PyPI/all.zip!/PYSEC-2.json",
            "osv/PyPI/cut.zip",
            "osv/records/broken.json"
        ]
    );
    for place in places {
        assert!(
            ended.stderr.contains(&format!("warning: {place}: ")),
            "{ended}"
        );
    }
    // A document has the same verdicts as what it was made of.
    for output in ["spdx-json", "cyclonedx-json"] {
        host.run(&["sbom", "oci:app", "--output", output, "--file", "doc.json"])
            .expect(0, "");
        let ended = host.run(&[
            "sbom", "scan", "doc.json", "--osv", "osv", "--format", "json",
        ]);
        let of_document: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(
            of_document["assessments"], scanned["assessments"],
            "{output}"
        );
    }
}

#[test]
fn the_table_of_a_scan_puts_the_worst_first() {
    let Some(host) = Host::new() else { return };
    vulnerable(&host);
    let ended = host.run(&["sbom", "scan", "oci:app", "--osv", "osv", "--only-matched"]);
    assert_eq!(
        ended.stdout,
        "TYPE  PACKAGE   VERSION          VERDICT  SEVERITY  VULNERABILITY  FIXED IN\n\
         npm   left-pad  1.0.0            matched  high      GHSA-1         1.0.1\n\
         pypi  Jinja2    3.1.0            matched  low       PYSEC-1        3.1.1\n\
         deb   zlib1g    1:1.2.13.dfsg-1  matched  unrated   DSA-1          1:1.2.13.dfsg-2\n"
    );
    let summary = "6 packages: 3 matched by 3 vulnerabilities, 1 clean, 2 unknown (8 records, 1 withdrawn, 3 unreadable)";
    assert!(ended.stderr.contains(summary), "{ended}");
    let ended = host.run(&["sbom", "scan", "oci:app", "--osv", "osv"]);
    assert!(
        ended.stdout.contains(
            "rack      2.0              unknown  -         the data has no records of RubyGems"
        ),
        "{ended}"
    );
}

#[test]
fn fail_on_decides_the_exit_code() {
    let Some(host) = Host::new() else { return };
    vulnerable(&host);
    let code = |arguments: &[&str]| {
        host.run(&[&["sbom", "scan", "oci:app", "--osv", "osv"], arguments].concat())
            .code
    };
    assert_eq!(code(&[]), 0);
    assert_eq!(code(&["--fail-on", "critical"]), 0);
    for level in ["high", "medium", "low"] {
        assert_eq!(code(&["--fail-on", level]), 20, "{level}");
        assert_eq!(
            code(&["--fail-on", level, "--format", "json", "--only-matched"]),
            20
        );
    }
    let ended = host.run(&[
        "sbom",
        "scan",
        "oci:app",
        "--osv",
        "osv",
        "--fail-on",
        "critical",
    ]);
    assert!(
        ended.stderr.contains("1 vulnerabilities have no severity"),
        "{ended}"
    );
    // Alone, a vulnerability without a severity counts for the lowest level only.
    let debian = "osv/records/DSA-1.json";
    for (level, code) in [("low", 20), ("medium", 0)] {
        let ended = host.run(&[
            "sbom",
            "scan",
            "oci:app",
            "--osv",
            debian,
            "--fail-on",
            level,
        ]);
        assert_eq!(ended.code, code, "{ended}");
    }
    host.run(&["sbom", "scan", "oci:app", "--osv", "none"])
        .refuses(66, &["none"]);
    fs::create_dir(host.path().join("empty")).expect("made");
    host.run(&["sbom", "scan", "oci:app", "--osv", "empty"])
        .refuses(66, &["no OSV records", "help:"]);
    host.run(&["sbom", "scan", "oci:app"])
        .refuses(2, &["--osv"]);
}

/// What stands in for a command that a machine has: its output, or why it is not there.
fn told(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output();
    match output {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        _ => {
            println!("skipped: {program} is not there, or does not work");
            None
        }
    }
}

/// Copies a file to where it is, below another root.
fn copy(root: &Path, file: &Path) {
    let target = root.join(file.strip_prefix("/").unwrap_or(file));
    fs::create_dir_all(target.parent().expect("a parent")).expect("made");
    fs::copy(file, target).expect("copied");
}

#[test]
fn a_debian_system_is_listed_as_dpkg_lists_it() {
    let Some(host) = Host::new() else { return };
    let query = [
        "-W",
        "-f",
        "${db:Status-Status} ${Package} ${Version} ${Architecture}\n",
    ];
    let Some(listed) = told("dpkg-query", &query) else {
        return;
    };
    let expected: BTreeSet<String> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .map(str::to_owned)
        .collect();
    let root = host.path().join("system");
    for file in [
        "/var/lib/dpkg/status",
        "/etc/os-release",
        "/usr/share/doc/tar/copyright",
    ] {
        if Path::new(file).is_file() {
            copy(&root, Path::new(file));
        }
    }
    host.layout("debian", &root);
    let found = inventory(&host, &["oci:debian"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listed: BTreeSet<String> = found["packages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            [&one["name"], &one["version"], &one["architecture"]]
                .map(text)
                .join(" ")
        })
        .collect();
    assert_eq!(listed, expected);
    let tar = host
        .run(&["sbom", "oci:debian", "--output", "table"])
        .stdout;
    let tar = tar
        .lines()
        .find(|line| line.starts_with("deb") && line.contains(" tar "));
    if root.join("usr/share/doc/tar/copyright").exists() {
        assert!(tar.is_some_and(|line| line.contains("GPL-3.0")), "{tar:?}");
    }
}

/// A program or package of this machine, where it is, and how its SBOM entry begins.
struct Real {
    file: PathBuf,
    expected: String,
}

/// Real packages of languages, as far as this machine has them.
fn real() -> Vec<Real> {
    let mut found = Vec::new();
    let mut add = |file: PathBuf, expected: String| found.push(Real { file, expected });
    let script = "import importlib.metadata as m\nfor d in m.distributions():\n  f=[x for x in d.files or [] if x.name=='METADATA']\n  if f: print(d.locate_file(f[0]).resolve(), d.metadata['Name'], d.version); break";
    if let Some(line) = told("python3", &["-c", script]) {
        let parts: Vec<_> = line.split_whitespace().collect();
        if let [file, name, version] = parts[..] {
            add(file.into(), format!("pypi {name} {version}"));
        }
    }
    if let Some(go) = told("go", &["env", "GOROOT"]) {
        let file = Path::new(go.trim()).join("bin/go");
        let version = told("go", &["env", "GOVERSION"]).unwrap_or_default();
        add(
            file,
            format!("go stdlib {}", version.trim().trim_start_matches("go")),
        );
    }
    let folders = [
        "/usr/share/nodejs",
        "/usr/lib/node_modules",
        "/usr/local/lib/node_modules",
    ];
    let npm = folders.map(|folder| Path::new(folder).join("npm/package.json"));
    if let Some((npm, text)) = npm.iter().find_map(|npm| Some((npm, fs::read(npm).ok()?))) {
        let json: Value = serde_json::from_slice(&text).expect("JSON");
        add(
            npm.to_owned(),
            format!("npm npm {}", json["version"].as_str().unwrap_or_default()),
        );
    } else {
        println!("skipped: npm is not there");
    }
    if let Some(gem) = told("gem", &["environment", "gemdir"]) {
        let folder = Path::new(gem.trim()).join("specifications");
        let first = fs::read_dir(folder).into_iter().flatten().flatten().next();
        if let Some(entry) = first {
            let name = entry.file_name().to_string_lossy().replace(".gemspec", "");
            if let Some((name, version)) = name.rsplit_once('-') {
                add(entry.path(), format!("gem {name} {version}"));
            }
        }
    }
    found
}

#[test]
fn real_packages_of_languages_are_found() {
    let Some(host) = Host::new() else { return };
    let root = host.path().join("languages");
    fs::create_dir(&root).expect("made");
    let real = real();
    for one in &real {
        copy(&root, &one.file);
    }
    // Of fixtures, since few machines have such programs: what cargo-auditable wrote.
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../uc-sbom/tests/fixtures/cargo-auditable.elf.gz");
    let mut program = Vec::new();
    let packed = fs::read(fixture).expect("read");
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*packed), &mut program)
        .expect("inflates");
    // Larger than what is held in memory: it goes through a temporary file.
    program.resize(6 << 20, 0);
    fs::write(root.join("program"), program).expect("written");
    host.layout("languages", &root);
    let found = packages(&inventory(&host, &["oci:languages"]));
    for expected in real
        .iter()
        .map(|one| one.expected.as_str())
        .chain(["cargo serde_json "])
    {
        assert!(
            found.iter().any(|one| one.starts_with(expected)),
            "{expected} in {found:#?}"
        );
    }
}

/// A Python that has the validators: that of `cargo xtask setup --for-tests`, or the system's.
fn validators() -> Option<PathBuf> {
    let own =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/sbom-validators/bin/python3");
    let modules = "import spdx_tools, cyclonedx.validation.json, jsonschema";
    let has = |python: &PathBuf| {
        let output = Command::new(python).args(["-c", modules]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let found = [own, "python3".into()].into_iter().find(has);
    if found.is_none() {
        println!("skipped: python3 lacks spdx-tools or cyclonedx-python-lib[json-validation]");
    }
    found
}

#[test]
fn documents_are_valid_by_the_tools_of_their_projects() {
    const SCRIPT: &str = include_str!("../../uc-sbom/tests/support/validate_documents.py");
    let Some(host) = Host::new() else { return };
    let Some(python) = validators() else { return };
    vulnerable(&host);
    fs::write(host.path().join("hello.wasm"), b"\0asm\x01\0\0\0").expect("written");
    let targets = ["oci:app", "oci:busybox", "hello.wasm", "./busybox-root"];
    let mut names = Vec::new();
    for (number, target) in targets.into_iter().enumerate() {
        for (output, ending) in [("spdx-json", "spdx.json"), ("cyclonedx-json", "cdx.json")] {
            for files in [&[][..], &["--files"]] {
                let name = format!("{number}-{}.{ending}", files.len());
                let fixed = ["sbom", target, "--output", output, "--file", &name];
                host.run(&[&fixed, files].concat()).expect(0, "");
                names.push(name);
            }
        }
    }
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .args(&names)
        .current_dir(host.path())
        .output()
        .expect("runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
