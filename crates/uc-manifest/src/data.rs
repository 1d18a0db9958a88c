//! ConfigMaps and Secrets of the file, and looking things up in them.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use uc_model::{Problem, Result};

use crate::{
    name::{check_data_key, check_subdomain},
    view::View,
};

/// Which kind of object holds the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DataKind {
    ConfigMap,
    Secret,
}

impl DataKind {
    fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// One value of a ConfigMap or Secret.
pub(crate) struct Datum {
    pub(crate) content: Vec<u8>,
    /// Whether Kubernetes offers it to the environment: everything but a ConfigMap's `binaryData`.
    pub(crate) for_environment: bool,
}

/// The entries of one ConfigMap or Secret.
pub(crate) type Entries = BTreeMap<String, Datum>;

/// All ConfigMaps and Secrets of a file.
#[derive(Default)]
pub(crate) struct DataSets(BTreeMap<(DataKind, String, String), Entries>);

impl DataSets {
    /// Adds a document.
    pub(crate) fn add(&mut self, kind: DataKind, view: &View<'_>) -> Result<()> {
        let (namespace, name) = identity(view)?;
        let entries = match kind {
            DataKind::ConfigMap => read(view, "data", "binaryData", false)?,
            DataKind::Secret => read(view, "stringData", "data", true)?,
        };
        let key = (kind, namespace, name);
        if self.0.contains_key(&key) {
            let what = format!("a second {} of this name", kind.name());
            return Err(view.blame("metadata", Problem::invalid(what).found(&key.2)));
        }
        self.0.insert(key, entries);
        Ok(())
    }

    /// The entries that the field `name_field` of `view` refers to; `None` where they are missing and `optional`.
    pub(crate) fn entries(
        &self,
        kind: DataKind,
        namespace: &str,
        view: &View<'_>,
        name_field: &str,
    ) -> Result<Option<&Entries>> {
        let name = view.required(name_field)?;
        let optional = view.boolean("optional") == Some(true);
        let key = (kind, namespace.to_owned(), name.to_owned());
        match self.0.get(&key) {
            Some(entries) => Ok(Some(entries)),
            None if optional => Ok(None),
            None => {
                let what = format!("the file holds no such {}", kind.name());
                let problem =
                    Problem::invalid(what).limit(format!("{name} in namespace {namespace}"));
                let elsewhere = self
                    .0
                    .keys()
                    .find(|(known, _, other)| (*known, other.as_str()) == (kind, name));
                let problem = match elsewhere {
                    Some((_, other, _)) => problem
                        .found(format!("{name} in namespace {other}"))
                        .remedy("give the Pod and what it refers to the same metadata.namespace"),
                    None => problem.remedy(format!(
                        "add the {} as a document of the file, or set optional: true",
                        kind.name()
                    )),
                };
                Err(view.blame(name_field, problem))
            }
        }
    }
}

/// `metadata.namespace` and `metadata.name` of a document that is not a Pod.
pub(crate) fn identity(view: &View<'_>) -> Result<(String, String)> {
    let metadata = view
        .object("metadata")
        .ok_or_else(|| view.blame("metadata", Problem::invalid("the field is required")))?;
    let name = metadata.required("name")?;
    check_subdomain(name).map_err(|problem| metadata.blame("name", problem))?;
    let namespace = metadata.text("namespace").unwrap_or("default");
    check_subdomain(namespace).map_err(|problem| metadata.blame("namespace", problem))?;
    Ok((namespace.to_owned(), name.to_owned()))
}

/// Reads entries given as text and entries given in base64; text wins, as `stringData` does.
fn read(
    view: &View<'_>,
    text_field: &str,
    base64_field: &str,
    for_environment: bool,
) -> Result<Entries> {
    let mut entries = Entries::new();
    for (key, value) in view.map(base64_field) {
        let value: String = value.split_ascii_whitespace().collect();
        let content = STANDARD.decode(value).map_err(|error| {
            let problem = Problem::invalid("the value is not base64").caused_by(error);
            view.blame_item(
                base64_field,
                key,
                problem.remedy("encode it with `base64 -w0`"),
            )
        })?;
        let datum = Datum {
            content,
            for_environment,
        };
        entries.insert(key.to_owned(), datum);
    }
    for (key, value) in view.map(text_field) {
        let datum = Datum {
            content: value.as_bytes().to_vec(),
            for_environment: true,
        };
        entries.insert(key.to_owned(), datum);
    }
    for field in [base64_field, text_field] {
        for (key, _) in view.map(field) {
            check_data_key(key).map_err(|problem| view.blame_item(field, key, problem))?;
        }
    }
    Ok(entries)
}
