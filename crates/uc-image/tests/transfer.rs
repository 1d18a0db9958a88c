//! Copies between registries, layouts and archives, with everything attached.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

#[path = "support/peers.rs"]
mod peers;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::Path,
};

use serde_json::json;
use uc_image::{
    NoProgress, Reference,
    layout::{ConfigDraft, Layout, LayoutArchive, LayoutDirectory, LayoutOrigin, LayoutWriter},
    media,
    origin::Origin,
    registry::{
        Credentials, FetchedManifest, Merged, ReferrersSource, Registry as Client, fallback_tag,
    },
    spec::{self, Descriptor, Index, Manifest, Platform},
    transfer::{Copied, LayoutDestination, Options, copy},
};
use uc_model::{Digest, ProblemKind};
use uc_testkit::registry::{Answer, Login, Options as Kind, Registry};

const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const SBOM: &str = "application/spdx+json";
/// `me:secret`.
const LOGIN: &str = "bWU6c2VjcmV0";
const ALL: Options = Options { only_named: false };

fn reference(host: &str, repository: &str) -> Reference {
    format!("{host}/{repository}:v1").parse().expect("valid")
}

fn credentials(directory: &Path, host: &str) -> Credentials {
    let file = directory.join("config.json");
    let text = json!({ "auths": { host: { "auth": LOGIN } } });
    fs::write(&file, text.to_string()).expect("writes");
    Credentials::from_files(vec![file])
}

/// An index of two images, as the tag `v1` of a layout.
fn image(directory: &Path) -> Descriptor {
    let writer = LayoutWriter::open(directory).expect("opens");
    let mut manifests = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let root = directory.join(format!("root-{architecture}"));
        fs::create_dir_all(&root).expect("makes");
        fs::write(root.join("program"), architecture.repeat(100_000)).expect("writes");
        let layer = writer.add_layer_from_directory(&root).expect("packs");
        let mut manifest = writer
            .add_image("one", &ConfigDraft::default(), &[layer])
            .expect("writes");
        manifest.platform = Some(Platform {
            architecture: architecture.into(),
            os: "linux".into(),
            variant: None,
        });
        manifests.push(manifest);
        fs::remove_dir_all(&root).expect("removes");
    }
    let index = Index {
        manifests,
        ..Index::default()
    };
    let bytes = serde_json::to_vec(&index).expect("serialises");
    let named = writer.add_blob(media::OCI_INDEX, &bytes).expect("writes");
    fs::remove_file(directory.join("index.json")).expect("removes");
    writer.name("v1", named.clone()).expect("names");
    named
}

fn artifact(client: &Client<'_>, kind: &str, text: &str, subject: Option<&Descriptor>) -> Vec<u8> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media::OCI_MANIFEST.into()),
        artifact_type: Some(kind.into()),
        config: client.push_blob(EMPTY, b"{}").expect("pushes"),
        layers: vec![client.push_blob(kind, text.as_bytes()).expect("pushes")],
        subject: subject.cloned(),
        annotations: BTreeMap::new(),
    };
    serde_json::to_vec(&manifest).expect("serialises")
}

fn attach(client: &Client<'_>, kind: &str, text: &str, subject: &Descriptor) -> Descriptor {
    let bytes = artifact(client, kind, text, Some(subject));
    client
        .attach(media::OCI_MANIFEST, &bytes, &subject.digest)
        .expect("attaches")
}

/// Adds a layer to the manifest of a tag, as cosign does.
fn sign(client: &Client<'_>, subject: &Digest, suffix: &str, who: &str) {
    let layer = client.push_blob(SBOM, who.as_bytes()).expect("pushes");
    let config = client.push_blob(media::OCI_CONFIG, b"{}").expect("pushes");
    let mut merge = |found: Option<&FetchedManifest>| -> uc_model::Result<Merged> {
        let mut manifest = match found {
            Some(found) => spec::parse_manifest(&found.bytes)?,
            None => Manifest {
                schema_version: 2,
                media_type: Some(media::OCI_MANIFEST.into()),
                artifact_type: None,
                config: config.clone(),
                layers: Vec::new(),
                subject: None,
                annotations: BTreeMap::new(),
            },
        };
        if manifest.layers.contains(&layer) {
            return Ok(None);
        }
        manifest.layers.push(layer.clone());
        let bytes = serde_json::to_vec(&manifest).expect("serialises");
        Ok(Some((media::OCI_MANIFEST.into(), bytes)))
    };
    client
        .merge_tag(&format!("{}{suffix}", fallback_tag(subject)), &mut merge)
        .expect("signs");
}

