//! Signing and verifying in real registries: our own round trips, recorded cosign cases, and cosign itself where it is there.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{Ended, Host};
use uc_image::{
    NoProgress, Reference,
    registry::{Credentials, Registry as Client},
};

/// docker-registry on a free port, killed when dropped.
struct Registry {
    child: Child,
    port: u16,
}

impl Registry {
    /// `None`, with the reason printed, where it is not installed.
    fn start(directory: &Path) -> Option<Self> {
        // A free port may be somebody else's a moment later; then the registry ends, and another port is tried.
        (0..5).find_map(|_| Self::try_start(directory)).or_else(|| {
            println!("skipped: docker-registry is not installed, or does not start");
            None
        })
    }

    fn try_start(directory: &Path) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let config = directory.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n",
            directory.join("registry").display()
        );
        fs::write(&config, text).expect("written");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut registry = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let is_up = TcpStream::connect(("127.0.0.1", port)).is_ok();
            std::thread::sleep(Duration::from_millis(20));
            if registry.child.try_wait().expect("asked").is_some() {
                return None;
            }
            if is_up {
                return Some(registry);
            }
            assert!(Instant::now() < deadline, "the registry does not listen");
        }
    }

    fn reference(&self, rest: &str) -> String {
        format!("127.0.0.1:{}/{rest}", self.port)
    }

    fn stop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A host, a registry, and busybox in it as `team/app:1`.
struct Scene {
    host: Host,
    registry: Registry,
    app: String,
}

impl Scene {
    fn new() -> Option<Self> {
        let host = Host::new()?;
        let registry = Registry::start(host.path())?;
        let app = registry.reference("team/app:1");
        push_layout(&host, &registry, "team/app:1");
        Some(Self {
            host,
            registry,
            app,
        })
    }

    fn uc(&self, arguments: &[&str]) -> Ended {
        let mut uc = self.host.uc();
        uc.env("UC_KEY_PASSWORD", "secret").args(arguments);
        Ended::of(&uc.output().expect("runs"))
    }

    fn key(&self, name: &str) {
        let ended = self.uc(&["key", "generate", "--output", name]);
        assert_eq!(ended.code, 0, "{ended}");
    }

    /// Attests the file as the application's SBOM, with the key `ours`.
    fn attest(&self, predicate: &str) -> Ended {
        let fixed = ["attest", "--key", "ours.key", "--type", "spdxjson"];
        self.uc(&[&fixed[..], &["--predicate", predicate, &self.app]].concat())
    }

    fn sign(&self, key: &str) {
        let ended = self.uc(&["sign", "--key", key, &self.app]);
        assert_eq!(ended.code, 0, "{ended}");
    }
}

/// Pushes the busybox layout by the product's own client.
fn push_layout(host: &Host, registry: &Registry, name: &str) {
    let layout = host.path().join("busybox");
    let index: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).expect("read")).expect("JSON");
    let digest = index["manifests"][0]["digest"]
        .as_str()
        .expect("a digest")
        .to_owned();
    let blob = |digest: &str| {
        fs::read(layout.join("blobs").join(digest.replace(':', "/"))).expect("a blob")
    };
    let manifest: Value = serde_json::from_slice(&blob(&digest)).expect("JSON");
    let reference: Reference = registry.reference(name).parse().expect("valid");
    let credentials = Credentials::none();
    let client = Client::new(&reference, &credentials, &NoProgress);
    for part in manifest["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .chain([&manifest["config"]])
    {
        let media_type = part["mediaType"].as_str().expect("a type");
        client
            .push_blob(
                media_type,
                &blob(part["digest"].as_str().expect("a digest")),
            )
            .expect("pushed");
    }
    client
        .push_manifest(
            reference.tag().expect("a tag"),
            "application/vnd.oci.image.manifest.v1+json",
            &blob(&digest),
        )
        .expect("pushed");
}

