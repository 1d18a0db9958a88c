//! Together with the tools that people use: docker-registry, skopeo, umoci.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

#[path = "support/peers.rs"]
mod peers;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use peers::{Registry, present, run};
use uc_image::{
    Image, NoProgress, Reference,
    image::BlobSource,
    layout::{ConfigDraft, Layout, LayoutArchive, LayoutDirectory, LayoutWriter},
    media,
    registry::Credentials,
    store::Store,
    unpack::{InProcess, LayerCache, LayerStack, Limits, Options, Ownership},
};
use uc_model::ProblemKind;

const IN_PROCESS: InProcess = InProcess(Options {
    limits: Limits {
        bytes: 1 << 30,
        entries: 100_000,
        ratio: 200,
        ratio_floor: 1 << 30,
    },
    ownership: Ownership::Squash,
    sync: false,
});

/// `tester` with the password `open-sesame`.
const HTPASSWD: &str = "tester:$2b$04$uVnHrRpYrWU.TfLCHKR.yuqmkD7B.P9C5Do101pp4tyTT4iCLOAm.\n";
const LOGIN: &str = "dGVzdGVyOm9wZW4tc2VzYW1l";

/// A tar stream of plain entries: a name that ends in `/` is a directory, `a -> b` a link.
fn tar_of(entries: &[(&str, u32)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, mode) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_size(0);
        if let Some((name, target)) = name.split_once(" -> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            builder
                .append_link(&mut header, name, target)
                .expect("packs");
        } else if name.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
            builder
                .append_data(&mut header, name, &b""[..])
                .expect("packs");
        } else {
            header.set_size(name.len() as u64);
            builder
                .append_data(&mut header, name, name.as_bytes())
                .expect("packs");
        }
    }
    builder.into_inner().expect("packs")
}

/// An image with what makes layers hard: whiteouts, opaque directories, links instead of directories.
fn layout(directory: &Path) -> LayoutWriter {
    let writer = LayoutWriter::open(directory).expect("opens");
    let layers = [
        tar_of(&[
            ("usr/", 0o755),
            ("usr/bin/", 0o755),
            ("usr/bin/sh", 0o755),
            ("bin -> usr/bin", 0o777),
            ("etc/", 0o755),
            ("etc/passwd", 0o644),
            ("etc/motd", 0o644),
            ("tmp/", 0o1777),
            ("var/", 0o755),
            ("var/cache/", 0o755),
            ("var/cache/old", 0o644),
            ("opt/", 0o755),
            ("opt/gone", 0o644),
        ]),
        tar_of(&[
            ("etc/", 0o755),
            ("etc/.wh.motd", 0o644),
            ("var/", 0o755),
            ("var/cache/", 0o700),
        ]),
        tar_of(&[
            ("var/", 0o755),
            ("var/cache/", 0o700),
            ("var/cache/.wh..wh..opq", 0o644),
            ("var/cache/new", 0o600),
            (".wh.opt", 0o644),
        ]),
        tar_of(&[("bin/tool", 0o4755), ("tmp/note", 0o644)]),
    ];
    let layers: Vec<_> = layers
        .iter()
        .map(|layer| writer.add_layer_from_tar(layer.as_slice()).expect("adds"))
        .collect();
    let config = ConfigDraft {
        cmd: vec!["/bin/sh".into()],
        ..ConfigDraft::default()
    };
    writer.add_image("v1", &config, &layers).expect("writes");
    writer
}

/// Compares a merged tree with the stack of unpacked layers, both ways as far as names are known.
fn assert_same_tree(merged: &Path, layers: &[PathBuf], absent: &[&str]) {
    let stack = LayerStack::open(layers).expect("opens");
    let mut todo = vec![PathBuf::new()];
    let mut count = 0;
    while let Some(inside) = todo.pop() {
        for entry in fs::read_dir(merged.join(&inside)).expect("lists") {
            let inside = inside.join(entry.expect("lists").file_name());
            let expected = fs::symlink_metadata(merged.join(&inside)).expect("there");
            let name = inside.as_os_str().as_encoded_bytes();
            if expected.is_symlink() {
                continue;
            }
            let found = stack
                .find(name)
                .expect("looks")
                .unwrap_or_else(|| panic!("{} is missing", inside.display()));
            assert_eq!(found.stat.st_mode, expected.mode(), "{}", inside.display());
            if expected.is_file() {
                let content = stack
                    .read_file(name, 1 << 20)
                    .expect("reads")
                    .expect("there");
                assert_eq!(
                    content,
                    fs::read(merged.join(&inside)).expect("reads"),
                    "{}",
                    inside.display()
                );
            } else {
                todo.push(inside);
            }
            count += 1;
        }
    }
    assert!(count >= 10, "only {count} entries were compared");
    for name in absent {
        assert!(!merged.join(name).exists(), "the peer has {name}");
        assert!(
            stack.find(name.as_bytes()).expect("looks").is_none(),
            "{name} must be hidden"
        );
    }
}

