//! Referrers, pushes and logins against the test kit's registry, honest and otherwise.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

use std::{fs, path::Path, time::Duration};

use serde_json::json;
use uc_image::{
    NoProgress, Reference,
    image::BlobSource,
    layout::{LayoutDirectory, LayoutWriter},
    media,
    registry::{Credentials, ReferrersSource, Registry as Client, fallback_tag},
    spec::{Descriptor, Manifest},
    verify::digest_of,
};
use uc_model::{Digest, ProblemKind};
use uc_testkit::registry::{Answer, Login, Options, Registry};

const REPOSITORY: &str = "team/app";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const KIND: &str = "application/vnd.example.note";
/// `me:secret`.
const LOGIN: &str = "bWU6c2VjcmV0";

fn reference(registry: &Registry, repository: &str) -> Reference {
    format!("{}/{repository}:v1", registry.host())
        .parse()
        .expect("valid")
}

fn client<'a>(registry: &Registry, credentials: &'a Credentials) -> Client<'a> {
    Client::new(&reference(registry, REPOSITORY), credentials, &NoProgress)
}

/// A manifest with one layer, pushed blobs included.
fn manifest(client: &Client<'_>, text: &str, subject: Option<Descriptor>) -> Vec<u8> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media::OCI_MANIFEST.into()),
        artifact_type: Some(KIND.into()),
        config: client.push_blob(EMPTY, b"{}").expect("pushes"),
        layers: vec![client.push_blob(KIND, text.as_bytes()).expect("pushes")],
        subject,
        annotations: [("text".to_owned(), text.to_owned())].into(),
    };
    serde_json::to_vec(&manifest).expect("serialises")
}

fn subject(client: &Client<'_>) -> Descriptor {
    let bytes = manifest(client, "subject", None);
    client
        .push_manifest("v1", media::OCI_MANIFEST, &bytes)
        .expect("pushes")
        .descriptor
}

#[test]
fn what_is_attached_is_found_with_and_without_the_api() {
    let none = Credentials::none();
    for (options, source) in [
        (Options::default(), ReferrersSource::Api),
        (Options::without_referrers(), ReferrersSource::FallbackTag),
    ] {
        let registry = Registry::start(options);
        let client = client(&registry, &none);
        let subject = subject(&client);
        let nothing = client.referrers(&subject.digest).expect("asks");
        assert!(nothing.manifests.is_empty());
        let bytes = manifest(&client, "attached", Some(subject.clone()));
        let entry = client
            .attach(media::OCI_MANIFEST, &bytes, &subject.digest)
            .expect("attaches");
        client
            .attach(media::OCI_MANIFEST, &bytes, &subject.digest)
            .expect("attaches the same once more");
        let found = client.referrers(&subject.digest).expect("lists");
        assert_eq!(found.source, source);
        assert_eq!(found.manifests, [entry]);
        assert_eq!(found.manifests[0].artifact_type.as_deref(), Some(KIND));
        assert_eq!(found.manifests[0].annotations["text"], "attached");
        let tag = fallback_tag(&subject.digest);
        let is_tagged = registry.tags(REPOSITORY).contains(&tag);
        assert_eq!(is_tagged, source == ReferrersSource::FallbackTag);
    }
}

#[test]
fn an_attachment_names_the_subject_it_is_pushed_for() {
    let none = Credentials::none();
    let registry = Registry::start(Options::default());
    let client = client(&registry, &none);
    let subject = subject(&client);
    let bytes = manifest(&client, "lonely", None);
    let problem = client
        .attach(media::OCI_MANIFEST, &bytes, &subject.digest)
        .expect_err("attached to nothing");
    assert_eq!(problem.kind(), ProblemKind::Invalid, "{problem}");
    let other = digest_of(b"other").to_string();
    let problem = client
        .push_manifest(&other, media::OCI_MANIFEST, &bytes)
        .expect_err("another digest");
    assert_eq!(problem.kind(), ProblemKind::Invalid, "{problem}");
    assert!(
        client.manifest("../../v2/").is_err(),
        "no part of an address"
    );
}

