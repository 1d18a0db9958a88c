//! Layouts as directories and archives: what is found, and what is told when it is not.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

use std::{fs, path::Path};

use uc_image::{
    ImageKind,
    image::BlobSource,
    layout::{ConfigDraft, Layout, LayoutArchive, LayoutDirectory, LayoutWriter},
    media,
    spec::Descriptor,
};
use uc_model::ProblemKind;

/// A layout with one image of one layer, tagged `v1`.
fn layout(directory: &Path) -> LayoutWriter {
    let root = tempfile::tempdir().expect("makes a directory");
    fs::create_dir(root.path().join("bin")).expect("makes");
    fs::write(root.path().join("bin/hello"), "#!/bin/sh\n").expect("writes");
    let writer = LayoutWriter::open(directory).expect("opens");
    let layer = writer.add_layer_from_directory(root.path()).expect("packs");
    let config = ConfigDraft {
        entrypoint: vec!["/bin/hello".into()],
        env: vec!["A=b".into()],
        user: "1000:1000".into(),
        ..ConfigDraft::default()
    };
    writer.add_image("v1", &config, &[layer]).expect("writes");
    writer
}

fn tar_of(directory: &Path) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("makes a file");
    let mut builder = tar::Builder::new(file.reopen().expect("opens"));
    builder.append_dir_all(".", directory).expect("packs");
    builder.finish().expect("packs");
    file
}

#[test]
fn a_written_layout_reads_back_from_directory_and_archive() {
    let directory = tempfile::tempdir().expect("makes a directory");
    layout(directory.path());
    let read = LayoutDirectory::open(directory.path()).expect("opens");
    let image = read.image(Some("v1")).expect("resolves");
    assert_eq!(image.kind, ImageKind::Rootfs);
    assert_eq!(image.config.entrypoint, ["/bin/hello"]);
    assert_eq!(image.config.user.as_deref(), Some("1000:1000"));
    assert_eq!(image.layers.len(), 1);
    assert_eq!(
        read.image(None).expect("the only one").manifest_digest,
        image.manifest_digest
    );

    let file = tar_of(directory.path());
    let archive = LayoutArchive::open(file.path()).expect("opens");
    let from_archive = archive.image(Some("v1")).expect("resolves");
    assert_eq!(
        (&from_archive.config, &from_archive.layers),
        (&image.config, &image.layers)
    );
    let layer = image.layers[0].descriptor();
    assert_eq!(
        archive.read(&layer, 1 << 20).expect("reads"),
        read.read(&layer, 1 << 20).expect("reads")
    );
}

#[test]
fn equal_input_gives_equal_bytes() {
    let (one, other) = (
        tempfile::tempdir().expect("makes"),
        tempfile::tempdir().expect("makes"),
    );
    layout(one.path());
    layout(other.path());
    let index = |directory: &Path| fs::read(directory.join("index.json")).expect("reads");
    assert_eq!(index(one.path()), index(other.path()));
}

#[test]
fn a_wrong_tag_lists_the_tags() {
    let directory = tempfile::tempdir().expect("makes a directory");
    let writer = layout(directory.path());
    writer
        .add_image("v2", &ConfigDraft::default(), &[])
        .expect("writes");
    let read = LayoutDirectory::open(directory.path()).expect("opens");
    let problem = read.image(Some("v3")).expect_err("no such tag");
    assert_eq!(problem.kind(), ProblemKind::NotFound);
    assert!(problem.to_string().contains("found: v1, v2"), "{problem}");
    let problem = read.image(None).expect_err("two images");
    assert!(problem.to_string().contains("several images"), "{problem}");
    assert!(problem.to_string().contains("v1, v2"), "{problem}");
}

#[test]
fn damage_is_told_with_both_digests() {
    let directory = tempfile::tempdir().expect("makes a directory");
    layout(directory.path());
    let read = LayoutDirectory::open(directory.path()).expect("opens");
    let image = read.image(None).expect("resolves");
    let layer = image.layers[0].descriptor();
    let path = read.blob_path(&layer.digest);
    let good = fs::read(&path).expect("reads");

    let mut bad = good.clone();
    bad[40] ^= 1;
    fs::write(&path, &bad).expect("writes");
    let problem = read.read(&layer, 1 << 20).expect_err("damaged");
    assert!(
        problem.to_string().contains(layer.digest.as_str()),
        "{problem}"
    );
    assert!(problem.to_string().contains("found: sha256:"), "{problem}");

    fs::write(&path, &good[..good.len() - 1]).expect("writes");
    let problem = read.read(&layer, 1 << 20).expect_err("truncated");
    assert!(problem.to_string().contains("truncated"), "{problem}");

    fs::write(&path, [&good[..], b"x"].concat()).expect("writes");
    let problem = read.read(&layer, 1 << 20).expect_err("too long");
    assert!(problem.to_string().contains("longer"), "{problem}");

    fs::remove_file(&path).expect("removes");
    let problem = read.read(&layer, 1 << 20).expect_err("missing");
    assert_eq!(problem.kind(), ProblemKind::NotFound);

    let manifest = read.blob_path(&image.manifest_digest);
    fs::write(&manifest, b"{}").expect("writes");
    let problem = read.image(None).expect_err("another manifest");
    assert!(problem.to_string().contains("truncated"), "{problem}");
}