/// Pushes the image and attaches: an SBOM, its signature, one to a platform, and signatures by tag. Gives the digests of
/// all that has to arrive by subject, with their subjects, and the tags.
struct Attached {
    by_subject: Vec<(Digest, Digest)>,
    tags: Vec<String>,
}

fn attach_all(client: &Client<'_>, named: &Descriptor) -> Attached {
    let index = client.manifest("v1").expect("is there");
    let index = spec::parse_index(&index.bytes).expect("an index");
    let platform = &index.manifests[1];
    let sbom = attach(client, SBOM, "sbom", named);
    let signature = attach(client, "application/vnd.example.sig", "of sbom", &sbom);
    let of_platform = attach(client, SBOM, "sbom of arm64", platform);
    sign(client, &named.digest, ".sig", "alice");
    sign(client, &named.digest, ".sig", "bob");
    sign(client, &platform.digest, ".att", "carol");
    Attached {
        by_subject: vec![
            (named.digest.clone(), sbom.digest.clone()),
            (sbom.digest, signature.digest),
            (platform.digest.clone(), of_platform.digest),
        ],
        tags: vec![
            format!("{}.sig", fallback_tag(&named.digest)),
            format!("{}.att", fallback_tag(&platform.digest)),
        ],
    }
}

/// Everything is there, with the digests it had.
fn assert_whole(place: &dyn Origin, from: &dyn Origin, named: &Descriptor, attached: &Attached) {
    let found = place.find_manifest("v1").expect("asks").expect("is there");
    assert_eq!(found.descriptor.digest, named.digest, "{}", place.place());
    for (subject, digest) in &attached.by_subject {
        let found = place.referrers(subject).expect("lists");
        let entry = found.manifests.iter().find(|one| one.digest == *digest);
        let entry = entry.expect("is attached");
        assert!(entry.artifact_type.is_some());
        let bytes = place.find_manifest(digest.as_str()).expect("asks");
        let manifest = spec::parse_manifest(&bytes.expect("is there").bytes).expect("reads");
        for layer in &manifest.layers {
            place.read(layer, 1 << 20).expect("a whole layer");
        }
    }
    for tag in &attached.tags {
        let one = place.find_manifest(tag).expect("asks").expect("is there");
        let other = from.find_manifest(tag).expect("asks").expect("is there");
        assert_eq!(one.descriptor.digest, other.descriptor.digest, "{tag}");
    }
}

fn from_layout<L: Layout>(
    origin: &LayoutOrigin<L>,
    client: &Client<'_>,
    options: Options,
) -> Copied {
    let named = origin.manifest(Some("v1")).expect("is there");
    copy(origin, &named, client, Some("v1"), options).expect("copies")
}

fn archive(directory: &Path, file: &Path) {
    let mut builder = tar::Builder::new(File::create(file).expect("creates"));
    builder.append_dir_all(".", directory).expect("packs");
    builder.finish().expect("packs");
}