#[test]
fn ten_thousand_referrers_are_listed_and_more_are_counted() {
    let none = Credentials::none();
    let registry = Registry::start(Options {
        page: 1000,
        ..Options::default()
    });
    let client = client(&registry, &none);
    let subject = subject(&client);
    let value = serde_json::to_value(&subject).expect("serialises");
    registry.put_referrers(REPOSITORY, &value, 10_003);
    registry.forget_seen();
    let found = client.referrers(&subject.digest).expect("lists");
    assert_eq!((found.manifests.len(), found.left_out), (10_000, 3));
    assert_eq!(registry.seen().len(), 11, "one request for each page");
}

#[test]
fn lists_without_end_are_refused() {
    let none = Credentials::none();
    let empty = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [] });
    let page = move |link: String| {
        Answer::ok(empty.to_string())
            .header("Content-Type", media::OCI_INDEX)
            .header("Link", format!("<{link}>; rel=\"next\""))
    };
    let subject = digest_of(b"subject");
    for (kind, next, words) in [
        (ProblemKind::Unavailable, "same", "in circles"),
        (ProblemKind::Refused, "new", "too many pages"),
        (ProblemKind::Unavailable, "elsewhere", "at another host"),
    ] {
        let registry = Registry::start(Options::default());
        let page = page.clone();
        registry.fault(move |request, _| {
            let number: usize = request
                .parameter("start")
                .and_then(|start| start.parse().ok())
                .unwrap_or(0);
            request.path.contains("/referrers/").then(|| match next {
                "same" => page(request.path.clone()),
                "new" => page(format!("{}?start={}", request.path, number + 1)),
                _ => page(format!("http://localhost:1{}", request.path)),
            })
        });
        let problem = client(&registry, &none)
            .referrers(&subject)
            .expect_err("no end");
        assert_eq!(problem.kind(), kind, "{problem}");
        assert!(problem.to_string().contains(words), "{problem}");
    }
}

/// What a registry answers instead of a list, and what comes of it.
type Case = (fn() -> Answer, Option<ProblemKind>);

#[test]
fn what_is_no_list_and_what_is_not_answered_are_told_apart() {
    let none = Credentials::none();
    let subject = digest_of(b"subject");
    let cases: [Case; 7] = [
        (|| Answer::error(404, "NAME_UNKNOWN"), None),
        (|| Answer::status(405), None),
        (
            || Answer::ok("<html>").header("Content-Type", "text/html"),
            None,
        ),
        (
            || Answer::ok("{").header("Content-Type", media::OCI_INDEX),
            Some(ProblemKind::Invalid),
        ),
        (|| Answer::status(403), Some(ProblemKind::Refused)),
        (
            || Answer::status(500).header("Retry-After", "0"),
            Some(ProblemKind::Unavailable),
        ),
        (
            || Answer::ok(vec![b' '; 17 << 20]).header("Content-Type", media::OCI_INDEX),
            Some(ProblemKind::Refused),
        ),
    ];
    for (number, (answer, expected)) in cases.into_iter().enumerate() {
        let registry = Registry::start(Options::default());
        registry.fault(move |request, _| request.path.contains("/referrers/").then(answer));
        let found = client(&registry, &none).referrers(&subject);
        match (found, expected) {
            (Ok(found), None) => assert_eq!(found.source, ReferrersSource::None),
            (Err(problem), Some(kind)) => assert_eq!(problem.kind(), kind, "{number}: {problem}"),
            (other, _) => assert!(other.is_err(), "{number}"),
        }
    }
}

fn credentials(directory: &Path, registry: &Registry) -> Credentials {
    let file = directory.join("config.json");
    let text = json!({ "auths": { registry.host(): { "auth": LOGIN } } });
    fs::write(&file, text.to_string()).expect("writes");
    Credentials::from_files(vec![file])
}

