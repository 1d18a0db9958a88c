//! Files made from ConfigMaps, Secrets and the Pod's own fields.

use std::collections::BTreeMap;

use uc_model::{Problem, Result, workload::ProjectedFile};

use crate::{
    data::{DataKind, DataSets},
    downward::Facts,
    name::shortened,
    view::View,
};

/// Kubernetes' mode of projected files.
const DEFAULT_MODE: u32 = 0o644;
/// Longest path of a projected file (Linux PATH_MAX), in bytes.
const MAX_PATH: usize = 4096;
/// Most parts of the path of a projected file.
const MAX_PATH_PARTS: usize = 64;

/// The files of one volume while they are collected.
pub(crate) struct Projection<'a> {
    volume: &'a View<'a>,
    facts: &'a Facts<'a>,
    data: &'a DataSets,
    mode: u32,
    files: BTreeMap<String, ProjectedFile>,
}

impl<'a> Projection<'a> {
    pub(crate) fn new(
        volume: &'a View<'a>,
        facts: &'a Facts<'a>,
        data: &'a DataSets,
    ) -> Result<Self> {
        Ok(Self {
            volume,
            facts,
            data,
            mode: volume
                .unsigned("defaultMode", 0..=0o777)?
                .unwrap_or(DEFAULT_MODE),
            files: BTreeMap::new(),
        })
    }

    /// Adds one of `projected.sources`.
    pub(crate) fn add_source(&mut self, source: &View<'_>) -> Result<()> {
        let fields = ["configMap", "secret", "downwardAPI"];
        let given: Vec<&str> = fields
            .into_iter()
            .filter(|field| source.has(field))
            .collect();
        let [field] = given.as_slice() else {
            let problem = Problem::invalid("exactly one source is needed")
                .limit(fields.join(", "))
                .found(given.len());
            return Err(source.blame_self(problem));
        };
        match (*field, source.object(field)) {
            ("configMap", Some(view)) => self.add_config_map(&view),
            ("secret", Some(view)) => self.add_secret(&view, "name"),
            (_, Some(view)) => self.add_downward(&view),
            (_, None) => Ok(()),
        }
    }

    pub(crate) fn add_config_map(&mut self, view: &View<'_>) -> Result<()> {
        self.add_data(view, DataKind::ConfigMap, "name")
    }

    pub(crate) fn add_secret(&mut self, view: &View<'_>, name_field: &str) -> Result<()> {
        self.add_data(view, DataKind::Secret, name_field)
    }

    fn add_data(&mut self, view: &View<'_>, kind: DataKind, name_field: &str) -> Result<()> {
        let data = self.data;
        let Some(entries) = data.entries(kind, self.facts.namespace, view, name_field)? else {
            return Ok(());
        };
        if !view.has("items") {
            return entries.iter().try_for_each(|(key, datum)| {
                self.add(view, "items", key, &datum.content, self.mode)
            });
        }
        for item in view.objects("items") {
            let key = item.required("key")?;
            let path = item.required("path")?;
            let mode = item.unsigned("mode", 0..=0o777)?.unwrap_or(self.mode);
            match entries.get(key) {
                Some(datum) => self.add(&item, "path", path, &datum.content, mode)?,
                None if view.boolean("optional") == Some(true) => {}
                None => {
                    let keys: Vec<&str> = entries.keys().take(20).map(String::as_str).collect();
                    let problem = Problem::invalid("no such key");
                    return Err(item.blame("key", problem.limit(keys.join(", ")).found(key)));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn add_downward(&mut self, view: &View<'_>) -> Result<()> {
        for item in view.objects("items") {
            let path = item.required("path")?;
            let mode = item.unsigned("mode", 0..=0o777)?.unwrap_or(self.mode);
            let content = match (item.object("fieldRef"), item.object("resourceFieldRef")) {
                (Some(reference), None) => self.facts.field(&reference, true)?,
                (None, Some(reference)) => self.facts.resource(&reference, None)?,
                _ => {
                    let problem =
                        Problem::invalid("exactly one of fieldRef and resourceFieldRef is needed");
                    return Err(item.blame_self(problem));
                }
            };
            self.add(&item, "path", path, content.as_bytes(), mode)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        view: &View<'_>,
        field: &str,
        path: &str,
        content: &[u8],
        mode: u32,
    ) -> Result<()> {
        let path = relative(path).map_err(|problem| view.blame(field, problem))?;
        view.context
            .spend(path.len() + content.len())
            .map_err(|problem| view.blame_self(problem))?;
        let file = ProjectedFile {
            path: path.clone(),
            content: content.to_vec(),
            mode,
        };
        if self.files.insert(path.clone(), file).is_some() {
            let problem = Problem::invalid("two files of the volume have the same path");
            return Err(view.blame(field, problem.found(shortened(&path))));
        }
        Ok(())
    }

    /// The files in the order of their paths; none is a directory of another.
    pub(crate) fn into_files(self) -> Result<Vec<ProjectedFile>> {
        for path in self.files.keys() {
            let parents = path.match_indices('/').map(|(end, _)| &path[..end]);
            if let Some(parent) = parents.into_iter().find(|p| self.files.contains_key(*p)) {
                let problem = Problem::invalid("a file of the volume is also a directory")
                    .found(format!("{} and {}", shortened(parent), shortened(path)));
                return Err(self.volume.blame_self(problem));
            }
        }
        Ok(self.files.into_values().collect())
    }
}

/// Normalises a path below a volume: relative, without `..`.
pub(crate) fn relative(text: &str) -> Result<String> {
    let parts: Vec<&str> = text
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let leaves = text.starts_with('/') || parts.contains(&"..");
    let deep = parts.len() > MAX_PATH_PARTS;
    if leaves || deep || parts.is_empty() || text.len() > MAX_PATH || text.contains('\0') {
        return Err(Problem::invalid("not a path below the volume")
            .limit(format!(
                "a relative path without .., at most {MAX_PATH_PARTS} parts and {MAX_PATH} characters"
            ))
            .found(shortened(text)));
    }
    Ok(parts.join("/"))
}
