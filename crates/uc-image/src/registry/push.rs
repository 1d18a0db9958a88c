//! Writing to a repository: blobs, manifests, and manifests that are attached to others.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    thread,
    time::Duration,
};

use uc_model::{Digest, Problem, ProblemKind, Result};

use super::{
    Registry,
    http::{ATTEMPTS, backoff},
    location,
    request::{Payload, Request},
};
use crate::{
    bounds,
    image::BlobSource,
    progress::Progress,
    reference::is_tag,
    spec::{self, Descriptor},
    verify::{Hasher, VerifyingReader, digest_of},
};

/// A manifest that the registry has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// Whether the registry has said that it lists the manifest among the referrers of its subject.
    pub subject_known: bool,
}

/// What came of one attempt to store a manifest.
pub(super) enum PutOutcome {
    Stored(Pushed),
    /// The registry wanted other credentials, which are here now.
    Challenged,
    /// It may go better next time, after the pause that the registry asks for.
    Failed(Problem, Option<Duration>),
}

/// What came of asking for a place to upload to.
enum Upload {
    /// The blob is there already, or was taken from another repository.
    Done,
    /// Where it goes.
    To(String),
}

impl Registry<'_> {
    /// Whether a blob is in the repository.
    ///
    /// # Errors
    /// Unavailable or refused, as the registry says.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool> {
        let url = self.url(&format!("blobs/{digest}"));
        let response = self.http.send(&Request::head(&url))?;
        match response.status() {
            404 => Ok(false),
            _ => response.success(&url).map(|_| true),
        }
    }

    /// Stores a small blob, unless it is there, and gives its descriptor.
    ///
    /// # Errors
    /// Refused where the registry does not take it; unavailable where it cannot be reached or keeps failing.
    pub fn push_blob(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
        let descriptor = Descriptor::new(media_type, digest_of(bytes), bytes.len() as u64);
        self.upload(
            &descriptor,
            self.reference.repository(),
            Payload::Bytes(bytes),
        )?;
        Ok(descriptor)
    }

    /// Stores a blob from a layout, the store or another registry, unless it is there. Where both repositories are in one
    /// registry, it is asked to take the blob over by itself.
    ///
    /// # Errors
    /// Those of the source, whose content is verified before the last byte is sent; refused where the registry does not
    /// take it; unavailable where it cannot be reached or keeps failing.
    pub fn push_blob_from(&self, descriptor: &Descriptor, source: &dyn BlobSource) -> Result<()> {
        if descriptor.size > bounds::BLOB_BYTES {
            return Err(Problem::refused("the blob is too large")
                .at(&descriptor.digest)
                .limit(bounds::shown(bounds::BLOB_BYTES))
                .found(bounds::shown(descriptor.size)));
        }
        let from = source
            .repository()
            .filter(|other| other.registry_host() == self.reference.registry_host())
            .map_or(self.reference.repository(), |other| other.repository());
        let progress = self.http.progress();
        let open = || -> Result<Box<dyn Read + Send + '_>> {
            progress.started(&descriptor.digest, 0, descriptor.size);
            let verified = source.open(descriptor)?;
            Ok(Box::new(Outgoing {
                inner: verified,
                descriptor,
                done: 0,
                progress,
            }))
        };
        let payload = Payload::Stream {
            size: descriptor.size,
            open: &open,
        };
        self.upload(descriptor, from, payload)
            .map_err(|problem| problem.within(format!("blob {}", descriptor.digest.short())))?;
        progress.finished(&descriptor.digest, descriptor.size);
        Ok(())
    }

    /// Stores a manifest or index under a tag or its digest.
    ///
    /// # Errors
    /// Invalid for a name that is neither or for another digest; refused where the registry does not take it; unavailable
    /// where it cannot be reached or keeps failing.
    pub fn push_manifest(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<Pushed> {
        check_size(bytes)?;
        self.http.prepare_push()?;
        let mut challenged = false;
        let mut attempt = 1;
        loop {
            let (problem, pause) = match self.put_once(name, media_type, bytes, challenged)? {
                PutOutcome::Stored(pushed) => return Ok(pushed),
                PutOutcome::Challenged => {
                    challenged = true;
                    continue;
                }
                PutOutcome::Failed(problem, pause) => (problem, pause),
            };
            if attempt >= ATTEMPTS {
                return Err(problem);
            }
            self.pause(&problem, pause.unwrap_or_else(|| backoff(attempt)));
            attempt += 1;
        }
    }

    /// Stores a manifest that names `subject`, by its digest. Where the registry does not list it as a referrer by itself,
    /// it is listed in the index under the fallback tag. Gives the entry as it is listed.
    ///
    /// # Errors
    /// Invalid where the document names another subject or none; else those of [`Self::push_manifest`] and
    /// [`Self::merge_tag`].
    pub fn attach(&self, media_type: &str, bytes: &[u8], subject: &Digest) -> Result<Descriptor> {
        let (entry, named) = referrer_entry(media_type, bytes)?;
        if named.as_ref() != Some(subject) {
            return Err(
                Problem::invalid("the manifest is not attached to what it is pushed for")
                    .at("subject")
                    .limit(subject)
                    .found(named.map_or("none".to_owned(), String::from)),
            );
        }
        let pushed = self.push_manifest(entry.digest.as_str(), media_type, bytes)?;
        if !pushed.subject_known {
            self.list_referrers(std::slice::from_ref(&entry), subject)?;
        }
        Ok(entry)
    }

    /// One attempt, without a pause: what a merge writes must follow soon after what it read.
    pub(super) fn put_once(
        &self,
        name: &str,
        media_type: &str,
        bytes: &[u8],
        challenged: bool,
    ) -> Result<PutOutcome> {
        let digest = digest_for(name, bytes)?;
        let url = self.url(&format!("manifests/{name}"));
        let request = Request::put(&url, Payload::Bytes(bytes))
            .header("Content-Type", media_type)
            .once();
        let response = match self.http.send(&request) {
            Ok(response) => response,
            Err(problem) if problem.kind() == ProblemKind::Unavailable => {
                return Ok(PutOutcome::Failed(problem, None));
            }
            Err(problem) => return Err(problem),
        };
        if response.status() == 401 && !challenged {
            response.drain();
            return Ok(PutOutcome::Challenged);
        }
        let pause = response.retry_pause(1);
        match response.accepted("manifest", &url) {
            Ok(response) => {
                check_stored(&digest, response.header("Docker-Content-Digest"))
                    .map_err(|problem| problem.within(&url))?;
                let subject_known = response.header("OCI-Subject").is_some();
                response.drain();
                Ok(PutOutcome::Stored(Pushed {
                    descriptor: Descriptor::new(media_type, digest, bytes.len() as u64),
                    subject_known,
                }))
            }
            Err(problem) if problem.kind() == ProblemKind::Unavailable => {
                Ok(PutOutcome::Failed(problem, pause))
            }
            Err(problem) => Err(problem),
        }
    }

    /// Waits before another attempt, and says so.
    pub(super) fn pause(&self, problem: &Problem, pause: Duration) {
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.http
            .progress()
            .retrying(&self.reference.to_string(), problem.what(), pause_ms);
        thread::sleep(pause);
    }

    /// Brings a blob into the repository. An upload that broke off is begun again: what is left of it is of no use.
    fn upload(&self, descriptor: &Descriptor, from: &str, payload: Payload<'_>) -> Result<()> {
        self.http.prepare_push()?;
        let mut challenged = false;
        let mut attempt = 1;
        loop {
            let Upload::To(place) = self.start_upload(descriptor, from)? else {
                return Ok(());
            };
            let url = location::with_query(&place, "digest", descriptor.digest.as_str());
            let request = Request::put(&url, payload)
                .header("Content-Type", "application/octet-stream")
                .once();
            let problem = match self.http.send(&request) {
                Ok(response) if response.status() == 401 && !challenged => {
                    challenged = true;
                    response.drain();
                    continue;
                }
                Ok(response) => match response.accepted("blob", &url) {
                    Ok(response) => {
                        response.drain();
                        return Ok(());
                    }
                    Err(problem) => problem,
                },
                Err(problem) => problem,
            };
            if problem.kind() != ProblemKind::Unavailable || attempt >= ATTEMPTS {
                return Err(problem);
            }
            self.pause(&problem, backoff(attempt));
            attempt += 1;
        }
    }

    /// Looks for a blob in the repository, asks the registry to take it over from another one, and else for a place to
    /// upload to.
    fn start_upload(&self, descriptor: &Descriptor, from: &str) -> Result<Upload> {
        let start = self.url("blobs/uploads/");
        let mut answer = None;
        if from != self.reference.repository() {
            self.http.want_pull_from(from);
            let mount = location::with_query(&start, "mount", descriptor.digest.as_str());
            let response = self
                .http
                .send(&Request::post(&location::with_query(&mount, "from", from)))?;
            match response.status() {
                201 => {
                    response.drain();
                    return Ok(Upload::Done);
                }
                202 => answer = Some(response),
                // A registry that cannot do this, or an account that may not read there.
                _ => response.drain(),
            }
        }
        if self.has_blob(&descriptor.digest)? {
            return Ok(Upload::Done);
        }
        let response = match answer {
            Some(response) => response,
            None => self
                .http
                .send(&Request::post(&start))?
                .accepted("blob", &start)?,
        };
        let place = response.header("Location").ok_or_else(|| {
            Problem::unavailable("the registry does not say where to upload to").at(&start)
        })?;
        let place = location::resolve(response.url(), place)?;
        response.drain();
        Ok(Upload::To(place))
    }
}