#[test]
fn what_is_signed_verifies_and_nothing_else_does() {
    let Some(scene) = Scene::new() else { return };
    scene.key("ours");
    scene.key("theirs");
    let verify = |key: &str| scene.uc(&["verify", "--key", key, &scene.app]);
    let unsigned = verify("ours.pub");
    assert_eq!(unsigned.code, 10, "{unsigned}");
    scene.sign("ours.key");
    let verified = verify("ours.pub");
    assert_eq!(verified.code, 0, "{verified}");
    for words in ["verified", "no transparency log was consulted", "layer 1"] {
        assert!(verified.stdout.contains(words), "{verified}");
    }
    let others = verify("theirs.pub");
    assert_eq!(others.code, 12, "{others}");
    // Signing again changes nothing.
    let before = scene.uc(&[
        "verify", "--key", "ours.pub", "--format", "json", &scene.app,
    ]);
    scene.sign("ours.key");
    let after = scene.uc(&[
        "verify", "--key", "ours.pub", "--format", "json", &scene.app,
    ]);
    assert_eq!(before.stdout, after.stdout);
    let verdict: Value = serde_json::from_str(&after.stdout).expect("JSON");
    assert_eq!(verdict["outcome"], "verified");
    assert_eq!(verdict["transparency_log"], "not-consulted");
    // Each form alone is enough.
    for (form, key) in [("legacy", "one"), ("bundle", "two")] {
        scene.key(key);
        let ended = scene.uc(&[
            "sign",
            "--key",
            &format!("{key}.key"),
            "--form",
            form,
            &scene.app,
        ]);
        assert_eq!(ended.code, 0, "{ended}");
        assert_eq!(verify(&format!("{key}.pub")).code, 0, "{form}");
    }
    // What an earlier signer wrote is still there.
    assert_eq!(verify("ours.pub").code, 0);
}

#[test]
fn each_failure_has_a_code_of_its_own() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    scene.key("ours");
    scene.sign("ours.key");
    let missing = scene.registry.reference("team/none:1");
    scene
        .uc(&["verify", "--key", "ours.pub", &missing])
        .refuses(66, &["does not have this image"]);
    scene
        .uc(&["verify", "--key", "no-such.pub", &scene.app])
        .refuses(66, &["the key is not there"]);
    scene.host.file(
        "broken.pub",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    );
    let broken = scene.uc(&["verify", "--key", "broken.pub", &scene.app]);
    assert_eq!(broken.code, 65, "{broken}");
    let nobody = scene.uc(&["verify", &scene.app]);
    nobody.refuses(65, &["nothing says who is trusted", "--key"]);
    let mut wrong = scene.host.uc();
    wrong
        .env("UC_KEY_PASSWORD", "wrong")
        .args(["sign", "--key", "ours.key", &scene.app]);
    Ended::of(&wrong.output().expect("runs")).refuses(77, &["password"]);
    // No password and nobody to ask.
    let mut none = scene.host.uc();
    none.args(["sign", "--key", "ours.key", &scene.app]);
    Ended::of(&none.output().expect("runs")).refuses(65, &["UC_KEY_PASSWORD"]);
    let again = scene.uc(&["key", "generate", "--output", "ours"]);
    again.refuses(77, &["never overwritten"]);
    scene.registry.stop();
    let gone = scene.uc(&["verify", "--key", "ours.pub", &scene.app]);
    assert_eq!(gone.code, 69, "{gone}");
}

