//! An image as the engine sees it, and the way from an index or manifest to it.

use std::io::Read;

use uc_model::{Digest, Problem, Result};

use crate::{
    bounds,
    config::ImageConfig,
    media::{self, LayerFormat},
    reference::Reference,
    spec::{self, Descriptor, Index, Manifest, Platform},
    verify::{VerifyingReader, problem_of},
};

/// A resolved image: everything about it but the layers' content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// How it was named.
    pub reference: String,
    /// What the name stands for: an index, or the manifest itself. Signatures are commonly about this digest.
    pub named_digest: Digest,
    /// The manifest for this machine.
    pub manifest_digest: Digest,
    /// What its containers execute.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
    /// What it is made of.
    pub kind: ImageKind,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The blob, as stored and transferred.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
    /// The digest of the tar stream inside; that of the blob for a Wasm artifact.
    pub diff_id: Digest,
}

impl Layer {
    /// The descriptor to open it by.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest.clone(), self.size)
    }
}

/// What an image is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// Layers of a Linux root file system. Where [`ImageConfig::architecture`] is `wasm`, the program is a Wasm file in
    /// that file system.
    Rootfs,
    /// An OCI Wasm artifact: one layer is the module or component.
    WasmArtifact {
        /// Which one, as an index into [`Image::layers`].
        layer: usize,
    },
}

/// Where blobs come from: a layout directory, an archive, the store, a registry.
pub trait BlobSource: Send + Sync {
    /// Opens a blob without checking its content.
    ///
    /// # Errors
    /// Not found, naming the digest.
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>>;

    /// A name for messages.
    fn place(&self) -> String;

    /// Which of several builds of an image is wanted.
    fn build(&self) -> Build {
        Build::Native
    }

    /// The repository that the blobs are in, where they are in one: its registry can hand them on by itself.
    fn repository(&self) -> Option<&Reference> {
        None
    }

    /// Opens a blob; reading to the end fails unless digest and size are right.
    fn open(&self, descriptor: &Descriptor) -> Result<VerifyingReader<Box<dyn Read + Send>>> {
        if descriptor.size > bounds::BLOB_BYTES {
            return Err(too_large(descriptor, bounds::BLOB_BYTES));
        }
        let inner = self.open_unverified(descriptor)?;
        Ok(VerifyingReader::new(
            inner,
            descriptor.digest.clone(),
            descriptor.size,
        ))
    }

    /// A whole verified blob of at most `limit` bytes.
    fn read(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        if descriptor.size > limit {
            return Err(too_large(descriptor, limit));
        }
        let mut bytes = Vec::new();
        self.open(descriptor)?
            .read_to_end(&mut bytes)
            .map_err(|error| {
                problem_of(error, |error| {
                    Problem::unavailable("cannot read a blob")
                        .at(&descriptor.digest)
                        .caused_by(error)
                })
            })?;
        Ok(bytes)
    }
}

fn too_large(descriptor: &Descriptor, limit: u64) -> Problem {
    Problem::refused("the blob is too large")
        .at(&descriptor.digest)
        .limit(bounds::shown(limit))
        .found(bounds::shown(descriptor.size))
}

/// Follows a named descriptor through nested indexes to the manifest for this machine, and reads its configuration.
///
/// # Errors
/// Those of the blobs read; not found where no manifest is for this machine; invalid where the parts contradict each
/// other; refused beyond a bound.
pub fn resolve(source: &dyn BlobSource, named: &Descriptor, reference: &str) -> Result<Image> {
    resolve_in(source, named, reference).map_err(|problem| problem.within(source.place()))
}

fn resolve_in(source: &dyn BlobSource, named: &Descriptor, reference: &str) -> Result<Image> {
    let mut descriptor = named.clone();
    for _ in 0..=bounds::INDEX_DEPTH {
        let bytes = source.read(&descriptor, bounds::MANIFEST_BYTES)?;
        match document(&bytes, &descriptor.media_type)
            .map_err(|problem| problem.within(&descriptor.digest))?
        {
            Document::Index(index) => {
                descriptor = for_this_machine(&index.manifests, source.build())
                    .ok_or_else(|| no_platform(&index))?
                    .clone();
            }
            Document::Manifest(manifest) => {
                return from_manifest(source, &manifest, &descriptor.digest).map(|image| Image {
                    reference: reference.to_owned(),
                    named_digest: named.digest.clone(),
                    ..image
                });
            }
        }
    }
    Err(Problem::refused("image indexes are nested too deeply").limit(bounds::INDEX_DEPTH))
}

