//! Packs a directory as an OCI layout with one gzip layer, as most images have.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uc_model::{Digest, Problem, Result};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Writes the layout of the tree below `root`; returns the size of the tree's archive in bytes.
pub(super) fn pack(root: &Path, layout: &Path) -> Result<u64> {
    let tar = layout.with_extension("tar");
    shell(
        "tar",
        &[
            "--numeric-owner",
            "--sort=name",
            "--mtime=@0",
            "-C",
            &text(root),
            "-cf",
            &text(&tar),
            ".",
        ],
    )?;
    let (diff_id, bytes) = digest(&tar)?;
    // With gzip's defaults for level and name, which is what builders do.
    shell("gzip", &["--force", "--no-name", &text(&tar)])?;
    let packed = layout.with_extension("tar.gz");
    let (layer_digest, layer_bytes) = digest(&packed)?;
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs)
        .and_then(|()| fs::rename(&packed, blobs.join(layer_digest.hex())))
        .map_err(|error| failed(&blobs, error))?;
    let layer = descriptor(
        "application/vnd.oci.image.layer.v1.tar+gzip",
        &layer_digest,
        layer_bytes,
    );
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "architecture": architecture, "os": "linux", "created": "2024-01-01T00:00:00Z",
        "rootfs": { "type": "layers", "diff_ids": [diff_id.as_str()] },
    });
    let config = blob(&blobs, "application/vnd.oci.image.config.v1+json", &config)?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
    });
    let mut entry = blob(&blobs, MANIFEST, &manifest)?;
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    for (name, content) in [
        ("oci-layout", json!({ "imageLayoutVersion": "1.0.0" })),
        ("index.json", index),
    ] {
        let path = layout.join(name);
        fs::write(&path, content.to_string()).map_err(|error| failed(&path, error))?;
    }
    Ok(bytes)
}

fn blob(blobs: &Path, media_type: &str, content: &Value) -> Result<Value> {
    let bytes = content.to_string();
    let digest = Digest::from_sha256(&Sha256::digest(&bytes).into());
    let path = blobs.join(digest.hex());
    fs::write(&path, &bytes).map_err(|error| failed(&path, error))?;
    Ok(descriptor(media_type, &digest, bytes.len() as u64))
}

fn descriptor(media_type: &str, digest: &Digest, size: u64) -> Value {
    json!({ "mediaType": media_type, "digest": digest.as_str(), "size": size })
}

fn digest(path: &Path) -> Result<(Digest, u64)> {
    let mut file = File::open(path).map_err(|error| failed(path, error))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        let count = file
            .read(&mut buffer)
            .map_err(|error| failed(path, error))?;
        if count == 0 {
            return Ok((Digest::from_sha256(&hash.finalize().into()), total));
        }
        hash.update(&buffer[..count]);
        total += count as u64;
    }
}

/// Runs a command that must succeed.
pub(super) fn shell(program: &str, arguments: &[&str]) -> Result<()> {
    let failed =
        || Problem::host("a command failed").at(format!("{program} {}", arguments.join(" ")));
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed().caused_by(error))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last: Vec<_> = words.lines().rev().take(3).collect();
    Err(failed().found(last.into_iter().rev().collect::<Vec<_>>().join("; ")))
}

pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(super) fn failed(path: &Path, error: io::Error) -> Problem {
    Problem::storage("cannot build an image")
        .at(path.display())
        .caused_by(error)
}