#[test]
fn attachments_travel_through_registries_layouts_and_archives() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let named = image(&path("first"));
    let none = Credentials::none();
    let modern = Registry::start(Kind::default());
    let client = Client::new(&reference(&modern.host(), "team/app"), &none, &NoProgress);
    let layout = LayoutOrigin::new(LayoutDirectory::open(&path("first")).expect("opens"));
    let copied = from_layout(&layout.expect("reads"), &client, ALL);
    assert_eq!((copied.manifests, copied.attached), (3, 0));
    let attached = attach_all(&client, &named);

    // To an older registry that wants a login.
    let older = Registry::start(Kind {
        referrers: false,
        login: Login::Token {
            login: LOGIN.into(),
            anonymous: false,
        },
        ..Kind::default()
    });
    let login = credentials(directory.path(), &older.host());
    let second = Client::new(&reference(&older.host(), "mirror/app"), &login, &NoProgress);
    let manifest = client.manifest("v1").expect("is there");
    let copied = copy(&client, &manifest, &second, Some("v1"), ALL).expect("copies");
    assert_eq!((copied.manifests, copied.attached), (8, 5), "{copied:?}");
    assert_eq!((copied.left_out, copied.missing), (0, 0));
    assert_whole(&second, &client, &named, &attached);

    // Once more: nothing is sent but manifests.
    older.forget_seen();
    copy(&client, &manifest, &second, Some("v1"), ALL).expect("copies");
    let uploads = |seen: &[uc_testkit::registry::Seen]| {
        seen.iter()
            .filter(|one| one.method != "HEAD" && one.path.contains("/blobs/"))
            .count()
    };
    assert_eq!(uploads(&older.seen()), 0);

    // Into a layout, twice, and from there to a third registry.
    for _ in 0..2 {
        let writer = LayoutWriter::open(&path("layout")).expect("opens");
        let destination = LayoutDestination::new(writer, &NoProgress);
        let manifest = second.manifest("v1").expect("is there");
        copy(&second, &manifest, &destination, Some("v1"), ALL).expect("copies");
    }
    let layout = LayoutDirectory::open(&path("layout")).expect("opens");
    let image = layout.image(None).expect("still one image");
    assert_eq!(image.named_digest, named.digest);
    let layout = LayoutOrigin::new(layout).expect("reads");
    assert_whole(&layout, &second, &named, &attached);
    let third = Registry::start(Kind {
        login: Login::Basic(LOGIN.into()),
        ..Kind::default()
    });
    let login = credentials(directory.path(), &third.host());
    let third_client = Client::new(&reference(&third.host(), "cloud/app"), &login, &NoProgress);
    from_layout(&layout, &third_client, ALL);
    assert_whole(&third_client, &client, &named, &attached);

    // Out of an archive into docker's registry.
    archive(&path("layout"), &path("image.tar"));
    if peers::present(&["docker-registry"]) {
        let server = peers::Registry::start(directory.path(), None);
        let host = format!("127.0.0.1:{}", server.port);
        let docker = Client::new(&reference(&host, "team/app"), &none, &NoProgress);
        let archive = LayoutArchive::open(&path("image.tar")).expect("opens");
        let archive = LayoutOrigin::new(archive).expect("reads");
        from_layout(&archive, &docker, ALL);
        assert_whole(&docker, &client, &named, &attached);
    }
}

