//! M7.6: what is signed once verifies in every cloud, and every attached SBOM maps to vulnerabilities. Three registries
//! stand in for the clouds, each with a way of its own to log in.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::{Ended, Host};
use uc_testkit::registry::{Login, Options, Registry};

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

struct Clouds {
    host: Host,
    registries: Vec<Registry>,
}

impl Clouds {
    fn new() -> Option<Self> {
        let host = Host::new()?;
        let logins = [
            Login::Basic(base64("aws:one")),
            Login::Token {
                login: base64("azure:two"),
                anonymous: false,
            },
            Login::Nobody,
        ];
        let registries: Vec<Registry> = logins
            .into_iter()
            .enumerate()
            .map(|(index, login)| {
                Registry::start(Options {
                    login,
                    // One of them is older than the list of referrers.
                    referrers: index != 1,
                    ..Options::default()
                })
            })
            .collect();
        let clouds = Self { host, registries };
        clouds.log_in();
        Some(clouds)
    }

    /// Where docker keeps logins.
    fn log_in(&self) {
        let configuration = json!({ "auths": {
            self.registries[0].host(): { "auth": base64("aws:one") },
            self.registries[1].host(): { "auth": base64("azure:two") },
        }});
        self.host.file("config.json", &configuration.to_string());
    }

    fn uc(&self, arguments: &[&str]) -> Ended {
        let mut uc = self.host.uc();
        uc.env("DOCKER_CONFIG", self.host.path())
            .env("UC_KEY_PASSWORD", "secret")
            .args(arguments);
        Ended::of(&uc.output().expect("runs"))
    }

    fn succeed(&self, arguments: &[&str]) -> Ended {
        let ended = self.uc(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
        ended
    }
}

#[test]
fn what_is_signed_once_verifies_in_every_cloud_and_its_sbom_maps_to_vulnerabilities() {
    let Some(clouds) = Clouds::new() else { return };
    let image = |index: usize| format!("{}/team/app:1", clouds.registries[index].host());
    clouds.succeed(&["image", "push", "oci:busybox:latest", &image(0)]);
    clouds.succeed(&["key", "generate", "--output", "team"]);
    clouds.succeed(&["sign", "--key", "team.key", &image(0)]);
    let sbom = clouds
        .succeed(&["sbom", "oci:busybox:latest", "--output", "spdx-json"])
        .stdout;
    clouds.host.file("app.spdx.json", &sbom);
    let attest = [
        "attest",
        "--key",
        "team.key",
        "--type",
        "spdxjson",
        "--predicate",
        "app.spdx.json",
    ];
    clouds.succeed(&[&attest[..], &[&image(0)]].concat());
    for index in [1, 2] {
        clouds.succeed(&["image", "copy", &image(0), &image(index)]);
    }
    // A copy on disk carries its signatures, too.
    clouds.succeed(&["image", "copy", &image(0), "oci:carried:1"]);
    clouds.succeed(&["verify", "--key", "team.pub", "oci:carried:1"]);
    let attested = [
        "verify",
        "--key",
        "team.pub",
        "--attestation",
        "spdxjson",
        "oci:carried:1",
    ];
    clouds.succeed(&attested);
    clouds.succeed(&["run", "--trust", "team.pub", "oci:carried:1", "--", "true"]);
    fs::create_dir(clouds.host.path().join("osv")).expect("made");
    let record = json!({
        "id": "TEST-1",
        "modified": "2026-01-01T00:00:00Z",
        "affected": [{
            "package": { "ecosystem": "PyPI", "name": "nothing-here" },
            "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }] }],
        }],
    });
    clouds.host.file("osv/TEST-1.json", &record.to_string());
    for index in 0..3 {
        let image = image(index);
        clouds.succeed(&["verify", "--key", "team.pub", &image]);
        clouds.succeed(&["run", "--trust", "team.pub", &image, "--", "true"]);
        let predicate = [
            "verify",
            "--key",
            "team.pub",
            "--attestation",
            "spdxjson",
            "--predicate",
            &image,
        ];
        let found = clouds.succeed(&predicate).stdout;
        let attached = found.lines().next().expect("an SBOM");
        let packages = |text: &str| {
            let document: Value = serde_json::from_str(text).expect("JSON");
            document["packages"].clone()
        };
        assert_eq!(packages(attached), packages(&sbom), "{image}");
        clouds.host.file("attached.spdx.json", attached);
        let scan = [
            "sbom",
            "scan",
            "attached.spdx.json",
            "--osv",
            "osv",
            "--format",
            "json",
        ];
        let report: Value = serde_json::from_str(&clouds.succeed(&scan).stdout).expect("JSON");
        let verdicts = report["assessments"]
            .as_array()
            .expect("a verdict for each package");
        assert!(!verdicts.is_empty(), "{report}");
        for verdict in verdicts {
            let status = verdict["verdict"].as_str().unwrap_or_default();
            assert!(
                ["matched", "clean", "unknown"].contains(&status),
                "{verdict}"
            );
        }
    }
}

#[test]
fn a_cloud_that_denies_access_is_told_from_one_that_has_nothing_signed() {
    let Some(clouds) = Clouds::new() else { return };
    let image = format!("{}/team/app:1", clouds.registries[0].host());
    clouds.succeed(&["image", "push", "oci:busybox:latest", &image]);
    clouds.succeed(&["key", "generate", "--output", "team"]);
    assert_eq!(clouds.uc(&["verify", "--key", "team.pub", &image]).code, 10);
    fs::remove_file(clouds.host.path().join("config.json")).expect("removed");
    clouds
        .uc(&["verify", "--key", "team.pub", &image])
        .refuses(77, &["wants a login", "docker login"]);
}
