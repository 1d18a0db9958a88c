//! One registry's HTTP: authentication on demand, retries, redirects, bounds.

use std::{
    io::Read,
    sync::{Mutex, OnceLock},
    thread,
    time::Duration,
};

use uc_model::{Problem, Result};
use ureq::{
    Agent, Body,
    config::RedirectAuthHeaders,
    http,
    tls::{TlsConfig, TlsProvider},
};

use super::{auth::Authorization, credentials::Credentials, roots};
use crate::{bounds, progress::Progress, reference::Reference, verify::problem_of};

const CONNECT: Duration = Duration::from_secs(15);
/// Until the head of an answer is there.
const ANSWER: Duration = Duration::from_secs(60);
/// Between two pieces of a body.
const SILENCE: Duration = Duration::from_secs(60);
const REDIRECTS: u32 = 5;
/// The most requests made for one.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between attempts, also where the registry asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const RESPONSE_HEADER_BYTES: usize = 64 << 10;
/// Few system calls for large blobs; three downloads at once stay below a mebibyte.
const INPUT_BYTES: usize = 256 << 10;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Asks whether something is there.
    Head,
}

/// A request without a body.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    url: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// Reads a URL.
    pub fn get(url: &str) -> Self {
        Self {
            method: Method::Get,
            url: url.into(),
            headers: Vec::new(),
        }
    }

    /// Asks whether a URL is there.
    pub fn head(url: &str) -> Self {
        Self {
            method: Method::Head,
            ..Self::get(url)
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// The HTTP side of one registry and repository.
pub struct Http<'a> {
    reference: Reference,
    base: String,
    agent: OnceLock<Agent>,
    credentials: &'a Credentials,
    authorization: Mutex<Option<Authorization>>,
    progress: &'a dyn Progress,
}

impl<'a> Http<'a> {
    /// HTTPS; plain HTTP for a registry on this machine, as docker does.
    pub fn new(
        reference: &Reference,
        credentials: &'a Credentials,
        progress: &'a dyn Progress,
    ) -> Self {
        let scheme = if reference.is_loopback() {
            "http"
        } else {
            "https"
        };
        Self {
            base: format!("{scheme}://{}", reference.registry_host()),
            reference: reference.clone(),
            agent: OnceLock::new(),
            credentials,
            authorization: Mutex::new(None),
            progress,
        }
    }

    /// Scheme and host, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request, authenticates where the registry asks for it, and tries again what may succeed later.
    ///
    /// # Errors
    /// Unavailable where the registry cannot be reached or keeps failing; refused where it wants other credentials.
    pub fn send(&self, request: &Request) -> Result<Response> {
        let mut authenticated = false;
        let mut attempt = 1;
        loop {
            let authorization = self
                .authorization
                .lock()
                .ok()
                .and_then(|known| known.clone());
            let outcome = self.send_once(request, authorization.as_ref());
            let (reason, pause) = match outcome {
                Ok(response) if response.status() == 401 && !authenticated => {
                    authenticated = true;
                    self.authenticate(&response)?;
                    continue;
                }
                Ok(response) => match response.retry_pause(attempt) {
                    Some(pause) if attempt < ATTEMPTS => {
                        (format!("status {}", response.status()), pause)
                    }
                    _ => return Ok(response),
                },
                Err(error) if attempt < ATTEMPTS && is_transient(&error) => {
                    (error.to_string(), backoff(attempt))
                }
                Err(error) => return Err(self.unreachable(error)),
            };
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            self.progress
                .retrying(&self.reference.to_string(), &reason, pause_ms);
            thread::sleep(pause);
            attempt += 1;
        }
    }

    fn authenticate(&self, response: &Response) -> Result<()> {
        let challenges = response.headers("WWW-Authenticate");
        let authorization =
            Authorization::answer(&challenges, self, &self.reference, self.credentials)?;
        if let Ok(mut known) = self.authorization.lock() {
            *known = Some(authorization);
        }
        Ok(())
    }

    fn send_once(
        &self,
        request: &Request,
        authorization: Option<&Authorization>,
    ) -> Result<Response, ureq::Error> {
        let agent = self.agent();
        let mut builder = match request.method {
            Method::Get => agent.get(&request.url),
            Method::Head => agent.head(&request.url),
        };
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(authorization) = authorization {
            builder = builder.header("Authorization", authorization.header());
        }
        builder.call().map(Response)
    }

    /// The connection pool; made late, because reading the certificate authorities takes a while.
    pub(super) fn agent(&self) -> &Agent {
        self.agent.get_or_init(|| {
            let loopback = self.reference.is_loopback();
            let mut config = Agent::config_builder()
                .http_status_as_error(false)
                // No redirect leads from HTTPS to plain HTTP.
                .https_only(!loopback)
                .max_redirects(REDIRECTS)
                // Blobs are commonly served by another host, which must not see the registry's credentials.
                .redirect_auth_headers(RedirectAuthHeaders::SameHost)
                .timeout_connect(Some(CONNECT))
                .timeout_recv_response(Some(ANSWER))
                .timeout_per_read(Some(SILENCE))
                .max_response_header_size(RESPONSE_HEADER_BYTES)
                .input_buffer_size(INPUT_BYTES)
                .user_agent(concat!("undercurrent/", env!("CARGO_PKG_VERSION")))
                .accept_encoding("identity");
            if loopback {
                // A proxy cannot reach this machine's own registry.
                config = config.proxy(None);
            } else {
                let tls = TlsConfig::builder()
                    .provider(TlsProvider::Rustls)
                    .root_certs(roots::load())
                    .build();
                config = config.tls_config(tls);
            }
            config.build().new_agent()
        })
    }

    pub(super) fn unreachable(&self, error: ureq::Error) -> Problem {
        Problem::unavailable("cannot reach the registry")
            .at(&self.base)
            .found(&error)
            .remedy("check the network, the registry's name and the proxy settings")
            .caused_by(error)
    }
}

/// The head of an answer, and its body to be read.
pub struct Response(http::Response<Body>);

impl Response {
    pub(super) fn new(response: http::Response<Body>) -> Self {
        Self(response)
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// A header that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    /// Every header of a name that is text.
    pub fn headers(&self, name: &str) -> Vec<String> {
        self.0
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
    pub fn success(self, url: &str) -> Result<Self> {
        match self.status() {
            200..=299 => Ok(self),
            status @ (401 | 403) => Err(Problem::refused("the registry denies access")
                .at(url)
                .found(format!("status {status}: {}", self.error_text()))
                .remedy("log in first, for example with docker login or skopeo login, with an account that may pull it")),
            status => Err(Problem::unavailable("the registry answers with an error")
                .at(url)
                .found(format!("status {status}: {}", self.error_text()))
                .remedy("try again later")),
        }
    }

    /// The first error message of a registry's error document, or the start of the body.
    pub fn error_text(mut self) -> String {
        let mut body = Vec::new();
        let reader = self
            .0
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
    pub fn bytes(self, limit: u64) -> Result<Vec<u8>> {
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
    pub fn into_reader(self, expected: u64) -> Box<dyn Read + Send> {
        let limit = expected.saturating_add(1);
        let reader = self
            .0
            .into_body()
            .into_with_config()
            .limit(limit.saturating_add(1))
            .reader();
        Box::new(reader.take(limit))
    }

    /// How long to wait before the request is worth another attempt; `None` where it is not.
    fn retry_pause(&self, attempt: u32) -> Option<Duration> {
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

/// Doubles with each attempt, between half and all of it, so that many clients do not come back together.
pub(crate) fn backoff(attempt: u32) -> Duration {
    let full = FIRST_PAUSE
        .saturating_mul(1 << attempt.min(10))
        .min(LONGEST_PAUSE);
    full.mul_f64(0.5 + 0.5 * fastrand::f64())
}

fn is_transient(error: &ureq::Error) -> bool {
    match error {
        // A certificate that is not trusted will not be trusted in a second.
        ureq::Error::Io(error) => error.kind() != std::io::ErrorKind::InvalidData,
        ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed => true,
        _ => false,
    }
}
