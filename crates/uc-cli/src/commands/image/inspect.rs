//! `uc image inspect`: what an image or artifact is made of, and what is attached to it.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use uc_image::{
    Image,
    attachments::{self, Attachment},
    image, media,
    origin::{Origin, media_type_of},
    registry::{Credentials, FetchedManifest},
    spec::{self, Descriptor, Platform},
    store::Store,
};
use uc_model::{Bytes, Digest, Problem, ProblemKind, Result};

use super::{place::Place, show};
use crate::{
    cli::Format,
    commands::engine,
    printing::{self, json},
    progress::Bars,
    table::Table,
};

/// The annotation that carries a file's name.
const TITLE: &str = "org.opencontainers.image.title";

/// Show an image or artifact: digests, platforms, layers, what it executes, what is attached
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc image inspect registry.example.org/team/app:1.2            as stored here
  uc image inspect registry.example.org/team/app:1.2 --remote   as the registry has it
  uc image inspect oci:app:1.2 --format json")]
pub(crate) struct InspectArgs {
    /// A stored image's reference, oci:DIR[:TAG] or oci-archive:FILE[:TAG]
    reference: String,
    /// Ask the registry instead of the store
    #[arg(long)]
    remote: bool,
}

/// Everything that is shown.
#[derive(Serialize)]
struct View {
    reference: String,
    digest: Digest,
    media_type: String,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Digest>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    /// The manifests of an index.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    manifests: Vec<ManifestView>,
    /// What the image for this machine executes.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<RunsView>,
    layers: Vec<LayerView>,
    attachments: Vec<AttachmentView>,
    attachments_left_out: usize,
}

#[derive(Serialize)]
struct ManifestView {
    digest: Digest,
    media_type: String,
    size_bytes: u64,
    platform: Option<String>,
}

