//! The client against a registry that misbehaves as real ones do: retries, ranges, redirects, tokens, lies.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

#[path = "support/http.rs"]
mod http;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Answer, Seen, Server};
use uc_image::{
    NoProgress, Reference, media, registry::Credentials, spec::Descriptor, store::Store,
    verify::digest_of,
};
use uc_model::{ProblemKind, workload::PullPolicy};

/// One small image, as blobs by path.
struct Fixture {
    manifest: Vec<u8>,
    config: Vec<u8>,
    layer: Vec<u8>,
}

impl Fixture {
    fn new() -> Self {
        let layer: Vec<u8> = (0..200_000u32)
            .flat_map(|number| number.to_le_bytes())
            .collect();
        let config = serde_json::to_vec(&serde_json::json!({
            "os": "linux", "architecture": "amd64",
            "rootfs": { "type": "layers", "diff_ids": [digest_of(&layer)] },
        }))
        .expect("serialises");
        let manifest = serde_json::to_vec(&serde_json::json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_MANIFEST,
            "config": Descriptor::new(media::OCI_CONFIG, digest_of(&config), config.len() as u64),
            "layers": [Descriptor::new(media::OCI_LAYER, digest_of(&layer), layer.len() as u64)],
        }))
        .expect("serialises");
        Self {
            manifest,
            config,
            layer,
        }
    }

    /// What an honest registry answers, ranges included.
    fn answer(&self, request: &Seen) -> Answer {
        if request.path.contains("/manifests/") {
            return Answer::ok(&self.manifest).header("Content-Type", media::OCI_MANIFEST);
        }
        let blob = [&self.config, &self.layer]
            .into_iter()
            .find(|blob| request.path.ends_with(digest_of(blob).as_str()));
        let Some(blob) = blob else {
            return Answer::status(404);
        };
        match request.header("Range").and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse()
                .ok()
        }) {
            Some(start) => {
                let start: usize = start;
                let mut answer = Answer::ok(&blob[start..]);
                answer.status = 206;
                answer.header(
                    "Content-Range",
                    format!("bytes {start}-{}/{}", blob.len() - 1, blob.len()),
                )
            }
            None => Answer::ok(blob),
        }
    }

    fn is_layer(&self, request: &Seen) -> bool {
        request.path.ends_with(digest_of(&self.layer).as_str())
    }
}

struct Scene {
    directory: tempfile::TempDir,
    store: Store,
    fixture: Arc<Fixture>,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("makes a directory");
        let store = Store::open(&directory.path().join("images")).expect("opens");
        Self {
            directory,
            store,
            fixture: Arc::new(Fixture::new()),
        }
    }

    fn serve(
        &self,
        answer: impl Fn(&Fixture, &Seen, usize) -> Answer + Send + Sync + 'static,
    ) -> Server {
        let fixture = Arc::clone(&self.fixture);
        Server::start(move |request, earlier| answer(&fixture, request, earlier))
    }

    fn pull(
        &self,
        server: &Server,
        credentials: &Credentials,
    ) -> uc_model::Result<uc_image::Image> {
        self.store.resolve(
            &reference(server),
            PullPolicy::Always,
            credentials,
            &NoProgress,
        )
    }
}

fn reference(server: &Server) -> Reference {
    format!("127.0.0.1:{}/team/app:v1", server.port)
        .parse()
        .expect("valid")
}

#[test]
fn what_fails_for_a_moment_is_tried_again() {
    let scene = Scene::new();
    let server = scene.serve(|fixture, request, earlier| match earlier {
        0 => Answer::status(503).header("Retry-After", "0"),
        1 => Answer::status(429).header("Retry-After", "0"),
        _ => fixture.answer(request),
    });
    let image = scene
        .pull(&server, &Credentials::none())
        .expect("pulls in the end");
    assert_eq!(image.layers.len(), 1);
    assert_eq!(
        server
            .seen()
            .iter()
            .filter(|request| request.path.contains("/manifests/"))
            .count(),
        3
    );
}

#[test]
fn what_keeps_failing_is_tried_five_times() {
    let scene = Scene::new();
    let server = scene.serve(|_, _, _| Answer::status(503).header("Retry-After", "0"));
    let problem = scene
        .pull(&server, &Credentials::none())
        .expect_err("never works");
    assert_eq!(problem.kind(), ProblemKind::Unavailable, "{problem}");
    assert_eq!(server.seen().len(), 5);
}