#[test]
fn one_token_serves_a_whole_push() {
    let directory = tempfile::tempdir().expect("a directory");
    for (login, tokens) in [
        (Login::Basic(LOGIN.into()), 0),
        (
            Login::Token {
                login: LOGIN.into(),
                anonymous: false,
            },
            1,
        ),
    ] {
        let registry = Registry::start(Options {
            login,
            referrers: false,
            ..Options::default()
        });
        let credentials = credentials(directory.path(), &registry);
        let client = client(&registry, &credentials);
        let subject = subject(&client);
        let bytes = manifest(&client, "attached", Some(subject.clone()));
        client
            .attach(media::OCI_MANIFEST, &bytes, &subject.digest)
            .expect("attaches");
        let seen = registry.seen();
        let asked = seen.iter().filter(|one| one.path == "/token").count();
        assert_eq!(asked, tokens);
        let refused = seen
            .iter()
            .filter(|one| one.path != "/token" && one.header("Authorization").is_none())
            .count();
        assert_eq!(refused, 1, "only the first request goes without a login");
    }
}

#[test]
fn a_reader_becomes_a_writer_by_one_more_token() {
    let directory = tempfile::tempdir().expect("a directory");
    let registry = Registry::start(Options {
        login: Login::Token {
            login: LOGIN.into(),
            anonymous: true,
        },
        ..Options::default()
    });
    let credentials = credentials(directory.path(), &registry);
    let client = client(&registry, &credentials);
    assert!(client.find_manifest("v1").expect("asks").is_none());
    let subject = subject(&client);
    assert!(client.has_blob(&digest_of(b"{}")).expect("asks"));
    let asked: Vec<_> = registry
        .seen()
        .iter()
        .filter_map(|one| one.parameter("scope"))
        .collect();
    assert_eq!(
        asked,
        ["repository:team/app:pull", "repository:team/app:pull,push"]
    );

    let anonymous = Credentials::none();
    let reader = Client::new(&reference(&registry, REPOSITORY), &anonymous, &NoProgress);
    assert_eq!(reader.manifest("v1").expect("reads").descriptor, subject);
    let problem = reader.push_blob(KIND, b"new").expect_err("may not write");
    assert_eq!(problem.kind(), ProblemKind::Refused, "{problem}");
    assert!(!format!("{problem:?}").contains("token-"), "{problem:?}");
}

#[test]
fn uploads_survive_faults_and_go_to_no_other_host_with_credentials() {
    let directory = tempfile::tempdir().expect("a directory");
    let elsewhere = Registry::start(Options::default());
    let port = elsewhere
        .host()
        .rsplit(':')
        .next()
        .expect("a port")
        .to_owned();
    let registry = Registry::start(Options {
        login: Login::Basic(LOGIN.into()),
        ..Options::default()
    });
    let credentials = credentials(directory.path(), &registry);
    let client = client(&registry, &credentials);
    registry.fail("PUT", "/blobs/uploads/", 503, 2);
    registry.fail("PUT", "/manifests/", 429, 1);
    registry.fail("POST", "/blobs/uploads/", 500, 1);
    let subject = subject(&client);
    assert!(registry.manifest(REPOSITORY, "v1").is_some());
    assert!(registry.has_blob(REPOSITORY, digest_of(b"{}").as_str()));

    elsewhere.fault(|request, _| {
        request
            .path
            .starts_with("/other")
            .then(|| Answer::status(201))
    });
    registry.fault(move |request, _| {
        (request.method == "POST").then(|| {
            Answer::status(202).header("Location", format!("http://localhost:{port}/other?state=1"))
        })
    });
    client.push_blob(KIND, b"goes elsewhere").expect("pushes");
    let seen = elsewhere.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("Authorization"), None);
    assert!(
        seen[0].query.starts_with("state=1&digest=sha256%3A"),
        "{}",
        seen[0].query
    );
    assert_eq!(subject.media_type, media::OCI_MANIFEST);
}

