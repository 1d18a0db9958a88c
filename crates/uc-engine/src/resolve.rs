//! From a workload's image names to what its containers execute.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use uc_image::{
    Image, ImageConfig, ImageKind, Progress,
    image::{BlobSource, Build, architecture},
    layout::{Layout as _, LayoutArchive, LayoutDirectory},
    registry::Credentials,
    store::Store,
    unpack::{LayerCache, LayerStack},
};
use uc_linux::IdMapping;
use uc_model::{
    Digest, PayloadFormat, Problem, Result, RuntimeChoice, RuntimeKind,
    workload::{Container, ImageSource, Workload},
};
use uc_select::Footprint;
use uc_wasm::WasmFacts;

use crate::{
    Engine, environment, footprints::Footprints, home::make_private, stop_signal,
    unpack::MappedUnpacker,
};

/// A workload with the content of its containers at hand.
pub struct Resolved {
    /// The workload.
    pub workload: Workload,
    /// The content of its init containers, then of its containers, in order.
    pub containers: Vec<ResolvedContainer>,
}

/// The content of one container.
pub struct ResolvedContainer {
    /// The container's name.
    pub name: String,
    /// What it executes.
    pub content: Content,
    /// What the image says about it; empty for a file.
    pub config: ImageConfig,
    /// The digest of the image's manifest.
    pub digest: Option<Digest>,
    /// The digest that its name stands for: of an index that lists the manifest, or the manifest's own.
    pub named_digest: Option<Digest>,
    /// The size of the image's layers, as they are transferred.
    pub image_bytes: Option<u64>,
    /// What is known of its program's system calls.
    pub footprint: Option<Footprint>,
}

/// What a container executes.
#[derive(Debug, Clone)]
pub enum Content {
    /// A WebAssembly program.
    Wasm {
        /// The file.
        file: PathBuf,
        /// What is known about it without running it.
        facts: WasmFacts,
    },
    /// Unpacked layers, lowest first.
    Rootfs {
        /// The directories.
        layers: Vec<PathBuf>,
    },
}

impl Content {
    /// The format, for choosing a runtime.
    pub fn format(&self) -> PayloadFormat {
        match self {
            Self::Wasm { facts, .. } => facts.format,
            Self::Rootfs { .. } => PayloadFormat::LinuxRootfs,
        }
    }
}

/// Which build of an image a runtime wants. Left to `uc`, it is that for this processor: what its author builds for it is
/// what its author runs.
fn build(runtime: RuntimeChoice) -> Build {
    match runtime {
        RuntimeChoice::Fixed(RuntimeKind::Wasm) => Build::Wasm,
        RuntimeChoice::Fixed(_) | RuntimeChoice::Auto => Build::Native,
    }
}

impl Resolved {
    /// Leaves the choice of a runtime no more to `uc` where a trace is wanted: calls can be heard where the host's kernel
    /// answers them.
    pub fn prefer_traceable(&mut self) {
        let mut contents = self.containers.iter().map(|container| &container.content);
        if self.workload.runtime == RuntimeChoice::Auto
            && contents.all(|content| matches!(content, Content::Rootfs { .. }))
        {
            self.workload.runtime = RuntimeChoice::Fixed(RuntimeKind::Container);
        }
    }

    /// Takes a footprint for what is known of each container's program, where one is given.
    pub fn know(&mut self, footprint: Option<&Footprint>) {
        if let Some(footprint) = footprint {
            for container in &mut self.containers {
                container.footprint = Some(footprint.clone());
            }
        }
    }
}

impl Engine {
    /// Finds, pulls and unpacks what the containers need. Blobs are checked against their digests on the way.
    ///
    /// # Errors
    /// Those of images and registries, each naming the container's field if it has one.
    pub fn resolve(&self, workload: Workload, progress: &dyn Progress) -> Result<Resolved> {
        let blame = |field: String| {
            let origin = workload.origin.clone();
            move |problem| origin.blame(&field, problem)
        };
        let fields = ["spec.initContainers", "spec.containers"];
        let mut containers = Vec::new();
        for (field, group) in fields
            .into_iter()
            .zip([&workload.init_containers, &workload.containers])
        {
            for (index, container) in group.iter().enumerate() {
                let resolved = self
                    .resolve_container(container, build(workload.runtime), progress)
                    .map_err(blame(format!("{field}[{index}].image")))?;
                // A user that does not exist, or is root against the manifest's word, is known here.
                let process = environment::process(&workload, container, &resolved)
                    .map_err(blame(format!("{field}[{index}]")))?;
                if matches!(resolved.content, Content::Wasm { .. }) {
                    environment::host_user(&process.user, &IdMapping::for_caller()?)
                        .map_err(blame(format!("{field}[{index}]")))?;
                }
                containers.push(resolved);
            }
        }
        Ok(Resolved {
            workload,
            containers,
        })
    }

