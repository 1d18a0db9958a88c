//! A client of the OCI distribution specification 1.1: manifests and blobs of one repository, with authentication,
//! retries and bounds. Nothing of it writes files; [`crate::store`] does.
//!
//! One client serves several threads at once: they share connections and what the registry was convinced with.

mod auth;
mod challenge;
mod credentials;
mod http;
mod location;
mod merge;
mod push;
mod referrers;
mod request;
mod response;
mod roots;
mod settle;

use std::io::Read;

use uc_model::{Digest, Problem, ProblemKind, Result};

pub use credentials::{Credential, Credentials};
pub(crate) use http::{ATTEMPTS, backoff};
pub use merge::Merged;
pub use push::Pushed;
pub(crate) use push::referrer_entry;
pub(crate) use referrers::List;
pub use referrers::{Referrers, ReferrersSource, fallback_tag};

use http::Http;
use referrers::ApiSupport;
use request::Request;

use crate::{
    bounds,
    image::BlobSource,
    media,
    progress::Progress,
    reference::{Reference, is_tag},
    spec::Descriptor,
    verify::{Hasher, check, problem_of, wrong_digest},
};

/// One repository of a registry.
pub struct Registry<'a> {
    http: Http<'a>,
    reference: Reference,
    referrers_api: ApiSupport,
}

/// A manifest or index as the registry gave it.
#[derive(Debug)]
pub struct FetchedManifest {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// The verified document.
    pub bytes: Vec<u8>,
}

/// A blob being downloaded.
pub struct BlobStream {
    /// The position in the blob of the first byte: the one asked for, or 0 where the registry knows no ranges.
    pub offset: u64,
    /// The bytes from there on, not verified.
    pub reader: Box<dyn Read + Send>,
}

