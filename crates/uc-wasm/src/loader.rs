//! From a file to a linked program, by way of the cache.

use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use sha2::{Digest as _, Sha256};
use uc_model::{Bytes, Digest, Problem, ProblemKind, Result};
use wasmtime::Engine;

use crate::{
    cache::{Cache, Entry},
    code::{Code, CodeLinker, made_once},
    compile::compile,
    engine,
    inspect::PACKAGE_LIMIT_BYTES,
    program::{Grants, Program},
};

/// Turns files into programs. One is shared by all sandboxes of a driver.
pub(crate) struct Loader {
    linker: CodeLinker,
    cache_directory: PathBuf,
    cache: OnceLock<Cache>,
    /// Compiling takes every core; two at once would only slow each other down, or do the same work twice.
    compiling: Mutex<()>,
}

impl Loader {
    /// A loader with its engine.
    pub(crate) fn new(cache_directory: PathBuf) -> Result<Self> {
        Ok(Self {
            linker: CodeLinker::new(engine::runner()?),
            cache_directory,
            cache: OnceLock::new(),
            compiling: Mutex::new(()),
        })
    }

    /// The engine that runs what this loads.
    pub(crate) fn engine(&self) -> &Engine {
        self.linker.engine()
    }

    /// The cache, verified on first use.
    pub(crate) fn cache(&self) -> Result<&Cache> {
        made_once(&self.cache, || {
            Cache::open(&self.cache_directory, engine::compatibility(self.engine()))
        })
    }

    /// Loads and links a program, compiling it first if need be, which can take seconds.
    ///
    /// # Errors
    /// The file is missing, too large, malformed, asks for what is not granted, or starts above the memory limit.
    pub(crate) fn load(
        &self,
        file: &Path,
        grants: Grants,
        memory_limit: Option<Bytes>,
    ) -> Result<Program> {
        let bytes = read_package(file)?;
        self.code(&bytes)
            .and_then(|code| self.linker.link(&code, grants, memory_limit))
            .map_err(|problem| problem.within(file.display()))
    }

    /// The same for a program that has been compiled before, which takes less than handing it to another thread;
    /// `None` for others.
    ///
    /// # Errors
    /// As those of [`Loader::load`].
    pub(crate) fn load_cached(
        &self,
        file: &Path,
        grants: Grants,
        memory_limit: Option<Bytes>,
    ) -> Result<Option<Program>> {
        let digest = digest_of(&read_package(file)?);
        self.cached(self.cache()?, &digest)
            .map(|code| self.linker.link(&code, grants, memory_limit))
            .transpose()
            .map_err(|problem| problem.within(file.display()))
    }

    /// The compiled code of a package, from the cache where it is there.
    fn code(&self, bytes: &[u8]) -> Result<Code> {
        let cache = self.cache()?;
        let digest = digest_of(bytes);
        if let Some(code) = self.cached(cache, &digest) {
            return Ok(code);
        }
        let _one_at_a_time = self
            .compiling
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // It may have been compiled while this one waited.
        if let Some(code) = self.cached(cache, &digest) {
            return Ok(code);
        }
        let entry = cache.store(&digest, &compile(bytes, &engine::compiler)?)?;
        self.deserialize(entry).map_err(|error| {
            Problem::internal("the engine rejects code it has just compiled")
                .found(format!("{error:#}"))
        })
    }

    /// The cached code, unless it is missing or damaged.
    fn cached(&self, cache: &Cache, digest: &Digest) -> Option<Code> {
        self.deserialize(cache.find(digest)?).ok()
    }

    #[expect(
        unsafe_code,
        reason = "only the engine's unsafe functions take compiled code"
    )]
    fn deserialize(&self, entry: Entry) -> wasmtime::Result<Code> {
        let path = entry.path();
        // SAFETY: the entry was opened below a directory that only we can write (see `Cache::open`), so its content was
        // written by this program; the engine itself checks version, settings and processor. The path names the open file.
        unsafe { Code::load(self.engine(), Path::new(&path), entry.into_file()) }
    }
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_sha256(&Sha256::digest(bytes).into())
}

fn read_package(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |error: std::io::Error| {
        let problem = match error.kind() {
            ErrorKind::NotFound => Problem::new(
                ProblemKind::CommandNotFound,
                "the WebAssembly program does not exist",
            )
            .remedy("check the path, or build the program first"),
            _ => Problem::new(
                ProblemKind::NotExecutable,
                "the WebAssembly program cannot be read",
            )
            .found(error.to_string())
            .remedy("give yourself read permission on the file"),
        };
        problem.at(path.display()).caused_by(error)
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Problem::new(
            ProblemKind::NotExecutable,
            "the WebAssembly program is not a regular file",
        )
        .at(path.display())
        .remedy("name a .wasm or .wat file"));
    }
    let too_large = |found_bytes: u64| {
        Problem::refused("the WebAssembly package is too large")
            .at(path.display())
            .limit(format!("{PACKAGE_LIMIT_BYTES} bytes"))
            .found(format!("{found_bytes} bytes"))
            .remedy(
                "strip debug information (wasm-opt -Oz --strip-debug), or run it as a container",
            )
    };
    if metadata.len() > PACKAGE_LIMIT_BYTES {
        return Err(too_large(metadata.len()));
    }
    // One byte more than allowed, so that a file that grows meanwhile is noticed.
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    file.take(PACKAGE_LIMIT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > PACKAGE_LIMIT_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}
