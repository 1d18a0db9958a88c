//! A registry in the test's own process: OCI distribution 1.1 over plain HTTP on a free port of this machine.
//!
//! It keeps everything in memory, checks what it is sent as real registries do, and can be told to lack features, to want
//! a login, to be slow and to misbehave. It ends with the test's process.

mod api;
mod auth;
mod store;
mod wire;

use std::{
    net::{TcpListener, TcpStream},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::Value;

pub use auth::Login;
pub use wire::{Answer, Seen};

use store::{Repositories, digest_of};

/// What the registry can do, and what it wants.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether it lists referrers by itself.
    pub referrers: bool,
    /// Whether it filters them by artifact type where it is asked to.
    pub filters: bool,
    /// Entries of one page of referrers or tags.
    pub page: usize,
    /// Whether it takes blobs over from another repository.
    pub mounts: bool,
    /// Who gets in.
    pub login: Login,
    /// How long each request takes, drawn by chance.
    pub latency: Range<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            referrers: true,
            filters: true,
            page: 100,
            mounts: true,
            login: Login::Nobody,
            latency: Duration::ZERO..Duration::ZERO,
        }
    }
}

impl Options {
    /// As registries were before version 1.1: no list of referrers.
    pub fn without_referrers() -> Self {
        Self {
            referrers: false,
            ..Self::default()
        }
    }
}

/// Answers in place of the registry, given the request and how many of the same method and path came before it.
type Fault = dyn Fn(&Seen, usize) -> Option<Answer> + Send + Sync;

/// The registry.
pub struct Registry {
    port: u16,
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    options: Options,
    port: u16,
    repositories: Mutex<Repositories>,
    tokens: Mutex<auth::Tokens>,
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<Vec<Arc<Fault>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// Starts one.
    pub fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let port = listener.local_addr().expect("has an address").port();
        let shared = Arc::new(Shared {
            options,
            port,
            repositories: Mutex::default(),
            tokens: Mutex::default(),
            seen: Mutex::default(),
            faults: Mutex::default(),
        });
        let all = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&all);
                // A client that goes away early is none of the registry's concern.
                thread::spawn(move || shared.serve(&stream).ok());
            }
        });
        Self { port, shared }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        locked(&self.shared.seen).clone()
    }

    /// Forgets the requests so far.
    pub fn forget_seen(&self) {
        locked(&self.shared.seen).clear();
    }

    /// From now on this is asked first; where it gives an answer, that is sent instead of the registry's own.
    pub fn fault(&self, fault: impl Fn(&Seen, usize) -> Option<Answer> + Send + Sync + 'static) {
        locked(&self.shared.faults).push(Arc::new(fault));
    }

    /// The next `times` requests of a method whose path has `part` in it are answered with a status.
    pub fn fail(&self, method: &'static str, part: &'static str, status: u16, times: usize) {
        let left = Mutex::new(times);
        self.fault(move |request, _| {
            if request.method != method || !request.path.contains(part) {
                return None;
            }
            let mut left = locked(&left);
            *left = left.checked_sub(1)?;
            Some(Answer::status(status).header("Retry-After", "0"))
        });
    }

    /// Stores a blob; gives its digest.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        locked(&self.shared.repositories)
            .of(repository)
            .put_blob(bytes)
    }

    /// Stores a manifest or index under a tag or, with an empty name, its digest; nothing it names is looked for. Gives
    /// its digest.
    pub fn put_manifest(
        &self,
        repository: &str,
        name: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> String {
        let mut repositories = locked(&self.shared.repositories);
        let repository = repositories.of(repository);
        let digest = repository.put_manifest(media_type, bytes);
        if !name.is_empty() && name != digest {
            repository.tags.insert(name.into(), digest.clone());
        }
        digest
    }

    /// Lists a descriptor among the referrers of a subject, whether there is such a manifest or not.
    pub fn list_referrer(&self, repository: &str, subject: &str, descriptor: Value) {
        locked(&self.shared.repositories)
            .of(repository)
            .referrers
            .entry(subject.into())
            .or_default()
            .push(descriptor);
    }

    /// Attaches `count` small manifests to a subject, all of them there and well formed.
    pub fn put_referrers(&self, repository: &str, subject: &Value, count: usize) {
        let config = self.put_blob(repository, b"{}");
        for number in 0..count {
            let manifest = serde_json::json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "artifactType": "application/vnd.example.many",
                "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 },
                "layers": [],
                "subject": subject,
                "annotations": { "number": number.to_string() },
            });
            let bytes = manifest.to_string().into_bytes();
            self.put_manifest(
                repository,
                "",
                "application/vnd.oci.image.manifest.v1+json",
                &bytes,
            );
        }
    }

    /// A stored manifest, by tag or digest.
    pub fn manifest(&self, repository: &str, name: &str) -> Option<Vec<u8>> {
        let mut repositories = locked(&self.shared.repositories);
        let (_, bytes) = repositories.of(repository).manifest(name)?;
        Some(bytes.to_vec())
    }

    /// Whether a blob is there.
    pub fn has_blob(&self, repository: &str, digest: &str) -> bool {
        locked(&self.shared.repositories)
            .of(repository)
            .blobs
            .contains_key(digest)
    }

    /// The tags of a repository, sorted.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        locked(&self.shared.repositories)
            .of(repository)
            .tags
            .keys()
            .cloned()
            .collect()
    }

    /// The SHA-256 digest of some bytes, as registries write it.
    pub fn digest_of(bytes: &[u8]) -> String {
        digest_of(bytes)
    }
}

impl Shared {
    /// Serves one connection until the client ends it.
    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut connection = wire::Connection::new(stream)?;
        while let Some((request, body)) = connection.read()? {
            let earlier = self.note(&request);
            let Range { start, end } = self.options.latency;
            let half = if end > start {
                start + (end - start).mul_f64(fastrand::f64())
            } else {
                start
            } / 2;
            thread::sleep(half);
            let faults = locked(&self.faults).clone();
            let answer = faults
                .iter()
                .find_map(|fault| fault(&request, earlier))
                .unwrap_or_else(|| self.answer(&request, &body));
            thread::sleep(half);
            if !connection.write(&request, &answer)? {
                break;
            }
        }
        Ok(())
    }

    /// Writes a request down; gives how many of its kind came before.
    fn note(&self, request: &Seen) -> usize {
        let mut seen = locked(&self.seen);
        let earlier = seen
            .iter()
            .filter(|other| other.method == request.method && other.path == request.path)
            .count();
        seen.push(request.clone());
        earlier
    }
}