fn unpacked(image: &Image, source: &dyn BlobSource, cache: &Path) -> Vec<PathBuf> {
    LayerCache::open(cache)
        .expect("opens")
        .prepare(image, source, &IN_PROCESS)
        .expect("unpacks")
}

#[test]
fn the_tree_is_the_one_that_umoci_unpacks() {
    if !present(&["umoci"]) {
        return;
    }
    let base = tempfile::tempdir().expect("makes a directory");
    let directory = base.path().join("layout");
    layout(&directory);
    let bundle = base.path().join("bundle");
    let image = format!("{}:v1", directory.display());
    run(
        "umoci",
        &[
            "unpack",
            "--rootless",
            "--image",
            &image,
            &bundle.display().to_string(),
        ],
    );

    let source = LayoutDirectory::open(&directory).expect("opens");
    let image = source.image(Some("v1")).expect("resolves");
    let layers = unpacked(&image, &source, &base.path().join("cache"));
    assert_same_tree(
        &bundle.join("rootfs"),
        &layers,
        &["etc/motd", "var/cache/old", "opt", "opt/gone"],
    );
    let top = layers
        .last()
        .and_then(|layer| layer.file_name())
        .expect("has a name")
        .to_string_lossy()
        .into_owned();
    assert!(
        top.starts_with("chain-"),
        "a layer with bin/tool but no bin depends on what is below: {top}"
    );
}

#[test]
fn a_registry_takes_what_we_write_and_gives_it_back() {
    if !present(&["docker-registry", "skopeo"]) {
        return;
    }
    let base = tempfile::tempdir().expect("makes a directory");
    let directory = base.path().join("layout");
    layout(&directory);
    let registry = Registry::start(base.path(), Some(HTPASSWD));
    let name = format!("127.0.0.1:{}/team/app:v1", registry.port);
    let source = format!("oci:{}:v1", directory.display());
    let target = format!("docker://{name}");
    run(
        "skopeo",
        &[
            "copy",
            "--insecure-policy",
            "--dest-tls-verify=false",
            "--dest-creds=tester:open-sesame",
            &source,
            &target,
        ],
    );

    let store = Store::open(&base.path().join("images")).expect("opens");
    let reference: Reference = name.parse().expect("valid");
    let problem = store
        .pull(&reference, &Credentials::none(), &NoProgress)
        .expect_err("a login is needed");
    assert_eq!(problem.kind(), ProblemKind::Refused, "{problem}");

    let logins = base.path().join("auth.json");
    fs::write(
        &logins,
        format!(
            r#"{{"auths":{{"127.0.0.1:{}":{{"auth":"{LOGIN}"}}}}}}"#,
            registry.port
        ),
    )
    .expect("writes");
    let credentials = Credentials::from_files(vec![logins]);
    let image = store
        .pull(&reference, &credentials, &NoProgress)
        .expect("pulls");
    let original = LayoutDirectory::open(&directory)
        .expect("opens")
        .image(Some("v1"))
        .expect("resolves");
    assert_eq!(image.manifest_digest, original.manifest_digest);
    assert_eq!(image.layers, original.layers);
    let layers = unpacked(&image, &store, &base.path().join("cache"));
    assert_eq!(layers.len(), 4);

    let missing: Reference = format!("127.0.0.1:{}/team/app:v9", registry.port)
        .parse()
        .expect("valid");
    let problem = store
        .pull(&missing, &credentials, &NoProgress)
        .expect_err("no such tag");
    assert_eq!(problem.kind(), ProblemKind::NotFound, "{problem}");
}

