//! Unpacked layers, kept and shared between images.
//!
//! A layer that describes all its directories is kept under its diff id and serves every image that has it. One that
//! does not depends on what lies below (see [`super::graft`]) and is kept under its chain id. A layer is unpacked beside
//! its place and moved there when it is complete, so what has its final name is whole.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    os::{fd::AsFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use uc_model::{Digest, Problem, Result};

use super::{
    Lease, Options, Unpacked, disk_bytes, graft, lease::claim, remove::remove_tree, unpack_layer,
};
use crate::{
    image::{BlobSource, Image, Layer},
    media::{self, Compression, LayerFormat},
    store::lock::Lock,
    verify::{digest_of, wrong_digest},
};

/// Layers that are unpacked at the same time: each takes two threads.
const WORKERS: usize = 2;
const TEMPORARY: &str = ".tmp-";
/// How often layers may be removed just before they are used.
const ATTEMPTS: usize = 3;

/// Unpacks layers somewhere: in this process, or in one that may use more user ids.
pub trait LayerUnpacker: Sync {
    /// Unpacks a layer, see [`unpack_layer`].
    fn unpack(&self, job: UnpackJob<'_>) -> Result<Unpacked>;

    /// Fits a layer onto those below it, see [`graft`].
    fn graft(&self, layer: &Path, lowers: &[PathBuf], implied: &[Vec<u8>]) -> Result<()>;

    /// Removes a directory that [`Self::unpack`] has written to.
    fn remove(&self, directory: &Path) -> Result<()>;

    /// Bytes that such a directory takes on disk.
    fn disk_bytes(&self, directory: &Path) -> u64 {
        disk_bytes(directory)
    }
}

/// One layer to unpack.
pub struct UnpackJob<'a> {
    /// The compressed layer; reading to its end verifies the blob.
    pub stream: Box<dyn Read + Send + 'a>,
    /// The compression that its media type promises.
    pub compression: Compression,
    /// An empty directory.
    pub target: &'a Path,
}

/// Unpacks in this process with its own ids.
#[derive(Debug, Clone, Copy)]
pub struct InProcess(pub Options);

impl LayerUnpacker for InProcess {
    fn unpack(&self, job: UnpackJob<'_>) -> Result<Unpacked> {
        let target = open(job.target)?;
        unpack_layer(job.stream, target.as_fd(), Some(job.compression), &self.0)
    }

    fn graft(&self, layer: &Path, lowers: &[PathBuf], implied: &[Vec<u8>]) -> Result<()> {
        let layer = open(layer)?;
        let lowers = lowers
            .iter()
            .map(|lower| open(lower))
            .collect::<Result<Vec<_>>>()?;
        let lowers: Vec<_> = lowers.iter().map(AsFd::as_fd).collect();
        graft(layer.as_fd(), &lowers, implied)
    }

    fn remove(&self, directory: &Path) -> Result<()> {
        let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else {
            return Err(
                Problem::internal("not a directory of the layer cache").at(directory.display())
            );
        };
        remove_tree(open(parent)?, name.as_encoded_bytes()).map_err(|error| {
            Problem::storage("cannot remove an unpacked layer")
                .at(directory.display())
                .caused_by(error)
        })
    }
}

/// The directory of unpacked layers.
#[derive(Debug)]
pub struct LayerCache {
    directory: PathBuf,
}

/// What is known of a layer while an image is prepared.
struct Slot<'a> {
    layer: &'a Layer,
    chain: Digest,
    ready: Option<PathBuf>,
}