#[test]
fn attestations_verify_by_their_type_and_are_no_signatures() {
    let Some(scene) = Scene::new() else { return };
    scene.key("ours");
    scene.key("theirs");
    scene
        .host
        .file("sbom.json", r#"{"spdxVersion":"SPDX-2.3","packages":[]}"#);
    let attested = scene.attest("sbom.json");
    assert_eq!(attested.code, 0, "{attested}");
    let verify = |key: &str, kind: &str| {
        scene.uc(&[
            "verify",
            "--key",
            key,
            "--attestation",
            kind,
            "--predicate",
            &scene.app,
        ])
    };
    let found = verify("ours.pub", "spdxjson");
    assert_eq!(found.code, 0, "{found}");
    // Attached in two forms, stated once.
    let predicate: Value = serde_json::from_str(&found.stdout).expect("one JSON document");
    assert_eq!(predicate["spdxVersion"], "SPDX-2.3");
    assert_eq!(verify("theirs.pub", "spdxjson").code, 12);
    assert_eq!(verify("ours.pub", "cyclonedx").code, 10);
    let signature = scene.uc(&["verify", "--key", "ours.pub", &scene.app]);
    assert_eq!(
        signature.code, 10,
        "an attestation is not a signature: {signature}"
    );
    let wrong = scene.attest("busybox/oci-layout-none");
    assert_eq!(wrong.code, 66, "{wrong}");
}

/// Eight processes that share nothing but the registry: what each has signed stays.
#[test]
fn eight_signers_at_once_lose_nothing() {
    let Some(scene) = Scene::new() else { return };
    let names: Vec<String> = (0..8).map(|number| format!("signer-{number}")).collect();
    for name in &names {
        scene.key(name);
    }
    let children: Vec<Child> = names
        .iter()
        .map(|name| {
            let mut uc = scene.host.uc();
            uc.env("UC_KEY_PASSWORD", "secret")
                .env("UC_HOME", scene.host.path().join(format!("home-{name}")))
                .args(["sign", "--key", &format!("{name}.key"), &scene.app])
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            uc.spawn().expect("starts")
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("ends");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for name in &names {
        let verdict = scene.uc(&[
            "verify",
            "--all",
            "--format",
            "json",
            "--key",
            &format!("{name}.pub"),
            &scene.app,
        ]);
        let verdict: Value = serde_json::from_str(&verdict.stdout).expect("JSON");
        let forms: Vec<&Value> = verdict["signatures"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|signature| &signature["form"])
            .collect();
        assert_eq!(forms, ["simple-signing", "bundle"], "{name}: {verdict}");
    }
}

#[test]
fn a_workload_runs_only_if_it_is_signed_and_the_verdict_is_remembered() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    scene.key("ours");
    scene.key("theirs");
    let run = |scene: &Scene, arguments: &[&str]| {
        let all = [&["run"], arguments, &[&scene.app, "--", "echo", "ran"]].concat();
        scene.uc(&all)
    };
    run(&scene, &["--trust", "ours.pub"]).refuses(77, &["not signed", "uc sign"]);
    scene.sign("ours.key");
    run(&scene, &["--trust", "theirs.pub"]).refuses(77, &["no signature is by a trusted key"]);
    run(&scene, &["--trust", "ours.pub"]).expect(0, "ran\n");
    // A layout carries no signature here, and a file never can.
    scene
        .uc(&[
            "run",
            "--trust",
            "ours.pub",
            "oci:busybox:latest",
            "--",
            "true",
        ])
        .refuses(77, &["not signed"]);
    scene
        .host
        .file("empty.wat", r#"(module (func (export "_start")))"#);
    scene
        .uc(&["run", "--trust", "ours.pub", "empty.wat"])
        .refuses(77, &["a file cannot carry a signature"]);
    let policy = |pattern: &str| {
        format!(
            "version = 1\n[signers.ours]\nkeys = [{{ file = \"ours.pub\" }}]\n[[rules]]\nrepositories = [\"{pattern}\"]\nsigners = [\"ours\"]\n"
        )
    };
    scene.host.file("trust.toml", &policy("127.0.0.1*/team/*"));
    run(&scene, &["--policy", "trust.toml"]).expect(0, "ran\n");
    scene
        .host
        .file("narrow.toml", &policy("127.0.0.1*/other/*"));
    run(&scene, &["--policy", "narrow.toml"]).refuses(77, &["no rule for this repository"]);
    // The user's own policy needs no flag; what it does not speak of runs.
    let own = scene.host.path().join("home/config");
    fs::create_dir_all(&own).expect("made");
    fs::write(own.join("trust.toml"), policy("127.0.0.1*/other/*")).expect("written");
    fs::copy(scene.host.path().join("ours.pub"), own.join("ours.pub")).expect("copied");
    run(&scene, &[]).refuses(77, &["no rule for this repository"]);
    scene.uc(&["run", "empty.wat"]).expect(0, "");
    fs::remove_file(own.join("trust.toml")).expect("removed");
    // The image is stored and the verdict known: the registry is not asked again.
    scene.registry.stop();
    run(&scene, &["--trust", "ours.pub"]).expect(0, "ran\n");
    run(&scene, &["--trust", "theirs.pub"]).refuses(69, &["cannot reach the registry"]);
}

fn interop() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/interop/cosign");
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// Makes the registry believe that it has the layers of a manifest: the records leave the image's own out.
fn plant_layers(storage: &Path, repository: &str, manifest: &[u8]) {
    let manifest: Value = serde_json::from_slice(manifest).expect("JSON");
    let root = storage.join("registry/docker/registry/v2");
    for layer in manifest["layers"].as_array().into_iter().flatten() {
        let digest = layer["digest"].as_str().expect("a digest");
        let hex = digest.strip_prefix("sha256:").expect("SHA-256");
        let data = root.join("blobs/sha256").join(&hex[..2]).join(hex);
        let link = root
            .join("repositories")
            .join(repository)
            .join("_layers/sha256")
            .join(hex);
        for (directory, file, content) in [(data, "data", "absent"), (link, "link", digest)] {
            if !directory.exists() {
                fs::create_dir_all(&directory).expect("made");
                fs::write(directory.join(file), content).expect("written");
            }
        }
    }
}

/// Puts a recorded repository into a registry and gives the reference of the image in it.
fn replay(case: &Path, storage: &Path, registry: &Registry, name: &str) -> String {
    let index: Value =
        serde_json::from_slice(&fs::read(case.join("index.json")).expect("read")).expect("JSON");
    let manifests = index["manifests"].as_object().expect("manifests");
    let tags: BTreeMap<String, String> =
        serde_json::from_value(index["tags"].clone()).expect("tags");
    let reference: Reference = registry.reference(name).parse().expect("valid");
    let credentials = Credentials::none();
    let client = Client::new(&reference, &credentials, &NoProgress);
    let blob = |digest: &str| fs::read(case.join("blobs").join(digest.replace(':', "/"))).ok();
    for entry in fs::read_dir(case.join("blobs/sha256"))
        .expect("blobs")
        .flatten()
    {
        let digest = format!("sha256:{}", entry.file_name().to_string_lossy());
        if !manifests.contains_key(&digest) {
            client
                .push_blob(
                    "application/octet-stream",
                    &fs::read(entry.path()).expect("read"),
                )
                .expect("pushed");
        }
    }
    // An index is taken once the registry has what it lists.
    let (indexes, others): (Vec<_>, Vec<_>) = manifests
        .iter()
        .partition(|(_, media_type)| media_type.as_str().is_some_and(|one| one.contains("index")));
    for (digest, media_type) in others.into_iter().chain(indexes) {
        let bytes = blob(digest).expect("a manifest");
        plant_layers(storage, reference.repository(), &bytes);
        let names = tags
            .iter()
            .filter(|(_, of)| *of == digest)
            .map(|(tag, _)| tag.as_str());
        for name in names.chain([digest.as_str()]) {
            client
                .push_manifest(name, media_type.as_str().expect("a type"), &bytes)
                .expect("pushed");
        }
    }
    let repository = registry.reference(name.split(':').next().unwrap_or(name));
    format!("{repository}@sha256:0997075168efb5fa4eb408714fc099738975d947fe75ed7d40a1969ab43d43df")
}

/// What the description of the recorded cases says that a correct verifier answers.
#[test]
fn recorded_cosign_cases_are_answered_as_they_must_be() {
    let Some(interop) = interop() else { return };
    let Some(host) = Host::new() else { return };
    let Some(registry) = Registry::start(host.path()) else {
        return;
    };
    let key = |name: &str| interop.join("keys").join(name).display().to_string();
    let (v2, v3) = (key("v2/cosign.pub"), key("v3/cosign.pub"));
    let cases: [(&str, &[(&str, i32)]); 7] = [
        ("c2-sig-twokeys-annotations", &[(&v2, 0), (&v3, 0)]),
        ("c3-bundle-sign", &[(&v2, 12), (&v3, 0)]),
        ("c3-legacy-sig", &[(&v2, 12), (&v3, 0)]),
        ("c2-att-spdx", &[(&v2, 10), (&v3, 10)]),
        ("c3-att-bundle-spdx", &[(&v2, 10), (&v3, 10)]),
        (
            "keytype-ed25519",
            &[(&key("other/ed25519.pub"), 0), (&v2, 12)],
        ),
        (
            "keytype-p384",
            &[(&key("other/ncurveP384.pub"), 0), (&v2, 12)],
        ),
    ];
    for (case, answers) in cases {
        let reference = replay(
            &interop.join("registry").join(case),
            host.path(),
            &registry,
            &format!("{case}:x"),
        );
        for (key, code) in answers {
            let ended = host.run(&["verify", "--key", key, &reference]);
            assert_eq!(ended.code, *code, "{case} {key}: {ended}");
        }
        if let Some(signer) = match case {
            "c2-att-spdx" => Some(&v2),
            "c3-att-bundle-spdx" => Some(&v3),
            _ => None,
        } {
            let ended = host.run(&[
                "verify",
                "--key",
                signer,
                "--attestation",
                "spdxjson",
                &reference,
            ]);
            assert_eq!(ended.code, 0, "{case}: {ended}");
        }
    }
}

/// Every cosign that can be found: on PATH, and where the set-up puts those of later releases.
fn cosigns() -> Vec<PathBuf> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers");
    let mut found: Vec<PathBuf> = ["cosign2", "cosign3"]
        .iter()
        .map(|name| peers.join(name))
        .filter(|path| path.is_file())
        .collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(
        std::env::split_paths(&path)
            .map(|folder| folder.join("cosign"))
            .find(|file| file.is_file()),
    );
    if found.is_empty() {
        println!("skipped: no cosign is installed");
    }
    found
}

struct Cosign<'a> {
    program: &'a Path,
    is_third: bool,
    scene: &'a Scene,
}

impl<'a> Cosign<'a> {
    fn new(program: &'a Path, scene: &'a Scene) -> Self {
        // Debian's builds do not know their version; the flag came with the third.
        let help = Command::new(program)
            .args(["sign", "--help"])
            .output()
            .expect("runs");
        let text = String::from_utf8_lossy(&help.stdout).into_owned();
        let is_third = text.contains("--use-signing-config");
        Self {
            program,
            is_third,
            scene,
        }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(self.program);
        command
            .args(arguments)
            .current_dir(self.scene.host.path())
            .env("COSIGN_PASSWORD", "secret")
            .env("HOME", self.scene.host.path())
            .stdin(Stdio::null());
        Ended::of(&command.output().expect("runs"))
    }
}

#[test]
fn cosign_verifies_what_we_sign_and_we_verify_what_it_signs() {
    let Some(scene) = Scene::new() else { return };
    scene.key("ours");
    scene.sign("ours.key");
    scene.host.file(
        "sbom.json",
        r#"{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","packages":[]}"#,
    );
    let attested = scene.attest("sbom.json");
    assert_eq!(attested.code, 0, "{attested}");
    for program in cosigns() {
        let cosign = Cosign::new(&program, &scene);
        let look = [
            "--key",
            "ours.pub",
            "--insecure-ignore-tlog",
            "--allow-http-registry",
            &scene.app,
        ];
        let mut ways: Vec<Vec<&str>> = vec![
            [&["verify"][..], &look].concat(),
            [&["verify-attestation", "--type", "spdxjson"][..], &look].concat(),
        ];
        if cosign.is_third {
            ways.push([&["verify", "--new-bundle-format"][..], &look].concat());
        }
        for way in ways {
            let ended = cosign.run(&way);
            assert_eq!(ended.code, 0, "{} {way:?}: {ended}", program.display());
        }
        // The other way round: its key, its signatures.
        let name = if cosign.is_third { "third" } else { "second" };
        let made = cosign.run(&["generate-key-pair", "--output-key-prefix", name]);
        assert_eq!(made.code, 0, "{made}");
        let (private, public) = (format!("{name}.key"), format!("{name}.pub"));
        let quiet: &[&str] = if cosign.is_third {
            &["--use-signing-config=false", "--tlog-upload=false"]
        } else {
            &["--tlog-upload=false"]
        };
        let common = [
            &["--yes", "--key", &private, "--allow-http-registry"][..],
            quiet,
        ]
        .concat();
        let app = scene.registry.reference(&format!("team/app-{name}:1"));
        push_layout(&scene.host, &scene.registry, &format!("team/app-{name}:1"));
        let signed = cosign.run(&[&["sign"][..], &common, &[&app]].concat());
        assert_eq!(signed.code, 0, "{signed}");
        let attested = cosign.run(
            &[
                &["attest", "--type", "spdxjson", "--predicate", "sbom.json"][..],
                &common,
                &[&app],
            ]
            .concat(),
        );
        assert_eq!(attested.code, 0, "{attested}");
        let verified = scene.uc(&["verify", "--key", &public, &app]);
        assert_eq!(verified.code, 0, "{} signed: {verified}", program.display());
        let verified = scene.uc(&[
            "verify",
            "--key",
            &public,
            "--attestation",
            "spdxjson",
            &app,
        ]);
        assert_eq!(
            verified.code,
            0,
            "{} attested: {verified}",
            program.display()
        );
        // Its keys sign with us, too.
        let ended = scene.uc(&["sign", "--key", &private, &app]);
        assert_eq!(ended.code, 0, "{ended}");
    }
}

#[test]
fn a_signature_of_notation_is_named_and_stays_beside_ours() {
    let Some(scene) = Scene::new() else { return };
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/notation");
    let notation = |arguments: &[&str]| {
        let mut command = Command::new(&peers);
        command.args(arguments).env("HOME", scene.host.path());
        command.output().ok().map(|output| Ended::of(&output))
    };
    let Some(made) = notation(&["cert", "generate-test", "--default", "team.example"]) else {
        println!("skipped: notation is not installed");
        return;
    };
    assert_eq!(made.code, 0, "{made}");
    let signed = notation(&["sign", "--insecure-registry", &scene.app]).expect("runs");
    assert_eq!(signed.code, 0, "{signed}");
    scene.key("ours");
    let verify = || scene.uc(&["verify", "--key", "ours.pub", &scene.app]);
    let alone = verify();
    assert_eq!(alone.code, 10, "{alone}");
    assert!(alone.stdout.contains("not counted: referrer"), "{alone}");
    scene.sign("ours.key");
    assert_eq!(verify().code, 0);
    let listed = notation(&["ls", "--insecure-registry", &scene.app]).expect("runs");
    assert!(listed.stdout.contains("notary.signature"), "{listed}");
}
