//! What a workload may learn about itself: `fieldRef` and `resourceFieldRef`.

use std::collections::BTreeMap;

use uc_model::{Bytes, MilliCpu, Problem, Result, workload::Resources};

use crate::view::View;

/// What a Pod may learn about itself.
pub(crate) struct Facts<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) labels: &'a BTreeMap<String, String>,
    pub(crate) annotations: &'a BTreeMap<String, String>,
    /// By container.
    pub(crate) resources: BTreeMap<String, Resources>,
}

/// Paths that Kubernetes knows and that have no answer on one machine before the start.
const UNANSWERED: [&str; 9] = [
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
    "metadata.labels",
    "metadata.annotations",
];

impl Facts<'_> {
    /// The value of a `fieldRef`; whole `labels` and `annotations` only in files.
    pub(crate) fn field(&self, view: &View<'_>, in_file: bool) -> Result<String> {
        let path = view.required("fieldPath")?;
        match path {
            "metadata.name" => return Ok(self.name.to_owned()),
            "metadata.namespace" => return Ok(self.namespace.to_owned()),
            "metadata.labels" if in_file => return Ok(lines(self.labels)),
            "metadata.annotations" if in_file => return Ok(lines(self.annotations)),
            _ => {}
        }
        for (prefix, map) in [
            ("metadata.labels['", self.labels),
            ("metadata.annotations['", self.annotations),
        ] {
            let key = path
                .strip_prefix(prefix)
                .and_then(|rest| rest.strip_suffix("']"));
            if let Some(key) = key {
                return Ok(map.get(key).cloned().unwrap_or_default());
            }
        }
        let known = "metadata.name, metadata.namespace, metadata.labels['KEY'] or metadata.annotations['KEY']";
        Err(if UNANSWERED.contains(&path) {
            view.refuse(
                "fieldPath",
                "it has no value here",
                "write the value itself",
            )
            .limit(known)
            .found(path)
        } else {
            let problem = Problem::invalid("unknown field path");
            view.blame("fieldPath", problem.limit(known).found(path))
        })
    }

    /// The value of a `resourceFieldRef`; `own` is the container that asks, which a volume has not.
    pub(crate) fn resource(&self, view: &View<'_>, own: Option<&str>) -> Result<String> {
        let name = match (view.text("containerName"), own) {
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => view.required("containerName")?,
        };
        let Some(resources) = self.resources.get(name) else {
            let problem = Problem::invalid("the Pod has no such container").found(name);
            return Err(view.blame("containerName", problem));
        };
        let resource = view.required("resource")?;
        let (value, divisor) = match resource {
            "limits.cpu" => (resources.cpu_limit.map(|v| v.0), cpu_divisor(view)?),
            "requests.cpu" => (resources.cpu_request.map(|v| v.0), cpu_divisor(view)?),
            "limits.memory" => (resources.memory_limit.map(|v| v.0), memory_divisor(view)?),
            "requests.memory" => (resources.memory_request.map(|v| v.0), memory_divisor(view)?),
            other => {
                let known = "limits.cpu, limits.memory, requests.cpu or requests.memory";
                let refusal = view.refuse(
                    "resource",
                    "there is no such limit here",
                    "write the value itself",
                );
                return Err(refusal.limit(known).found(other));
            }
        };
        match value {
            Some(value) => Ok(value.div_ceil(divisor).to_string()),
            None => {
                let problem = Problem::invalid(format!("container {name} sets no {resource}"));
                Err(view.blame(
                    "resource",
                    problem.remedy(format!("set resources.{resource}")),
                ))
            }
        }
    }
}

/// The divisor in thousandths of a CPU: one CPU where it is absent or zero.
fn cpu_divisor(view: &View<'_>) -> Result<u64> {
    let divisor = view.parsed::<MilliCpu>("divisor")?.unwrap_or_default();
    Ok(if divisor.0 == 0 { 1000 } else { divisor.0 })
}

/// The divisor in bytes: one where it is absent or zero.
fn memory_divisor(view: &View<'_>) -> Result<u64> {
    let divisor = view.parsed::<Bytes>("divisor")?.unwrap_or_default();
    Ok(divisor.0.max(1))
}

/// One `key="value"` a line, as Kubernetes writes them.
fn lines(map: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    lines.join("\n")
}