#[test]
fn a_registry_that_stores_something_else_is_caught() {
    let none = Credentials::none();
    let registry = Registry::start(Options::default());
    let client = client(&registry, &none);
    let bytes = manifest(&client, "honest", None);
    registry.fault(|request, _| {
        (request.method == "PUT" && request.path.contains("/manifests/")).then(|| {
            Answer::status(201).header("Docker-Content-Digest", Registry::digest_of(b"other"))
        })
    });
    let problem = client
        .push_manifest("v1", media::OCI_MANIFEST, &bytes)
        .expect_err("another manifest");
    assert!(
        problem.to_string().contains("another manifest"),
        "{problem}"
    );
}

#[test]
fn blobs_come_from_layouts_and_from_the_same_registry_without_a_transfer() {
    let directory = tempfile::tempdir().expect("a directory");
    let writer = LayoutWriter::open(directory.path()).expect("opens");
    let blob = writer.add_blob(KIND, &vec![7; 3 << 20]).expect("writes");
    let layout = LayoutDirectory::open(directory.path()).expect("opens");
    let none = Credentials::none();
    let registry = Registry::start(Options::default());
    let first = client(&registry, &none);
    first.push_blob_from(&blob, &layout).expect("pushes");
    assert!(registry.has_blob(REPOSITORY, blob.digest.as_str()));
    registry.forget_seen();
    first.push_blob_from(&blob, &layout).expect("is there");
    assert_eq!(registry.seen().len(), 1, "asked once, nothing sent");

    let other = Client::new(&reference(&registry, "team/copy"), &none, &NoProgress);
    registry.forget_seen();
    other.push_blob_from(&blob, &first).expect("mounts");
    assert!(registry.has_blob("team/copy", blob.digest.as_str()));
    assert_eq!(registry.seen().len(), 1, "taken over in one request");

    let path = layout.blob_path(&blob.digest);
    let mut damaged = fs::read(&path).expect("reads");
    damaged[9] ^= 1;
    fs::write(&path, damaged).expect("writes");
    let third = Client::new(&reference(&registry, "team/damaged"), &none, &NoProgress);
    let problem = third.push_blob_from(&blob, &layout).expect_err("damaged");
    assert_eq!(problem.kind(), ProblemKind::Invalid, "{problem}");
    assert!(!registry.has_blob("team/damaged", blob.digest.as_str()));
    assert!(first.open(&blob).is_ok(), "a client is a source itself");
}

#[test]
fn writers_with_slow_connections_lose_nothing() {
    let none = Credentials::none();
    let registry = Registry::start(Options {
        referrers: false,
        latency: Duration::ZERO..Duration::from_millis(8),
        ..Options::default()
    });
    let subject = subject(&client(&registry, &none));
    let attached: Vec<Digest> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|number| {
                let (registry, none, subject) = (&registry, &none, &subject);
                scope.spawn(move || {
                    let client = client(registry, none);
                    let bytes = manifest(&client, &format!("note {number}"), Some(subject.clone()));
                    let entry = client.attach(media::OCI_MANIFEST, &bytes, &subject.digest);
                    entry.expect("attaches").digest
                })
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().expect("ends"))
            .collect()
    });
    let found = client(&registry, &none)
        .referrers(&subject.digest)
        .expect("lists");
    for digest in attached {
        assert!(found.manifests.iter().any(|one| one.digest == digest));
    }
}

#[test]
fn half_an_answer_is_asked_for_again() {
    let none = Credentials::none();
    let registry = Registry::start(Options::default());
    let client = client(&registry, &none);
    let subject = subject(&client);
    let bytes = manifest(&client, "attached", Some(subject.clone()));
    client
        .attach(media::OCI_MANIFEST, &bytes, &subject.digest)
        .expect("attaches");
    registry.forget_seen();
    // The first answer to each request that reads is cut off.
    registry.fault(|request, earlier| {
        (request.method == "GET" && earlier == 0).then(|| {
            let mut answer = Answer::ok("{".repeat(50)).header("Content-Type", media::OCI_INDEX);
            answer.cut = Some(7);
            answer
        })
    });
    let read = client.manifest("v1").expect("reads").descriptor;
    assert_eq!(read, subject);
    assert_eq!(
        client
            .referrers(&subject.digest)
            .expect("lists")
            .manifests
            .len(),
        1
    );
    let layer = Descriptor::new(KIND, digest_of(b"attached"), 8);
    assert_eq!(client.blob(&layer, 100).expect("reads"), b"attached");
    // One that always breaks off is given up.
    registry.fault(|request, _| {
        request.path.ends_with("/never").then(|| {
            let mut answer = Answer::ok("half");
            answer.cut = Some(2);
            answer
        })
    });
    let problem = client.manifest("never").expect_err("never whole");
    assert_eq!(problem.kind(), ProblemKind::Unavailable, "{problem}");
}

