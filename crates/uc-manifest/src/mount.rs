//! `volumeMounts`: where volumes appear in a container.

use std::collections::HashSet;

use uc_model::{
    Problem, Result,
    workload::{VolumeMount, VolumeSource},
};

use crate::{env::Environment, name::shortened, projection::relative, scope::Scope, view::View};

/// Reads the mounts of a container, parents before what is mounted below them.
pub(crate) fn read(
    container: &View<'_>,
    scope: &Scope<'_>,
    environment: &Environment,
) -> Result<Vec<VolumeMount>> {
    let mut paths = HashSet::new();
    let mut mounts = Vec::new();
    for view in container.objects("volumeMounts") {
        let mount = read_one(&view, scope, environment)?;
        if !paths.insert(mount.path.clone()) {
            let problem = Problem::invalid("two volumes are mounted at the same path");
            return Err(view.blame("mountPath", problem.found(shortened(&mount.path))));
        }
        mounts.push(mount);
    }
    mounts.sort_by_key(|mount| mount.path.matches('/').count());
    Ok(mounts)
}

fn read_one(view: &View<'_>, scope: &Scope<'_>, environment: &Environment) -> Result<VolumeMount> {
    let volume = view.required("name")?;
    let Some(source) = scope.volumes.get(volume) else {
        let problem = Problem::invalid("the Pod has no such volume").found(shortened(volume));
        let problem = problem.remedy("add it to spec.volumes");
        return Err(view.blame("name", problem));
    };
    let read_only = view.boolean("readOnly");
    let read_only = match source {
        VolumeSource::HostPath { .. } => {
            if read_only.is_none() {
                view.note(
                    "readOnly",
                    "is true unless stated, since the volume is a hostPath",
                );
            }
            read_only.unwrap_or(true)
        }
        // Kubernetes mounts files of the manifest read-only whatever is asked.
        VolumeSource::Files { .. } => true,
        VolumeSource::EmptyDir | VolumeSource::Memory { .. } => read_only.unwrap_or(false),
    };
    Ok(VolumeMount {
        volume: volume.to_owned(),
        path: target(view)?,
        sub_path: sub_path(view, environment)?,
        read_only,
    })
}

/// The normalised mount path.
fn target(view: &View<'_>) -> Result<String> {
    let text = view.required("mountPath")?;
    let parts: Vec<&str> = text
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if !text.starts_with('/') || parts.contains(&"..") || text.len() > 4096 || text.contains('\0') {
        let problem = Problem::invalid("not a mount path")
            .limit("an absolute path without .., at most 4096 characters")
            .found(shortened(text));
        return Err(view.blame("mountPath", problem));
    }
    let path = format!("/{}", parts.join("/"));
    let why = match parts.as_slice() {
        [] => "the root is the image's",
        ["proc", ..] => "/proc is the sandbox's own",
        ["sys", ..] => "/sys is the sandbox's own",
        ["dev", "shm"] => return Ok(path),
        ["dev", ..] => "/dev is the sandbox's own",
        _ => return Ok(path),
    };
    Err(view.refuse("mountPath", why, "mount it at a directory of its own"))
}

fn sub_path(view: &View<'_>, environment: &Environment) -> Result<Option<String>> {
    let plain = view.text("subPath").filter(|text| !text.is_empty());
    let expression = view.text("subPathExpr").filter(|text| !text.is_empty());
    let (field, path) = match (plain, expression) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let problem = Problem::invalid("subPath and subPathExpr exclude each other");
            return Err(view.blame_self(problem));
        }
        (Some(path), None) => ("subPath", path.to_owned()),
        (None, Some(text)) => {
            let expanded = environment.expand(text, view, "subPathExpr")?;
            if expanded.contains("$(") {
                let problem = Problem::invalid("a variable of the path is not in the environment")
                    .found(shortened(&expanded));
                return Err(view.blame("subPathExpr", problem));
            }
            ("subPathExpr", expanded)
        }
    };
    relative(&path)
        .map(Some)
        .map_err(|problem| view.blame(field, problem))
}