/// The descriptor of a manifest as lists of referrers hold it: with the artifact type that the document has, else the type
/// of its configuration, and with its annotations. And the subject that it names.
///
/// # Errors
/// Invalid where the document is malformed.
pub(crate) fn referrer_entry(
    media_type: &str,
    bytes: &[u8],
) -> Result<(Descriptor, Option<Digest>)> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sketch {
        artifact_type: Option<String>,
        config: Option<Descriptor>,
        subject: Option<Descriptor>,
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }
    let sketch: Sketch = spec::parse(bytes, "manifest", bounds::MANIFEST_BYTES)?;
    let mut entry = Descriptor::new(media_type, digest_of(bytes), bytes.len() as u64);
    entry.artifact_type = sketch
        .artifact_type
        .filter(|artifact_type| !artifact_type.is_empty())
        .or_else(|| sketch.config.map(|config| config.media_type))
        .filter(|artifact_type| !artifact_type.is_empty());
    entry.annotations = sketch.annotations;
    Ok((entry, sketch.subject.map(|subject| subject.digest)))
}

/// A registry need not take a manifest beyond this size.
pub(super) fn check_size(bytes: &[u8]) -> Result<()> {
    if bytes.len() as u64 > bounds::MANIFEST_BYTES {
        return Err(Problem::refused("the manifest is too large for a registry")
            .limit(bounds::shown(bounds::MANIFEST_BYTES))
            .found(bounds::shown(bytes.len() as u64)));
    }
    Ok(())
}