    fn resolve_container(
        &self,
        container: &Container,
        build: Build,
        progress: &dyn Progress,
    ) -> Result<ResolvedContainer> {
        let name = container.name.clone();
        match &container.image {
            ImageSource::WasmFile { file } => {
                let facts = inspect_file(file)?;
                let content = Content::Wasm {
                    file: file.clone(),
                    facts,
                };
                Ok(ResolvedContainer {
                    name,
                    content,
                    config: ImageConfig::default(),
                    digest: None,
                    named_digest: None,
                    image_bytes: None,
                    footprint: None,
                })
            }
            ImageSource::OciLayout { directory, tag } => {
                let layout = LayoutDirectory::open(directory)?.preferring(build);
                let image = layout.image(tag.as_deref())?;
                self.resolve_image(container, &image, &layout)
            }
            ImageSource::OciArchive { file, tag } => {
                let archive = LayoutArchive::open(file)?.preferring(build);
                let image = archive.image(tag.as_deref())?;
                self.resolve_image(container, &image, &archive)
            }
            ImageSource::Registry { reference } => {
                let store = Store::open(&self.home().images())?.preferring(build);
                let credentials = Credentials::from_environment();
                let image = store.resolve(
                    &reference.parse()?,
                    container.pull_policy,
                    &credentials,
                    progress,
                )?;
                self.resolve_image(container, &image, &store)
            }
        }
    }

    fn resolve_image(
        &self,
        container: &Container,
        image: &Image,
        source: &dyn BlobSource,
    ) -> Result<ResolvedContainer> {
        require_this_machine(&image.config, &image.kind)
            .map_err(|problem| problem.at(&image.reference))?;
        stop_signal::of(&image.config).map_err(|problem| problem.at(&image.reference))?;
        let content = match image.kind {
            ImageKind::WasmArtifact { layer } => {
                let layer = image
                    .layers
                    .get(layer)
                    .ok_or_else(|| Problem::internal("an artifact without its layer"))?;
                let bytes = source.read(&layer.descriptor(), uc_wasm::PACKAGE_LIMIT_BYTES)?;
                self.keep_module(&bytes, &layer.digest)?
            }
            ImageKind::Rootfs => {
                let layers = self.unpack(image, source)?;
                if image.config.architecture == "wasm" {
                    self.module_in_image(container, image, &layers)?
                } else {
                    Content::Rootfs { layers }
                }
            }
        };
        Ok(ResolvedContainer {
            name: container.name.clone(),
            content,
            config: image.config.clone(),
            digest: Some(image.manifest_digest.clone()),
            named_digest: Some(image.named_digest.clone()),
            image_bytes: Some(image.layers.iter().map(|layer| layer.size).sum()),
            footprint: self.footprints().find(&image.manifest_digest),
        })
    }

    /// What is known of the system calls of images' programs.
    pub fn footprints(&self) -> Footprints {
        Footprints::new(self.home().footprints())
    }

    /// Unpacks an image's layers, as running it would.
    ///
    /// # Errors
    /// Those of unpacking.
    pub fn unpack_image(&self, image: &Image, source: &dyn BlobSource) -> Result<()> {
        match image.kind {
            ImageKind::Rootfs => self.unpack(image, source).map(drop),
            ImageKind::WasmArtifact { .. } => Ok(()),
        }
    }

    /// Removes unpacked layers that no image of the store needs and nothing that runs uses; returns the bytes that were
    /// freed. Those of layouts are unpacked again when they are run.
    ///
    /// # Errors
    /// Storage.
    pub fn forget_layers(&self, store: &Store) -> Result<u64> {
        let mapping = IdMapping::for_caller()?;
        let cache = LayerCache::open(&self.home().layers(&mapping.key()))?;
        cache.remove_except(&store.images()?, &MappedUnpacker { mapping: &mapping })
    }

