//! Verifying in registries that hold garbage, floods and lies, or that fail: the answer is right, or there is none, and a
//! signature that is there is found whatever lies beside it.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Ended, Host};
use uc_testkit::registry::{Answer, Options, Registry};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const REPOSITORY: &str = "team/app";

/// busybox in a registry, and a key pair.
struct Scene {
    host: Host,
    registry: Registry,
    image: String,
    subject: Value,
}

impl Scene {
    fn new() -> Option<Self> {
        let host = Host::new()?;
        let registry = Registry::start(Options::default());
        let image = format!("{}/{REPOSITORY}:1", registry.host());
        let mut scene = Self {
            host,
            registry,
            image,
            subject: Value::Null,
        };
        scene.succeed(&["image", "push", "oci:busybox:latest", &scene.image]);
        scene.succeed(&["key", "generate", "--output", "team"]);
        let manifest = scene.registry.manifest(REPOSITORY, "1").expect("pushed");
        scene.subject = json!({
            "mediaType": MANIFEST,
            "digest": Registry::digest_of(&manifest),
            "size": manifest.len(),
        });
        Some(scene)
    }

    fn uc(&self, arguments: &[&str]) -> Ended {
        let mut uc = self.host.uc();
        uc.env("UC_KEY_PASSWORD", "secret").args(arguments);
        Ended::of(&uc.output().expect("runs"))
    }

    fn succeed(&self, arguments: &[&str]) {
        let ended = self.uc(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
    }

    fn sign(&self, form: &str) {
        self.succeed(&["sign", "--key", "team.key", "--form", form, &self.image]);
    }

    fn verify(&self) -> Ended {
        self.uc(&["verify", "--key", "team.pub", &self.image])
    }

    /// Attaches a bundle of these bytes.
    fn attach(&self, bytes: &[u8]) {
        let config = self.registry.put_blob(REPOSITORY, b"{}");
        let layer = self.registry.put_blob(REPOSITORY, bytes);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE,
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 },
            "layers": [{ "mediaType": BUNDLE, "digest": layer, "size": bytes.len() }],
            "subject": self.subject,
        });
        self.registry
            .put_manifest(REPOSITORY, "", MANIFEST, manifest.to_string().as_bytes());
    }
}

#[test]
fn garbage_beside_a_signature_spoils_nothing_and_alone_is_malformed() {
    let Some(scene) = Scene::new() else { return };
    let deep = "[".repeat(100_000);
    for bytes in [
        &b""[..],
        b"{",
        b"null",
        deep.as_bytes(),
        &[0xff; 64],
        br#"{"mediaType":"x","dsseEnvelope":{"payload":"!"}}"#,
    ] {
        scene.attach(bytes);
    }
    let alone = scene.verify();
    assert_eq!(alone.code, 65, "{alone}");
    scene.sign("bundle");
    let signed = scene.verify();
    assert_eq!(signed.code, 0, "{signed}");
    // A manifest that is listed and not there, and one that is attached to itself.
    let digest = scene.subject["digest"]
        .as_str()
        .expect("a digest")
        .to_owned();
    for absent in [Registry::digest_of(b"nowhere"), digest.clone()] {
        let descriptor = json!({ "mediaType": MANIFEST, "digest": absent, "size": 10 });
        scene
            .registry
            .list_referrer(REPOSITORY, &digest, descriptor);
    }
    let signed = scene.verify();
    assert_eq!(signed.code, 0, "{signed}");
}

#[test]
fn a_flood_of_referrers_ends_and_hides_no_signature_of_a_tag() {
    let Some(scene) = Scene::new() else { return };
    scene
        .registry
        .put_referrers(REPOSITORY, &scene.subject, 10_000);
    let unsigned = scene.verify();
    assert_eq!(unsigned.code, 10, "{unsigned}");
    scene.sign("legacy");
    scene.registry.forget_seen();
    let signed = scene.verify();
    assert_eq!(signed.code, 0, "{signed}");
    let asked = scene.registry.seen().len();
    assert_eq!(asked, 3, "the manifest, the image of signatures, its layer");
}

#[test]
fn swapped_content_is_noticed() {
    let Some(scene) = Scene::new() else { return };
    scene.sign("legacy");
    let tag = format!(
        "sha256-{}.sig",
        &scene.subject["digest"].as_str().expect("a digest")[7..]
    );
    let signatures: Value =
        serde_json::from_slice(&scene.registry.manifest(REPOSITORY, &tag).expect("signed"))
            .expect("JSON");
    // The signature of one image, under the tag of another.
    std::fs::write(scene.host.path().join("extra"), "x").expect("written");
    scene.host.image(
        "other",
        &[("/extra", &scene.host.path().join("extra"), 0o644)],
    );
    let other = format!("{}/{REPOSITORY}:2", scene.registry.host());
    scene.succeed(&["image", "push", "oci:other:latest", &other]);
    let manifest = scene.registry.manifest(REPOSITORY, "2").expect("pushed");
    let forged = format!("sha256-{}.sig", &Registry::digest_of(&manifest)[7..]);
    scene.registry.put_manifest(
        REPOSITORY,
        &forged,
        MANIFEST,
        signatures.to_string().as_bytes(),
    );
    let ended = scene.uc(&["verify", "--key", "team.pub", &other]);
    assert_eq!(ended.code, 65, "made for another digest: {ended}");
    // A payload that is not what its digest says.
    scene.registry.fault(|request, _| {
        (request.method == "GET" && request.path.contains("/blobs/"))
            .then(|| Answer::ok(&b"{}"[..]))
    });
    let ended = scene.verify();
    assert_ne!(ended.code, 0, "{ended}");
}

#[test]
fn a_registry_that_fails_is_no_registry_without_signatures() {
    let Some(scene) = Scene::new() else { return };
    scene.sign("legacy");
    // It answers again before patience ends.
    scene.registry.fail("GET", ".sig", 429, 2);
    scene.registry.fail("GET", "/blobs/", 500, 1);
    let patient = scene.verify();
    assert_eq!(patient.code, 0, "{patient}");
    scene.registry.fault(|request, earlier| {
        (request.path.contains("/blobs/") && earlier == 0).then(|| {
            let mut answer = Answer::ok(vec![b'x'; 200]);
            answer.cut = Some(20);
            answer
        })
    });
    let patient = scene.verify();
    assert_eq!(patient.code, 0, "half a body is asked for again: {patient}");
    scene.registry.fault(|request, _| {
        (request.method == "GET" && request.path.contains(".sig")).then(|| {
            let mut answer = Answer::status(500).header("Retry-After", "0");
            answer.delay = Duration::from_millis(5);
            answer
        })
    });
    let failing = scene.verify();
    assert_eq!(failing.code, 69, "{failing}");
}
