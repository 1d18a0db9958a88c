//! The end points of distribution 1.1.

use serde_json::Value;

use super::{
    Shared, locked,
    store::{Repository, digest_of, has_digest},
    wire::{Answer, Seen},
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The largest manifest that is taken, in bytes.
const MANIFEST_BYTES: usize = 4 << 20;

impl Shared {
    /// What the registry answers.
    pub(super) fn answer(&self, request: &Seen, body: &[u8]) -> Answer {
        if request.path == "/token" {
            return self.give_token(request, body);
        }
        let Some(path) = request.path.strip_prefix("/v2/") else {
            return Answer::status(404);
        };
        if path.is_empty() {
            return self
                .refusal(request, "", &["pull"])
                .unwrap_or_else(|| Answer::ok("{}"));
        }
        let ends = [
            "/blobs/uploads",
            "/blobs",
            "/manifests",
            "/referrers",
            "/tags",
        ];
        let Some((repository, kind, rest)) = ends.iter().find_map(|end| {
            let at = path.rfind(&format!("{end}/"))?;
            Some((&path[..at], *end, &path[at + end.len() + 1..]))
        }) else {
            return Answer::status(404);
        };
        let actions: &[&str] = match request.method.as_str() {
            "GET" | "HEAD" => &["pull"],
            "DELETE" => &["delete"],
            _ => &["pull", "push"],
        };
        if let Some(refusal) = self.refusal(request, repository, actions) {
            return refusal;
        }
        let reads = matches!(request.method.as_str(), "GET" | "HEAD");
        match (kind, request.method.as_str()) {
            ("/blobs/uploads", method) => self.upload(method, request, repository, rest, body),
            ("/manifests", "PUT") => self.put_manifest(request, repository, rest, body),
            ("/manifests", "DELETE") => self.with(repository, |one| {
                Answer::status(if one.remove_manifest(rest) { 202 } else { 404 })
            }),
            ("/manifests", _) if reads => self.with(repository, |one| get_manifest(one, rest)),
            ("/blobs", _) if reads => self.with(repository, |one| get_blob(one, request, rest)),
            ("/referrers", "GET") if self.options.referrers => {
                self.list_referrers(request, repository, rest)
            }
            ("/tags", "GET") => self.list_tags(request, repository),
            _ => Answer::error(404, "UNSUPPORTED"),
        }
    }

    fn with(&self, repository: &str, act: impl FnOnce(&mut Repository) -> Answer) -> Answer {
        act(locked(&self.repositories).of(repository))
    }

    fn put_manifest(&self, request: &Seen, repository: &str, name: &str, body: &[u8]) -> Answer {
        if body.len() > MANIFEST_BYTES {
            return Answer::error(413, "SIZE_INVALID");
        }
        let Ok(document) = serde_json::from_slice::<Value>(body) else {
            return Answer::error(400, "MANIFEST_INVALID");
        };
        let media_type = request.header("Content-Type").unwrap_or_default();
        if document["mediaType"]
            .as_str()
            .is_some_and(|own| own != media_type)
        {
            return Answer::error(400, "MANIFEST_INVALID");
        }
        if name.contains(':') && !has_digest(body, name) {
            return Answer::error(400, "DIGEST_INVALID");
        }
        let answer = self.with(repository, |one| {
            if let Some(refusal) = lacks(one, &document) {
                return refusal;
            }
            let digest = one.put_manifest(media_type, body);
            if !name.contains(':') {
                one.tags.insert(name.into(), digest.clone());
            }
            Answer::status(201)
                .header("Location", format!("/v2/{repository}/manifests/{digest}"))
                .header("Docker-Content-Digest", digest)
        });
        match document["subject"]["digest"].as_str() {
            Some(subject) if self.options.referrers && answer.status == 201 => {
                answer.header("OCI-Subject", subject)
            }
            _ => answer,
        }
    }

    fn upload(
        &self,
        method: &str,
        request: &Seen,
        repository: &str,
        id: &str,
        body: &[u8],
    ) -> Answer {
        if method == "POST" {
            return self.start_upload(request, repository, body);
        }
        self.with(repository, |one| {
            let Some(upload) = one.uploads.get_mut(id) else {
                return Answer::error(404, "BLOB_UPLOAD_UNKNOWN");
            };
            let begins: Option<usize> = request
                .header("Content-Range")
                .and_then(|range| range.split('-').next()?.parse().ok());
            if begins.is_some_and(|begins| begins != upload.len()) {
                return Answer::status(416);
            }
            upload.extend_from_slice(body);
            let place = format!("/v2/{repository}/blobs/uploads/{id}");
            let range = format!("0-{}", upload.len().saturating_sub(1));
            match method {
                "PATCH" => Answer::status(202)
                    .header("Location", place)
                    .header("Range", range),
                "GET" => Answer::status(204)
                    .header("Location", place)
                    .header("Range", range),
                "PUT" => {
                    let bytes = one.uploads.remove(id).unwrap_or_default();
                    finish_upload(one, request, repository, &bytes)
                }
                _ => Answer::status(405),
            }
        })
    }

    fn start_upload(&self, request: &Seen, repository: &str, body: &[u8]) -> Answer {
        if let (Some(digest), Some(from)) = (request.parameter("mount"), request.parameter("from"))
            && self.options.mounts
            && self.allows(request, &from, "pull")
        {
            let mut repositories = locked(&self.repositories);
            let blob = repositories.of(&from).blobs.get(&digest).cloned();
            if let Some(blob) = blob {
                repositories
                    .of(repository)
                    .blobs
                    .insert(digest.clone(), blob);
                return Answer::status(201)
                    .header("Location", format!("/v2/{repository}/blobs/{digest}"));
            }
        }
        self.with(repository, |one| {
            if request.parameter("digest").is_some() {
                return finish_upload(one, request, repository, body);
            }
            let id = one.start_upload();
            Answer::status(202)
                .header("Location", format!("/v2/{repository}/blobs/uploads/{id}"))
                .header("Range", "0-0")
        })
    }

    fn list_referrers(&self, request: &Seen, repository: &str, subject: &str) -> Answer {
        self.with(repository, |one| {
            let wanted = request
                .parameter("artifactType")
                .filter(|_| self.options.filters);
            let listed: Vec<&Value> = one
                .referrers
                .get(subject)
                .into_iter()
                .flatten()
                .filter(|descriptor| {
                    wanted.is_none() || descriptor["artifactType"].as_str() == wanted.as_deref()
                })
                .collect();
            let start: usize = request
                .parameter("start")
                .and_then(|start| start.parse().ok())
                .unwrap_or(0)
                .min(listed.len());
            let end = (start + self.options.page).min(listed.len());
            let index = serde_json::json!({
                "schemaVersion": 2, "mediaType": INDEX, "manifests": listed[start..end],
            });
            let mut answer = Answer::ok(index.to_string()).header("Content-Type", INDEX);
            if let Some(wanted) = &wanted {
                answer = answer.header("OCI-Filters-Applied", "artifactType");
                answer = page_link(
                    answer,
                    end,
                    listed.len(),
                    &format!("{}?artifactType={wanted}&", request.path),
                );
            } else {
                answer = page_link(answer, end, listed.len(), &format!("{}?", request.path));
            }
            answer
        })
    }

    fn list_tags(&self, request: &Seen, repository: &str) -> Answer {
        self.with(repository, |one| {
            let last = request.parameter("last").unwrap_or_default();
            let count = request
                .parameter("n")
                .and_then(|count| count.parse().ok())
                .unwrap_or(usize::MAX);
            let tags: Vec<&String> = one
                .tags
                .keys()
                .filter(|tag| **tag > last)
                .take(count)
                .collect();
            Answer::ok(serde_json::json!({ "name": repository, "tags": tags }).to_string())
                .header("Content-Type", "application/json")
        })
    }
}

fn page_link(answer: Answer, end: usize, count: usize, url: &str) -> Answer {
    if end < count {
        answer.header("Link", format!("<{url}start={end}>; rel=\"next\""))
    } else {
        answer
    }
}

/// The refusal of a manifest whose parts are not there. A subject need not be there.
fn lacks(repository: &Repository, document: &Value) -> Option<Answer> {
    let config = document["config"]["digest"].as_str();
    let layers = document["layers"].as_array().into_iter().flatten();
    let blobs = layers
        .filter_map(|layer| layer["digest"].as_str())
        .chain(config);
    if blobs
        .into_iter()
        .any(|blob| !repository.blobs.contains_key(blob))
    {
        return Some(Answer::error(400, "MANIFEST_BLOB_UNKNOWN"));
    }
    let listed = document["manifests"].as_array().into_iter().flatten();
    listed
        .filter_map(|one| one["digest"].as_str())
        .any(|digest| repository.manifest(digest).is_none())
        .then(|| Answer::error(400, "MANIFEST_UNKNOWN"))
}

fn get_manifest(repository: &mut Repository, name: &str) -> Answer {
    match repository.manifest(name) {
        Some((media_type, bytes)) => Answer::ok(bytes.to_vec())
            .header("Content-Type", media_type)
            .header("Docker-Content-Digest", digest_of(&bytes)),
        None => Answer::error(404, "MANIFEST_UNKNOWN"),
    }
}

fn get_blob(repository: &mut Repository, request: &Seen, digest: &str) -> Answer {
    let Some(bytes) = repository.blobs.get(digest) else {
        return Answer::error(404, "BLOB_UNKNOWN");
    };
    let start: Option<usize> = request.header("Range").and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .split('-')
            .next()?
            .parse()
            .ok()
    });
    match start {
        Some(start) if start >= bytes.len() => Answer::status(416),
        Some(start) => {
            let mut answer = Answer::ok(&bytes[start..]);
            answer.status = 206;
            let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
            answer.header("Content-Range", range)
        }
        None => Answer::ok(bytes.to_vec()),
    }
    .header("Content-Type", "application/octet-stream")
    .header("Docker-Content-Digest", digest)
}

fn finish_upload(repository: &mut Repository, request: &Seen, name: &str, bytes: &[u8]) -> Answer {
    let digest = request.parameter("digest").unwrap_or_default();
    if !has_digest(bytes, &digest) {
        return Answer::error(400, "DIGEST_INVALID");
    }
    repository
        .blobs
        .insert(digest.clone(), std::sync::Arc::new(bytes.to_vec()));
    Answer::status(201)
        .header("Location", format!("/v2/{name}/blobs/{digest}"))
        .header("Docker-Content-Digest", digest)
}
