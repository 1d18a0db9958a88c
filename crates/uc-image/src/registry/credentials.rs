//! Logins from docker's and podman's configuration files and credential helpers.

use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use uc_model::{Problem, Result};

use crate::{bounds, spec};

/// Docker's name for its hub in configuration files.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// How long a helper may take: it may have to ask the user's keyring.
const HELPER_TIME: Duration = Duration::from_secs(30);

/// A login. It is a secret: `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// Name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A refresh token for the token server.
    IdentityToken(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// Where logins are looked up.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    files: Vec<PathBuf>,
}

impl Credentials {
    /// No logins: everything is pulled anonymously.
    pub fn none() -> Self {
        Self::default()
    }

    /// The logins of these configuration files; the first file that has one for a registry decides.
    pub fn from_files(files: Vec<PathBuf>) -> Self {
        Self { files }
    }

    /// The files that docker and podman use: `$REGISTRY_AUTH_FILE` alone where it is set, else
    /// `$XDG_RUNTIME_DIR/containers/auth.json`, `$XDG_CONFIG_HOME/containers/auth.json` and docker's `config.json`.
    pub fn from_environment() -> Self {
        let variable = |name: &str| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        if let Some(file) = variable("REGISTRY_AUTH_FILE") {
            return Self::from_files(vec![file]);
        }
        let home = variable("HOME");
        let config =
            variable("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        let docker = variable("DOCKER_CONFIG").or_else(|| home.map(|home| home.join(".docker")));
        let files = [
            variable("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json")),
            config.map(|directory| directory.join("containers/auth.json")),
            docker.map(|directory| directory.join("config.json")),
        ];
        Self::from_files(files.into_iter().flatten().collect())
    }

    /// The login for a registry host, if there is one.
    ///
    /// # Errors
    /// Invalid for a malformed file, host for a helper that is missing or fails, without any secret.
    pub fn find(&self, host: &str) -> Result<Option<Credential>> {
        for file in &self.files {
            let Some(config) = read(file)? else { continue };
            let found = config
                .find(host)
                .map_err(|problem| problem.within(file.display()))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

fn read(path: &Path) -> Result<Option<DockerConfig>> {
    let Ok(file) = File::open(path) else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(bounds::DOCKER_CONFIG_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            Problem::invalid("cannot read the registry logins")
                .at(path.display())
                .caused_by(error)
        })?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    // A parser's message could quote a secret, so it is not kept.
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Problem::invalid("the file of registry logins is malformed")
            .at(format!(
                "{}: line {} column {}",
                path.display(),
                error.line(),
                error.column()
            ))
            .limit("docker's config.json")
            .remedy("log in again, or repair the file")
    })
}

impl DockerConfig {
    fn find(&self, host: &str) -> Result<Option<Credential>> {
        let key = self.key(host);
        let helper = self.cred_helpers.get(host).or(self.creds_store.as_ref());
        if let Some(helper) = helper
            && let Some(credential) = ask_helper(
                helper,
                if host == "docker.io" {
                    DOCKER_HUB_KEY
                } else {
                    host
                },
            )?
        {
            return Ok(Some(credential));
        }
        match key.and_then(|key| self.auths.get(key)) {
            Some(auth) => auth.credential(),
            None => Ok(None),
        }
    }

    /// The key of `auths` for a host: the host itself, or a URL of it as older versions wrote.
    fn key(&self, host: &str) -> Option<&str> {
        if host == "docker.io" && self.auths.contains_key(DOCKER_HUB_KEY) {
            return Some(DOCKER_HUB_KEY);
        }
        let host_of = |key: &str| {
            let key = key
                .strip_prefix("https://")
                .or_else(|| key.strip_prefix("http://"))
                .unwrap_or(key);
            key.split('/').next().unwrap_or(key).to_owned()
        };
        self.auths
            .keys()
            .find(|key| *key == host || host_of(key) == host)
            .map(String::as_str)
    }
}

impl Auth {
    fn credential(&self) -> Result<Option<Credential>> {
        if let Some(token) = self
            .identitytoken
            .as_ref()
            .filter(|token| !token.is_empty())
        {
            return Ok(Some(Credential::IdentityToken(token.clone())));
        }
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Ok(Some(Credential::Password {
                user: user.clone(),
                password: password.clone(),
            }));
        }
        let Some(auth) = self.auth.as_ref().filter(|auth| !auth.is_empty()) else {
            return Ok(None);
        };
        let malformed =
            || Problem::invalid("a registry login is malformed").limit("base64 of USER:PASSWORD");
        let decoded = STANDARD.decode(auth.trim()).map_err(|_| malformed())?;
        let text = String::from_utf8(decoded).map_err(|_| malformed())?;
        let (user, password) = text.split_once(':').ok_or_else(malformed)?;
        // Docker once padded with NUL bytes.
        Ok(Some(Credential::Password {
            user: user.into(),
            password: password.trim_end_matches('\0').into(),
        }))
    }
}