#[test]
fn what_is_no_layout_is_told() {
    let empty = tempfile::tempdir().expect("makes a directory");
    let problem = LayoutDirectory::open(empty.path()).expect_err("nothing there");
    assert!(
        problem.to_string().contains("not an OCI image layout"),
        "{problem}"
    );
    let problem = LayoutDirectory::open(&empty.path().join("missing")).expect_err("nothing there");
    assert!(problem.to_string().contains("does not exist"), "{problem}");

    fs::write(empty.path().join("manifest.json"), "[]").expect("writes");
    let docker = tar_of(empty.path());
    let problem = LayoutArchive::open(docker.path()).expect_err("docker's format");
    assert!(
        problem.to_string().contains("docker's own format"),
        "{problem}"
    );
    assert!(
        problem
            .remedy_text()
            .is_some_and(|remedy| remedy.contains("skopeo copy docker-archive:"))
    );
}

#[test]
fn the_manifest_for_this_machine_is_chosen() {
    let directory = tempfile::tempdir().expect("makes a directory");
    let writer = layout(directory.path());
    let read = LayoutDirectory::open(directory.path()).expect("opens");
    let own = read.index().expect("reads").manifests[0].clone();
    let strange = |os: &str, architecture: &str| {
        let mut descriptor: Descriptor = own.clone();
        let absent = uc_image::verify::digest_of(architecture.as_bytes());
        descriptor.digest = absent;
        descriptor.platform = Some(uc_image::spec::Platform {
            architecture: architecture.into(),
            os: os.into(),
            variant: None,
        });
        descriptor
    };
    let add = |tag: &str, manifests: Vec<Descriptor>| {
        let index = uc_image::spec::Index {
            manifests,
            ..Default::default()
        };
        let bytes = serde_json::to_vec(&index).expect("serialises");
        let descriptor = writer.add_blob(media::OCI_INDEX, &bytes).expect("writes");
        writer.name(tag, descriptor.clone()).expect("names");
        descriptor
    };
    let inner = add(
        "multi",
        vec![
            strange("windows", "amd64"),
            own.clone(),
            strange("linux", "sparc"),
        ],
    );
    let image = read.image(Some("multi")).expect("resolves");
    assert_eq!(image.manifest_digest, own.digest);
    assert_eq!(image.named_digest, inner.digest);

    add(
        "foreign",
        vec![strange("windows", "amd64"), strange("linux", "sparc")],
    );
    let problem = read.image(Some("foreign")).expect_err("nothing for us");
    assert!(
        problem
            .to_string()
            .contains("found: windows/amd64, linux/sparc"),
        "{problem}"
    );

    let mut nested = inner;
    for depth in 0..6 {
        nested = add(&format!("nested{depth}"), vec![nested]);
    }
    read.image(Some("nested2")).expect("three deep is fine");
    let problem = read.image(Some("nested5")).expect_err("too deep");
    assert!(
        problem.to_string().contains("nested too deeply"),
        "{problem}"
    );
}

#[test]
fn wasm_artifacts_are_recognised() {
    let directory = tempfile::tempdir().expect("makes a directory");
    let writer = LayoutWriter::open(directory.path()).expect("opens");
    writer
        .add_wasm("module", b"\0asm\x01\0\0\0")
        .expect("writes");
    let read = LayoutDirectory::open(directory.path()).expect("opens");
    let image = read.image(None).expect("resolves");
    assert_eq!(image.kind, ImageKind::WasmArtifact { layer: 0 });
    let bytes = read
        .read(&image.layers[0].descriptor(), 100)
        .expect("reads");
    assert_eq!(bytes, b"\0asm\x01\0\0\0");
}

#[test]
fn what_is_no_image_is_refused() {
    let directory = tempfile::tempdir().expect("makes a directory");
    let writer = LayoutWriter::open(directory.path()).expect("opens");
    let read = LayoutDirectory::open(directory.path()).expect("opens");
    let config = writer
        .add_blob("application/vnd.example+json", b"{}")
        .expect("writes");
    let blob = |layers: serde_json::Value, config: &Descriptor, extra: serde_json::Value| {
        let mut manifest =
            serde_json::json!({ "schemaVersion": 2, "config": config, "layers": layers });
        manifest
            .as_object_mut()
            .expect("an object")
            .extend(extra.as_object().expect("an object").clone());
        writer
            .add_blob(
                media::OCI_MANIFEST,
                &serde_json::to_vec(&manifest).expect("serialises"),
            )
            .expect("writes")
    };
    let image_config = writer
        .add_blob(media::OCI_CONFIG, br#"{"rootfs":{"diff_ids":[]}}"#)
        .expect("writes");
    let layer = Descriptor::new(
        "application/vnd.oci.image.layer.v1.tar+encrypted",
        config.digest.clone(),
        2,
    );
    let many: Vec<&Descriptor> = (0..129).map(|_| &layer).collect();
    for (tag, descriptor, words) in [
        (
            "artifact",
            blob(serde_json::json!([]), &config, serde_json::json!({})),
            "not that of an image",
        ),
        (
            "disagree",
            blob(
                serde_json::json!([layer]),
                &image_config,
                serde_json::json!({}),
            ),
            "disagree about the layers",
        ),
        (
            "many",
            blob(
                serde_json::json!(many),
                &image_config,
                serde_json::json!({}),
            ),
            "too many layers",
        ),
        (
            "both",
            blob(
                serde_json::json!([]),
                &image_config,
                serde_json::json!({"manifests": []}),
            ),
            "both an index and",
        ),
        (
            "type",
            blob(
                serde_json::json!([]),
                &image_config,
                serde_json::json!({"mediaType": media::OCI_INDEX}),
            ),
            "not the one it was announced by",
        ),
    ] {
        writer.name(tag, descriptor).expect("names");
        let problem = read.image(Some(tag)).expect_err(tag);
        assert!(problem.to_string().contains(words), "{tag}: {problem}");
    }
}
