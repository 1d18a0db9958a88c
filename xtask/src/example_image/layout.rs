//! An OCI image layout of one image with one layer (OCI image specification 1.1, "Image Layout").

use std::{fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uc_model::{Digest, Problem, Result};

const TAG: &str = "latest";

/// Writes the layout; `index.json` comes last, so that a folder with it is complete.
pub(crate) fn write(folder: &Path, layer: &[u8]) -> Result<()> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let layer_digest = write_blob(folder, layer)?;
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": [layer_digest.as_str()] },
    })
    .to_string();
    let config_digest = write_blob(folder, config.as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config_digest, config.len()),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer_digest, layer.len())],
    })
    .to_string();
    let manifest_digest = write_blob(folder, manifest.as_bytes())?;
    let mut entry = descriptor(
        "application/vnd.oci.image.manifest.v1+json",
        &manifest_digest,
        manifest.len(),
    );
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": TAG });
    entry["platform"] = json!({ "architecture": architecture, "os": "linux" });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    })
    .to_string();
    let version = json!({ "imageLayoutVersion": "1.0.0" }).to_string();
    write_file(folder, "oci-layout", version.as_bytes())?;
    write_file(folder, "index.json", index.as_bytes())
}

fn descriptor(media_type: &str, digest: &Digest, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest.as_str(), "size": size })
}

fn write_blob(folder: &Path, content: &[u8]) -> Result<Digest> {
    let digest = Digest::from_sha256(&Sha256::digest(content).into());
    write_file(folder, &format!("blobs/sha256/{}", digest.hex()), content)?;
    Ok(digest)
}

fn write_file(folder: &Path, name: &str, content: &[u8]) -> Result<()> {
    let path = folder.join(name);
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(&path, content))
        .map_err(|error| {
            Problem::storage("cannot write the image")
                .at(path.display())
                .caused_by(error)
        })
}