/// What a manifest request or blob can hold.
pub(crate) enum Document {
    Index(Index),
    Manifest(Manifest),
}

/// Reads an index or a manifest. The media type it states itself must agree with the one it was announced by, or one
/// digest could be taken for two things.
pub(crate) fn document(bytes: &[u8], announced: &str) -> Result<Document> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sketch {
        media_type: Option<String>,
        config: Option<serde::de::IgnoredAny>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let sketch: Sketch = spec::parse(bytes, "manifest", bounds::MANIFEST_BYTES)?;
    if sketch.config.is_some() && sketch.manifests.is_some() {
        return Err(
            Problem::invalid("the document is both an index and a manifest")
                .remedy("build the image again"),
        );
    }
    let known = |media_type: &str| media::is_index(media_type) || media::is_manifest(media_type);
    let stated = sketch.media_type.as_deref().unwrap_or(announced);
    if known(announced) && media::is_index(stated) != media::is_index(announced) {
        return Err(Problem::invalid(
            "the manifest's media type is not the one it was announced by",
        )
        .limit(announced)
        .found(stated));
    }
    if media::is_index(stated) || (stated.is_empty() && sketch.manifests.is_some()) {
        spec::parse_index(bytes).map(Document::Index)
    } else if media::is_manifest(stated) || stated.is_empty() {
        spec::parse_manifest(bytes).map(Document::Manifest)
    } else {
        Err(Problem::invalid("unsupported manifest type")
            .limit("an OCI image manifest or index, or Docker's version 2 schema 2")
            .found(stated))
    }
}

/// Which of an image's builds is wanted, where it has several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Build {
    /// That for this processor, else the one in WebAssembly.
    #[default]
    Native,
    /// That in WebAssembly, else the one for this processor.
    Wasm,
}

/// The manifest for this machine: the build that is wanted first, then the other, then one that does not say.
pub(crate) fn for_this_machine(manifests: &[Descriptor], build: Build) -> Option<&Descriptor> {
    let rank = |descriptor: &Descriptor| match &descriptor.platform {
        Some(platform) => rank_platform(platform, build),
        None if media::is_index(&descriptor.media_type)
            || media::is_manifest(&descriptor.media_type) =>
        {
            Some(9)
        }
        None => None,
    };
    manifests
        .iter()
        .filter_map(|descriptor| rank(descriptor).map(|rank| (rank, descriptor)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, descriptor)| descriptor)
}

fn rank_platform(platform: &Platform, build: Build) -> Option<u8> {
    let native = if build == Build::Wasm { 6 } else { 0 };
    // On amd64 a variant such as v3 asks for newer processors: the plain one runs everywhere.
    let variant = u8::from(platform.variant.is_some() && architecture() == "amd64");
    match (platform.os.as_str(), platform.architecture.as_str()) {
        ("linux", own) if own == architecture() => Some(native + variant),
        ("wasip2" | "wasip1" | "wasi", _) => Some(4),
        (_, "wasm" | "wasm32") => Some(5),
        _ => None,
    }
}

/// This machine's architecture in Go's terms.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

fn no_platform(index: &Index) -> Problem {
    let mut found: Vec<String> = index
        .manifests
        .iter()
        .filter_map(|descriptor| descriptor.platform.as_ref())
        .map(|platform| format!("{}/{}", platform.os, platform.architecture))
        .take(32)
        .collect();
    found.dedup();
    let found = if found.is_empty() {
        "none".to_owned()
    } else {
        found.join(", ")
    };
    Problem::not_found("the image is not built for this machine")
        .limit(format!("linux/{} or a wasm platform", architecture()))
        .found(found)
        .remedy("use an image built for this architecture")
}

