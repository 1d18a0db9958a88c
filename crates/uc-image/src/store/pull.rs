//! From a registry into the store.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    thread,
};

use rustix::fs::{FlockOperation, flock};
use uc_model::{Problem, Result};

use super::{Store, failed, lock::Lock};
use crate::{
    bounds,
    image::{self, BlobSource, Build, Image},
    media, parallel,
    progress::Progress,
    reference::Reference,
    registry::{Credentials, Registry, backoff},
    spec::{Descriptor, REF_NAME},
    verify::{Hasher, problem_of, wrong_digest, wrong_size},
};

/// Layers downloaded at the same time, as docker does.
const DOWNLOADS: usize = 3;
/// How often a broken download is continued without having got further.
const STALLS: u32 = 5;
const BUFFER_BYTES: usize = 128 << 10;

impl Store {
    /// Pulls an image, whether it is stored or not; blobs that are here are not fetched again.
    ///
    /// # Errors
    /// Those of the registry; invalid where content and digest disagree; storage where it cannot be kept.
    pub fn pull(
        &self,
        reference: &Reference,
        credentials: &Credentials,
        progress: &dyn Progress,
    ) -> Result<Image> {
        let _pulls = Lock::shared(&self.pulls_lock())?;
        let registry = Registry::new(reference, credentials, progress);
        let pull = Pull {
            store: self,
            registry: &registry,
            progress,
        };
        let fetched = registry.manifest(reference.manifest_name())?;
        // Known to be a manifest or index before it is kept.
        image::document(&fetched.bytes, &fetched.descriptor.media_type)
            .map_err(|problem| problem.within(reference))?;
        pull.keep(&fetched.descriptor, &fetched.bytes)?;
        let image = image::resolve(&pull, &fetched.descriptor, &reference.to_string())?;
        pull.layers(&image)?;
        self.update(|index| {
            let name = reference.to_string();
            let mut descriptor = fetched.descriptor;
            index
                .manifests
                .retain(|other| other.ref_name() != Some(&name));
            descriptor.annotations.insert(REF_NAME.into(), name);
            index.manifests.push(descriptor);
        })?;
        Ok(image)
    }
}

/// A pull going on: a source of blobs that fetches what the store lacks.
struct Pull<'a> {
    store: &'a Store,
    registry: &'a Registry<'a>,
    progress: &'a dyn Progress,
}

impl BlobSource for Pull<'_> {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        if !self.store.layout.blob_path(&descriptor.digest).exists() {
            let is_document = media::is_index(&descriptor.media_type)
                || media::is_manifest(&descriptor.media_type);
            let bytes = if is_document {
                self.registry.manifest(descriptor.digest.as_str())?.bytes
            } else {
                self.registry.blob(descriptor, bounds::CONFIG_BYTES)?
            };
            self.keep(descriptor, &bytes)?;
        }
        self.store.open_unverified(descriptor)
    }

    fn build(&self) -> Build {
        self.store.build()
    }

    fn place(&self) -> String {
        "registry".into()
    }
}