impl LayerCache {
    /// Opens the cache in `directory`, making it (0700) where it is missing. Processes whose layers belong to different
    /// ids need different directories.
    ///
    /// # Errors
    /// Storage, naming the path.
    pub fn open(directory: &Path) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| failed(directory, error))?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// The unpacked layers of an image, lowest first; what is missing is unpacked now. Of several processes that need
    /// the same layer one unpacks it and the others wait.
    ///
    /// # Errors
    /// Those of [`unpack_layer`], naming the layer; invalid where a layer does not have its diff id.
    pub fn prepare(
        &self,
        image: &Image,
        source: &dyn BlobSource,
        unpacker: &dyn LayerUnpacker,
    ) -> Result<Vec<PathBuf>> {
        if let Some(ready) = self.all_ready(image) {
            return Ok(ready);
        }
        let _lock = Lock::exclusive(&self.directory.join(".lock"))?;
        self.remove_temporary(unpacker)?;
        let mut slots = self.slots(image);
        let outcome = self
            .unpack_missing(&slots, source, unpacker)
            .and_then(|unpacked| self.settle(&mut slots, unpacked, unpacker));
        if outcome.is_err() {
            // The first error is the one to tell; the next run removes what stays.
            let _ = self.remove_temporary(unpacker);
        }
        outcome
    }

    /// As [`Self::prepare`]; no other process removes the layers as long as the lease lives.
    ///
    /// # Errors
    /// Those of [`Self::prepare`].
    pub fn prepare_for_use(
        &self,
        image: &Image,
        source: &dyn BlobSource,
        unpacker: &dyn LayerUnpacker,
    ) -> Result<(Vec<PathBuf>, Lease)> {
        for _ in 0..ATTEMPTS {
            let layers = self.prepare(image, source, unpacker)?;
            if let Some(lease) = Lease::take(&layers) {
                return Ok((layers, lease));
            }
            // It is being removed: who does so holds this lock, and is waited for.
            drop(Lock::exclusive(&self.directory.join(".lock"))?);
        }
        Err(
            Problem::storage("unpacked layers are removed again and again while they are needed")
                .at(self.directory.display())
                .limit(ATTEMPTS)
                .remedy("wait until `uc image prune` and `uc image rm` are done"),
        )
    }

    /// The unpacked layers of an image, lowest first, if all are there.
    pub fn all_ready(&self, image: &Image) -> Option<Vec<PathBuf>> {
        self.slots(image)
            .into_iter()
            .map(|slot| slot.ready)
            .collect()
    }

    /// Removes every unpacked layer that none of `keep` needs and nobody uses; returns the bytes on disk that were freed.
    ///
    /// # Errors
    /// Storage, naming the path.
    pub fn remove_except(&self, keep: &[Image], unpacker: &dyn LayerUnpacker) -> Result<u64> {
        let _lock = Lock::exclusive(&self.directory.join(".lock"))?;
        self.remove_temporary(unpacker)?;
        let kept: BTreeSet<PathBuf> = keep
            .iter()
            .flat_map(|image| self.slots(image))
            .flat_map(|slot| [self.by_diff(slot.layer), self.by_chain(&slot.chain)])
            .collect();
        let mut freed = 0;
        for path in self.entries()? {
            if kept.contains(&path) {
                continue;
            }
            if let Some(_claimed) = claim(&path) {
                let bytes = unpacker.disk_bytes(&path);
                self.discard(&path, unpacker)?;
                freed += bytes;
            }
        }
        Ok(freed)
    }

    fn slots<'a>(&self, image: &'a Image) -> Vec<Slot<'a>> {
        let mut slots: Vec<Slot<'a>> = Vec::with_capacity(image.layers.len());
        for layer in &image.layers {
            let chain = match slots.last() {
                None => layer.diff_id.clone(),
                Some(below) => digest_of(format!("{} {}", below.chain, layer.diff_id).as_bytes()),
            };
            let ready = [self.by_diff(layer), self.by_chain(&chain)]
                .into_iter()
                .find(|path| path.is_dir());
            slots.push(Slot {
                layer,
                chain,
                ready,
            });
        }
        slots
    }

    fn by_diff(&self, layer: &Layer) -> PathBuf {
        self.directory.join(layer.diff_id.hex())
    }

    fn by_chain(&self, chain: &Digest) -> PathBuf {
        self.directory.join(format!("chain-{}", chain.hex()))
    }

    fn temporary(&self, slot: usize) -> PathBuf {
        self.directory.join(format!("{TEMPORARY}{slot}"))
    }

    /// Unpacks what is not ready beside its place, a few at a time. The result says what each made.
    fn unpack_missing(
        &self,
        slots: &[Slot<'_>],
        source: &dyn BlobSource,
        unpacker: &dyn LayerUnpacker,
    ) -> Result<Vec<Option<Unpacked>>> {
        let results: Vec<Mutex<Option<Unpacked>>> =
            slots.iter().map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        let work = || -> Result<()> {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(slot) = slots.get(at) else {
                    return Ok(());
                };
                if slot.ready.is_some() {
                    continue;
                }
                let unpacked = self.unpack_one(slot.layer, &self.temporary(at), source, unpacker);
                if unpacked.is_err() {
                    // Nobody needs the rest any more.
                    next.store(slots.len(), Ordering::Relaxed);
                }
                if let Ok(mut result) = results[at].lock() {
                    *result = Some(unpacked?);
                }
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .map(|worker| {
                    worker
                        .join()
                        .unwrap_or_else(|_| Err(Problem::internal("an unpacking thread panicked")))
                })
                .collect::<Result<Vec<()>>>()
        })?;
        Ok(results
            .into_iter()
            .map(|result| result.into_inner().unwrap_or_default())
            .collect())
    }

    fn unpack_one(
        &self,
        layer: &Layer,
        target: &Path,
        source: &dyn BlobSource,
        unpacker: &dyn LayerUnpacker,
    ) -> Result<Unpacked> {
        let place = || format!("layer {}", layer.digest.short());
        let Some(LayerFormat::Tar(compression)) = media::layer_format(&layer.media_type) else {
            return Err(Problem::invalid("not a layer of a root file system")
                .at(place())
                .found(&layer.media_type));
        };
        // The layer's root is the container's root: everybody may enter it unless the layer says otherwise. Others
        // cannot reach it, the cache itself is private.
        fs::DirBuilder::new()
            .mode(0o755)
            .create(target)
            .map_err(|error| failed(target, error))?;
        let stream = Box::new(source.open(&layer.descriptor())?);
        let unpacked = unpacker
            .unpack(UnpackJob {
                stream,
                compression,
                target,
            })
            .map_err(|problem| problem.within(place()))?;
        if unpacked.diff_id == layer.diff_id {
            Ok(unpacked)
        } else {
            Err(wrong_digest(&layer.diff_id, &unpacked.diff_id)
                .at(format!("{}, decompressed", place())))
        }
    }

    /// Gives what was unpacked its final name, from the bottom up.
    fn settle(
        &self,
        slots: &mut [Slot<'_>],
        unpacked: Vec<Option<Unpacked>>,
        unpacker: &dyn LayerUnpacker,
    ) -> Result<Vec<PathBuf>> {
        let mut ready: Vec<PathBuf> = Vec::with_capacity(slots.len());
        for (at, (slot, unpacked)) in slots.iter_mut().zip(unpacked).enumerate() {
            let place = match (slot.ready.take(), unpacked) {
                (Some(place), _) => place,
                (None, None) => return Err(Problem::internal("a layer was not unpacked")),
                (None, Some(unpacked)) => {
                    let temporary = self.temporary(at);
                    let place = if unpacked.implied.is_empty() {
                        self.by_diff(slot.layer)
                    } else {
                        unpacker.graft(&temporary, &ready, &unpacked.implied)?;
                        self.by_chain(&slot.chain)
                    };
                    // An image may list one layer twice.
                    if !place.is_dir() {
                        fs::rename(&temporary, &place).map_err(|error| failed(&place, error))?;
                    }
                    place
                }
            };
            ready.push(place);
        }
        Ok(ready)
    }

    /// Removes what runs that ended early have left. Only under the lock.
    fn remove_temporary(&self, unpacker: &dyn LayerUnpacker) -> Result<()> {
        for path in self.entries()? {
            if path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes()))
            {
                unpacker.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Takes a layer out of the way at once, then removes it.
    fn discard(&self, path: &Path, unpacker: &dyn LayerUnpacker) -> Result<()> {
        let doomed = self.directory.join(format!("{TEMPORARY}doomed"));
        fs::rename(path, &doomed).map_err(|error| failed(path, error))?;
        unpacker.remove(&doomed)
    }

    fn entries(&self) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in
            fs::read_dir(&self.directory).map_err(|error| failed(&self.directory, error))?
        {
            let entry = entry.map_err(|error| failed(&self.directory, error))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                paths.push(entry.path());
            }
        }
        Ok(paths)
    }
}

fn open(directory: &Path) -> Result<File> {
    File::open(directory).map_err(|error| failed(directory, error))
}

fn failed(path: &Path, error: std::io::Error) -> Problem {
    Problem::storage("cannot use the cache of unpacked layers")
        .at(path.display())
        .remedy("check that the data directory is writable and that the disk is not full")
        .caused_by(error)
}
