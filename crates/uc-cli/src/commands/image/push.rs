//! `uc image push`: an image, a Wasm program, a chart, an SBOM or any files, into a registry.

use std::path::{Path, PathBuf};

use clap::Args;
use uc_image::{
    Reference,
    artifact::{Artifact, FileLayer},
    registry::{Credentials, Registry},
    spec::Descriptor,
    transfer::Options,
};
use uc_model::{Problem, Result};

use super::{
    copy::{check_digest, copy_between},
    place::Place,
};
use crate::{
    cli::Format,
    printing::{self, json},
    progress::Bars,
};

/// Push an image, a Wasm program, a Helm chart, an SBOM or any files
///
/// An image layout is pushed with its signatures and SBOMs. Without --artifact-type a single FILE.wasm is pushed as a
/// Wasm artifact, a single FILE.tgz as a Helm chart, and with --subject an SPDX or CycloneDX document as an SBOM.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc image push oci:app:1.2 registry.example.org/team/app:1.2
  uc image push hello.wasm localhost:5000/team/hello:1
  uc image push web-1.2.3.tgz localhost:5000/charts/web
  uc image push sbom.spdx.json localhost:5000/team/app --subject localhost:5000/team/app:1.2
  uc image push --artifact-type application/vnd.example.model model.bin:application/octet-stream \\
      notes.md localhost:5000/team/model:3 --annotation org.opencontainers.image.licenses=Apache-2.0")]
pub(crate) struct PushArgs {
    /// oci:DIR[:TAG], oci-archive:FILE[:TAG], or files, each as FILE[:MEDIA_TYPE]
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Where to: HOST[:PORT]/PATH[:TAG]; with --subject and without a tag it gets none
    #[arg(required = true)]
    reference: String,
    /// What the files are, as a media type
    #[arg(long, value_name = "TYPE")]
    artifact_type: Option<String>,
    /// Attach it to this image or artifact of the same repository
    #[arg(long, value_name = "REFERENCE")]
    subject: Option<String>,
    /// A note on the manifest; can be repeated
    #[arg(long = "annotation", value_name = "NAME=VALUE", value_parser = parse_annotation)]
    annotations: Vec<(String, String)>,
    /// Leave signatures, attestations and SBOMs of an image layout behind
    #[arg(long)]
    only_named: bool,
}

fn parse_annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".into()),
    }
}

/// Runs the command.
pub(super) fn push(args: &PushArgs, format: Format) -> Result<()> {
    let (reference, has_tag) = Place::parse_reference(&args.reference)?;
    let is_layout =
        |source: &String| source.starts_with("oci:") || source.starts_with("oci-archive:");
    if args.sources.iter().any(is_layout) {
        return push_layout(args, &reference, has_tag, format);
    }
    let (artifact, own_tag) = artifact(args)?;
    let credentials = Credentials::from_environment();
    let bars = Bars::default();
    let registry = Registry::new(&reference, &credentials, &bars);
    let mut artifact = artifact.with_annotations(args.annotations.iter().cloned());
    let mut subject = None;
    if let Some(text) = &args.subject {
        let descriptor = find_subject(text, &reference, &registry)?;
        subject = Some(descriptor.digest.clone());
        artifact = artifact.with_subject(descriptor);
    }
    let manifest = artifact.manifest()?;
    check_digest(reference.digest(), &manifest.descriptor.digest)?;
    let tag = match (reference.tag(), &own_tag) {
        // An attachment is found by its subject: no tag is moved that nobody named.
        _ if !has_tag && subject.is_some() => None,
        (Some(_), Some(own)) if !has_tag => Some(own.as_str()),
        (tag, _) => tag,
    };
    let descriptor = artifact
        .push(&registry, tag)
        .map_err(|problem| problem.within(&args.reference))?;
    let mut name = format!("{}/{}", reference.host(), reference.repository());
    if let Some(tag) = tag {
        name += &format!(":{tag}");
    }
    if format == Format::Json {
        return json(&serde_json::json!({
            "reference": name,
            "digest": descriptor.digest,
            "media_type": descriptor.media_type,
            "artifact_type": descriptor.artifact_type,
            "size_bytes": descriptor.size,
            "subject": subject,
        }));
    }
    printing::result(&format!("{name}@{}\n", descriptor.digest))
}