#[derive(Serialize)]
struct RunsView {
    manifest_digest: Digest,
    os: String,
    architecture: String,
    entrypoint: Vec<String>,
    cmd: Vec<String>,
    env: Vec<String>,
    working_dir: Option<String>,
    user: Option<String>,
    labels: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct LayerView {
    digest: Digest,
    media_type: String,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

#[derive(Serialize)]
struct AttachmentView {
    digest: Digest,
    #[serde(rename = "type")]
    kind: String,
    size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// Runs the command.
pub(super) fn inspect(args: &InspectArgs, format: Format) -> Result<()> {
    let place = Place::parse(&args.reference)?;
    match &place {
        Place::Registry { reference, .. } if !args.remote => {
            let store = Store::open(&engine()?.home().images())?;
            let image = store.find(reference)?.ok_or_else(|| {
                Problem::not_found("the image is not stored here")
                    .found(&args.reference)
                    .remedy(format!(
                        "uc image pull {0}, or ask the registry: uc image inspect {0} --remote",
                        args.reference
                    ))
            })?;
            return show(&image, format);
        }
        Place::Layout { .. } | Place::Archive { .. } if args.remote => {
            return Err(Problem::invalid("--remote is for registries").found(&args.reference));
        }
        _ => {}
    }
    let credentials = Credentials::from_environment();
    let bars = Bars::default();
    let (origin, named) = place.open(&credentials, &bars)?;
    let view = view(origin.as_ref(), &named, &args.reference)?;
    match format {
        Format::Json => json(&view),
        Format::Text => printing::result(&text(&view)),
    }
}

fn view(origin: &dyn Origin, named: &FetchedManifest, reference: &str) -> Result<View> {
    let media_type = media_type_of(&named.bytes, &named.descriptor.media_type)?;
    let mut descriptor = named.descriptor.clone();
    descriptor.media_type.clone_from(&media_type);
    let mut view = View {
        reference: reference.to_owned(),
        digest: descriptor.digest.clone(),
        media_type,
        size_bytes: descriptor.size,
        artifact_type: None,
        subject: None,
        annotations: BTreeMap::new(),
        manifests: Vec::new(),
        runs: None,
        layers: Vec::new(),
        attachments: Vec::new(),
        attachments_left_out: 0,
    };
    if media::is_index(&view.media_type) {
        let index = spec::parse_index(&named.bytes)?;
        view.artifact_type = index.artifact_type;
        view.subject = index.subject.map(|subject| subject.digest);
        view.annotations = index.annotations;
        view.manifests = index.manifests.into_iter().map(manifest_view).collect();
    } else {
        let manifest = spec::parse_manifest(&named.bytes)?;
        view.layers = manifest.layers.iter().map(layer_view).collect();
        view.artifact_type = manifest.artifact_type.or_else(|| {
            let is_image = matches!(
                manifest.config.media_type.as_str(),
                media::OCI_CONFIG | media::DOCKER_CONFIG
            );
            (!is_image).then(|| manifest.config.media_type.clone())
        });
        view.subject = manifest.subject.map(|subject| subject.digest);
        view.annotations = manifest.annotations;
    }
    match image::resolve(origin, &descriptor, reference) {
        Ok(image) => {
            view.layers = layers_of(&image, &view.layers);
            view.runs = Some(runs(image));
        }
        // Charts and SBOMs do not run, and an index need not have an image for this machine.
        Err(problem) if matches!(problem.kind(), ProblemKind::Invalid | ProblemKind::NotFound) => {}
        Err(problem) => return Err(problem),
    }
    let (attached, left_out) = attachments::list(origin, &descriptor.digest)?;
    view.attachments = attached.into_iter().map(attachment_view).collect();
    view.attachments_left_out = left_out;
    Ok(view)
}

fn manifest_view(descriptor: Descriptor) -> ManifestView {
    ManifestView {
        platform: descriptor.platform.as_ref().map(platform_text),
        digest: descriptor.digest,
        media_type: descriptor.media_type,
        size_bytes: descriptor.size,
    }
}

fn platform_text(platform: &Platform) -> String {
    let variant = platform.variant.as_deref();
    let parts = [
        Some(platform.os.as_str()),
        Some(&platform.architecture),
        variant,
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    parts.join("/")
}

fn layer_view(layer: &Descriptor) -> LayerView {
    LayerView {
        digest: layer.digest.clone(),
        media_type: layer.media_type.clone(),
        size_bytes: layer.size,
        title: layer.annotations.get(TITLE).cloned(),
    }
}

/// The layers of the image for this machine, with the names that the manifest gives them.
fn layers_of(image: &Image, named: &[LayerView]) -> Vec<LayerView> {
    image
        .layers
        .iter()
        .enumerate()
        .map(|(at, layer)| LayerView {
            title: named.get(at).and_then(|layer| layer.title.clone()),
            ..layer_view(&layer.descriptor())
        })
        .collect()
}

fn runs(image: Image) -> RunsView {
    let config = image.config;
    RunsView {
        manifest_digest: image.manifest_digest,
        os: config.os,
        architecture: config.architecture,
        entrypoint: config.entrypoint,
        cmd: config.cmd,
        env: config.env,
        working_dir: config.working_dir,
        user: config.user,
        labels: config.labels,
    }
}

fn attachment_view(attachment: Attachment) -> AttachmentView {
    AttachmentView {
        digest: attachment.descriptor.digest,
        kind: attachment.kind,
        size_bytes: attachment.content_bytes,
        tag: attachment.tag,
        annotations: attachment.descriptor.annotations,
    }
}

fn text(view: &View) -> String {
    let tables = [
        manifest_table(view),
        layer_table(view),
        attachment_table(view),
    ];
    let mut text = heading(view);
    for table in tables.into_iter().flatten() {
        text.push_str(&format!("\n{}", table.text()));
    }
    if view.attachments_left_out > 0 {
        text.push_str(&format!(
            "and at least {} more\n",
            view.attachments_left_out
        ));
    }
    text
}

fn heading(view: &View) -> String {
    let mut text = format!("{}\n", view.reference);
    let mut line = |name: &str, value: &str| {
        if !value.trim().is_empty() {
            text.push_str(&format!("  {name:9} {}\n", plain(value)));
        }
    };
    line("digest", view.digest.as_str());
    line("type", &view.media_type);
    line(
        "artifact",
        view.artifact_type.as_deref().unwrap_or_default(),
    );
    line("subject", view.subject.as_ref().map_or("", Digest::as_str));
    for (name, value) in &view.annotations {
        line("note", &format!("{name}={value}"));
    }
    if let Some(runs) = &view.runs {
        if !view.manifests.is_empty() {
            line("manifest", runs.manifest_digest.as_str());
        }
        line("platform", &format!("{}/{}", runs.os, runs.architecture));
        line(
            "runs",
            &[runs.entrypoint.join(" "), runs.cmd.join(" ")].join(" "),
        );
        line("user", runs.user.as_deref().unwrap_or_default());
        line("directory", runs.working_dir.as_deref().unwrap_or_default());
    }
    text
}

fn manifest_table(view: &View) -> Option<Table> {
    let mut table = Table::new(&["PLATFORM", "DIGEST", "SIZE"]);
    for manifest in &view.manifests {
        let platform = manifest.platform.as_deref().unwrap_or(&manifest.media_type);
        table.row([
            plain(platform),
            manifest.digest.short().to_owned(),
            Bytes(manifest.size_bytes).to_string(),
        ]);
    }
    (!view.manifests.is_empty()).then_some(table)
}

fn layer_table(view: &View) -> Option<Table> {
    let mut table = Table::new(&["LAYER", "SIZE", "TYPE", "NAME"]);
    for layer in &view.layers {
        table.row([
            layer.digest.short().to_owned(),
            Bytes(layer.size_bytes).to_string(),
            plain(&layer.media_type),
            plain(layer.title.as_deref().unwrap_or_default()),
        ]);
    }
    (!view.layers.is_empty()).then_some(table)
}

fn attachment_table(view: &View) -> Option<Table> {
    let mut table = Table::new(&["ATTACHED", "SIZE", "TYPE", "FOUND BY"]);
    for attachment in &view.attachments {
        let size = attachment
            .size_bytes
            .map_or_else(|| "unknown".to_owned(), |size| Bytes(size).to_string());
        let suffix = attachment
            .tag
            .as_ref()
            .and_then(|tag| tag.rsplit('.').next());
        table.row([
            attachment.digest.short().to_owned(),
            size,
            plain(&attachment.kind),
            suffix.map_or_else(|| "subject".to_owned(), |suffix| format!("tag .{suffix}")),
        ]);
    }
    (!view.attachments.is_empty()).then_some(table)
}

/// Foreign text without what a terminal would act on.
fn plain(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).collect()
}