/// Asks `docker-credential-NAME get`, the helper that the user's own configuration names.
fn ask_helper(name: &str, server: &str) -> Result<Option<Credential>> {
    let program = format!("docker-credential-{name}");
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if !plain {
        return Err(
            Problem::invalid("the name of the credential helper is not a plain name")
                .found(format!("{name:?}")),
        );
    }
    let failed = |error: std::io::Error| {
        Problem::host("cannot run the credential helper")
            .at(&program)
            .remedy("install it, or remove credsStore and credHelpers from docker's configuration and log in again")
            .caused_by(error)
    };
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input fails by its answer.
        let _ = stdin.write_all(server.as_bytes());
    }
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut output = Vec::new();
            let read = stdout
                .take(bounds::DOCKER_CONFIG_BYTES)
                .read_to_end(&mut output);
            // Nobody waits any more after the time is over.
            let _ = sender.send(read.map(|_| output));
        });
    }
    let Ok(output) = receiver.recv_timeout(HELPER_TIME) else {
        // It may have ended just now; either way it is not waited for.
        let _ = child.kill();
        let _ = child.wait();
        return Err(Problem::host("the credential helper does not answer")
            .at(&program)
            .limit("30 s"));
    };
    let output = output.map_err(failed)?;
    let status = child.wait().map_err(failed)?;
    if !status.success() {
        // Helpers end so when they have no login; the pull goes on without one.
        return Ok(None);
    }
    credential_of(&output)
        .map(Some)
        .map_err(|problem| problem.at(&program))
}

fn credential_of(output: &[u8]) -> Result<Credential> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: String,
    }
    let answer: Answer = spec::parse(output, "helper's answer", bounds::DOCKER_CONFIG_BYTES)
        .map_err(|_| {
            Problem::invalid("the credential helper answers with something else than a login")
        })?;
    if answer.username == "<token>" {
        Ok(Credential::IdentityToken(answer.secret))
    } else {
        Ok(Credential::Password {
            user: answer.username,
            password: answer.secret,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> DockerConfig {
        serde_json::from_str(json).expect("parses")
    }

    fn password(user: &str, password: &str) -> Option<Credential> {
        Some(Credential::Password {
            user: user.into(),
            password: password.into(),
        })
    }

    #[test]
    fn logins_are_found_by_host_and_by_url() {
        let config = config(
            r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"},"localhost:5000":{"auth":"YTpiOmM="},
                "https://old.example/v2/":{"username":"n","password":"s"},"t.example":{"identitytoken":"x"},
                "empty.example":{}}}"#,
        );
        assert_eq!(config.find("docker.io").expect("finds"), password("u", "p"));
        assert_eq!(
            config.find("localhost:5000").expect("finds"),
            password("a", "b:c")
        );
        assert_eq!(
            config.find("old.example").expect("finds"),
            password("n", "s")
        );
        assert_eq!(
            config.find("t.example").expect("finds"),
            Some(Credential::IdentityToken("x".into()))
        );
        assert_eq!(config.find("empty.example").expect("finds"), None);
        assert_eq!(config.find("localhost").expect("finds"), None);
    }

    #[test]
    fn secrets_stay_out_of_messages() {
        let broken = config(r#"{"auths":{"a.example":{"auth":"c2VjcmV0"}}}"#);
        let problem = broken.find("a.example").expect_err("there is no colon");
        assert!(!format!("{problem:?}").contains("secret"));
        assert_eq!(format!("{:?}", password("u", "p")), "Some(Credential(…))");
    }

    #[test]
    fn a_helper_that_is_missing_or_oddly_named_is_an_error() {
        let missing = config(r#"{"credHelpers":{"a.example":"uc-test-missing"}}"#);
        let problem = missing.find("a.example").expect_err("no such program");
        assert_eq!(problem.place(), Some("docker-credential-uc-test-missing"));
        let odd = config(r#"{"credsStore":"../../bin/x"}"#);
        assert!(odd.find("a.example").is_err());
    }

    #[test]
    fn a_helper_may_hold_a_token_or_a_password() {
        assert_eq!(
            credential_of(br#"{"ServerURL":"a","Username":"<token>","Secret":"t"}"#)
                .expect("reads"),
            Credential::IdentityToken("t".into())
        );
        assert_eq!(
            credential_of(br#"{"Username":"u","Secret":"p"}"#).ok(),
            password("u", "p")
        );
        assert!(credential_of(b"credentials not found").is_err());
    }
}
