//! Helm charts: what a packed chart says of itself, and how Helm 3 writes that into a registry.

use std::{collections::BTreeMap, io::Read, path::Path};

use flate2::read::GzDecoder;
use serde_json::Value;
use uc_model::{Problem, Result};

use super::{chart_yaml, open, unreadable};
use crate::{bounds, spec};

/// The configuration: Chart.yaml as JSON.
pub(super) const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
/// The packed chart.
pub(super) const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// Its signature, as Helm makes it.
pub(super) const PROVENANCE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";
/// The largest Chart.yaml, in bytes.
const CHART_YAML_BYTES: u64 = 1 << 20;
/// How much of a chart is unpacked to find its Chart.yaml, in bytes, and of how many entries.
const UNPACKED_BYTES: u64 = 256 << 20;
const ENTRIES: usize = 10_000;

/// What a chart says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    metadata: Value,
}

impl Chart {
    /// Reads the Chart.yaml of a packed chart.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let yaml = chart_file(path)?.ok_or_else(|| {
            Problem::invalid("not a packed Helm chart")
                .at(path.display())
                .limit("a gzip-compressed tar archive with NAME/Chart.yaml")
                .remedy("pack it with: helm package DIRECTORY")
        })?;
        Self::parse(&yaml)
            .map_err(|problem| problem.within(format!("{}: Chart.yaml", path.display())))
    }

    /// Reads a Chart.yaml.
    ///
    /// # Errors
    /// Invalid, naming the line, for what is no YAML that charts are written in, and without name or version.
    pub fn parse(yaml: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(yaml)
            .map_err(|error| Problem::invalid("Chart.yaml is not UTF-8 text").caused_by(error))?;
        let metadata = chart_yaml::to_json(text)?;
        let field =
            |name: &str| match metadata[name].as_str() {
                Some(text) if !text.is_empty() => Ok(text.to_owned()),
                _ => Err(Problem::invalid(format!("the chart has no {name}"))
                    .limit(format!("{name}: TEXT"))),
            };
        Ok(Self {
            name: field("name")?,
            version: field("version")?,
            metadata,
        })
    }

    /// The tag that Helm gives it: its version, where a plus, which tags cannot have, becomes an underscore.
    pub fn tag(&self) -> String {
        self.version.replace('+', "_")
    }

    pub(super) fn config(&self) -> Result<Vec<u8>> {
        spec::to_json(&self.metadata)
    }

    /// The annotations that Helm makes of it; those that the chart brings do not replace them.
    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::new();
        if let Some(own) = self.metadata["annotations"].as_object() {
            for (name, value) in own {
                if let Some(value) = value.as_str() {
                    annotations.insert(name.clone(), value.to_owned());
                }
            }
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let maintainers = self.metadata["maintainers"].as_array();
        let authors: Vec<String> = maintainers
            .into_iter()
            .flatten()
            .filter_map(|one| match (one["name"].as_str()?, one["email"].as_str()) {
                (name, Some(email)) => Some(format!("{name} ({email})")),
                (name, None) => Some(name.to_owned()),
            })
            .collect();
        for (name, value) in [
            ("title", self.name.clone()),
            ("version", self.version.clone()),
            ("description", text(&self.metadata["description"])),
            ("url", text(&self.metadata["home"])),
            ("source", text(&self.metadata["sources"][0])),
            ("authors", authors.join(", ")),
        ] {
            if !value.is_empty() {
                annotations.insert(format!("org.opencontainers.image.{name}"), value);
            }
        }
        annotations
    }
}

/// The content of `NAME/Chart.yaml`.
fn chart_file(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = open(path)?;
    let mut archive = tar::Archive::new(GzDecoder::new(file).take(UNPACKED_BYTES));
    let entries = archive.entries().map_err(|error| unreadable(path, error))?;
    for entry in entries.take(ENTRIES) {
        // Whatever is no archive has no chart in it.
        let Ok(entry) = entry else { return Ok(None) };
        let name = entry.path_bytes().into_owned();
        let name = String::from_utf8_lossy(&name);
        let name = name.strip_prefix("./").unwrap_or(&name);
        let is_chart = name
            .split_once('/')
            .is_some_and(|(_, rest)| rest == "Chart.yaml");
        if !is_chart {
            continue;
        }
        let mut yaml = Vec::new();
        entry
            .take(CHART_YAML_BYTES + 1)
            .read_to_end(&mut yaml)
            .map_err(|error| unreadable(path, error))?;
        if yaml.len() as u64 > CHART_YAML_BYTES {
            return Err(Problem::refused("Chart.yaml is too large")
                .at(path.display())
                .limit(bounds::shown(CHART_YAML_BYTES)));
        }
        return Ok(Some(yaml));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "apiVersion: v2\nname: web\nversion: 1.2.3+build\ndescription: >-\n  Serves\n  pages\nappVersion: 1.10\nhome: https://example.org\nsources:\n- https://example.org/src\nmaintainers:\n  - name: Ada\n    email: ada@example.org\n  - name: Bob\nannotations:\n  example.org/note: \"yes\"\n";

    #[test]
    fn a_chart_is_described_as_helm_does() {
        let chart = Chart::parse(YAML.as_bytes()).expect("a chart");
        assert_eq!(chart.tag(), "1.2.3_build");
        let annotations = chart.annotations();
        for (name, value) in [
            ("org.opencontainers.image.title", "web"),
            ("org.opencontainers.image.version", "1.2.3+build"),
            ("org.opencontainers.image.description", "Serves pages"),
            (
                "org.opencontainers.image.authors",
                "Ada (ada@example.org), Bob",
            ),
            ("org.opencontainers.image.source", "https://example.org/src"),
            ("example.org/note", "yes"),
        ] {
            assert_eq!(annotations.get(name).map(String::as_str), Some(value));
        }
        let config: Value = serde_json::from_slice(&chart.config().expect("JSON")).expect("JSON");
        assert_eq!(config["appVersion"], "1.10", "versions are text");
    }

    #[test]
    fn a_chart_without_name_or_version_is_refused() {
        for wrong in ["name: x", "version: 1.0.0", "name: ''\nversion: 1", "- a"] {
            assert!(Chart::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