fn push_layout(
    args: &PushArgs,
    reference: &Reference,
    has_tag: bool,
    format: Format,
) -> Result<()> {
    let [source] = args.sources.as_slice() else {
        return Err(Problem::invalid("one image layout at a time")
            .found(format!("{} sources", args.sources.len())));
    };
    for (name, is_given) in [
        ("--artifact-type", args.artifact_type.is_some()),
        ("--subject", args.subject.is_some()),
        ("--annotation", !args.annotations.is_empty()),
    ] {
        if is_given {
            return Err(Problem::invalid(format!("{name} is for files")).remedy(
                "an image keeps its digest when it is pushed, so nothing can be added to it",
            ));
        }
    }
    let destination = Place::Registry {
        reference: reference.clone(),
        has_tag,
    };
    let options = Options {
        only_named: args.only_named,
    };
    copy_between(&Place::parse(source)?, &destination, options, format)
}

/// The artifact that the files make, and the tag that it brings along.
fn artifact(args: &PushArgs) -> Result<(Artifact, Option<String>)> {
    let files: Vec<FileLayer> = args.sources.iter().map(|source| file(source)).collect();
    if let Some(artifact_type) = &args.artifact_type {
        return Ok((Artifact::files(artifact_type, &files)?, None));
    }
    let unclear = || {
        Problem::invalid("it is not clear what kind of artifact this is")
            .limit("one FILE.wasm, one Helm chart FILE.tgz, an SBOM with --subject, or --artifact-type")
            .found(args.sources.join(" "))
            .remedy("add --artifact-type, for example application/vnd.example.config.v1+json")
    };
    let [only] = files.as_slice() else {
        return Err(unclear());
    };
    if only.media_type.is_some() {
        return Err(unclear());
    }
    let name = only.path.to_string_lossy().to_ascii_lowercase();
    if name.ends_with(".wasm") {
        return Ok((Artifact::wasm(&only.path)?, None));
    }
    if name.ends_with(".tgz") || name.ends_with(".tar.gz") {
        let (artifact, chart) = Artifact::helm(&only.path)?;
        return Ok((artifact, Some(chart.tag())));
    }
    if args.subject.is_some() {
        return Ok((Artifact::sbom(&only.path)?, None));
    }
    Err(unclear())
}

/// `FILE[:MEDIA_TYPE]`. A file of exactly this name is meant where there is one.
fn file(text: &str) -> FileLayer {
    let typed = text.rsplit_once(':').filter(|(file, media_type)| {
        !file.is_empty() && media_type.contains('/') && !Path::new(text).exists()
    });
    match typed {
        Some((file, media_type)) => FileLayer {
            path: PathBuf::from(file),
            media_type: Some(media_type.to_owned()),
        },
        None => FileLayer {
            path: PathBuf::from(text),
            media_type: None,
        },
    }
}

/// What the artifact is to be attached to. A registry lists referrers within one repository.
fn find_subject(text: &str, reference: &Reference, registry: &Registry<'_>) -> Result<Descriptor> {
    let (subject, _) = Place::parse_reference(text)?;
    if subject.host() != reference.host() || subject.repository() != reference.repository() {
        return Err(Problem::invalid("the subject is in another repository")
            .at(&subject)
            .limit(format!("{}/{}", reference.host(), reference.repository()))
            .remedy("push to the repository of the subject"));
    }
    let found = registry
        .manifest(subject.manifest_name())
        .map_err(|problem| problem.within("--subject"))?;
    let media_type = uc_image::origin::media_type_of(&found.bytes, &found.descriptor.media_type)?;
    Ok(Descriptor::new(
        &media_type,
        found.descriptor.digest,
        found.descriptor.size,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_may_follow_a_file() {
        let typed = |text: &str| {
            let file = file(text);
            (file.path.display().to_string(), file.media_type)
        };
        assert_eq!(typed("a.bin"), ("a.bin".into(), None));
        assert_eq!(
            typed("a.bin:text/plain"),
            ("a.bin".into(), Some("text/plain".into()))
        );
        assert_eq!(typed("a:b"), ("a:b".into(), None));
    }

    #[test]
    fn annotations_are_pairs() {
        assert_eq!(
            parse_annotation("a=b=c"),
            Ok(("a".to_owned(), "b=c".to_owned()))
        );
        assert!(parse_annotation("a").is_err());
        assert!(parse_annotation("=b").is_err());
    }
}
