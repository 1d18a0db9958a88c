//! Writes a layout: blobs first, then the index that names them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression as Level, GzBuilder};
use serde::Serialize;
use uc_model::{Digest, Problem, Result};

use super::{LayoutDirectory, MARKER, tar_writer};
use crate::{
    image::{BlobSource, Layer, architecture},
    media,
    progress::Progress,
    spec::{self, Descriptor, Index, Manifest, Platform, REF_NAME},
    store::lock::Lock,
    verify::{Hasher, digest_of, problem_of},
};

const BUFFER_BYTES: usize = 128 << 10;

/// Writes an OCI image layout. Equal input gives equal bytes: no times, no random names.
#[derive(Debug)]
pub struct LayoutWriter {
    layout: LayoutDirectory,
}

/// The configuration of an image to be written.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigDraft {
    /// The program, with leading arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// `NAME=value`, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Who it runs as.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Notes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl LayoutWriter {
    /// Opens the layout in `directory`, making it where it is missing.
    ///
    /// # Errors
    /// Storage, naming the path.
    pub fn open(directory: &Path) -> Result<Self> {
        let blobs = directory.join("blobs").join("sha256");
        fs::create_dir_all(&blobs).map_err(|error| failed(&blobs, error))?;
        let marker = directory.join(MARKER.0);
        if !marker.exists() {
            fs::write(&marker, MARKER.1).map_err(|error| failed(&marker, error))?;
        }
        Ok(Self {
            layout: LayoutDirectory::open(directory)?,
        })
    }

    /// Stores bytes as a blob.
    ///
    /// # Errors
    /// Storage, naming the path.
    pub fn add_blob(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
        let digest = digest_of(bytes);
        let path = self.layout.blob_path(&digest);
        if !path.exists() {
            let temporary = self.temporary();
            fs::write(&temporary, bytes)
                .and_then(|()| fs::rename(&temporary, &path))
                .map_err(|error| failed(&path, error))?;
        }
        Ok(Descriptor::new(media_type, digest, bytes.len() as u64))
    }

    /// Packs a directory as a gzip layer; see [`super::layer_from_directory`] for what is kept.
    ///
    /// # Errors
    /// Storage, naming the path; refused for devices.
    pub fn add_layer_from_directory(&self, root: &Path) -> Result<Layer> {
        self.add_layer(|sink| tar_writer::layer_from_directory(root, sink))
    }

    /// Stores a tar stream as a gzip layer, as it is.
    ///
    /// # Errors
    /// Storage, naming the path; those of the stream.
    pub fn add_layer_from_tar(&self, mut stream: impl Read) -> Result<Layer> {
        self.add_layer(|sink| {
            io::copy(&mut stream, sink)
                .map(|_| ())
                .map_err(|error| Problem::storage("cannot copy a layer").caused_by(error))
        })
    }

    fn add_layer(&self, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Layer> {
        let temporary = self.temporary();
        let file = File::create(&temporary).map_err(|error| failed(&temporary, error))?;
        let compressed = HashingWriter::new(BufWriter::new(file));
        // A fixed header: no name, no time.
        let gzip = GzBuilder::new()
            .mtime(0)
            .operating_system(255)
            .write(compressed, Level::new(6));
        let mut plain = HashingWriter::new(gzip);
        let written = write(&mut plain);
        let (gzip, diff_id, _) = plain.finish()?;
        let compressed = gzip.finish().map_err(|error| failed(&temporary, error))?;
        let (mut file, digest, size) = compressed.finish()?;
        let stored = written.and_then(|()| {
            file.flush()
                .and_then(|()| fs::rename(&temporary, self.layout.blob_path(&digest)))
                .map_err(|error| failed(&temporary, error))
        });
        if stored.is_err() {
            // The temporary file is of no use to anybody; the first error is the one to tell.
            let _ = fs::remove_file(&temporary);
        }
        stored?;
        Ok(Layer {
            digest,
            size,
            media_type: media::OCI_LAYER_GZIP.into(),
            diff_id,
        })
    }

    /// Writes configuration and manifest for layers that were added, and names the image `tag` in the index, replacing
    /// what had the tag. Returns the manifest's descriptor.
    ///
    /// # Errors
    /// Storage, naming the path.
    pub fn add_image(
        &self,
        tag: &str,
        config: &ConfigDraft,
        layers: &[Layer],
    ) -> Result<Descriptor> {
        let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.diff_id).collect();
        let document = serde_json::json!({
            "architecture": architecture(),
            "os": "linux",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = self.add_blob(media::OCI_CONFIG, &spec::to_json(&document)?)?;
        let layers = layers.iter().map(Layer::descriptor).collect();
        let platform = Platform {
            architecture: architecture().into(),
            os: "linux".into(),
            variant: None,
        };
        self.add_manifest(tag, config, layers, Some(platform))
    }

    /// Writes an OCI Wasm artifact of one module or component.
    ///
    /// # Errors
    /// Storage, naming the path.
    pub fn add_wasm(&self, tag: &str, module: &[u8]) -> Result<Descriptor> {
        let layer = self.add_blob(media::WASM, module)?;
        let document = serde_json::json!({
            "architecture": "wasm", "os": "wasip1", "layerDigests": [layer.digest],
        });
        let config = self.add_blob(media::WASM_CONFIG, &spec::to_json(&document)?)?;
        self.add_manifest(tag, config, vec![layer], None)
    }

    fn add_manifest(
        &self,
        tag: &str,
        config: Descriptor,
        layers: Vec<Descriptor>,
        platform: Option<Platform>,
    ) -> Result<Descriptor> {
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::OCI_MANIFEST.into()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        };
        let mut descriptor = self.add_blob(media::OCI_MANIFEST, &spec::to_json(&manifest)?)?;
        descriptor.platform = platform;
        self.name(tag, descriptor.clone())?;
        Ok(descriptor)
    }

    /// Names a stored manifest or index.
    ///
    /// # Errors
    /// Storage, naming the path; invalid where the present index is malformed.
    pub fn name(&self, tag: &str, mut descriptor: Descriptor) -> Result<()> {
        self.update(|index| {
            index
                .manifests
                .retain(|other| other.ref_name() != Some(tag));
            descriptor.annotations.insert(REF_NAME.into(), tag.into());
            index.manifests.push(descriptor);
            Ok(())
        })
    }

    /// Changes the index, one writer at a time.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Index) -> Result<()>) -> Result<()> {
        use super::Layout as _;
        let _lock = Lock::of_directory(self.layout.path())?;
        let path = self.layout.path().join("index.json");
        let mut index = if path.exists() {
            self.layout.index()?
        } else {
            Index::default()
        };
        change(&mut index)?;
        let temporary = self.temporary();
        fs::write(&temporary, spec::to_json(&index)?)
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|error| failed(&path, error))
    }

    /// The layout that is written.
    pub fn layout(&self) -> &LayoutDirectory {
        &self.layout
    }

    /// Stores bytes under the digest they were verified against.
    pub(crate) fn add_verified(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        let path = self.blob_path(&descriptor.digest)?;
        if path.exists() {
            return Ok(());
        }
        let temporary = self.temporary();
        fs::write(&temporary, bytes)
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|error| failed(&path, error))
    }

    /// Copies a blob from elsewhere and verifies it; it gets its name when it is right.
    pub(crate) fn add_blob_from(
        &self,
        blob: &Descriptor,
        source: &dyn BlobSource,
        progress: &dyn Progress,
    ) -> Result<()> {
        let path = self.blob_path(&blob.digest)?;
        let temporary = self.temporary();
        let mut reader = source.open(blob)?;
        progress.started(&blob.digest, 0, blob.size);
        let mut copy = || -> Result<()> {
            let mut file = File::create(&temporary).map_err(|error| failed(&temporary, error))?;
            let mut buffer = vec![0; BUFFER_BYTES];
            let mut done = 0;
            loop {
                let count = reader.read(&mut buffer).map_err(|error| {
                    problem_of(error, |error| {
                        Problem::unavailable("cannot read a blob")
                            .at(source.place())
                            .caused_by(error)
                    })
                })?;
                if count == 0 {
                    break;
                }
                file.write_all(&buffer[..count])
                    .map_err(|error| failed(&temporary, error))?;
                done += count as u64;
                progress.advanced(&blob.digest, done, blob.size);
            }
            fs::rename(&temporary, &path).map_err(|error| failed(&path, error))
        };
        let copied = copy();
        if copied.is_err() {
            // The temporary file is of no use to anybody; the first error is the one to tell.
            let _ = fs::remove_file(&temporary);
        }
        copied
    }

    /// Where a blob goes; the directory of its algorithm is made.
    fn blob_path(&self, digest: &Digest) -> Result<PathBuf> {
        let path = self.layout.blob_path(digest);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        }
        Ok(path)
    }

    fn temporary(&self) -> PathBuf {
        self.layout.path().join(format!(
            ".tmp-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ))
    }
}

/// Hashes and counts what passes through.
struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
    count: u64,
}

impl<W> HashingWriter<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Hasher::sha256(),
            count: 0,
        }
    }

    fn finish(self) -> Result<(W, Digest, u64)> {
        Ok((self.inner, self.hasher.finish()?, self.count))
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn failed(path: &Path, error: io::Error) -> Problem {
    Problem::storage("cannot write the image layout")
        .at(path.display())
        .remedy("check that the directory is writable and that the disk is not full")
        .caused_by(error)
}
