//! `uc image`: pushes, copies and looks, against registries and beside skopeo and oras.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{
    fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{Ended, Host};
use uc_testkit::registry::{Login, Options, Registry};

/// `me:secret`.
const LOGIN: &str = "bWU6c2VjcmV0";
const SPDX: &str = r#"{"spdxVersion":"SPDX-2.3","name":"app"}"#;

fn json_of(ended: &Ended) -> Value {
    assert_eq!(ended.code, 0, "{ended}");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended}"))
}

fn digest_of(ended: &Ended) -> String {
    let value = json_of(ended);
    value["digest"].as_str().expect("a digest").to_owned()
}

/// A program on PATH, or nothing with the reason printed.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: {name} is not installed");
    }
    found
}

fn run(program: &Path, directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("starts");
    assert!(
        output.status.success(),
        "{arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// docker-registry, killed when dropped.
struct Docker {
    child: Child,
    port: u16,
}

impl Docker {
    fn start(directory: &Path) -> Option<Self> {
        let program = program("docker-registry")?;
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        let config = directory.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            directory.join("registry").display()
        );
        fs::write(&config, text).expect("written");
        let child = Command::new(program)
            .arg("serve")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { child, port })
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The smallest Helm chart, packed.
fn chart(path: &Path) {
    let yaml = "apiVersion: v2\nname: web\nversion: 1.2.3+build.4\ndescription: Serves pages\nappVersion: \"1.10\"\n";
    let mut header = tar::Header::new_gnu();
    header.set_size(yaml.len() as u64);
    header.set_mode(0o644);
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append_data(&mut header, "web/Chart.yaml", yaml.as_bytes())
        .expect("packs");
    let archive = builder.into_inner().expect("packs");
    let file = fs::File::create(path).expect("created");
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    gzip.write_all(&archive).expect("written");
    gzip.finish().expect("written");
}

#[test]
fn an_image_goes_round_with_what_is_attached() {
    let Some(host) = Host::new() else { return };
    let registry = Registry::start(Options::without_referrers());
    let app = format!("{}/team/app:1", registry.host());
    let pushed = host.run(&["image", "push", "oci:busybox:latest", &app]);
    assert_eq!(pushed.code, 0, "{pushed}");
    let digest = pushed.stdout.trim().rsplit('@').next().expect("a digest");
    assert!(
        pushed.stdout.starts_with(&format!("{app}@sha256:")),
        "{pushed}"
    );

    host.file("sbom.spdx.json", SPDX);
    let repository = format!("{}/team/app", registry.host());
    let attached = host.run(&[
        "image",
        "push",
        "sbom.spdx.json",
        &repository,
        "--subject",
        &app,
        "--format",
        "json",
    ]);
    let attached = json_of(&attached);
    assert_eq!(attached["subject"], digest);
    assert_eq!(attached["artifact_type"], "application/spdx+json");
    assert_eq!(attached["reference"], repository.as_str());
    assert!(!registry.tags("team/app").contains(&"latest".to_owned()));

    // Into a layout and on to another repository.
    let copied = json_of(&host.run(&["image", "copy", &app, "oci:copy:1", "--format", "json"]));
    assert_eq!(
        (&copied["digest"], &copied["attached"]),
        (&json!(digest), &json!(1))
    );
    let there = format!("{}/mirror/app:1", registry.host());
    let copied = json_of(&host.run(&["image", "copy", "oci:copy", &there, "--format", "json"]));
    assert_eq!(
        (&copied["digest"], &copied["attached"]),
        (&json!(digest), &json!(1))
    );
    for place in ["oci:copy:1", "oci:copy", &there] {
        let mut arguments = vec!["image", "inspect", place, "--format", "json"];
        if !place.starts_with("oci:") {
            arguments.push("--remote");
        }
        let view = json_of(&host.run(&arguments));
        assert_eq!(view["digest"], digest, "{place}");
        assert_eq!(view["attachments"][0]["type"], "application/spdx+json");
        assert_eq!(view["attachments"][0]["size_bytes"], SPDX.len());
        assert_eq!(view["runs"]["os"], "linux");
        assert_eq!(view["layers"].as_array().map(Vec::len), Some(1));
    }
    let view = host.run(&["image", "inspect", &there, "--remote"]);
    assert_eq!(view.code, 0, "{view}");
    for word in [
        "digest",
        "LAYER",
        "ATTACHED",
        "application/spdx+json",
        "subject",
    ] {
        assert!(view.stdout.contains(word), "{word}: {view}");
    }
    let only = format!("{}/bare/app:1", registry.host());
    let copied = host.run(&[
        "image",
        "copy",
        &app,
        &only,
        "--only-named",
        "--format",
        "json",
    ]);
    assert_eq!(json_of(&copied)["attached"], 0);
    assert_eq!(registry.tags("bare/app"), ["1"]);
    // What was copied still runs.
    host.run(&["run", "oci:copy", "--", "echo", "copied"])
        .expect(0, "copied\n");
}

#[test]
fn files_become_artifacts_of_a_type() {
    let Some(host) = Host::new() else { return };
    let registry = Registry::start(Options::default());
    let model = format!("{}/team/model:3", registry.host());
    host.file("model.bin", "weights");
    fs::create_dir(host.path().join("doc")).expect("made");
    host.file("doc/notes.md", "# Notes\n");
    let arguments = [
        "image",
        "push",
        "--artifact-type",
        "application/vnd.example.model",
        "model.bin:application/vnd.example.weights",
        "doc/notes.md",
        &model,
        "--annotation",
        "org.opencontainers.image.licenses=Apache-2.0",
        "--format",
        "json",
    ];
    let digest = digest_of(&host.run(&arguments));
    assert_eq!(
        digest_of(&host.run(&arguments)),
        digest,
        "the same files, the same artifact"
    );
    let view = json_of(&host.run(&["image", "inspect", &model, "--remote", "--format", "json"]));
    assert_eq!(view["artifact_type"], "application/vnd.example.model");
    assert_eq!(
        view["annotations"]["org.opencontainers.image.licenses"],
        "Apache-2.0"
    );
    assert_eq!(
        view["layers"][0]["media_type"],
        "application/vnd.example.weights"
    );
    assert_eq!(view["layers"][1]["title"], "doc/notes.md");
    assert_eq!(view["layers"][1]["media_type"], "text/markdown");
    assert!(view.get("runs").is_none());

    host.file("program.wat", "(module (func (export \"_start\")))");
    let wasm = wat::parse_file(host.path().join("program.wat")).expect("valid");
    fs::write(host.path().join("program.wasm"), wasm).expect("written");
    let program = format!("{}/team/program:1", registry.host());
    digest_of(&host.run(&[
        "image",
        "push",
        "program.wasm",
        &program,
        "--format",
        "json",
    ]));
    let view = json_of(&host.run(&["image", "inspect", &program, "--remote", "--format", "json"]));
    assert_eq!(view["runs"]["architecture"], "wasm");
    host.run(&["run", &program]).expect(0, "");

    chart(&host.path().join("web-1.2.3.tgz"));
    let charts = format!("{}/charts/web", registry.host());
    let pushed = json_of(&host.run(&[
        "image",
        "push",
        "web-1.2.3.tgz",
        &charts,
        "--format",
        "json",
    ]));
    assert_eq!(pushed["reference"], format!("{charts}:1.2.3_build.4"));
    let chart = format!("{charts}:1.2.3_build.4");
    let view = json_of(&host.run(&["image", "inspect", &chart, "--remote", "--format", "json"]));
    assert_eq!(
        view["artifact_type"],
        "application/vnd.cncf.helm.config.v1+json"
    );
    assert_eq!(view["annotations"]["org.opencontainers.image.title"], "web");
}

#[test]
fn refusals_say_what_to_do() {
    let Some(host) = Host::new() else { return };
    let registry = Registry::start(Options::default());
    let closed = Registry::start(Options {
        login: Login::Basic(LOGIN.into()),
        ..Options::default()
    });
    let app = format!("{}/team/app:1", registry.host());
    let private = format!("{}/team/app:1", closed.host());
    host.file("a.bin", "a");
    host.file("not.wasm", "text");
    host.file("not.tgz", "text");
    host.file("no-sbom.json", "{}");
    host.run(&["image", "push", "oci:busybox:latest", &app]);
    let other = format!("{}/team/other", registry.host());
    let cases: [(&[&str], i32, &str); 14] = [
        (&["push", "a.bin", &app], 65, "--artifact-type"),
        (
            &["push", "none.bin", &app, "--artifact-type", "a/b"],
            66,
            "no such file",
        ),
        (
            &["push", "a.bin", &app, "--artifact-type", "nonsense"],
            65,
            "media type",
        ),
        (&["push", "not.wasm", &app], 65, "not a WebAssembly program"),
        (&["push", "not.tgz", &app], 65, "not a packed Helm chart"),
        (
            &["push", "no-sbom.json", &app, "--subject", &app],
            65,
            "SPDX or CycloneDX",
        ),
        (
            &[
                "push",
                "a.bin",
                &other,
                "--artifact-type",
                "a/b",
                "--subject",
                &app,
            ],
            65,
            "another repository",
        ),
        (
            &["push", "oci:busybox", &app, "--annotation", "a=b"],
            65,
            "is for files",
        ),
        (
            &["push", "oci:busybox", "oci:elsewhere"],
            65,
            "registry reference",
        ),
        (&["push", "oci:busybox", &private], 77, "docker login"),
        (
            &["copy", &app, "oci-archive:new.tar"],
            65,
            "cannot be written",
        ),
        (
            &["copy", "127.0.0.1:1/none:1", "oci:copy"],
            69,
            "cannot reach",
        ),
        (&["inspect", &app], 66, "--remote"),
        (
            &["inspect", "oci:busybox", "--remote"],
            65,
            "for registries",
        ),
    ];
    for (arguments, code, words) in cases {
        let ended = host.run(&[&["image"], arguments].concat());
        let all = ended.stderr.contains(words);
        assert!(
            ended.code == code && all,
            "{arguments:?}, expected {code}, {words:?}: {ended}"
        );
    }
    let by_digest = format!("{}/team/app@sha256:{}", registry.host(), "a".repeat(64));
    host.run(&["image", "push", "oci:busybox", &by_digest])
        .refuses(65, &["does not have the digest"]);
    assert!(!host.path().join("new.tar").exists());
}

#[test]
fn a_login_of_docker_is_used() {
    let Some(host) = Host::new() else { return };
    let registry = Registry::start(Options {
        login: Login::Token {
            login: LOGIN.into(),
            anonymous: false,
        },
        ..Options::default()
    });
    let config = json!({ "auths": { registry.host(): { "auth": LOGIN } } });
    host.file("config.json", &config.to_string());
    let app = format!("{}/team/app:1", registry.host());
    let output = host
        .uc()
        .env("DOCKER_CONFIG", host.path())
        .env_remove("REGISTRY_AUTH_FILE")
        .args(["image", "push", "oci:busybox:latest", &app])
        .output()
        .expect("runs");
    let ended = Ended::of(&output);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(!ended.stderr.contains("secret") && !ended.stderr.contains(LOGIN));
}

#[test]
fn skopeo_reads_what_is_pushed_and_we_read_what_it_copies() {
    let Some(host) = Host::new() else { return };
    let Some(skopeo) = program("skopeo") else {
        return;
    };
    let Some(docker) = Docker::start(host.path()) else {
        return;
    };
    let app = format!("{}/team/app:1", docker.host());
    let digest = digest_of(&host.run(&[
        "image",
        "push",
        "oci:busybox:latest",
        &app,
        "--format",
        "json",
    ]));
    let docker_app = format!("docker://{app}");
    let view = run(
        &skopeo,
        host.path(),
        &["inspect", "--tls-verify=false", &docker_app],
    );
    assert!(view.contains(&digest), "{view}");
    run(
        &skopeo,
        host.path(),
        &[
            "copy",
            "--src-tls-verify=false",
            &docker_app,
            "oci:by-skopeo:1",
        ],
    );
    run(
        &skopeo,
        host.path(),
        &[
            "copy",
            "--src-tls-verify=false",
            &docker_app,
            "oci-archive:by-skopeo.tar:1",
        ],
    );
    for source in ["oci:by-skopeo:1", "oci-archive:by-skopeo.tar:1"] {
        let again = format!("{}/team/again:1", docker.host());
        let copied = json_of(&host.run(&["image", "copy", source, &again, "--format", "json"]));
        assert_eq!(copied["digest"], digest, "{source}");
    }
}

#[test]
fn eight_processes_that_attach_at_once_lose_nothing() {
    let Some(host) = Host::new() else { return };
    let Some(docker) = Docker::start(host.path()) else {
        return;
    };
    let repository = format!("{}/team/app", docker.host());
    for round in 0..3 {
        let app = format!("{repository}:{round}");
        host.file("app.txt", &format!("app {round}"));
        host.run(&["image", "push", "--artifact-type", "a/b", "app.txt", &app]);
        let children: Vec<Child> = (0..8)
            .map(|number| {
                let name = format!("note-{number}.txt");
                host.file(&name, &format!("note {number} of {round}"));
                let arguments = ["image", "push", &name, &repository, "--artifact-type", NOTE];
                let mut command = host.uc();
                command.args(arguments).args(["--subject", &app]);
                command.stdout(Stdio::null()).spawn().expect("starts")
            })
            .collect();
        for mut child in children {
            assert!(child.wait().expect("ends").success());
        }
        let view = ["image", "inspect", &app, "--remote", "--format", "json"];
        let view = json_of(&host.run(&view));
        assert_eq!(view["attachments"].as_array().map(Vec::len), Some(8));
    }
}

/// For each of docker's registry and one with a list of referrers: oras, and the registry's address.
fn with_oras(act: impl Fn(&Host, &dyn Fn(&[&str]) -> String, &str)) {
    let Some(host) = Host::new() else { return };
    let Some(oras) = program("oras") else { return };
    let Some(docker) = Docker::start(host.path()) else {
        return;
    };
    let modern = Registry::start(Options::default());
    host.file("sbom.spdx.json", SPDX);
    host.file("notes.txt", "notes");
    for registry in [docker.host(), modern.host()] {
        let tool = |arguments: &[&str]| run(&oras, host.path(), arguments);
        act(&host, &tool, &registry);
    }
}

const NOTE: &str = "application/vnd.example.note";

#[test]
fn oras_finds_what_we_attach_and_we_find_what_it_attaches() {
    with_oras(|host, oras, registry| {
        let repository = format!("{registry}/team/app");
        let app = format!("{repository}:1");
        let pushed = [
            "image",
            "push",
            "oci:busybox:latest",
            &app,
            "--format",
            "json",
        ];
        let digest = digest_of(&host.run(&pushed));
        host.run(&[
            "image",
            "push",
            "sbom.spdx.json",
            &repository,
            "--subject",
            &app,
        ]);
        let tree = oras(&["discover", "--plain-http", "--format", "json", &app]);
        let tree: Value = serde_json::from_str(&tree).expect("JSON");
        let found = tree["manifests"]
            .as_array()
            .or(tree["referrers"].as_array());
        assert_eq!(found.map(Vec::len), Some(1), "{tree}");
        assert!(tree.to_string().contains("application/spdx+json"), "{tree}");

        oras(&[
            "attach",
            "--plain-http",
            "--artifact-type",
            NOTE,
            &app,
            "notes.txt:text/plain",
        ]);
        let view = ["image", "inspect", &app, "--remote", "--format", "json"];
        let view = json_of(&host.run(&view));
        let attachments = view["attachments"].as_array().expect("a list");
        let kinds: Vec<&Value> = attachments.iter().map(|one| &one["type"]).collect();
        assert_eq!(kinds, ["application/spdx+json", NOTE]);

        // Its layouts hold attachments as ours do, both ways.
        let theirs = format!("theirs-{}:1", registry.replace([':', '.'], "-"));
        oras(&[
            "copy",
            "-r",
            "--from-plain-http",
            "--to-oci-layout",
            &app,
            &theirs,
        ]);
        let (source, mirror) = (format!("oci:{theirs}"), format!("{registry}/mirror/app:1"));
        let copied = ["image", "copy", &source, &mirror, "--format", "json"];
        let copied = json_of(&host.run(&copied));
        assert_eq!(
            (&copied["digest"], &copied["attached"]),
            (&json!(digest), &json!(2))
        );
        let ours = theirs.replace("theirs", "ours");
        let copied = host.run(&["image", "copy", &app, &format!("oci:{ours}")]);
        assert_eq!(copied.code, 0, "{copied}");
        let tree = oras(&["discover", "--oci-layout", "--format", "json", &ours]);
        assert!(tree.contains(NOTE), "{tree}");
    });
}

#[test]
fn oras_and_we_read_each_others_artifacts() {
    with_oras(|host, oras, registry| {
        let files = "application/vnd.example.files";
        let theirs = format!("{registry}/team/theirs:1");
        oras(&[
            "push",
            "--plain-http",
            "--artifact-type",
            files,
            &theirs,
            "notes.txt:text/plain",
        ]);
        let view = ["image", "inspect", &theirs, "--remote", "--format", "json"];
        let view = json_of(&host.run(&view));
        assert_eq!(view["artifact_type"], files);
        assert_eq!(view["layers"][0]["title"], "notes.txt");
        let ours = format!("{registry}/team/ours:1");
        let arguments = [
            "image",
            "push",
            "--artifact-type",
            files,
            "notes.txt:text/plain",
            &ours,
        ];
        let pushed = host.run(&arguments);
        assert_eq!(pushed.code, 0, "{pushed}");
        let target = format!("pulled-{}", registry.replace([':', '.'], "-"));
        oras(&["pull", "--plain-http", "-o", &target, &ours]);
        let pulled = fs::read_to_string(host.path().join(target).join("notes.txt"));
        assert_eq!(pulled.expect("is there"), "notes");
    });
}
