//! A blocking HTTP client for one peer: TLS, the token, time and size.

use std::{
    env, fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use uc_model::{Problem, Result};
use ureq::{
    Agent,
    http::{HeaderValue, Uri},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem},
};

/// Where distributions keep the certificate authorities: Debian and Alpine, Fedora, openSUSE.
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];
/// The largest bundle, in bytes.
const BUNDLE_BYTES: u64 = 16 << 20;
/// The largest token, in bytes.
const TOKEN_BYTES: u64 = 64 << 10;
/// The largest header of a reply, in bytes.
const HEADER_BYTES: usize = 64 << 10;

/// Whom a client talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// What messages call it.
    pub name: &'static str,
    /// An address of one, for messages.
    pub example: &'static str,
    /// What helps where its answers are too slow or too large.
    pub lighten: &'static str,
    /// Whether its address is itself a secret, as those of chat rooms are. Then messages name the host alone, the address may
    /// hold a query, and nothing is sent to another machine unencrypted.
    pub is_secret: bool,
}

/// How to talk to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// For one request, from connecting to the end of the answer.
    pub timeout: Duration,
    /// The file with the bearer token; read anew for each request, since tokens are renewed in place.
    pub bearer_token_file: Option<PathBuf>,
    /// Certificate authorities (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The largest answer, in bytes.
    pub max_body_bytes: u64,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// From where, as messages may name it.
    pub url: String,
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// Where it leads, if it is a redirect.
    pub location: Option<String>,
    pub(crate) token: Option<String>,
}

impl Reply {
    /// A text of the peer's without the token, which some repeat in their errors.
    pub fn without_token(&self, text: &str) -> String {
        match &self.token {
            Some(token) => text.replace(token.as_str(), "[token]"),
            None => text.to_owned(),
        }
    }
}

