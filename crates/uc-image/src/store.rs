//! Our own images: a layout that many processes share.
//!
//! Blobs arrive under their final name only when they are verified; the index is replaced as a whole under a lock. So
//! after a crash at any moment there is a valid store, and at most a partial download that the next pull continues.

pub(crate) mod lock;
mod pull;

use std::{
    collections::BTreeSet,
    fs::{self},
    io::Read,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use uc_model::{Digest, Problem, Result, workload::PullPolicy};

use crate::{
    bounds,
    image::{self, BlobSource, Build, Document, Image},
    layout::{Layout, LayoutDirectory, MARKER},
    progress::Progress,
    reference::Reference,
    registry::Credentials,
    spec::{self, Descriptor, Index},
};
use lock::Lock;

/// The store in a data directory.
#[derive(Debug, Clone)]
pub struct Store {
    layout: LayoutDirectory,
}

/// A named image of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Its name.
    pub reference: Reference,
    /// What the name stood for when it was pulled.
    pub digest: Digest,
    /// Bytes of its layers as stored; `None` where a part of it is missing or damaged.
    pub size: Option<u64>,
}

/// What [`Store::remove`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Bytes of blobs that nothing needed any more.
    pub freed_bytes: u64,
    /// Whether unneeded blobs were left for the next time, because a pull is going on.
    pub postponed: bool,
}