#[test]
fn other_formats_of_skopeo_unpack_to_the_same_layers() {
    if !present(&["skopeo"]) {
        return;
    }
    let base = tempfile::tempdir().expect("makes a directory");
    let directory = base.path().join("layout");
    layout(&directory);
    let source = format!("oci:{}:v1", directory.display());
    let original = LayoutDirectory::open(&directory)
        .expect("opens")
        .image(Some("v1"))
        .expect("resolves");
    let diff_ids = |image: &Image| {
        image
            .layers
            .iter()
            .map(|layer| layer.diff_id.clone())
            .collect::<Vec<_>>()
    };

    let zstd = base.path().join("zstd");
    let target = format!("oci:{}:z", zstd.display());
    run(
        "skopeo",
        &[
            "copy",
            "--insecure-policy",
            "--dest-compress-format=zstd",
            &source,
            &target,
        ],
    );
    let layout = LayoutDirectory::open(&zstd).expect("opens");
    let image = layout.image(Some("z")).expect("resolves");
    assert_eq!(diff_ids(&image), diff_ids(&original));
    unpacked(&image, &layout, &base.path().join("cache-zstd"));

    let file = base.path().join("image.tar");
    let target = format!("oci-archive:{}:a", file.display());
    run("skopeo", &["copy", "--insecure-policy", &source, &target]);
    let archive = LayoutArchive::open(&file).expect("opens");
    let image = archive.image(Some("a")).expect("resolves");
    assert_eq!(diff_ids(&image), diff_ids(&original));
    unpacked(&image, &archive, &base.path().join("cache-archive"));
}

#[test]
fn a_real_layer_without_end_marker_unpacks() {
    let base = tempfile::tempdir().expect("makes a directory");
    let writer = LayoutWriter::open(base.path()).expect("opens");
    let bytes: &[u8] = include_bytes!("data/umoci-insert-unterminated.tar.gz");
    let blob = writer
        .add_blob(media::OCI_LAYER_GZIP, bytes)
        .expect("writes");
    let source = LayoutDirectory::open(base.path()).expect("opens");
    let target = tempfile::tempdir().expect("makes a directory");
    let open = fs::File::open(target.path()).expect("opens");
    let stream = source.open(&blob).expect("opens");
    use std::os::fd::AsFd;
    let unpacked =
        uc_image::unpack::unpack_layer(stream, open.as_fd(), None, &IN_PROCESS.0).expect("unpacks");
    assert_eq!(unpacked.entries, 3);
    assert_eq!(
        fs::metadata(target.path().join("etc/hello"))
            .expect("there")
            .len(),
        5
    );
}

#[test]
fn the_cache_shares_layers_and_cleans_up() {
    let base = tempfile::tempdir().expect("makes a directory");
    let directory = base.path().join("layout");
    let writer = layout(&directory);
    let source = LayoutDirectory::open(&directory).expect("opens");
    let image = source.image(Some("v1")).expect("resolves");
    let cache = LayerCache::open(&base.path().join("cache")).expect("opens");
    assert_eq!(cache.all_ready(&image), None);
    // What a run that was killed leaves: a closed directory in the way.
    let stale = base.path().join("cache/.tmp-0");
    fs::create_dir_all(stale.join("half/made")).expect("makes");
    fs::set_permissions(stale.join("half"), PermissionsExt::from_mode(0o000)).expect("closes");

    let layers = cache
        .prepare(&image, &source, &IN_PROCESS)
        .expect("unpacks");
    let inode = |path: &Path| fs::metadata(path).expect("there").ino();
    let before: Vec<u64> = layers.iter().map(|layer| inode(layer)).collect();
    assert_eq!(cache.all_ready(&image), Some(layers.clone()));
    cache
        .prepare(&image, &source, &IN_PROCESS)
        .expect("is ready");
    assert_eq!(
        before,
        layers.iter().map(|layer| inode(layer)).collect::<Vec<_>>()
    );
    assert!(!stale.exists());

    writer
        .add_image("base", &ConfigDraft::default(), &image.layers[..1])
        .expect("writes");
    let smaller = source.image(Some("base")).expect("resolves");
    assert_eq!(
        cache.all_ready(&smaller),
        Some(layers[..1].to_vec()),
        "the layer is shared"
    );
    cache
        .remove_except(&[smaller], &IN_PROCESS)
        .expect("removes");
    assert!(layers[0].is_dir());
    assert!(layers[1..].iter().all(|layer| !layer.exists()));
}