/// The digest of a manifest that is to be stored under a name, which has to fit where it is one itself.
fn digest_for(name: &str, bytes: &[u8]) -> Result<Digest> {
    if is_tag(name) {
        return Ok(digest_of(bytes));
    }
    let named: Digest = name.parse()?;
    let mut hasher = Hasher::for_digest(&named);
    hasher.update(bytes);
    let digest = hasher.finish()?;
    if digest == named {
        Ok(digest)
    } else {
        Err(
            Problem::invalid("the manifest does not have the digest that it is to be stored under")
                .limit(named)
                .found(digest),
        )
    }
}

/// A registry that stores something else than it was sent breaks every signature.
fn check_stored(sent: &Digest, said: Option<&str>) -> Result<()> {
    match said.map(str::parse::<Digest>) {
        Some(Ok(stored)) if stored != *sent && stored.algorithm() == sent.algorithm() => Err(
            Problem::unavailable("the registry has stored another manifest than it was sent")
                .limit(sent)
                .found(stored),
        ),
        _ => Ok(()),
    }
}

/// A blob on its way out. The last bytes are handed on only when the whole has been verified, so that no registry gets to
/// keep what is damaged.
struct Outgoing<'b, R> {
    inner: VerifyingReader<R>,
    descriptor: &'b Descriptor,
    done: u64,
    progress: &'b dyn Progress,
}

impl<R: Read> Read for Outgoing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        if count > 0 && self.done == self.descriptor.size {
            // Fails unless this is the end and the digest is right.
            self.inner.read(&mut [0; 1])?;
        }
        self.progress
            .advanced(&self.descriptor.digest, self.done, self.descriptor.size);
        Ok(count)
    }
}