/// The recorded repositories, or nothing where they were not handed along.
fn recorded() -> Option<Vec<std::path::PathBuf>> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/interop/cosign/registry");
    let Ok(cases) = fs::read_dir(folder) else {
        println!("skipped: the recorded repositories are not beside this one");
        return None;
    };
    Some(cases.flatten().map(|case| case.path()).collect())
}

/// Puts a recorded repository into a registry.
fn replay(registry: &Registry, case: &Path) -> serde_json::Value {
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(case.join("index.json")).expect("reads")).expect("JSON");
    let blob = |digest: &str| {
        let hex = digest.rsplit(':').next().unwrap_or_default();
        fs::read(case.join("blobs/sha256").join(hex)).expect("reads")
    };
    let manifests = index["manifests"].as_object().expect("manifests");
    for file in fs::read_dir(case.join("blobs/sha256"))
        .expect("lists")
        .flatten()
    {
        registry.put_blob(REPOSITORY, &fs::read(file.path()).expect("reads"));
    }
    for (digest, media_type) in manifests {
        let media_type = media_type.as_str().expect("text");
        registry.put_manifest(REPOSITORY, "", media_type, &blob(digest));
    }
    for (tag, digest) in index["tags"].as_object().expect("tags") {
        let digest = digest.as_str().expect("text");
        let media_type = manifests[digest].as_str().expect("text");
        registry.put_manifest(REPOSITORY, tag, media_type, &blob(digest));
    }
    index
}

#[test]
fn what_cosign_has_attached_is_found() {
    let Some(cases) = recorded() else { return };
    let none = Credentials::none();
    for case in cases {
        for options in [Options::default(), Options::without_referrers()] {
            let registry = Registry::start(options);
            let index = replay(&registry, &case);
            let client = client(&registry, &none);
            let image = client.manifest("1").expect("is there").descriptor;
            let tag = fallback_tag(&image.digest);
            let tags = index["tags"].as_object().expect("tags");
            let found = client.referrers(&image.digest).expect("lists");
            assert_eq!(
                !found.manifests.is_empty(),
                tags.contains_key(&tag),
                "{case:?}"
            );
            for suffix in ["sig", "att"] {
                let tag = format!("{tag}.{suffix}");
                let fetched = client.find_manifest(&tag).expect("asks");
                assert_eq!(fetched.is_some(), tags.contains_key(&tag), "{case:?}");
            }
        }
    }
}

#[test]
fn a_tag_that_is_taken_away_for_a_moment_does_not_lose_the_others() {
    let none = Credentials::none();
    let registry = Registry::start(Options::without_referrers());
    let client = client(&registry, &none);
    let subject = subject(&client);
    for (number, text) in ["first", "second", "third"].into_iter().enumerate() {
        let bytes = manifest(&client, text, Some(subject.clone()));
        let tag = fallback_tag(&subject.digest);
        let reads = std::sync::atomic::AtomicUsize::new(0);
        // The second look at the tag, after our own write, finds nothing.
        registry.fault(move |request, _| {
            let is_look = request.method == "GET" && request.path.ends_with(&tag);
            let earlier = if is_look {
                reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
            } else {
                0
            };
            (is_look && earlier == 1).then(|| Answer::error(404, "MANIFEST_UNKNOWN"))
        });
        client
            .attach(media::OCI_MANIFEST, &bytes, &subject.digest)
            .expect("attaches");
        let found = client.referrers(&subject.digest).expect("lists");
        assert_eq!(found.manifests.len(), number + 1);
    }
}