#[test]
fn a_layer_that_is_not_what_the_configuration_says_leaves_nothing() {
    let base = tempfile::tempdir().expect("makes a directory");
    let directory = base.path().join("layout");
    layout(&directory);
    let source = LayoutDirectory::open(&directory).expect("opens");
    let mut image = source.image(Some("v1")).expect("resolves");
    image.layers[1].diff_id = image.layers[0].diff_id.clone();
    let cache = LayerCache::open(&base.path().join("cache")).expect("opens");
    let problem = cache
        .prepare(&image, &source, &IN_PROCESS)
        .expect_err("another diff id");
    assert!(problem.to_string().contains("decompressed"), "{problem}");
    let left: Vec<_> = fs::read_dir(base.path().join("cache"))
        .expect("lists")
        .map(|entry| entry.expect("lists").file_name())
        .filter(|name| name != ".lock")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_full_disk_is_told_with_what_is_free() {
    let base = tempfile::tempdir().expect("makes a directory");
    let mount = base.path().join("small");
    fs::create_dir(&mount).expect("makes");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(&mount)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        println!("skipped: a small file system cannot be mounted");
        return;
    }
    let writer = LayoutWriter::open(&base.path().join("layout")).expect("opens");
    let mut header = tar::Header::new_gnu();
    header.set_size(1 << 20);
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append_data(&mut header, "big", &vec![7; 1 << 20][..])
        .expect("packs");
    let layer = writer
        .add_layer_from_tar(builder.into_inner().expect("packs").as_slice())
        .expect("adds");
    writer
        .add_image("v1", &ConfigDraft::default(), &[layer])
        .expect("writes");
    let source = LayoutDirectory::open(&base.path().join("layout")).expect("opens");
    let image = source.image(None).expect("resolves");
    let outcome =
        LayerCache::open(&mount).and_then(|cache| cache.prepare(&image, &source, &IN_PROCESS));
    let left = fs::read_dir(&mount).expect("lists").count();
    run("umount", &["--lazy", &mount.display().to_string()]);
    let problem = outcome.expect_err("the disk is full");
    assert_eq!(problem.kind(), ProblemKind::Storage);
    assert!(
        problem.to_string().contains("the disk is full"),
        "{problem}"
    );
    assert!(
        problem.to_string().contains("(big)") && problem.to_string().contains(" free"),
        "{problem}"
    );
    assert_eq!(left, 1, "only the lock file stays");
}

/// Set for the copy of this test that runs in a user namespace: where to unpack.
const INSIDE: &str = "UC_IMAGE_TEST_INSIDE";

/// What the kernel makes of the layers, both unpacked and mounted by a process without any privilege on the host.
#[test]
fn a_user_namespace_can_unpack_and_the_kernel_stacks_the_result() {
    if let Some(base) = std::env::var_os(INSIDE).map(PathBuf::from) {
        let source = LayoutDirectory::open(&base.join("layout")).expect("opens");
        let image = source.image(Some("v1")).expect("resolves");
        let mut layers = unpacked(&image, &source, &base.join("cache"));
        layers.reverse();
        let lower: Vec<String> = layers
            .iter()
            .map(|layer| layer.display().to_string())
            .collect();
        let options = format!("userxattr,lowerdir={}", lower.join(":"));
        let mount = base.join("merged");
        run(
            "mount",
            &[
                "-t",
                "overlay",
                "-o",
                &options,
                "overlay",
                &mount.display().to_string(),
            ],
        );
        let exists = |name: &str| mount.join(name).symlink_metadata().is_ok();
        for name in [
            "usr/bin/sh",
            "usr/bin/tool",
            "bin/tool",
            "tmp/note",
            "var/cache/new",
            "etc/passwd",
        ] {
            assert!(exists(name), "{name} is missing");
        }
        for name in ["etc/motd", "var/cache/old", "opt"] {
            assert!(!exists(name), "{name} must be hidden");
        }
        let mode = |name: &str| fs::metadata(mount.join(name)).expect("there").mode() & 0o7777;
        assert_eq!(
            (mode("tmp"), mode("var/cache"), mode("bin/tool")),
            (0o1777, 0o700, 0o4755)
        );
        return;
    }
    if !present(&["unshare", "mount"]) {
        return;
    }
    let possible = std::process::Command::new("unshare")
        .args(["-Urm", "true"])
        .status()
        .expect("starts");
    if !possible.success() {
        println!("skipped: user namespaces cannot be made here");
        return;
    }
    let base = tempfile::tempdir().expect("makes a directory");
    layout(&base.path().join("layout"));
    fs::create_dir(base.path().join("merged")).expect("makes");
    let program = std::env::current_exe().expect("has a path");
    let output = std::process::Command::new("unshare")
        .arg("-Urm")
        .arg(program)
        .args([
            "--exact",
            "a_user_namespace_can_unpack_and_the_kernel_stacks_the_result",
            "--nocapture",
        ])
        .env(INSIDE, base.path())
        .output()
        .expect("starts");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
