//! One HTTP request and its reply: TLS, the token, time and size.

use std::{
    env, fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use uc_model::{Problem, Result};
use ureq::{
    Agent,
    http::{HeaderValue, Uri},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem},
};

use super::Options;

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

/// What came back.
pub(super) struct Reply {
    pub(super) url: String,
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) location: Option<String>,
    pub(super) token: Option<String>,
}

impl Reply {
    /// A text of the server's without the token, which some repeat in their errors.
    pub(super) fn without_token(&self, text: &str) -> String {
        match &self.token {
            Some(token) => text.replace(token.as_str(), "[token]"),
            None => text.to_owned(),
        }
    }
}

pub(super) struct Transport {
    base: String,
    agent: Agent,
    options: Options,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("base", &self.base)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Transport {
    pub(super) fn new(url: &str, options: Options) -> Result<Self> {
        let base = url.trim_end_matches('/').to_owned();
        let uri = check_address(&base)?;
        let is_encrypted = uri.scheme_str() == Some("https");
        let is_local = uri.host().is_some_and(is_loopback);
        if options.bearer_token_file.is_some() && !is_encrypted && !is_local {
            return Err(
                Problem::refused("the token would be sent to another machine unencrypted")
                    .at(&base)
                    .limit("https, or an address of this machine")
                    .remedy("use https, or no token"),
            );
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // The token is for this server alone, and a redirected POST would lose its query.
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
            base,
            agent: config.build().new_agent(),
            options,
        })
    }

    /// Asks one endpoint of the API. A POST, since queries may be longer than addresses.
    pub(super) fn post(&self, endpoint: &str, parameters: &[(&str, String)]) -> Result<Reply> {
        let url = format!("{}/api/v1/{endpoint}", self.base);
        let token = self.options.bearer_token_file.as_deref();
        let token = token.map(read_token).transpose()?;
        let mut request = self
            .agent
            .post(&url)
            .header("Content-Type", "application/x-www-form-urlencoded");
        if let Some(token) = &token {
            request = request.header("Authorization", authorization(token)?);
        }
        let mut form = String::new();
        for (name, value) in parameters {
            push_parameter(&mut form, name, value);
        }
        let timeout_ms = self.options.timeout.as_millis().max(1);
        // So that the server does not go on for nobody.
        push_parameter(&mut form, "timeout", &format!("{timeout_ms}ms"));
        let response = request.send(form.as_bytes());
        let response = response.map_err(|error| self.unreachable(&url, error))?;
        let (parts, body) = response.into_parts();
        let location = parts.headers.get("Location");
        let location = location.and_then(|value| value.to_str().ok());
        Ok(Reply {
            status: parts.status.as_u16(),
            body: self.read_body(&url, body)?,
            location: location.map(str::to_owned),
            token,
            url,
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
                .remedy("narrow the selector, shorten the range or lengthen the step"));
        }
        Ok(bytes)
    }

    fn unreachable(&self, url: &str, error: ureq::Error) -> Problem {
        let problem = match &error {
            ureq::Error::Timeout(_) => Problem::unavailable("Prometheus does not answer in time")
                .limit(format!("{} s", self.options.timeout.as_secs_f64()))
                .remedy("narrow the selector, shorten the range or allow more time"),
            error if is_of_tls(error, url) => {
                Problem::unavailable("the connection to Prometheus cannot be secured")
                    .found(error)
                    .remedy(
                        "name the file of the certificate authority that signed its certificate",
                    )
            }
            _ => Problem::unavailable("cannot reach Prometheus")
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

fn check_address(base: &str) -> Result<Uri> {
    let expected = "an address such as https://prometheus.example:9090";
    // What could be a password is not repeated.
    if base.contains('@') {
        return Err(
            Problem::invalid("the address of Prometheus holds a user or a password")
                .limit(expected)
                .remedy("put a bearer token into a file, and name that"),
        );
    }
    let problem = |found: &str| {
        Problem::invalid("this is no address of a Prometheus")
            .at(base.escape_debug())
            .limit(expected)
            .found(found)
    };
    let uri: Uri = base
        .parse()
        .map_err(|error| problem("no URL").caused_by(error))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(problem("neither http:// nor https://"));
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(problem("no host"));
    }
    if uri.query().is_some() || base.contains('#') {
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
            Problem::not_found("cannot read a file that Prometheus is asked with")
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

/// application/x-www-form-urlencoded.
fn push_parameter(form: &mut String, name: &str, value: &str) {
    if !form.is_empty() {
        form.push('&');
    }
    form.push_str(name);
    form.push('=');
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                form.push(char::from(byte));
            }
            _ => form.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_passwords_not_repeated() {
        for url in [
            "",
            "prometheus",
            "ftp://a",
            "http://",
            "http://a?b",
            "http://a#b",
            "http://a b",
        ] {
            assert!(Transport::new(url, Options::default()).is_err(), "{url}");
        }
        let problem = Transport::new("http://me:s3cret@host", Options::default())
            .expect_err("holds a password");
        assert!(!format!("{problem:?}").contains("s3cret"));
        let transport =
            Transport::new("http://host:9090/prefix/", Options::default()).expect("an address");
        assert_eq!(transport.base, "http://host:9090/prefix");
    }

    #[test]
    fn a_token_is_not_sent_unencrypted_to_another_machine() {
        let options = || Options {
            bearer_token_file: Some("/run/token".into()),
            ..Options::default()
        };
        for url in ["http://prometheus.example", "http://10.0.0.1:9090"] {
            assert!(Transport::new(url, options()).is_err(), "{url}");
        }
        for url in [
            "http://localhost",
            "http://127.0.0.1:9",
            "http://[::1]:9",
            "https://a.example",
        ] {
            assert!(Transport::new(url, options()).is_ok(), "{url}");
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

    #[test]
    fn forms_are_escaped() {
        let mut form = String::new();
        push_parameter(&mut form, "query", "a{b=\"é +\"}");
        push_parameter(&mut form, "time", "1.5");
        assert_eq!(form, "query=a%7Bb%3D%22%C3%A9%20%2B%22%7D&time=1.5");
    }
}
