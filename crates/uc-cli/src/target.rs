//! What a command is given: a manifest, an image or a module.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use uc_manifest::Manifest;
use uc_model::{
    Problem, Result, RuntimeChoice,
    workload::{ImageSource, Workload},
};

/// Largest manifest read, in bytes; the parser has the same limit.
const MAX_MANIFEST: u64 = 1 << 20;

/// Workloads read from a target.
pub(crate) struct Target {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) notes: Vec<String>,
    /// As the user named it.
    pub(crate) source: String,
}

/// Reads a manifest file (or `-`), or makes a workload of an image or module.
pub(crate) fn read(
    text: &str,
    arguments: &[String],
    runtime: RuntimeChoice,
    name: Option<&str>,
) -> Result<Target> {
    let mut target = if is_manifest(text) {
        if !arguments.is_empty() {
            return Err(
                Problem::invalid("arguments after -- are for images and modules")
                    .found(arguments.join(" "))
                    .remedy("set args in the manifest"),
            );
        }
        from_manifest(text)?
    } else {
        from_image(text, arguments, runtime)?
    };
    for workload in &mut target.workloads {
        if runtime != RuntimeChoice::Auto {
            workload.runtime = runtime;
        }
    }
    if let Some(name) = name {
        uc_manifest::check_label(name).map_err(|problem| problem.at("--name"))?;
        let [workload] = target.workloads.as_mut_slice() else {
            return Err(Problem::invalid("--name is for a single workload")
                .found(format!("{} Pods in {text}", target.workloads.len())));
        };
        name.clone_into(&mut workload.name);
    }
    Ok(target)
}

fn is_manifest(text: &str) -> bool {
    let extension = Path::new(text)
        .extension()
        .and_then(|extension| extension.to_str());
    match extension {
        _ if text == "-" => true,
        _ if text.starts_with("oci:") || text.starts_with("oci-archive:") => false,
        Some("yaml" | "yml" | "json") => true,
        Some("wasm" | "wat") => false,
        _ => Path::new(text).is_file(),
    }
}

fn from_manifest(text: &str) -> Result<Target> {
    let (content, base) = if text == "-" {
        (
            read_bounded(std::io::stdin().lock(), "standard input")?,
            PathBuf::new(),
        )
    } else {
        let file = fs::File::open(text).map_err(|error| {
            let problem = if error.kind() == std::io::ErrorKind::NotFound {
                Problem::not_found("no such file")
                    .remedy("check the path: it is relative to the working directory")
            } else {
                Problem::invalid("cannot read the file").found(&error)
            };
            problem.at(text).caused_by(error)
        })?;
        (
            read_bounded(file, text)?,
            Path::new(text).parent().unwrap_or(Path::new("")).to_owned(),
        )
    };
    let base = std::path::absolute(if base.as_os_str().is_empty() {
        Path::new(".")
    } else {
        &base
    })
    .map_err(|error| Problem::host("the working directory is gone").caused_by(error))?;
    let Manifest { workloads, notes } = uc_manifest::parse(&content, text, &base)?;
    Ok(Target {
        workloads,
        notes,
        source: text.to_owned(),
    })
}

fn read_bounded(reader: impl std::io::Read, place: &str) -> Result<String> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_MANIFEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            Problem::invalid("cannot read the file")
                .at(place)
                .found(&error)
                .caused_by(error)
        })?;
    if let Some(problem) = something_else(&bytes, place) {
        return Err(problem.at(place));
    }
    if bytes.len() as u64 > MAX_MANIFEST {
        return Err(Problem::refused("the manifest is too large")
            .at(place)
            .limit("1 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        Problem::invalid("this is no manifest: it is not UTF-8 text")
            .at(place)
            .limit(TARGETS)
            .remedy("name a file of one of these forms")
            .caused_by(error)
    })
}

const TARGETS: &str = "a manifest (YAML or JSON), an image (oci:DIR, oci-archive:FILE, a reference) or a WebAssembly file (.wasm, .wat)";

/// What commonly is taken for a manifest, by the bytes it begins with.
fn something_else(bytes: &[u8], place: &str) -> Option<Problem> {
    /// Where a tar file says that it is one (POSIX ustar).
    const USTAR: std::ops::Range<usize> = 257..262;
    let tar = bytes.get(USTAR) == Some(b"ustar");
    let (found, remedy) = if bytes.starts_with(b"\0asm") {
        (
            "a WebAssembly file",
            "give its name the ending .wasm".to_owned(),
        )
    } else if bytes.starts_with(b"\x7fELF") {
        (
            "a program of the host",
            "put it into an image, or compile it to WebAssembly".to_owned(),
        )
    } else if bytes.starts_with(b"#!") {
        (
            "a script",
            "run it by an image that holds its interpreter: uc run IMAGE -- sh -c '...'".to_owned(),
        )
    } else if tar || bytes.starts_with(b"\x1f\x8b") {
        (
            "an archive",
            format!("for an image in a tar file write oci-archive:{place}"),
        )
    } else {
        return None;
    };
    Some(
        Problem::invalid("this is no manifest")
            .limit(TARGETS)
            .found(found)
            .remedy(remedy),
    )
}

fn from_image(text: &str, arguments: &[String], runtime: RuntimeChoice) -> Result<Target> {
    let base = std::path::absolute(".")
        .map_err(|error| Problem::host("the working directory is gone").caused_by(error))?;
    let image = uc_manifest::parse_image(text, &base)?;
    let name = label_for(&image);
    let workload = uc_manifest::workload_for_image(&name, image, arguments.to_vec(), runtime)?;
    Ok(Target {
        workloads: vec![workload],
        notes: Vec::new(),
        source: text.to_owned(),
    })
}

/// A name for a workload without one: the last part of its image's name, as far as it makes an RFC 1123 label.
fn label_for(image: &ImageSource) -> String {
    let text = match image {
        ImageSource::OciLayout { directory, .. } => directory
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        ImageSource::OciArchive { file, .. } | ImageSource::WasmFile { file } => file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        ImageSource::Registry { reference } => {
            let path = reference.split('@').next().unwrap_or_default();
            let last = path.rsplit('/').next().unwrap_or_default();
            last.split(':').next().unwrap_or_default().to_owned()
        }
    };
    let label: String = text
        .to_lowercase()
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '-'
            }
        })
        .take(50)
        .collect();
    let label = label.trim_matches('-');
    if label.is_empty() {
        "workload".into()
    } else {
        label.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_last_part() {
        let registry = |reference: &str| ImageSource::Registry {
            reference: reference.into(),
        };
        for (image, name) in [
            (registry("docker.io/library/busybox:latest"), "busybox"),
            (registry("localhost:5000/team/My_App@sha256:00"), "my-app"),
            (
                ImageSource::WasmFile {
                    file: "/a/hello.world.wasm".into(),
                },
                "hello-world",
            ),
            (
                ImageSource::OciLayout {
                    directory: "/".into(),
                    tag: None,
                },
                "workload",
            ),
        ] {
            assert_eq!(label_for(&image), name);
        }
    }
}