#[test]
fn redirects_are_followed_five_times() {
    let scene = Scene::new();
    let server = scene.serve(|_, request, _| {
        let hop: usize = request
            .path
            .rsplit('/')
            .next()
            .and_then(|last| last.parse().ok())
            .unwrap_or(0);
        Answer::status(307).header("Location", format!("/hop/{}", hop + 1))
    });
    let problem = scene
        .pull(&server, &Credentials::none())
        .expect_err("leads nowhere");
    assert_eq!(problem.kind(), ProblemKind::Unavailable, "{problem}");
    let paths: Vec<String> = server.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths.len(), 6, "the request and five redirects: {paths:?}");
}

#[test]
fn three_layers_are_downloaded_at_once() {
    let directory = tempfile::tempdir().expect("makes a directory");
    let store = Store::open(&directory.path().join("images")).expect("opens");
    let layers: Vec<Vec<u8>> = (0..8u8).map(|number| vec![number; 10_000]).collect();
    let config = serde_json::to_vec(&serde_json::json!({
        "os": "linux", "architecture": uc_image::image::architecture(),
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| digest_of(layer)).collect::<Vec<_>>() },
    }))
    .expect("serialises");
    let descriptor =
        |media, bytes: &[u8]| Descriptor::new(media, digest_of(bytes), bytes.len() as u64);
    let manifest = serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": descriptor(media::OCI_CONFIG, &config),
        "layers": layers.iter().map(|layer| descriptor(media::OCI_LAYER, layer)).collect::<Vec<_>>(),
    }))
    .expect("serialises");
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, highest) = (Arc::clone(&now), Arc::clone(&most));
    let server = Server::start(move |request, _| {
        let blob = layers
            .iter()
            .find(|layer| request.path.ends_with(digest_of(layer).as_str()));
        let Some(layer) = blob else {
            let is_manifest = request.path.contains("/manifests/");
            return Answer::ok(if is_manifest { &manifest } else { &config })
                .header("Content-Type", media::OCI_MANIFEST);
        };
        highest.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        running.fetch_sub(1, Ordering::SeqCst);
        Answer::ok(layer)
    });
    store
        .resolve(
            &reference(&server),
            PullPolicy::Always,
            &Credentials::none(),
            &NoProgress,
        )
        .expect("pulls");
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let scene = Scene::new();
    let server = scene.serve(|fixture, request, earlier| {
        let mut answer = fixture.answer(request);
        if fixture.is_layer(request) && earlier < 2 {
            answer.cut = Some(300_000);
        }
        answer
    });
    scene.pull(&server, &Credentials::none()).expect("pulls");
    let ranges: Vec<Option<String>> = server
        .seen()
        .iter()
        .filter(|request| scene.fixture.is_layer(request))
        .map(|request| request.header("Range").map(str::to_owned))
        .collect();
    assert_eq!(
        ranges,
        [
            None,
            Some("bytes=300000-".into()),
            Some("bytes=600000-".into())
        ]
    );
}

#[test]
fn what_an_earlier_run_has_left_is_used_if_it_is_right() {
    let scene = Scene::new();
    let server = scene.serve(|fixture, request, _| fixture.answer(request));
    let name = format!("{}.partial", digest_of(&scene.fixture.layer).hex());
    let partial = scene.directory.path().join("images/partial").join(name);

    std::fs::write(&partial, &scene.fixture.layer[..500_000]).expect("writes");
    scene.pull(&server, &Credentials::none()).expect("pulls");
    assert!(
        server
            .seen()
            .iter()
            .any(|request| request.header("Range") == Some("bytes=500000-"))
    );
    assert!(!partial.exists());

    let reference = reference(&server);
    scene.store.remove(&reference).expect("removes");
    std::fs::write(&partial, vec![9; 500_000]).expect("writes");
    scene
        .pull(&server, &Credentials::none())
        .expect("starts again from nothing");
}