#[test]
fn zot_takes_and_gives_what_is_attached() {
    if !peers::present(&["zot"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let named = image(&path("first"));
    let none = Credentials::none();
    let server = peers::Registry::start_zot(directory.path());
    let host = format!("127.0.0.1:{}", server.port);
    let zot = Client::new(&reference(&host, "team/app"), &none, &NoProgress);
    let layout = LayoutDirectory::open(&path("first")).expect("opens");
    from_layout(&LayoutOrigin::new(layout).expect("reads"), &zot, ALL);
    let attached = attach_all(&zot, &named);
    let found = zot.referrers(&named.digest).expect("lists");
    assert_eq!(found.source, ReferrersSource::Api);
    assert_whole(&zot, &zot, &named, &attached);
    // Within zot, where blobs are taken over, and out of it to a registry without lists.
    let manifest = zot.manifest("v1").expect("is there");
    let copy_there = |client: &Client<'_>| {
        let copied = copy(&zot, &manifest, client, Some("v1"), ALL).expect("copies");
        assert_eq!(copied.attached, 5, "{copied:?}");
        assert_whole(client, &zot, &named, &attached);
    };
    copy_there(&Client::new(
        &reference(&host, "team/copy"),
        &none,
        &NoProgress,
    ));
    let older = Registry::start(Kind::without_referrers());
    copy_there(&Client::new(
        &reference(&older.host(), "team/app"),
        &none,
        &NoProgress,
    ));
}

#[test]
fn only_what_is_named_can_be_copied() {
    let directory = tempfile::tempdir().expect("a directory");
    let named = image(directory.path());
    let none = Credentials::none();
    let registry = Registry::start(Kind::default());
    let first = Client::new(&reference(&registry.host(), "team/app"), &none, &NoProgress);
    let layout = LayoutDirectory::open(directory.path()).expect("opens");
    from_layout(&LayoutOrigin::new(layout).expect("reads"), &first, ALL);
    attach_all(&first, &named);
    let second = Client::new(
        &reference(&registry.host(), "team/copy"),
        &none,
        &NoProgress,
    );
    let manifest = first.manifest("v1").expect("is there");
    registry.forget_seen();
    let only = Options { only_named: true };
    let copied = copy(&first, &manifest, &second, Some("v1"), only).expect("copies");
    assert_eq!((copied.manifests, copied.attached, copied.blobs), (3, 0, 4));
    assert_eq!(registry.tags("team/copy"), ["v1"]);
    let sent = registry
        .seen()
        .iter()
        .filter(|one| one.method == "PUT" && one.path.contains("/blobs/"))
        .count();
    assert_eq!(sent, 0, "the registry takes blobs over by itself");
}

#[test]
fn signatures_at_the_destination_stay() {
    let directory = tempfile::tempdir().expect("a directory");
    let named = image(directory.path());
    let none = Credentials::none();
    let registry = Registry::start(Kind::without_referrers());
    let [one, two] = ["team/one", "team/two"].map(|repository| {
        Client::new(&reference(&registry.host(), repository), &none, &NoProgress)
    });
    for client in [&one, &two] {
        let layout = LayoutDirectory::open(directory.path()).expect("opens");
        from_layout(&LayoutOrigin::new(layout).expect("reads"), client, ALL);
    }
    sign(&one, &named.digest, ".sig", "alice");
    sign(&one, &named.digest, ".sig", "bob");
    sign(&two, &named.digest, ".sig", "bob");
    sign(&two, &named.digest, ".sig", "carol");
    attach(&one, SBOM, "from one", &named);
    attach(&two, SBOM, "from two", &named);
    let manifest = one.manifest("v1").expect("is there");
    for _ in 0..2 {
        copy(&one, &manifest, &two, Some("v1"), ALL).expect("copies");
    }
    let tag = format!("{}.sig", fallback_tag(&named.digest));
    let signed = two.manifest(&tag).expect("is there");
    let signed = spec::parse_manifest(&signed.bytes).expect("reads");
    let sizes: Vec<u64> = signed.layers.iter().map(|layer| layer.size).collect();
    assert_eq!(sizes, [3, 5, 5], "bob, carol, alice");
    two.blob(&signed.config, 1 << 20)
        .expect("the configuration is there");
    let found = two.referrers(&named.digest).expect("lists");
    assert_eq!(found.manifests.len(), 2);
}

#[test]
fn lists_that_lie_are_not_believed() {
    let none = Credentials::none();
    let registry = Registry::start(Kind::default());
    let client = Client::new(&reference(&registry.host(), "team/app"), &none, &NoProgress);
    let bytes = artifact(&client, SBOM, "named", None);
    let named = client
        .push_manifest("v1", media::OCI_MANIFEST, &bytes)
        .expect("pushes")
        .descriptor;
    let honest = attach(&client, SBOM, "honest", &named);
    let other = attach(&client, SBOM, "of another", &honest);
    let nowhere = Descriptor::new(media::OCI_MANIFEST, uc_image::verify::digest_of(b"x"), 1);
    // In circles, of another subject, and nowhere.
    for (subject, listed) in [
        (&named, &other),
        (&named, &nowhere),
        (&named, &named),
        (&honest, &named),
        (&other, &honest),
    ] {
        let listed = serde_json::to_value(listed).expect("serialises");
        registry.list_referrer("team/app", subject.digest.as_str(), listed);
    }
    let second = Client::new(
        &reference(&registry.host(), "team/copy"),
        &none,
        &NoProgress,
    );
    let manifest = client.manifest("v1").expect("is there");
    let copied = copy(&client, &manifest, &second, Some("v1"), ALL).expect("copies");
    assert_eq!(copied.attached, 2, "{copied:?}");
    let found = second.referrers(&named.digest).expect("lists");
    let found: BTreeSet<&Digest> = found.manifests.iter().map(|one| &one.digest).collect();
    assert_eq!(found, BTreeSet::from([&honest.digest]));
}

#[test]
fn a_chain_of_attachments_ends() {
    let none = Credentials::none();
    let registry = Registry::start(Kind::default());
    let client = Client::new(&reference(&registry.host(), "team/app"), &none, &NoProgress);
    let bytes = artifact(&client, SBOM, "named", None);
    let named = client.push_manifest("v1", media::OCI_MANIFEST, &bytes);
    let mut last = named.expect("pushes").descriptor;
    for number in 0..8 {
        last = attach(&client, SBOM, &format!("link {number}"), &last);
    }
    let second = Client::new(
        &reference(&registry.host(), "team/copy"),
        &none,
        &NoProgress,
    );
    let manifest = client.manifest("v1").expect("is there");
    let copied = copy(&client, &manifest, &second, Some("v1"), ALL).expect("copies");
    assert_eq!((copied.attached, copied.left_out), (4, 1));
}

#[test]
fn a_hundred_attachments_need_one_change_of_the_fallback_tag() {
    let none = Credentials::none();
    let modern = Registry::start(Kind::default());
    let client = Client::new(&reference(&modern.host(), "team/app"), &none, &NoProgress);
    let bytes = artifact(&client, SBOM, "named", None);
    let named = client
        .push_manifest("v1", media::OCI_MANIFEST, &bytes)
        .expect("pushes")
        .descriptor;
    let value = serde_json::to_value(&named).expect("serialises");
    modern.put_referrers("team/app", &value, 150);
    let older = Registry::start(Kind::without_referrers());
    let second = Client::new(&reference(&older.host(), "team/app"), &none, &NoProgress);
    let manifest = client.manifest("v1").expect("is there");
    let copied = copy(&client, &manifest, &second, Some("v1"), ALL).expect("copies");
    assert_eq!(copied.attached, 150);
    let found = second.referrers(&named.digest).expect("lists");
    let expected = client.referrers(&named.digest).expect("lists");
    assert_eq!(found.manifests, expected.manifests, "in the same order");
    let tag = fallback_tag(&named.digest);
    let changes = older
        .seen()
        .iter()
        .filter(|one| one.method == "PUT" && one.path.ends_with(&tag))
        .count();
    assert_eq!(changes, 1);
}

#[test]
fn what_breaks_off_is_said_and_made_whole_by_another_copy() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let named = image(&path("first"));
    let none = Credentials::none();
    let registry = Registry::start(Kind::default());
    let client = Client::new(&reference(&registry.host(), "team/app"), &none, &NoProgress);
    let layout = LayoutDirectory::open(&path("first")).expect("opens");
    let first = LayoutOrigin::new(layout.clone()).expect("reads");
    let manifest = first.manifest(Some("v1")).expect("is there");
    registry.fail("PUT", "/manifests/", 400, 1);
    let problem = copy(&first, &manifest, &client, Some("v1"), ALL).expect_err("not taken");
    assert_eq!(problem.kind(), ProblemKind::Refused, "{problem}");
    from_layout(&first, &client, ALL);

    // Half a body, once for each layer.
    registry.fault(|request, earlier| {
        let is_blob = request.method == "GET" && request.path.contains("/blobs/");
        (is_blob && earlier == 0).then(|| {
            let mut answer = Answer::ok(vec![1; 100]);
            answer.cut = Some(10);
            answer
        })
    });
    let writer = LayoutWriter::open(&path("second")).expect("opens");
    let destination = LayoutDestination::new(writer, &NoProgress);
    let manifest = client.manifest("v1").expect("is there");
    copy(&client, &manifest, &destination, Some("v1"), ALL).expect("copies in the end");
    let second = LayoutDirectory::open(&path("second")).expect("opens");
    assert_eq!(
        second.index().expect("reads").manifests[0].digest,
        named.digest
    );
    let left = fs::read_dir(path("second")).expect("lists").flatten();
    let left: Vec<_> = left
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().starts_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    // A layout that lacks one of the platforms.
    let index = spec::parse_index(&manifest.bytes).expect("reads");
    fs::remove_file(second.blob_path(&index.manifests[1].digest)).expect("removes");
    let second = LayoutOrigin::new(second).expect("reads");
    let named = second.manifest(None).expect("is there");
    let problem = copy(&second, &named, &client, Some("v2"), ALL).expect_err("incomplete");
    assert_eq!(problem.kind(), ProblemKind::NotFound, "{problem}");
    assert!(registry.manifest("team/app", "v2").is_none());
}