impl Store {
    /// Opens the store in `directory`, making it (0700) where it is missing.
    ///
    /// # Errors
    /// Storage, naming the path.
    pub fn open(directory: &Path) -> Result<Self> {
        for path in [
            directory.to_owned(),
            directory.join("blobs/sha256"),
            directory.join("blobs/sha512"),
            directory.join("partial"),
        ] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(|error| failed(&path, error))?;
        }
        let marker = directory.join(MARKER.0);
        if !marker.exists() {
            let _lock = Lock::exclusive(&directory.join("index.lock"))?;
            lock::replace(&marker, MARKER.1.as_bytes())?;
        }
        Ok(Self {
            layout: LayoutDirectory::open(directory)?,
        })
    }

    /// The same, choosing this build where an image has several.
    #[must_use]
    pub fn preferring(self, build: Build) -> Self {
        Self {
            layout: self.layout.preferring(build),
        }
    }

    /// The image of a reference, pulled where the policy says so.
    ///
    /// # Errors
    /// Not found where the policy forbids to pull and the image is not here; those of the registry.
    pub fn resolve(
        &self,
        reference: &Reference,
        policy: PullPolicy,
        credentials: &Credentials,
        progress: &dyn Progress,
    ) -> Result<Image> {
        if policy != PullPolicy::Always
            && let Some(image) = self.find(reference)?
        {
            return Ok(image);
        }
        if policy == PullPolicy::Never {
            return Err(Problem::not_found(
                "the image is not stored here, and its pull policy is Never",
            )
            .at(reference)
            .remedy(format!(
                "run uc image pull {reference}, or set imagePullPolicy: IfNotPresent"
            )));
        }
        self.pull(reference, credentials, progress)
    }

    /// A stored image with all its blobs, or `None`. A damaged one counts as absent: it is pulled again.
    ///
    /// # Errors
    /// Invalid where the index is malformed.
    pub fn find(&self, reference: &Reference) -> Result<Option<Image>> {
        let index = self.index()?;
        let name = reference.to_string();
        let Some(named) = index
            .manifests
            .iter()
            .find(|descriptor| descriptor.ref_name() == Some(&name))
        else {
            return Ok(None);
        };
        Ok(image::resolve(self, named, &name)
            .ok()
            .filter(|image| self.is_complete(image)))
    }

    /// Every named image, sorted by name.
    ///
    /// # Errors
    /// Invalid where the index is malformed.
    pub fn list(&self) -> Result<Vec<StoredImage>> {
        let mut images = Vec::new();
        for descriptor in self.index()?.manifests {
            let Some(Ok(reference)) = descriptor.ref_name().map(str::parse::<Reference>) else {
                continue;
            };
            let image = image::resolve(self, &descriptor, "")
                .ok()
                .filter(|image| self.is_complete(image));
            let size = image.map(|image| image.layers.iter().map(|layer| layer.size).sum());
            images.push(StoredImage {
                reference,
                digest: descriptor.digest,
                size,
            });
        }
        images.sort_by(|one, other| one.reference.cmp(&other.reference));
        Ok(images)
    }

    /// Every complete image: what the cache of unpacked layers is to keep.
    ///
    /// # Errors
    /// Invalid where the index is malformed.
    pub fn images(&self) -> Result<Vec<Image>> {
        let index = self.index()?;
        Ok(index
            .manifests
            .iter()
            .filter_map(|descriptor| {
                image::resolve(self, descriptor, descriptor.ref_name().unwrap_or_default()).ok()
            })
            .collect())
    }

    /// Removes a name, and every blob that no other name needs.
    ///
    /// # Errors
    /// Not found for a name that is not there; storage where something cannot be removed.
    pub fn remove(&self, reference: &Reference) -> Result<Removed> {
        let name = reference.to_string();
        let found = self.update(|index| {
            let before = index.manifests.len();
            index
                .manifests
                .retain(|descriptor| descriptor.ref_name() != Some(&name));
            before != index.manifests.len()
        })?;
        if !found {
            return Err(Problem::not_found("the image is not stored here")
                .at(reference)
                .remedy("see uc image ls"));
        }
        self.collect_garbage()
    }

    /// Removes blobs and partial downloads that no name needs. Does nothing while a pull is going on.
    ///
    /// # Errors
    /// Storage where something cannot be removed; invalid where the index is malformed.
    pub fn collect_garbage(&self) -> Result<Removed> {
        let Some(_lock) = Lock::try_exclusive(&self.pulls_lock())? else {
            return Ok(Removed {
                freed_bytes: 0,
                postponed: true,
            });
        };
        let needed = self.reachable()?;
        let mut freed_bytes = 0;
        for directory in ["blobs/sha256", "blobs/sha512", "partial"] {
            let directory = self.path().join(directory);
            for entry in fs::read_dir(&directory).map_err(|error| failed(&directory, error))? {
                let entry = entry.map_err(|error| failed(&directory, error))?;
                let name = entry.file_name();
                let is_blob = !directory.ends_with("partial");
                if is_blob && name.to_str().is_some_and(|name| needed.contains(name)) {
                    continue;
                }
                let size = entry.metadata().map_or(0, |metadata| metadata.len());
                fs::remove_file(entry.path()).map_err(|error| failed(&entry.path(), error))?;
                freed_bytes += size;
            }
        }
        Ok(Removed {
            freed_bytes,
            postponed: false,
        })
    }

    /// The hexadecimal parts of every digest that a name leads to. What an index lists but was never pulled is listed
    /// as well, which does no harm.
    fn reachable(&self) -> Result<BTreeSet<String>> {
        let mut needed = BTreeSet::new();
        let mut todo: Vec<(Descriptor, usize)> = self
            .index()?
            .manifests
            .into_iter()
            .map(|descriptor| (descriptor, 0))
            .collect();
        while let Some((descriptor, depth)) = todo.pop() {
            if !needed.insert(descriptor.digest.hex().to_owned()) || depth > bounds::INDEX_DEPTH {
                continue;
            }
            let Ok(bytes) = self.read(&descriptor, bounds::MANIFEST_BYTES) else {
                continue;
            };
            match image::document(&bytes, &descriptor.media_type) {
                Ok(Document::Index(index)) => {
                    todo.extend(
                        index
                            .manifests
                            .into_iter()
                            .map(|descriptor| (descriptor, depth + 1)),
                    );
                }
                Ok(Document::Manifest(manifest)) => {
                    needed.extend(
                        manifest
                            .layers
                            .iter()
                            .chain([&manifest.config])
                            .map(|blob| blob.digest.hex().to_owned()),
                    );
                }
                Err(_) => {}
            }
        }
        Ok(needed)
    }

    fn is_complete(&self, image: &Image) -> bool {
        image.layers.iter().all(|layer| {
            fs::metadata(self.layout.blob_path(&layer.digest))
                .is_ok_and(|metadata| metadata.len() == layer.size)
        })
    }

    /// Changes the index under its lock.
    fn update<T>(&self, change: impl FnOnce(&mut Index) -> T) -> Result<T> {
        let _lock = Lock::exclusive(&self.path().join("index.lock"))?;
        let mut index = self.index()?;
        let result = change(&mut index);
        lock::replace(&self.path().join("index.json"), &spec::to_json(&index)?)?;
        Ok(result)
    }

    fn path(&self) -> &Path {
        self.layout.path()
    }

    /// Held shared by pulls, so that nothing collects the blobs of an image that has no name yet.
    fn pulls_lock(&self) -> PathBuf {
        self.path().join("pulls.lock")
    }
}

impl Layout for Store {
    fn index(&self) -> Result<Index> {
        if self.path().join("index.json").exists() {
            self.layout.index()
        } else {
            Ok(Index::default())
        }
    }

    fn blob_size(&self, digest: &Digest) -> Option<u64> {
        self.layout.blob_size(digest)
    }
}

impl BlobSource for Store {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        self.layout.open_unverified(descriptor)
    }

    fn build(&self) -> Build {
        self.layout.build()
    }

    fn place(&self) -> String {
        "image store".into()
    }
}

fn failed(path: &Path, error: std::io::Error) -> Problem {
    Problem::storage("cannot use the image store")
        .at(path.display())
        .remedy("check that the data directory is writable and that the disk is not full")
        .caused_by(error)
}