#[test]
fn content_that_is_not_what_was_named_is_never_kept() {
    let scene = Scene::new();
    let server = scene.serve(|fixture, request, _| {
        let mut answer = fixture.answer(request);
        if fixture.is_layer(request) {
            answer.body[17] ^= 1;
        }
        answer
    });
    let problem = scene
        .pull(&server, &Credentials::none())
        .expect_err("another layer");
    assert_eq!(problem.kind(), ProblemKind::Invalid);
    assert!(
        problem
            .to_string()
            .contains(digest_of(&scene.fixture.layer).as_str()),
        "{problem}"
    );
    assert!(
        scene
            .store
            .find(&reference(&server))
            .expect("reads")
            .is_none()
    );
    let blob = scene
        .directory
        .path()
        .join("images/blobs/sha256")
        .join(digest_of(&scene.fixture.layer).hex());
    assert!(!blob.exists());

    let absent = digest_of(b"another manifest");
    let by_digest: Reference = format!("127.0.0.1:{}/team/app@{absent}", server.port)
        .parse()
        .expect("valid");
    let problem = scene
        .store
        .pull(&by_digest, &Credentials::none(), &NoProgress)
        .expect_err("another manifest");
    assert!(
        problem.to_string().contains("does not have its digest"),
        "{problem}"
    );
}

#[test]
fn a_stream_without_end_is_cut_off() {
    let scene = Scene::new();
    let server = scene.serve(|fixture, request, _| {
        let mut answer = fixture.answer(request);
        if fixture.is_layer(request) {
            answer.body.extend_from_slice(&[0; 1000]);
        }
        answer
    });
    let problem = scene
        .pull(&server, &Credentials::none())
        .expect_err("too long");
    assert!(
        problem.to_string().contains("longer than its descriptor"),
        "{problem}"
    );

    let huge = scene.serve(|_, _, _| {
        Answer::ok(&vec![b' '; 5 << 20]).header("Content-Type", media::OCI_MANIFEST)
    });
    let problem = scene
        .pull(&huge, &Credentials::none())
        .expect_err("too large");
    assert!(problem.to_string().contains("too large"), "{problem}");
}

#[test]
fn tokens_are_fetched_and_stay_with_their_host() {
    let scene = Scene::new();
    // The blob store of another host: it sees what it is sent.
    let elsewhere = scene.serve(|fixture, request, _| fixture.answer(request));
    let other_port = elsewhere.port;
    let server = scene.serve(move |fixture, request, _| {
        let host = request.header("Host").unwrap_or_default().to_owned();
        if request.path.starts_with("/token") {
            assert_eq!(request.header("Authorization"), Some("Basic bWU6c2VjcmV0"));
            return Answer::ok(br#"{"token":"t0ken","access_token":"t0ken"}"#);
        }
        if request.header("Authorization") != Some("Bearer t0ken") {
            let challenge = format!(r#"Bearer realm="http://{host}/token",service="reg",scope="repository:team/app:pull""#);
            return Answer::status(401).header("WWW-Authenticate", challenge);
        }
        if fixture.is_layer(request) {
            return Answer::status(307).header("Location", format!("http://localhost:{other_port}{}", request.path));
        }
        fixture.answer(request)
    });
    let file = tempfile::NamedTempFile::new().expect("makes a file");
    let login = format!(
        r#"{{"auths":{{"127.0.0.1:{}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#,
        server.port
    );
    std::fs::write(file.path(), login).expect("writes");
    let credentials = Credentials::from_files(vec![file.path().to_owned()]);
    scene.pull(&server, &credentials).expect("pulls");
    let seen = elsewhere.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].header("Authorization"),
        None,
        "another host must not see the token"
    );
    let token_requests: Vec<_> = server
        .seen()
        .into_iter()
        .filter(|seen| seen.path.starts_with("/token"))
        .collect();
    assert!(
        token_requests[0]
            .path
            .contains("scope=repository%3Ateam%2Fapp%3Apull"),
        "{}",
        token_requests[0].path
    );
}

#[test]
fn a_login_that_is_missing_or_wrong_is_told() {
    let scene = Scene::new();
    let basic =
        scene.serve(|_, _, _| Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\""));
    let problem = scene
        .pull(&basic, &Credentials::none())
        .expect_err("no login");
    assert_eq!(problem.kind(), ProblemKind::Refused);
    assert!(
        problem
            .remedy_text()
            .is_some_and(|remedy| remedy.contains("docker login 127.0.0.1"))
    );

    let file = tempfile::NamedTempFile::new().expect("makes a file");
    let login = format!(
        r#"{{"auths":{{"127.0.0.1:{}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#,
        basic.port
    );
    std::fs::write(file.path(), login).expect("writes");
    let credentials = Credentials::from_files(vec![file.path().to_owned()]);
    let problem = scene.pull(&basic, &credentials).expect_err("a wrong login");
    assert!(problem.to_string().contains("denies access"), "{problem}");
    assert!(!format!("{problem:?}").contains("secret") && !format!("{problem:?}").contains("bWU6"));
}

