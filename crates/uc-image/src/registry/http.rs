//! One registry's HTTP: authentication on demand, retries, redirects, bounds.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use uc_model::{Problem, ProblemKind, Result};
use ureq::{
    Agent, AsSendBody, Body, SendBody, http,
    tls::{TlsConfig, TlsProvider},
};

use super::{
    auth::{Authority, Authorization},
    credentials::Credentials,
    location,
    request::{Method, Payload, Request},
    response::Response,
    roots,
};
use crate::{progress::Progress, reference::Reference};

const CONNECT: Duration = Duration::from_secs(15);
/// Until the head of an answer is there.
const ANSWER: Duration = Duration::from_secs(60);
/// The same after a large body, which the registry may have to copy or to hash once more.
const ANSWER_TO_LARGE: Duration = Duration::from_secs(900);
/// What is a large body, in bytes.
const LARGE_BYTES: u64 = 8 << 20;
/// Between two pieces of a body.
const SILENCE: Duration = Duration::from_secs(60);
const REDIRECTS: u32 = 5;
/// The most requests made for one.
pub(crate) const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between attempts, also where the registry asks for more.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const RESPONSE_HEADER_BYTES: usize = 64 << 10;
/// Few system calls for large blobs; three downloads at once stay below a mebibyte.
const INPUT_BYTES: usize = 256 << 10;
/// Connections kept for the next request: as many as there are threads that use one client at once.
const IDLE_CONNECTIONS: usize = 16;

/// The HTTP side of one registry and repository.
pub(super) struct Http<'a> {
    reference: Reference,
    base: String,
    agent: OnceLock<Agent>,
    credentials: &'a Credentials,
    authority: Mutex<Authority>,
    progress: &'a dyn Progress,
    /// The quickest answer so far, in microseconds.
    quickest_us: AtomicU64,
}

/// Why an attempt brought no answer.
enum Failure {
    Transport(ureq::Error),
    Problem(Problem),
}

