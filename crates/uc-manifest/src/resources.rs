//! `resources`: what a container may use, and what it asks for.

use uc_model::{Bytes, MilliCpu, Problem, Result, workload::Resources};

use crate::{name::shortened, view::View};

/// Reads limits and requests; a request that is absent is the limit, as in Kubernetes.
pub(crate) fn read(view: Option<&View<'_>>, pids_limit: Option<u32>) -> Result<Resources> {
    let mut resources = Resources {
        pids_limit,
        ..Resources::default()
    };
    let Some(view) = view else {
        return Ok(resources);
    };
    for field in ["limits", "requests"] {
        for (key, value) in view.map(field) {
            let blame = |problem: Problem| view.blame_item(field, key, problem);
            match (key, field) {
                ("cpu", "limits") => resources.cpu_limit = Some(value.parse().map_err(blame)?),
                ("cpu", _) => resources.cpu_request = Some(value.parse().map_err(blame)?),
                ("memory", "limits") => {
                    resources.memory_limit = Some(value.parse().map_err(blame)?);
                }
                ("memory", _) => resources.memory_request = Some(value.parse().map_err(blame)?),
                _ => return Err(unsupported(view, field, key)),
            }
        }
    }
    resources.cpu_request = resources.cpu_request.or(resources.cpu_limit);
    resources.memory_request = resources.memory_request.or(resources.memory_limit);
    check(view, &resources)?;
    Ok(resources)
}

fn check(view: &View<'_>, resources: &Resources) -> Result<()> {
    let positive = |key: &str, zero: bool| {
        if !zero {
            return Ok(());
        }
        let problem =
            Problem::invalid("a limit of zero lets nothing run").remedy("remove it for no limit");
        Err(view.blame_item("limits", key, problem))
    };
    positive("cpu", resources.cpu_limit == Some(MilliCpu(0)))?;
    positive("memory", resources.memory_limit == Some(Bytes(0)))?;
    let within = |key: &str, request: Option<String>, limit: Option<String>, beyond: bool| {
        if !beyond {
            return Ok(());
        }
        let problem = Problem::invalid("the request is larger than the limit")
            .limit(limit.unwrap_or_default())
            .found(request.unwrap_or_default());
        Err(view.blame_item("requests", key, problem))
    };
    within(
        "cpu",
        resources.cpu_request.map(|v| v.to_string()),
        resources.cpu_limit.map(|v| v.to_string()),
        resources.cpu_limit.is_some() && resources.cpu_request > resources.cpu_limit,
    )?;
    within(
        "memory",
        resources.memory_request.map(|v| v.to_string()),
        resources.memory_limit.map(|v| v.to_string()),
        resources.memory_limit.is_some() && resources.memory_request > resources.memory_limit,
    )
}

fn unsupported(view: &View<'_>, field: &str, key: &str) -> Problem {
    let (why, remedy) = if key == "ephemeral-storage" {
        (
            "disk use has no limit that a rootless sandbox could enforce",
            "remove it; an emptyDir with medium Memory has a sizeLimit",
        )
    } else if key.starts_with("hugepages-") {
        ("huge pages are not handed out", "remove it")
    } else if key.contains("gpu") {
        (
            "no runtime of this version gives access to a GPU",
            "remove it, or run the workload where a device driver is installed",
        )
    } else if key.contains('/') {
        ("no device driver hands out devices here", "remove it")
    } else {
        let problem = Problem::invalid("unknown resource")
            .limit("cpu or memory")
            .found(shortened(key));
        return view.blame_item(field, key, problem);
    };
    let path = crate::check::key_path(&view.path_of(field), key);
    let problem = Problem::refused(format!("{path} is not supported by uc: {why}"));
    problem
        .at(view.place_of(field).in_file(view.context.file))
        .remedy(remedy)
}