#[test]
fn missing_images_and_dead_registries_are_told_apart() {
    let scene = Scene::new();
    let empty = scene.serve(|_, _, _| {
        let mut answer = Answer::status(404);
        answer.body =
            br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.to_vec();
        answer
    });
    let problem = scene
        .pull(&empty, &Credentials::none())
        .expect_err("nothing there");
    assert_eq!(problem.kind(), ProblemKind::NotFound);
    assert!(
        problem.to_string().contains("MANIFEST_UNKNOWN"),
        "{problem}"
    );

    // tcpmux: no test can be given its port, as it could one that was free a moment ago.
    let dead: Reference = "127.0.0.1:1/a:b".parse().expect("valid");
    let problem = scene
        .store
        .pull(&dead, &Credentials::none(), &NoProgress)
        .expect_err("nobody listens");
    assert_eq!(problem.kind(), ProblemKind::Unavailable);
    let problem = scene
        .store
        .resolve(&dead, PullPolicy::Never, &Credentials::none(), &NoProgress)
        .expect_err("not stored");
    assert_eq!(problem.kind(), ProblemKind::NotFound);
}

#[test]
fn policies_names_and_garbage() {
    let scene = Scene::new();
    let server = scene.serve(|fixture, request, _| fixture.answer(request));
    let one = reference(&server);
    let two: Reference = format!("127.0.0.1:{}/team/app:v2", server.port)
        .parse()
        .expect("valid");
    let none = Credentials::none();
    for reference in [&one, &two] {
        scene
            .store
            .resolve(reference, PullPolicy::IfNotPresent, &none, &NoProgress)
            .expect("pulls");
    }
    let requests = server.seen().len();
    scene
        .store
        .resolve(&one, PullPolicy::IfNotPresent, &none, &NoProgress)
        .expect("is stored");
    scene
        .store
        .resolve(&one, PullPolicy::Never, &none, &NoProgress)
        .expect("is stored");
    assert_eq!(server.seen().len(), requests, "nobody asked the registry");
    scene
        .store
        .resolve(&one, PullPolicy::Always, &none, &NoProgress)
        .expect("is asked for");
    assert_eq!(
        server.seen().len(),
        requests + 1,
        "only the manifest is fetched again"
    );

    let names: Vec<String> = scene
        .store
        .list()
        .expect("lists")
        .iter()
        .map(|image| image.reference.to_string())
        .collect();
    assert_eq!(names, [one.to_string(), two.to_string()]);
    assert_eq!(
        scene.store.remove(&one).expect("removes").freed_bytes,
        0,
        "the other name needs it all"
    );
    let freed = scene.store.remove(&two).expect("removes").freed_bytes;
    assert!(freed > scene.fixture.layer.len() as u64);
    assert!(scene.store.remove(&two).is_err());
    assert!(scene.store.list().expect("lists").is_empty());
}

#[test]
fn pulls_at_the_same_time_share_what_they_fetch() {
    let scene = Scene::new();
    let server = scene.serve(|fixture, request, _| fixture.answer(request));
    let reference = reference(&server);
    let stores: Vec<Store> = (0..4)
        .map(|_| Store::open(&scene.directory.path().join("images")).expect("opens"))
        .collect();
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| {
                store
                    .pull(&reference, &Credentials::none(), &NoProgress)
                    .expect("pulls")
            });
        }
    });
    let layers = server
        .seen()
        .iter()
        .filter(|request| scene.fixture.is_layer(request))
        .count();
    assert_eq!(layers, 1, "one of them downloads, the others wait");
    assert!(scene.store.find(&reference).expect("reads").is_some());
}

#[test]
fn a_registry_that_does_not_say_the_type_is_understood() {
    let scene = Scene::new();
    let server = scene.serve(|fixture, request, _| {
        let mut answer = fixture.answer(request);
        answer.headers.retain(|(name, _)| *name != "Content-Type");
        answer.header("Content-Type", "application/octet-stream")
    });
    scene.pull(&server, &Credentials::none()).expect("pulls");
    assert!(
        scene
            .store
            .find(&reference(&server))
            .expect("reads")
            .is_some()
    );
}