impl<'a> Http<'a> {
    /// HTTPS; plain HTTP for a registry on this machine, as docker does.
    pub(super) fn new(
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
            authority: Mutex::new(Authority::default()),
            progress,
            quickest_us: AtomicU64::new(u64::MAX),
        }
    }

    /// Scheme and host, without a slash at the end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn reference(&self) -> &Reference {
        &self.reference
    }

    pub(super) fn progress(&self) -> &'a dyn Progress {
        self.progress
    }

    /// The quickest answer so far: about one round trip. Zero before the first.
    pub(super) fn round_trip(&self) -> Duration {
        match self.quickest_us.load(Ordering::Relaxed) {
            u64::MAX => Duration::ZERO,
            quickest => Duration::from_micros(quickest),
        }
    }

    /// From now on tokens are asked for that allow to push as well, so that one is enough; a token that is here already is
    /// replaced.
    pub(super) fn prepare_push(&self) -> Result<()> {
        let mut authority = self.authority();
        authority.want_push();
        authority.widen(self, self.credentials)
    }

    /// From now on tokens are asked for that allow to read another repository, to mount blobs from it.
    pub(super) fn want_pull_from(&self, repository: &str) {
        self.authority().want_pull_from(repository);
    }

    /// Sends a request, authenticates where the registry asks for it, and tries again what may succeed later.
    ///
    /// A request that is made once answers a challenge as well, but gives the 401 back instead of sending all again.
    ///
    /// # Errors
    /// Unavailable where the registry cannot be reached or keeps failing; refused where it wants other credentials.
    pub(super) fn send(&self, request: &Request<'_>) -> Result<Response> {
        let mut answered_challenge = false;
        let mut attempt = 1;
        let attempts = if request.patient { ATTEMPTS } else { 1 };
        loop {
            let authorization = self.authorization(request.method)?;
            let (reason, pause) = match self.send_once(request, authorization.as_deref()) {
                Ok(response)
                    if response.status() == 401
                        && !answered_challenge
                        && self.is_own(response.url()) =>
                {
                    answered_challenge = true;
                    self.authenticate(&response, authorization.as_ref())?;
                    if !request.patient {
                        return Ok(response);
                    }
                    response.drain();
                    continue;
                }
                Ok(response) => match response.retry_pause(attempt) {
                    Some(pause) if attempt < attempts => {
                        let reason = format!("status {}", response.status());
                        response.drain();
                        (reason, pause)
                    }
                    _ => return Ok(response),
                },
                Err(Failure::Problem(problem))
                    if attempt < attempts
                        && problem.kind() == ProblemKind::Unavailable
                        && matches!(request.payload, Payload::Stream { .. }) =>
                {
                    (problem.what().to_owned(), backoff(attempt))
                }
                Err(Failure::Problem(problem)) => return Err(problem),
                Err(Failure::Transport(error)) if attempt < attempts && is_transient(&error) => {
                    (error.to_string(), backoff(attempt))
                }
                Err(Failure::Transport(error)) => return Err(self.unreachable(error)),
            };
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            self.progress
                .retrying(&self.reference.to_string(), &reason, pause_ms);
            thread::sleep(pause);
            attempt += 1;
        }
    }

    fn authority(&self) -> std::sync::MutexGuard<'_, Authority> {
        // What is in there is replaced as a whole, so a panic elsewhere leaves nothing half done.
        self.authority
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What to send along: what is known, widened first where a write needs more than was asked for so far.
    fn authorization(&self, method: Method) -> Result<Option<Arc<Authorization>>> {
        let mut authority = self.authority();
        if method.writes() {
            authority.widen(self, self.credentials)?;
        }
        Ok(authority.current())
    }

    /// Answers a challenge; of several threads that got one, the first does it for all.
    fn authenticate(&self, response: &Response, used: Option<&Arc<Authorization>>) -> Result<()> {
        let challenges = response.headers("WWW-Authenticate");
        let mut authority = self.authority();
        let is_stale = match (authority.current(), used) {
            (Some(known), Some(used)) => Arc::ptr_eq(&known, used),
            (None, None) => true,
            _ => false,
        };
        if is_stale {
            authority.answer(&challenges, self, self.credentials)?;
        }
        Ok(())
    }

    /// Whether an address is the registry's own, which alone sees its credentials.
    fn is_own(&self, url: &str) -> bool {
        location::origin(url) == location::origin(&self.base)
    }

    /// One attempt, through redirects. Blobs are commonly served by another host.
    fn send_once(
        &self,
        request: &Request<'_>,
        authorization: Option<&Authorization>,
    ) -> Result<Response, Failure> {
        let mut url = request.url.clone();
        for _ in 0..=REDIRECTS {
            let authorization = authorization.filter(|_| self.is_own(&url));
            let response = self.exchange(request, &url, authorization)?;
            let follows = match response.status() {
                // A body would be dropped on the way.
                301..=303 => !request.method.writes(),
                307 | 308 => true,
                _ => false,
            };
            let Some(target) = response.header("Location").filter(|_| follows) else {
                return Ok(response);
            };
            let target = location::resolve(&url, target).map_err(Failure::Problem)?;
            url = target;
        }
        Err(Failure::Problem(
            Problem::unavailable("the registry redirects too often")
                .at(location::without_query(&request.url))
                .limit(format!("{REDIRECTS} redirects")),
        ))
    }

    fn exchange(
        &self,
        request: &Request<'_>,
        url: &str,
        authorization: Option<&Authorization>,
    ) -> Result<Response, Failure> {
        let mut builder = http::Request::builder()
            .method(request.method.name())
            .uri(url);
        let size = request.payload_size().0;
        if !matches!(request.payload, Payload::Nothing) {
            builder = builder.header("Content-Length", size);
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(authorization) = authorization {
            builder = builder.header("Authorization", authorization.header());
        }
        let started = Instant::now();
        let outcome = match request.payload {
            Payload::Nothing => self.run(builder.body(()), size),
            Payload::Bytes(bytes) => self.run(builder.body(bytes), size),
            Payload::Stream { open, .. } => {
                let mut stream = open().map_err(Failure::Problem)?;
                self.run(builder.body(SendBody::from_reader(&mut stream)), size)
            }
        };
        match outcome {
            Ok(response) => {
                let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.quickest_us.fetch_min(took_us, Ordering::Relaxed);
                Ok(Response::new(response, url))
            }
            // What is sent along may come from elsewhere, and have problems of its own.
            Err(ureq::Error::Io(error)) => Err(match error.downcast::<Problem>() {
                Ok(problem) => Failure::Problem(problem),
                Err(error) => Failure::Transport(ureq::Error::Io(error)),
            }),
            Err(error) => Err(Failure::Transport(error)),
        }
    }

    fn run(
        &self,
        request: Result<http::Request<impl AsSendBody>, http::Error>,
        size: u64,
    ) -> Result<http::Response<Body>, ureq::Error> {
        let answer = if size > LARGE_BYTES {
            ANSWER_TO_LARGE
        } else {
            ANSWER
        };
        let agent = self.agent();
        let request = agent
            .configure_request(request?)
            .timeout_recv_response(Some(answer))
            .build();
        agent.run(request)
    }

    /// The connection pool; made late, because reading the certificate authorities takes a while.
    pub(super) fn agent(&self) -> &Agent {
        self.agent.get_or_init(|| {
            let loopback = self.reference.is_loopback();
            let mut config = Agent::config_builder()
                .http_status_as_error(false)
                .https_only(!loopback)
                // Redirects are followed here, where it is known who may see what.
                .max_redirects(0)
                .timeout_connect(Some(CONNECT))
                .timeout_recv_response(Some(ANSWER))
                .timeout_per_read(Some(SILENCE))
                .timeout_per_write(Some(SILENCE))
                .max_response_header_size(RESPONSE_HEADER_BYTES)
                .input_buffer_size(INPUT_BYTES)
                .max_idle_connections(IDLE_CONNECTIONS)
                .max_idle_connections_per_host(IDLE_CONNECTIONS)
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