impl Pull<'_> {
    /// Keeps a small verified blob.
    fn keep(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        let path = self.store.layout.blob_path(&descriptor.digest);
        if path.exists() {
            return Ok(());
        }
        let partial = self.partial(descriptor);
        let file = lock_partial(&partial)?;
        file.set_len(0)
            .and_then(|()| (&file).write_all(bytes))
            .and_then(|()| fs::rename(&partial, &path))
            .map_err(|error| failed(&path, error))
    }

    /// Downloads the layers that are missing, a few at a time.
    fn layers(&self, image: &Image) -> Result<()> {
        let mut seen = BTreeSet::new();
        let layers: Vec<Descriptor> = image
            .layers
            .iter()
            .filter(|layer| seen.insert(&layer.digest))
            .map(image::Layer::descriptor)
            .collect();
        parallel::for_each(&layers, DOWNLOADS, |layer| {
            self.layer(layer)
                .map_err(|problem| problem.within(format!("layer {}", layer.digest.short())))
        })
    }

    fn layer(&self, layer: &Descriptor) -> Result<()> {
        let path = self.store.layout.blob_path(&layer.digest);
        if layer.size > bounds::BLOB_BYTES {
            return Err(Problem::refused("the layer is too large")
                .limit(bounds::shown(bounds::BLOB_BYTES))
                .found(bounds::shown(layer.size)));
        }
        let is_whole =
            |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.len() == layer.size);
        if !is_whole(&path) {
            let partial = self.partial(layer);
            let file = lock_partial(&partial)?;
            // Somebody else may have finished it while we waited.
            if !is_whole(&path) {
                self.download(layer, &file, &partial)?;
                fs::rename(&partial, &path).map_err(|error| failed(&path, error))?;
            }
        }
        self.progress.finished(&layer.digest, layer.size);
        Ok(())
    }

    /// Downloads into a partial file, after what it holds already, until digest and size are right.
    fn download(&self, layer: &Descriptor, file: &File, partial: &Path) -> Result<()> {
        let mut state = Download::resume(layer, file).map_err(|error| failed(partial, error))?;
        let mut resumed = state.done > 0;
        self.progress.started(&layer.digest, state.done, layer.size);
        let mut stalls = 0;
        loop {
            let before = state.done;
            match self.continue_download(layer, &mut state, partial) {
                Ok(()) => {}
                Err(problem) if problem.kind() == uc_model::ProblemKind::Unavailable => {
                    stalls = if state.done > before { 0 } else { stalls + 1 };
                    if stalls >= STALLS {
                        return Err(problem);
                    }
                    let pause = backoff(stalls);
                    self.progress.retrying(
                        &layer.digest.to_string(),
                        problem.what(),
                        pause.as_millis() as u64,
                    );
                    thread::sleep(pause);
                    continue;
                }
                Err(problem) => return Err(problem),
            }
            let verdict = state.verify(layer);
            if verdict.is_err() {
                state
                    .restart(file)
                    .map_err(|error| failed(partial, error))?;
                // What an earlier attempt had left may be to blame: once more from the start.
                if std::mem::take(&mut resumed) {
                    continue;
                }
            }
            return verdict;
        }
    }

    /// One request, from where the download is to the end of the blob.
    fn continue_download(
        &self,
        layer: &Descriptor,
        state: &mut Download<'_>,
        partial: &Path,
    ) -> Result<()> {
        if state.done == layer.size {
            return Ok(());
        }
        let mut stream = self.registry.blob_from(layer, state.done)?;
        if stream.offset != state.done {
            state
                .restart(state.file)
                .map_err(|error| failed(partial, error))?;
        }
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = stream.reader.read(&mut buffer).map_err(|error| {
                problem_of(error, |error| {
                    Problem::unavailable("the registry broke off")
                        .found(&error)
                        .remedy("try again: what has arrived is kept")
                        .caused_by(error)
                })
            })?;
            if count == 0 {
                break;
            }
            state
                .push(&buffer[..count])
                .map_err(|error| failed(partial, error))?;
            if state.done > layer.size {
                break;
            }
            self.progress
                .advanced(&layer.digest, state.done, layer.size);
        }
        if state.done < layer.size {
            return Err(
                Problem::unavailable("the registry sent less than the whole layer")
                    .limit(bounds::shown(layer.size))
                    .found(bounds::shown(state.done)),
            );
        }
        Ok(())
    }

    fn partial(&self, descriptor: &Descriptor) -> std::path::PathBuf {
        self.store
            .path()
            .join("partial")
            .join(format!("{}.partial", descriptor.digest.hex()))
    }
}

/// How far a download is.
struct Download<'a> {
    file: &'a File,
    hasher: Hasher,
    done: u64,
}

impl<'a> Download<'a> {
    /// Takes what is in the file as the start of the blob.
    fn resume(layer: &Descriptor, file: &'a File) -> std::io::Result<Self> {
        let mut download = Self {
            file,
            hasher: Hasher::for_digest(&layer.digest),
            done: 0,
        };
        if file.metadata()?.len() > layer.size {
            download.restart(file)?;
            return Ok(download);
        }
        let mut reader = file;
        reader.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = reader.read(&mut buffer)?;
            if count == 0 {
                return Ok(download);
            }
            download.hasher.update(&buffer[..count]);
            download.done += count as u64;
        }
    }

    fn push(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.done += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self, mut file: &File) -> std::io::Result<()> {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        self.done = 0;
        self.hasher = match self.hasher {
            Hasher::Sha256(_) => Hasher::Sha256(Default::default()),
            Hasher::Sha512(_) => Hasher::Sha512(Default::default()),
        };
        Ok(())
    }

    fn verify(&self, layer: &Descriptor) -> Result<()> {
        if self.done != layer.size {
            return Err(wrong_size(&layer.digest, layer.size, self.done));
        }
        let found = self.hasher.clone().finish()?;
        if found == layer.digest {
            Ok(())
        } else {
            Err(wrong_digest(&layer.digest, &found))
        }
    }
}

/// Opens a partial file for one process alone. The one before may have renamed or removed it while this one waited:
/// then the lock is on a file without this name, and the next try gets a new one.
fn lock_partial(partial: &Path) -> Result<File> {
    loop {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(partial)
            .map_err(|error| failed(partial, error))?;
        match flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(failed(partial, error.into())),
        }
        let same = match (file.metadata(), fs::metadata(partial)) {
            (Ok(locked), Ok(named)) => locked.ino() == named.ino() && locked.dev() == named.dev(),
            _ => false,
        };
        if same {
            return Ok(file);
        }
    }
}
