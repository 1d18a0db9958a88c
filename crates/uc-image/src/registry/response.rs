//! What a registry answers.

use std::{io::Read, time::Duration};

use uc_model::{Problem, Result};
use ureq::{Body, http};

use super::{
    http::{LONGEST_PAUSE, backoff},
    location::without_query,
};
use crate::{bounds, verify::problem_of};

/// The head of an answer, and its body to be read.
pub(super) struct Response {
    inner: http::Response<Body>,
    url: String,
}

impl Response {
    pub(super) fn new(inner: http::Response<Body>, url: &str) -> Self {
        Self {
            inner,
            url: url.into(),
        }
    }

    /// The address that answered, which after redirects is not the one that was asked.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The status code.
    pub(super) fn status(&self) -> u16 {
        self.inner.status().as_u16()
    }

    /// A header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// Every header of a name that is text.
    pub(super) fn headers(&self, name: &str) -> Vec<String> {
        self.inner
            .headers()
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok().map(str::to_owned))
            .collect()
    }

    /// The answer, if it is a success.
    ///
    /// # Errors
    /// Refused for 401 and 403, unavailable for everything else, with the registry's own words.
    pub(super) fn success(self, url: &str) -> Result<Self> {
        match self.status() {
            200..=299 => Ok(self),
            status @ (401 | 403) => Err(Problem::refused("the registry denies access")
                .at(without_query(url))
                .found(format!("status {status}: {}", self.error_text()))
                .remedy("log in first, for example with docker login or skopeo login, with an account that may do this")),
            status => Err(Problem::unavailable("the registry answers with an error")
                .at(without_query(url))
                .found(format!("status {status}: {}", self.error_text()))
                .remedy("try again later")),
        }
    }

    /// The answer to a write, if it is a success.
    ///
    /// # Errors
    /// As for [`Self::success`]; refused for what the registry does not take.
    pub(super) fn accepted(self, what: &str, url: &str) -> Result<Self> {
        match self.status() {
            401 | 403 | 408 | 429 => self.success(url),
            status @ 400..=499 => {
                let text = self.error_text();
                let what = format!("the registry does not take the {what}");
                // Digests are right when they are sent; docker's registry errs while others store the same blob.
                let problem = if text.starts_with("DIGEST_INVALID") {
                    Problem::unavailable(what)
                } else {
                    Problem::refused(what)
                };
                Err(problem
                    .at(without_query(url))
                    .found(format!("status {status}: {text}")))
            }
            _ => self.success(url),
        }
    }

    /// Reads what is left, so that the connection serves the next request.
    pub(super) fn drain(self) {
        // What it says is of no use to anybody.
        let _ = self.error_text();
    }

    /// The first error message of a registry's error document, or the start of the body.
    pub(super) fn error_text(mut self) -> String {
        let mut body = Vec::new();
        let reader = self
            .inner
            .body_mut()
            .with_config()
            .limit(bounds::ERROR_BODY_BYTES)
            .reader();
        // What could be read is better than nothing.
        let _ = reader
            .take(bounds::ERROR_BODY_BYTES - 1)
            .read_to_end(&mut body);
        let document: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let message = document
            .as_ref()
            .and_then(|document| document.pointer("/errors/0"))
            .map(|error| format!("{} {}", text_of(&error["code"]), text_of(&error["message"])))
            .unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
        message
            .trim()
            .chars()
            .take(200)
            .flat_map(char::escape_debug)
            .collect()
    }

    /// The whole body.
    ///
    /// # Errors
    /// Refused beyond `limit` bytes; unavailable where the connection breaks.
    pub(super) fn bytes(self, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.into_reader(limit)
            .read_to_end(&mut bytes)
            .map_err(|error| {
                problem_of(error, |error| {
                    Problem::unavailable("the registry broke off").caused_by(error)
                })
            })?;
        if bytes.len() as u64 > limit {
            return Err(
                Problem::refused("the registry's answer is too large").limit(bounds::shown(limit))
            );
        }
        Ok(bytes)
    }

    /// The body, cut off one byte beyond `expected` so that a reader notices too much.
    pub(super) fn into_reader(self, expected: u64) -> Box<dyn Read + Send> {
        let limit = expected.saturating_add(1);
        let reader = self
            .inner
            .into_body()
            .into_with_config()
            .limit(limit.saturating_add(1))
            .reader();
        Box::new(reader.take(limit))
    }

    /// How long to wait before the request is worth another attempt; `None` where it is not.
    pub(super) fn retry_pause(&self, attempt: u32) -> Option<Duration> {
        if !matches!(self.status(), 408 | 429 | 500 | 502 | 503 | 504) {
            return None;
        }
        let asked = self
            .header("Retry-After")
            .and_then(|seconds| seconds.trim().parse().ok());
        Some(
            asked
                .map_or_else(|| backoff(attempt), Duration::from_secs)
                .min(LONGEST_PAUSE),
        )
    }
}

fn text_of(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}
