//! Volumes: empty directories, host paths, and files whose content the manifest holds.

use std::path::{Component, Path};

use uc_model::{
    Bytes, Problem, Result,
    workload::{HostPathType, Volume, VolumeSource},
};

use crate::{
    annotation::unenforceable_key, data::DataSets, downward::Facts, name::check_label,
    name::shortened, projection::Projection, view::View,
};

/// Reads one volume. One without a source is an emptyDir, as in Kubernetes.
pub(crate) fn read(
    view: &View<'_>,
    facts: &Facts<'_>,
    data: &DataSets,
    ignore_unenforceable: bool,
) -> Result<Volume> {
    let name = view.required("name")?;
    check_label(name).map_err(|problem| view.blame("name", problem))?;
    let fields = [
        "emptyDir",
        "hostPath",
        "configMap",
        "secret",
        "downwardAPI",
        "projected",
    ];
    let given: Vec<&str> = fields.into_iter().filter(|field| view.has(field)).collect();
    if given.len() > 1 {
        let problem = Problem::invalid("a volume has one source").found(given.join(" and "));
        return Err(view.blame_self(problem));
    }
    let source = given.first().and_then(|field| view.object(field));
    let source = match (given.first(), source) {
        (Some(&"emptyDir"), Some(source)) => empty_dir(&source, ignore_unenforceable)?,
        (Some(&"hostPath"), Some(source)) => host_path(&source)?,
        (Some(&field), Some(source)) => files(field, &source, facts, data)?,
        _ => VolumeSource::EmptyDir,
    };
    Ok(Volume {
        name: name.to_owned(),
        source,
    })
}

fn empty_dir(view: &View<'_>, ignore_unenforceable: bool) -> Result<VolumeSource> {
    let size_limit = view.parsed::<Bytes>("sizeLimit")?;
    match view.text("medium").unwrap_or_default() {
        "Memory" => Ok(VolumeSource::Memory { size_limit }),
        "" => {
            if size_limit.is_some() && !ignore_unenforceable {
                let why = "the size of a directory on disk cannot be limited";
                let remedy = format!(
                    "use medium: Memory, or set the annotation {}: ignore",
                    unenforceable_key()
                );
                return Err(view.refuse("sizeLimit", why, &remedy));
            }
            if size_limit.is_some() {
                view.note("sizeLimit", "is not enforced, as the annotation allows");
            }
            Ok(VolumeSource::EmptyDir)
        }
        other if other.starts_with("HugePages") => {
            Err(view.refuse("medium", "huge pages are not handed out", "use Memory"))
        }
        other => {
            let problem = Problem::invalid("unknown value");
            let problem = problem.limit("Memory or nothing").found(shortened(other));
            Err(view.blame("medium", problem))
        }
    }
}

fn host_path(view: &View<'_>) -> Result<VolumeSource> {
    let text = view.required("path")?;
    let path = Path::new(text);
    if path.components().any(|part| part == Component::ParentDir) || text.contains('\0') {
        let problem = Problem::invalid("a hostPath without .. is needed");
        return Err(view.blame("path", problem.found(shortened(text))));
    }
    let must_be = match view.text("type").unwrap_or_default() {
        "" => HostPathType::Any,
        "Directory" => HostPathType::Directory,
        "File" => HostPathType::File,
        "Socket" => HostPathType::Socket,
        "DirectoryOrCreate" | "FileOrCreate" => {
            return Err(view.refuse(
                "type",
                "nothing is made on the host outside of uc's own directories",
                "make it beforehand and use Directory or File",
            ));
        }
        "CharDevice" | "BlockDevice" => {
            return Err(view.refuse(
                "type",
                "devices of the host are not handed to a sandbox",
                "remove the volume",
            ));
        }
        other => {
            let problem = Problem::invalid("unknown value")
                .limit("Directory, File, Socket or nothing")
                .found(shortened(other));
            return Err(view.blame("type", problem));
        }
    };
    Ok(VolumeSource::HostPath {
        path: view.context.base.join(path),
        must_be,
    })
}

fn files(
    field: &str,
    source: &View<'_>,
    facts: &Facts<'_>,
    data: &DataSets,
) -> Result<VolumeSource> {
    let mut projection = Projection::new(source, facts, data)?;
    match field {
        "projected" => {
            for entry in source.objects("sources") {
                projection.add_source(&entry)?;
            }
        }
        "downwardAPI" => projection.add_downward(source)?,
        "secret" => projection.add_secret(source, "secretName")?,
        _ => projection.add_config_map(source)?,
    }
    Ok(VolumeSource::Files {
        files: projection.into_files()?,
    })
}