fn from_manifest(source: &dyn BlobSource, manifest: &Manifest, digest: &Digest) -> Result<Image> {
    let wasm = wasm_layer(manifest)?;
    let config_bytes = source.read(&manifest.config, bounds::CONFIG_BYTES)?;
    let config_type = manifest.config.media_type.as_str();
    let config = match config_type {
        media::OCI_CONFIG | media::DOCKER_CONFIG | media::WASM_CONFIG => {
            ImageConfig::parse(&config_bytes)
                .map_err(|problem| problem.within(&manifest.config.digest))?
        }
        // An artifact's configuration is the artifact's own affair.
        _ if wasm.is_some() => ImageConfig::default(),
        _ => {
            return Err(Problem::invalid("the manifest is not that of an image")
                .at(digest)
                .limit("an image configuration or a Wasm artifact")
                .found(format!("configuration type {config_type:?}"))
                .remedy("name an image; signatures, charts and other artifacts cannot run"));
        }
    };
    let (layers, kind) = match wasm {
        Some(layer) => (wasm_layers(manifest), ImageKind::WasmArtifact { layer }),
        None => (rootfs_layers(manifest, &config)?, ImageKind::Rootfs),
    };
    Ok(Image {
        reference: String::new(),
        named_digest: digest.clone(),
        manifest_digest: digest.clone(),
        config,
        layers,
        kind,
    })
}

/// Which layer is the module, if the manifest is that of a Wasm artifact.
fn wasm_layer(manifest: &Manifest) -> Result<Option<usize>> {
    let wasm: Vec<usize> = (0..manifest.layers.len())
        .filter(|&at| {
            media::layer_format(&manifest.layers[at].media_type) == Some(LayerFormat::Wasm)
        })
        .collect();
    match wasm.as_slice() {
        [] if manifest.config.media_type == media::WASM_CONFIG => Err(Problem::invalid(
            "the Wasm artifact has no layer of type application/wasm",
        )),
        [] => Ok(None),
        [only] => Ok(Some(*only)),
        several => Err(Problem::invalid("the Wasm artifact has several modules")
            .limit(1)
            .found(several.len())
            .remedy("push each module as an artifact of its own")),
    }
}

fn wasm_layers(manifest: &Manifest) -> Vec<Layer> {
    manifest
        .layers
        .iter()
        .map(|layer| to_layer(layer, layer.digest.clone()))
        .collect()
}

fn rootfs_layers(manifest: &Manifest, config: &ImageConfig) -> Result<Vec<Layer>> {
    if manifest.layers.len() > bounds::LAYERS {
        return Err(Problem::refused("the image has too many layers")
            .limit(bounds::LAYERS)
            .found(manifest.layers.len())
            .remedy("squash the image, for example with a multi-stage build"));
    }
    if manifest.layers.len() != config.diff_ids.len() {
        return Err(
            Problem::invalid("manifest and configuration disagree about the layers")
                .at("rootfs.diff_ids")
                .limit(format!(
                    "{} layers, as in the manifest",
                    manifest.layers.len()
                ))
                .found(config.diff_ids.len())
                .remedy("build the image again"),
        );
    }
    let mut layers = Vec::with_capacity(manifest.layers.len());
    for (at, (layer, diff_id)) in manifest.layers.iter().zip(&config.diff_ids).enumerate() {
        if !matches!(
            media::layer_format(&layer.media_type),
            Some(LayerFormat::Tar(_))
        ) {
            return Err(Problem::invalid("unsupported layer type")
                .at(format!("layers[{at}].mediaType"))
                .limit("a tar, tar+gzip or tar+zstd layer")
                .found(format!("{:?}", layer.media_type))
                .remedy("build the image with gzip or zstd layers, not encrypted"));
        }
        layers.push(to_layer(layer, diff_id.clone()));
    }
    Ok(layers)
}

fn to_layer(descriptor: &Descriptor, diff_id: Digest) -> Layer {
    Layer {
        digest: descriptor.digest.clone(),
        size: descriptor.size,
        media_type: descriptor.media_type.clone(),
        diff_id,
    }
}
