//! The JSON documents of images: each bound is kept to the byte, and no input makes reading them panic.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

use std::io::Read;

use proptest::prelude::*;
use uc_image::{
    ImageConfig, Reference, bounds,
    image::{BlobSource, resolve},
    media,
    spec::{self, Descriptor, Index, Manifest},
    verify::digest_of,
};
use uc_model::{Problem, ProblemKind, Result};

/// Documents by digest.
#[derive(Default)]
struct Blobs(Vec<Vec<u8>>);

impl Blobs {
    fn add(&mut self, media_type: &str, document: &impl serde::Serialize) -> Descriptor {
        let bytes = serde_json::to_vec(document).expect("serialises");
        let descriptor = Descriptor::new(media_type, digest_of(&bytes), bytes.len() as u64);
        self.0.push(bytes);
        descriptor
    }
}

impl BlobSource for Blobs {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let found = self
            .0
            .iter()
            .find(|blob| digest_of(blob) == descriptor.digest);
        let found = found.ok_or_else(|| Problem::not_found("no such blob"))?;
        Ok(Box::new(std::io::Cursor::new(found.clone())))
    }

    fn place(&self) -> String {
        "blobs".into()
    }
}

fn descriptor(size: u64) -> Descriptor {
    Descriptor::new(media::OCI_LAYER, digest_of(b""), size)
}

/// A document padded with blanks to a size.
fn padded(text: &str, size: u64) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(usize::try_from(size).expect("fits"), b' ');
    bytes
}

fn refused<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    let problem = outcome.expect_err("beyond the bound");
    assert_eq!(problem.kind(), ProblemKind::Refused, "{problem}");
    problem.to_string()
}

#[test]
fn documents_are_read_up_to_their_bound_and_no_further() {
    let index = r#"{"schemaVersion":2,"manifests":[]}"#;
    spec::parse_index(&padded(index, bounds::MANIFEST_BYTES)).expect("at the bound");
    assert!(
        refused(spec::parse_index(&padded(
            index,
            bounds::MANIFEST_BYTES + 1
        )))
        .contains("4 MiB")
    );
    let config =
        r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    ImageConfig::parse(&padded(config, bounds::CONFIG_BYTES)).expect("at the bound");
    assert!(
        refused(ImageConfig::parse(&padded(
            config,
            bounds::CONFIG_BYTES + 1
        )))
        .contains("8 MiB")
    );
}

#[test]
fn layers_and_index_entries_are_counted() {
    let manifest = |layers: usize| Manifest {
        schema_version: 2,
        media_type: None,
        artifact_type: None,
        config: descriptor(0),
        layers: vec![descriptor(1); layers],
        subject: None,
        annotations: Default::default(),
    };
    let parse =
        |layers| spec::parse_manifest(&serde_json::to_vec(&manifest(layers)).expect("serialises"));
    assert_eq!(
        parse(bounds::MANIFEST_LAYERS)
            .expect("at the bound")
            .layers
            .len(),
        4096
    );
    assert!(refused(parse(bounds::MANIFEST_LAYERS + 1)).contains("found: 4097"));
    let resolved = |layers: usize| {
        let diff_ids = vec![descriptor(1).digest; layers];
        let mut blobs = Blobs::default();
        let config = serde_json::json!({ "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        let mut manifest = manifest(layers);
        manifest.config = blobs.add(media::OCI_CONFIG, &config);
        for layer in &mut manifest.layers {
            layer.media_type = media::OCI_LAYER.into();
        }
        let named = blobs.add(media::OCI_MANIFEST, &manifest);
        resolve(&blobs, &named, "layers")
    };
    assert_eq!(
        resolved(bounds::LAYERS).expect("at the bound").layers.len(),
        128
    );
    assert!(refused(resolved(bounds::LAYERS + 1)).contains("found: 129"));
    let index = |entries: usize| Index {
        manifests: vec![descriptor(1); entries],
        ..Index::default()
    };
    let parse =
        |entries| spec::parse_index(&serde_json::to_vec(&index(entries)).expect("serialises"));
    assert_eq!(
        parse(bounds::INDEX_ENTRIES)
            .expect("at the bound")
            .manifests
            .len(),
        16384
    );
    assert!(refused(parse(bounds::INDEX_ENTRIES + 1)).contains("found: 16385"));
}

#[test]
fn indexes_nest_four_deep_and_no_deeper() {
    let mut blobs = Blobs::default();
    let config = serde_json::json!({
        "architecture": uc_image::image::architecture(), "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
    });
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media::OCI_MANIFEST.into()),
        artifact_type: None,
        config: blobs.add(media::OCI_CONFIG, &config),
        layers: Vec::new(),
        subject: None,
        annotations: Default::default(),
    };
    let mut named = blobs.add(media::OCI_MANIFEST, &manifest);
    for _ in 0..bounds::INDEX_DEPTH {
        let index = Index {
            manifests: vec![named],
            ..Index::default()
        };
        named = blobs.add(media::OCI_INDEX, &index);
    }
    resolve(&blobs, &named, "deep").expect("at the bound");
    let index = Index {
        manifests: vec![named],
        ..Index::default()
    };
    let named = blobs.add(media::OCI_INDEX, &index);
    assert!(refused(resolve(&blobs, &named, "deeper")).contains("nested too deeply"));
}

#[test]
fn a_blob_that_claims_too_much_is_not_opened() {
    let outcome = Blobs::default().open(&descriptor(bounds::BLOB_BYTES + 1));
    assert!(refused(outcome.map(drop)).contains("64 GiB"));
}

/// Real documents, from which damage is made.
const SAMPLES: [&str; 3] = [
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":7,"platform":{"architecture":"amd64","os":"linux","variant":"v8"},"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}"#,
    r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":3}],"annotations":{"a":"b"}}"#,
    r#"{"architecture":"amd64","os":"linux","config":{"User":"1:2","Env":["A=b"],"Entrypoint":["/x"],"Cmd":["y"],"WorkingDir":"/w","ExposedPorts":{"80/tcp":{}},"Volumes":{"/v":{}},"StopSignal":"SIGINT"},"rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},"history":[{"empty_layer":true}]}"#,
];

fn read_as_everything(bytes: &[u8]) {
    if let Ok(index) = spec::parse_index(bytes) {
        let written = serde_json::to_vec(&index).expect("serialises");
        assert_eq!(spec::parse_index(&written).expect("reads back"), index);
    }
    let _ = spec::parse_manifest(bytes);
    let _ = ImageConfig::parse(bytes);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn damaged_documents_never_panic(
        sample in 0usize..SAMPLES.len(),
        at in 0usize..500,
        length in 0usize..30,
        put in "[\\PC\u{0}]{0,12}",
    ) {
        let bytes = SAMPLES[sample].as_bytes();
        let start = at.min(bytes.len());
        let end = (start + length).min(bytes.len());
        read_as_everything(&[&bytes[..start], put.as_bytes(), &bytes[end..]].concat());
    }

    #[test]
    fn references_that_parse_are_stable(text in "[a-zA-Z0-9._:/@\\[\\]-]{0,80}") {
        if let Ok(reference) = text.parse::<Reference>() {
            let again: Reference = reference.to_string().parse().expect("reads back");
            prop_assert_eq!(again, reference);
        }
    }
}