/// A client of one peer. It follows no redirects: the token is for that peer alone, and a redirected POST would lose its body.
pub struct Client {
    peer: Peer,
    base: String,
    shown: String,
    agent: Agent,
    options: Options,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("shown", &self.shown)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of a peer at an address. Nothing is sent yet.
    ///
    /// # Errors
    /// Invalid where the address is none, or holds a password; refused where a token or a secret would be sent unencrypted to
    /// another machine; not found or invalid where the certificate authorities cannot be read.
    pub fn new(peer: Peer, url: &str, options: Options) -> Result<Self> {
        let uri = check_address(peer, url)?;
        let shown = shown(peer, url, &uri);
        let is_encrypted = uri.scheme_str() == Some("https");
        let is_local = uri.host().is_some_and(is_loopback);
        if !is_encrypted && !is_local {
            let refused = |what: &str| {
                Problem::refused(what)
                    .at(&shown)
                    .limit("https, or an address of this machine")
            };
            if options.bearer_token_file.is_some() {
                let what = "the token would be sent to another machine unencrypted";
                return Err(refused(what).remedy("use https, or no token"));
            }
            if peer.is_secret {
                let what = "what is sent would cross the network unencrypted, for anyone to read";
                return Err(refused(what).remedy("use https"));
            }
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(options.timeout))
            .max_response_header_size(HEADER_BYTES)
            .user_agent(concat!("undercurrent/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .accept_encoding("identity");
        if is_local {
            // A proxy cannot reach this machine's own server.
            config = config.proxy(None);
        }
        if is_encrypted {
            let authorities = match &options.ca_file {
                Some(path) => authorities_of(path)?,
                None => system_authorities(),
            };
            let tls = TlsConfig::builder()
                .provider(TlsProvider::Rustls)
                .root_certs(authorities);
            config = config.tls_config(tls.build());
        }
        Ok(Self {
            peer,
            base: url.to_owned(),
            shown,
            agent: config.build().new_agent(),
            options,
        })
    }

    /// The address as messages may name it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// How long one request may take.
    pub fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// Posts a body to a path below the address.
    ///
    /// # Errors
    /// Unavailable where the peer cannot be reached, is too slow or breaks off; refused where the answer is too large; not
    /// found or invalid where the token cannot be read. Any status is an answer.
    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Reply> {
        let shown = format!("{}{path}", self.shown);
        let token = self.options.bearer_token_file.as_deref();
        let token = token.map(read_token).transpose()?;
        let mut request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("Content-Type", content_type);
        if let Some(token) = &token {
            request = request.header("Authorization", authorization(token)?);
        }
        let response = request.send(body);
        let response = response.map_err(|error| self.unreachable(&shown, error))?;
        let (parts, body) = response.into_parts();
        let location = parts.headers.get("Location");
        let location = location.and_then(|value| value.to_str().ok());
        Ok(Reply {
            status: parts.status.as_u16(),
            body: self.read_body(&shown, body)?,
            location: location.map(str::to_owned),
            token,
            url: shown,
        })
    }

    fn read_body(&self, url: &str, body: ureq::Body) -> Result<Vec<u8>> {
        let most = self.options.max_body_bytes;
        let mut bytes = Vec::new();
        let reader = body
            .into_with_config()
            .limit(most.saturating_add(2))
            .reader();
        reader
            .take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| match ureq::Error::from(error) {
                error @ ureq::Error::Timeout(_) => self.unreachable(url, error),
                error => Problem::unavailable("the answer breaks off")
                    .at(url)
                    .found(&error)
                    .remedy("ask again; if it goes on, look for a proxy between that cuts answers")
                    .caused_by(error),
            })?;
        if bytes.len() as u64 > most {
            return Err(Problem::refused("the answer is too large")
                .at(url)
                .limit(format!("{most} bytes"))
                .remedy(self.peer.lighten));
        }
        Ok(bytes)
    }

    fn unreachable(&self, url: &str, error: ureq::Error) -> Problem {
        let name = self.peer.name;
        let problem =
            match &error {
                ureq::Error::Timeout(_) => {
                    Problem::unavailable(format!("{name} does not answer in time"))
                        .limit(format!("{} s", self.options.timeout.as_secs_f64()))
                        .remedy(format!("{} or allow more time", self.peer.lighten))
                }
                error if is_of_tls(error, &self.base) => Problem::unavailable(format!(
                    "the connection to {name} cannot be secured"
                ))
                .found(error)
                .remedy("name the file of the certificate authority that signed its certificate"),
                _ => Problem::unavailable(format!("cannot reach {name}"))
                    .found(&error)
                    .remedy("check its address, whether it runs, and the proxy settings"),
            };
        problem.at(url).caused_by(error)
    }
}

/// What rustls does not accept reaches us as invalid data.
fn is_of_tls(error: &ureq::Error, url: &str) -> bool {
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(error) => {
            error.kind() == io::ErrorKind::InvalidData && url.starts_with("https:")
        }
        _ => false,
    }
}

