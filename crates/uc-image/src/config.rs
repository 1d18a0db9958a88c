//! The image configuration: what a container of the image executes, and how.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use uc_model::{Digest, Result};

use crate::{bounds, spec};

/// What an image says about its containers. Absent fields are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// The program, with leading arguments.
    pub entrypoint: Vec<String>,
    /// Arguments, or program and arguments where there is no entrypoint.
    pub cmd: Vec<String>,
    /// The environment as `NAME=value`, in order.
    pub env: Vec<String>,
    /// The working directory.
    pub working_dir: Option<String>,
    /// Who it runs as; see [`crate::user`].
    pub user: Option<String>,
    /// Ports it says it listens on, such as `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// The signal that asks it to end, such as `SIGTERM`.
    pub stop_signal: Option<String>,
    /// Notes.
    pub labels: BTreeMap<String, String>,
    /// In Go's terms: `linux`, `wasip1`.
    pub os: String,
    /// In Go's terms: `amd64`, `arm64`, `wasm`.
    pub architecture: String,
    /// When it was built, as it says: RFC 3339.
    pub created: Option<String>,
    /// Digests of the layers' tar streams, lowest first.
    pub diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Reads the configuration of an image.
    ///
    /// # Errors
    /// Invalid with line and column; refused beyond [`bounds::CONFIG_BYTES`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let document: Document = spec::parse(bytes, "image configuration", bounds::CONFIG_BYTES)?;
        let run = document.config;
        Ok(Self {
            entrypoint: run.entrypoint,
            cmd: run.cmd,
            env: run.env,
            working_dir: none_if_empty(run.working_dir),
            user: none_if_empty(run.user),
            exposed_ports: run.exposed_ports.into_keys().collect(),
            stop_signal: none_if_empty(run.stop_signal),
            labels: run.labels,
            os: document.os,
            architecture: document.architecture,
            created: none_if_empty(document.created),
            diff_ids: document.rootfs.diff_ids,
        })
    }
}

fn none_if_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[derive(Deserialize)]
struct Document {
    #[serde(default, deserialize_with = "nullable")]
    architecture: String,
    #[serde(default, deserialize_with = "nullable")]
    os: String,
    #[serde(default, deserialize_with = "nullable")]
    created: String,
    #[serde(default, deserialize_with = "nullable")]
    config: Run,
    #[serde(default, deserialize_with = "nullable")]
    rootfs: Rootfs,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Run {
    #[serde(deserialize_with = "nullable")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    env: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    working_dir: String,
    #[serde(deserialize_with = "nullable")]
    user: String,
    #[serde(deserialize_with = "nullable")]
    exposed_ports: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "nullable")]
    stop_signal: String,
    #[serde(deserialize_with = "nullable")]
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Rootfs {
    #[serde(default, deserialize_with = "nullable")]
    diff_ids: Vec<Digest>,
}

/// Builders written in Go write `null` for what is empty.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_absent_fields_are_empty() {
        let config = ImageConfig::parse(
            br#"{"architecture":"amd64","os":"linux","config":{"Cmd":["sh"],"Entrypoint":null,"Labels":null,
                "ExposedPorts":{"80/tcp":{}},"User":"","Unknown":1},"rootfs":{"type":"layers","diff_ids":null}}"#,
        )
        .expect("parses");
        assert_eq!(config.cmd, ["sh"]);
        assert!(config.entrypoint.is_empty());
        assert_eq!(config.exposed_ports, ["80/tcp"]);
        assert_eq!(config.user, None);
    }

    #[test]
    fn a_malformed_configuration_names_its_line() {
        let problem = ImageConfig::parse(b"{\n \"os\": 3}").expect_err("os is no number");
        assert!(
            problem.to_string().starts_with("line 2 column"),
            "{problem}"
        );
    }
}