    fn unpack(&self, image: &Image, source: &dyn BlobSource) -> Result<Vec<PathBuf>> {
        let mapping = IdMapping::for_caller()?;
        let cache = LayerCache::open(&self.home().layers(&mapping.key()))?;
        let unpacker = MappedUnpacker { mapping: &mapping };
        let (layers, lease) = cache.prepare_for_use(image, source, &unpacker)?;
        self.keep(lease);
        Ok(layers)
    }

    /// An image whose platform is WebAssembly: its entrypoint is a file of its root file system.
    fn module_in_image(
        &self,
        container: &Container,
        image: &Image,
        layers: &[PathBuf],
    ) -> Result<Content> {
        let own = container.command.as_deref();
        let program = own
            .into_iter()
            .flatten()
            .chain(&image.config.entrypoint)
            .chain(&image.config.cmd)
            .next()
            .ok_or_else(|| Problem::invalid("the image names no program").at(&image.reference))?;
        let bytes = LayerStack::open(layers)?
            .read_file(program.as_bytes(), uc_wasm::PACKAGE_LIMIT_BYTES)?
            .ok_or_else(|| {
                Problem::not_found("the image lacks its program")
                    .at(&image.reference)
                    .found(program)
            })?;
        let digest = uc_image::verify::digest_of(&bytes);
        self.keep_module(&bytes, &digest)
    }

    /// Puts a module that came out of an image where a driver can read it, under the name of its content.
    fn keep_module(&self, bytes: &[u8], digest: &Digest) -> Result<Content> {
        let directory = self.home().compiled();
        make_private(&directory)?;
        let file = directory.join(format!("{}.wasm", digest.hex()));
        if fs::metadata(&file).is_ok_and(|metadata| metadata.len() == bytes.len() as u64) {
            // Written by rename below, so it is whole.
        } else {
            let temporary = directory.join(format!(".{}-{}", digest.short(), std::process::id()));
            fs::write(&temporary, bytes)
                .and_then(|()| fs::rename(&temporary, &file))
                .map_err(|error| crate::home::cannot_write(&file, error))?;
        }
        Ok(Content::Wasm {
            facts: uc_wasm::inspect(bytes).map_err(|problem| problem.at(digest))?,
            file,
        })
    }
}

/// A manifest that is named directly, as in a layout, has not been chosen by its platform. One that does not say what it
/// is for is taken at its word.
fn require_this_machine(config: &ImageConfig, kind: &ImageKind) -> Result<()> {
    let own = architecture();
    let fits = match kind {
        ImageKind::WasmArtifact { .. } => true,
        ImageKind::Rootfs if config.architecture == "wasm" => true,
        ImageKind::Rootfs => {
            (config.os.is_empty() || config.os == "linux")
                && (config.architecture.is_empty() || config.architecture == own)
        }
    };
    if fits {
        return Ok(());
    }
    let or_unknown = |word: &str| if word.is_empty() { "?" } else { word }.to_owned();
    Err(
        Problem::not_found("the image is not built for this machine")
            .limit(format!("linux/{own} or a wasm platform"))
            .found(format!(
                "{}/{}",
                or_unknown(&config.os),
                or_unknown(&config.architecture)
            ))
            .remedy("use an image built for this architecture"),
    )
}

/// Reads a module's facts; a package too large to be one is not read.
fn inspect_file(file: &Path) -> Result<WasmFacts> {
    let opened = fs::File::open(file).map_err(|error| {
        let problem = if error.kind() == std::io::ErrorKind::NotFound {
            Problem::not_found("no such file")
                .remedy("check the path: it is relative to the Pod file or the working directory")
        } else {
            Problem::invalid("cannot read the file").found(&error)
        };
        problem.at(file.display()).caused_by(error)
    })?;
    // One byte past the limit shows that it is passed; the red line then refuses with both figures.
    let limit = uc_wasm::PACKAGE_LIMIT_BYTES + 1;
    let size = opened.metadata().map_or(0, |metadata| metadata.len());
    if size >= limit {
        return Err(package_too_large(size).at(file.display()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    opened
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            Problem::invalid("cannot read the file")
                .at(file.display())
                .caused_by(error)
        })?;
    uc_wasm::inspect(&bytes).map_err(|problem| problem.within(file.display()))
}

fn package_too_large(size: u64) -> Problem {
    let facts = uc_redline::Facts {
        package_bytes: Some(size),
        ..uc_redline::Facts::default()
    };
    uc_redline::require(&uc_redline::judge(&facts))
        .err()
        .unwrap_or_else(|| Problem::refused("the package is too large").found(size))
}
