//! Many writers at once on a real registry that keeps whatever was written last: nothing is lost.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking, like the tests themselves; measurements are printed"
)]

#[path = "support/peers.rs"]
mod peers;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use uc_image::{
    NoProgress, Reference, media,
    registry::{Credentials, FetchedManifest, Merged, ReferrersSource, Registry, fallback_tag},
    spec::{self, Descriptor, Manifest},
    verify::digest_of,
};
use uc_model::{Digest, Result};

const WRITERS: usize = 8;
const ROUNDS: usize = 6;
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const KIND: &str = "application/vnd.example.note";

fn client<'a>(reference: &Reference, credentials: &'a Credentials) -> Registry<'a> {
    Registry::new(reference, credentials, &NoProgress)
}

/// A manifest that is attached to `subject`, with `text` as its only layer.
fn note(registry: &Registry<'_>, text: &str, subject: Option<Descriptor>) -> Vec<u8> {
    let config = registry.push_blob(EMPTY, b"{}").expect("pushes");
    let layer = registry.push_blob(KIND, text.as_bytes()).expect("pushes");
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media::OCI_MANIFEST.into()),
        artifact_type: Some(KIND.into()),
        config,
        layers: vec![layer],
        subject,
        annotations: [("note".to_owned(), text.to_owned())].into(),
    };
    serde_json::to_vec(&manifest).expect("serialises")
}

/// Adds a layer to the manifest of a tag, as signers do.
fn add_layer(registry: &Registry<'_>, tag: &str, layer: &Descriptor) -> Result<()> {
    let config = registry.push_blob(EMPTY, b"{}")?;
    let mut merge = |found: Option<&FetchedManifest>| -> Result<Merged> {
        let mut manifest = match found {
            Some(found) => spec::parse_manifest(&found.bytes)?,
            None => Manifest {
                schema_version: 2,
                media_type: Some(media::OCI_MANIFEST.into()),
                artifact_type: None,
                config: config.clone(),
                layers: Vec::new(),
                subject: None,
                annotations: Default::default(),
            },
        };
        if manifest.layers.contains(layer) {
            return Ok(None);
        }
        manifest.layers.push(layer.clone());
        let bytes = serde_json::to_vec(&manifest).expect("serialises");
        Ok(Some((media::OCI_MANIFEST.into(), bytes)))
    };
    registry.merge_tag(tag, &mut merge)
}

struct Scene {
    _directory: tempfile::TempDir,
    _server: peers::Registry,
    reference: Reference,
    credentials: Credentials,
}

impl Scene {
    fn new() -> Option<Self> {
        if !peers::present(&["docker-registry"]) {
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let server = peers::Registry::start(directory.path(), None);
        let reference = format!("127.0.0.1:{}/team/app:v1", server.port)
            .parse()
            .expect("valid");
        Some(Self {
            _directory: directory,
            _server: server,
            reference,
            credentials: Credentials::none(),
        })
    }

    fn subject(&self, name: &str) -> Descriptor {
        let registry = client(&self.reference, &self.credentials);
        let bytes = note(&registry, name, None);
        registry
            .push_manifest(name, media::OCI_MANIFEST, &bytes)
            .expect("pushes")
            .descriptor
    }

    /// What one signer does; gives the digests of what it has added.
    fn sign(&self, subject: &Descriptor, who: usize) -> (Digest, Digest) {
        let registry = client(&self.reference, &self.credentials);
        let text = format!("signature {who}");
        let bytes = note(&registry, &text, Some(subject.clone()));
        let entry = registry
            .attach(media::OCI_MANIFEST, &bytes, &subject.digest)
            .expect("attaches");
        let layer = registry.push_blob(KIND, text.as_bytes()).expect("pushes");
        let tag = format!("{}.sig", fallback_tag(&subject.digest));
        add_layer(&registry, &tag, &layer).expect("adds");
        (entry.digest, layer.digest)
    }
}

#[test]
fn eight_parallel_signers_lose_nothing() {
    let Some(scene) = Scene::new() else { return };
    for round in 0..ROUNDS {
        let subject = scene.subject(&format!("round-{round}"));
        let started = Instant::now();
        let added: Vec<(Digest, Digest)> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|who| {
                    let (scene, subject) = (&scene, &subject);
                    scope.spawn(move || scene.sign(subject, who))
                })
                .collect();
            writers
                .into_iter()
                .map(|writer| writer.join().expect("signs"))
                .collect()
        });
        println!(
            "round {round}: {WRITERS} signers in {:?}",
            started.elapsed()
        );
        let registry = client(&scene.reference, &scene.credentials);
        let found = registry.referrers(&subject.digest).expect("lists");
        assert_eq!(found.source, ReferrersSource::FallbackTag);
        let listed: BTreeSet<&Digest> = found.manifests.iter().map(|one| &one.digest).collect();
        let tag = format!("{}.sig", fallback_tag(&subject.digest));
        let signatures = registry.manifest(&tag).expect("is there");
        let signatures = spec::parse_manifest(&signatures.bytes).expect("a manifest");
        let layers: BTreeSet<&Digest> = signatures.layers.iter().map(|one| &one.digest).collect();
        for (entry, layer) in &added {
            assert!(listed.contains(entry), "round {round}: a referrer is lost");
            assert!(layers.contains(layer), "round {round}: a layer is lost");
        }
        assert_eq!(found.manifests.len(), WRITERS);
        assert_eq!(found.manifests[0].artifact_type.as_deref(), Some(KIND));
        assert!(found.manifests[0].annotations.contains_key("note"));
    }
}

#[test]
fn one_signer_alone_waits_some_tens_of_milliseconds() {
    let Some(scene) = Scene::new() else { return };
    let registry = client(&scene.reference, &scene.credentials);
    let layer = registry.push_blob(KIND, b"alone").expect("pushes");
    let mut times = Vec::new();
    for round in 0..9 {
        let started = Instant::now();
        add_layer(&registry, &format!("alone-{round}"), &layer).expect("adds");
        times.push(started.elapsed());
    }
    times.sort_unstable();
    println!(
        "a change settles in {:?} (median of {})",
        times[4],
        times.len()
    );
    assert!(times[4] < Duration::from_millis(500), "{times:?}");
    let started = Instant::now();
    add_layer(&registry, "alone-0", &layer).expect("is there already");
    println!("what is there already is left in {:?}", started.elapsed());
    assert_eq!(digest_of(b"alone"), layer.digest);
    assert!(registry.has_blob(&layer.digest).expect("asks"));
    assert!(!registry.has_blob(&digest_of(b"nowhere")).expect("asks"));
    assert!(registry.find_manifest("nowhere").expect("asks").is_none());
}