/// What messages may tell of an address.
fn shown(peer: Peer, url: &str, uri: &Uri) -> String {
    match (peer.is_secret, uri.scheme_str(), uri.authority()) {
        (false, ..) => url.to_owned(),
        (true, Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
        (true, ..) => peer.name.to_owned(),
    }
}

fn check_address(peer: Peer, url: &str) -> Result<Uri> {
    let expected = format!("an address such as {}", peer.example);
    // What could be a password is not repeated.
    if url.contains('@') {
        return Err(Problem::invalid(format!(
            "the address of {} holds a user or a password",
            peer.name
        ))
        .limit(expected)
        .remedy("put a bearer token into a file, and name that"));
    }
    let problem = |found: &str| {
        let problem = Problem::invalid(format!("this is no address of {}", peer.name))
            .limit(&expected)
            .found(found);
        if peer.is_secret {
            problem
        } else {
            problem.at(url.escape_debug())
        }
    };
    let uri: Uri = url
        .parse()
        .map_err(|error| problem("no URL").caused_by(error))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(problem("neither http:// nor https://"));
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(problem("no host"));
    }
    if url.contains('#') || (uri.query().is_some() && !peer.is_secret) {
        return Err(problem("a query"));
    }
    Ok(uri)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn read_token(path: &Path) -> Result<String> {
    let problem = |what: &str| {
        Problem::invalid(what)
            .at(path.display())
            .limit("one line of visible ASCII")
    };
    let text = read_small(path, TOKEN_BYTES)?;
    let token = String::from_utf8(text)
        // The error would hold the bytes.
        .map_err(|_| problem("the bearer token is no text"))?;
    let token = token.trim();
    if token.is_empty() {
        return Err(problem("the file holds no bearer token"));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(problem("this cannot be a bearer token"));
    }
    Ok(token.to_owned())
}

fn authorization(token: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Problem::internal("a bearer token that was checked is no header"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn authorities_of(path: &Path) -> Result<RootCerts> {
    let certificates = certificates(&read_small(path, BUNDLE_BYTES)?);
    if certificates.is_empty() {
        return Err(Problem::invalid("the file holds no certificate authority")
            .at(path.display())
            .limit("PEM, with BEGIN CERTIFICATE"));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

/// The authorities of `SSL_CERT_FILE`, else of the system, else Mozilla's as of this build.
fn system_authorities() -> RootCerts {
    let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    named
        .into_iter()
        .chain(BUNDLES.iter().map(PathBuf::from))
        .filter_map(|path| read_small(&path, BUNDLE_BYTES).ok())
        .map(|pem| certificates(&pem))
        .find(|certificates| !certificates.is_empty())
        .map_or(RootCerts::WebPki, |certificates| {
            RootCerts::Specific(Arc::new(certificates))
        })
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    parse_pem(pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect()
}

fn read_small(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            Problem::not_found("cannot read a file that a connection needs")
                .at(path.display())
                .caused_by(error)
        })?;
    if bytes.len() as u64 > most {
        return Err(Problem::invalid("the file is too large")
            .at(path.display())
            .limit(format!("{most} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Peer = Peer {
        name: "the server",
        example: "https://server.example",
        lighten: "ask for less",
        is_secret: false,
    };
    const SECRET: Peer = Peer {
        is_secret: true,
        ..OPEN
    };

    fn options() -> Options {
        Options {
            timeout: Duration::from_secs(1),
            bearer_token_file: None,
            ca_file: None,
            max_body_bytes: 1_000,
        }
    }

    #[test]
    fn addresses_are_checked_and_passwords_not_repeated() {
        for url in [
            "",
            "server",
            "ftp://a",
            "http://",
            "http://a?b",
            "http://a#b",
            "http://a b",
        ] {
            assert!(Client::new(OPEN, url, options()).is_err(), "{url}");
        }
        for peer in [OPEN, SECRET] {
            let problem = Client::new(peer, "http://me:s3cret@host", options());
            let problem = problem.expect_err("holds a password");
            assert!(!format!("{problem:?}").contains("s3cret"));
        }
    }

    #[test]
    fn a_secret_address_may_hold_a_query_and_is_told_by_its_host_alone() {
        let client = Client::new(
            SECRET,
            "https://chat.example:8443/s3cret?key=s3cret",
            options(),
        );
        assert_eq!(
            client.expect("an address").shown(),
            "https://chat.example:8443"
        );
        for url in [
            "https://chat.example/s3cret#x",
            "chat/s3cret",
            "ftp://chat/s3cret",
            "http://a b/s3cret",
        ] {
            let problem = Client::new(SECRET, url, options()).expect_err("is none");
            assert!(!format!("{problem:?}").contains("s3cret"), "{problem:?}");
        }
    }

    #[test]
    fn secrets_are_not_sent_unencrypted_to_another_machine() {
        let token = || Options {
            bearer_token_file: Some("/run/token".into()),
            ..options()
        };
        for url in ["http://server.example", "http://10.0.0.1:9090"] {
            assert!(Client::new(OPEN, url, token()).is_err(), "{url}");
            assert!(Client::new(SECRET, url, options()).is_err(), "{url}");
            assert!(Client::new(OPEN, url, options()).is_ok(), "{url}");
        }
        for url in [
            "http://localhost",
            "http://127.0.0.1:9",
            "http://[::1]:9",
            "https://a.example",
        ] {
            assert!(Client::new(SECRET, url, token()).is_ok(), "{url}");
        }
    }

    #[test]
    fn tokens_are_one_line_of_visible_text() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("written");
            read_token(&path)
        };
        assert_eq!(read(b" abc.def=\n").expect("a token"), "abc.def=");
        for bytes in [
            &b""[..],
            b"\n",
            b"s3cret\r\nX: y",
            b"s3cret\xff",
            &[b'a'; 70_000],
        ] {
            let problem = read(bytes).expect_err("is no token");
            assert!(!format!("{problem:?}").contains("s3cret"));
        }
    }
}