impl<'a> Registry<'a> {
    /// A client for the repository of a reference. Nothing is sent yet.
    pub fn new(
        reference: &Reference,
        credentials: &'a Credentials,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            http: Http::new(reference, credentials, progress),
            reference: reference.clone(),
            referrers_api: ApiSupport::default(),
        }
    }

    /// The repository, with the tag or digest that this client was made for.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Fetches the manifest or index of a tag or digest. What is named by digest is verified against it; the digest of a
    /// tag is computed, not believed.
    ///
    /// # Errors
    /// Not found, unavailable or refused, as the registry says; invalid where content and digest disagree.
    pub fn manifest(&self, name: &str) -> Result<FetchedManifest> {
        self.fetch_manifest(name)?.map_err(|said| {
            Problem::not_found("the registry does not have this image")
                .at(&self.reference)
                .found(said)
                .remedy("check name and tag; a private image needs a login")
        })
    }

    /// The same, or `None` where the registry answers 404.
    ///
    /// # Errors
    /// As for [`Self::manifest`], but for what is not found.
    pub fn find_manifest(&self, name: &str) -> Result<Option<FetchedManifest>> {
        self.fetch_manifest(name).map(Result::ok)
    }

    /// The manifest, or what the registry says where it has none.
    fn fetch_manifest(&self, name: &str) -> Result<Result<FetchedManifest, String>> {
        // Refused here rather than sent as a part of an address.
        let expected = match is_tag(name) {
            true => None,
            false => Some(name.parse::<Digest>()?),
        };
        let url = self.url(&format!("manifests/{name}"));
        let request = Request::get(&url).header("Accept", &media::ACCEPTED_MANIFESTS.join(", "));
        let mut attempt = 1;
        loop {
            let response = self.http.send(&request)?;
            if response.status() == 404 {
                return Ok(Err(response.error_text()));
            }
            let response = response.success(&url)?;
            let media_type = response.header("Content-Type").unwrap_or_default();
            let media_type = media_type
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned();
            match response.bytes(bounds::MANIFEST_BYTES) {
                Ok(bytes) => return self.verified(expected.as_ref(), &media_type, bytes).map(Ok),
                Err(problem)
                    if problem.kind() == ProblemKind::Unavailable && attempt < ATTEMPTS =>
                {
                    self.pause(&problem, backoff(attempt));
                    attempt += 1;
                }
                Err(problem) => return Err(problem.within(location::without_query(&url))),
            }
        }
    }

    fn verified(
        &self,
        expected: Option<&Digest>,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<FetchedManifest> {
        // Registries that serve plain files say text or octets: then the document speaks for itself.
        let known = media::is_index(media_type) || media::is_manifest(media_type);
        let media_type = if known { media_type } else { "" };
        let mut hasher = expected.map_or_else(Hasher::sha256, Hasher::for_digest);
        hasher.update(&bytes);
        let digest = hasher.finish()?;
        if let Some(expected) = expected
            && *expected != digest
        {
            return Err(wrong_digest(expected, &digest).within(&self.reference));
        }
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        Ok(FetchedManifest { descriptor, bytes })
    }

    /// A whole small blob, verified.
    ///
    /// # Errors
    /// As for [`Self::blob_from`]; refused beyond `limit`; invalid where digest or size are wrong.
    pub fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        if descriptor.size > limit {
            return Err(Problem::refused("the blob is too large")
                .at(&descriptor.digest)
                .limit(bounds::shown(limit))
                .found(bounds::shown(descriptor.size)));
        }
        let mut attempt = 1;
        loop {
            let mut bytes = Vec::new();
            let stream = self.blob_from(descriptor, 0)?;
            let Err(error) = stream.reader.take(limit + 1).read_to_end(&mut bytes) else {
                check(&bytes, &descriptor.digest, descriptor.size)?;
                return Ok(bytes);
            };
            let problem = problem_of(error, |error| {
                Problem::unavailable("the registry broke off")
                    .at(&descriptor.digest)
                    .caused_by(error)
            });
            if problem.kind() != ProblemKind::Unavailable || attempt >= ATTEMPTS {
                return Err(problem);
            }
            self.pause(&problem, backoff(attempt));
            attempt += 1;
        }
    }

    /// Starts to download a blob at an offset.
    ///
    /// # Errors
    /// Not found, unavailable or refused, as the registry says.
    pub fn blob_from(&self, descriptor: &Descriptor, offset: u64) -> Result<BlobStream> {
        let url = self.url(&format!("blobs/{}", descriptor.digest));
        let mut request = Request::get(&url);
        if offset > 0 {
            request = request.header("Range", &format!("bytes={offset}-"));
        }
        let response = self.http.send(&request)?;
        match response.status() {
            404 => Err(Problem::not_found("the registry lacks a blob of the image")
                .at(format!("{} {}", self.reference, descriptor.digest))
                .remedy("push the image again")),
            416 if offset > 0 => self.blob_from(descriptor, 0),
            206 if response.header("Content-Range").and_then(range_start) == Some(offset) => {
                Ok(BlobStream {
                    offset,
                    reader: response.into_reader(descriptor.size),
                })
            }
            206 => Err(Problem::unavailable(
                "the registry sent another part of the blob than was asked for",
            )
            .at(url)),
            _ => Ok(BlobStream {
                offset: 0,
                reader: response.success(&url)?.into_reader(descriptor.size),
            }),
        }
    }

    fn url(&self, rest: &str) -> String {
        format!(
            "{}/v2/{}/{rest}",
            self.http.base(),
            self.reference.repository()
        )
    }
}

impl BlobSource for Registry<'_> {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        if media::is_index(&descriptor.media_type) || media::is_manifest(&descriptor.media_type) {
            let fetched = self.manifest(descriptor.digest.as_str())?;
            return Ok(Box::new(std::io::Cursor::new(fetched.bytes)));
        }
        Ok(self.blob_from(descriptor, 0)?.reader)
    }

    fn place(&self) -> String {
        self.reference.to_string()
    }

    fn repository(&self) -> Option<&Reference> {
        Some(&self.reference)
    }
}

/// The first position of `bytes 5-9/10`.
fn range_start(value: &str) -> Option<u64> {
    value
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .trim()
        .parse()
        .ok()
}
