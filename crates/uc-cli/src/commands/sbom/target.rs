//! What a target's text means.

use std::path::{Path, PathBuf};

use uc_engine::sbom::Target;
use uc_model::{
    Result,
    workload::{ImageSource, PullPolicy},
};

use crate::printing;

/// A path where there is one, or where it is written as one; else an image.
pub(super) fn parse(text: &str) -> Result<Target> {
    let path = Path::new(text);
    let is_named_as_image = text.starts_with("oci:") || text.starts_with("oci-archive:");
    if !is_named_as_image && (path.exists() || is_written_as_path(text)) {
        if path.join("oci-layout").is_file() {
            printing::say(&format!(
                "note: {text} is an image layout: taken as oci:{text}"
            ));
            return image(&format!("oci:{text}"));
        }
        if !text.contains('/') && path.is_dir() {
            printing::say(&format!(
                "note: taken as the directory {text}; for an image of that name write docker.io/library/{text}"
            ));
        }
        return Ok(if path.is_dir() {
            Target::Directory(path.to_owned())
        } else {
            Target::File(path.to_owned())
        });
    }
    image(text)
}

/// Whether a missing file is more likely meant than an image that nobody has.
fn is_written_as_path(text: &str) -> bool {
    const ENDINGS: [&str; 5] = [".json", ".wasm", ".wat", ".jar", ".war"];
    text.starts_with(['/', '.']) || ENDINGS.iter().any(|ending| text.ends_with(ending))
}

fn image(text: &str) -> Result<Target> {
    let source = uc_manifest::parse_image(text, Path::new(""))?;
    // As for `uc run`, so that what is listed is what would be run.
    let policy = match &source {
        ImageSource::Registry { reference } if reference.ends_with(":latest") => PullPolicy::Always,
        _ => PullPolicy::IfNotPresent,
    };
    Ok(Target::Image(source, policy))
}

/// Whether lock files say what will be installed, and nothing is yet.
pub(super) fn is_source_tree(target: &Target) -> bool {
    let holds = |directory: &PathBuf, name: &str| directory.join(name).exists();
    match target {
        Target::Directory(directory) => {
            !holds(directory, "etc/os-release") && !holds(directory, "usr/lib/os-release")
        }
        Target::File(_) => true,
        Target::Image(..) => false,
    }
}
