//! `uc image copy`: from one registry or layout to another, with everything attached.

use clap::Args;
use serde::Serialize;
use uc_image::{
    layout::LayoutWriter,
    origin::Origin,
    registry::{Credentials, FetchedManifest, Registry},
    transfer::{self, Copied, Destination, LayoutDestination, Options},
};
use uc_model::{Bytes, Digest, Problem, Result};

use super::place::Place;
use crate::{
    cli::Format,
    printing::{self, json},
    progress::Bars,
};

/// Copy an image or artifact with its signatures and SBOMs
///
/// Digests stay what they are. What the destination has already is not sent again, so a copy that broke off is made whole
/// by making it once more.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc image copy registry.example.org/team/app:1.2 mirror.example.org/team/app:1.2
  uc image copy registry.example.org/team/app:1.2 oci:app:1.2
  uc image copy oci-archive:app.tar localhost:5000/team/app:1.2 --only-named")]
pub(crate) struct CopyArgs {
    /// A registry reference, oci:DIR[:TAG] or oci-archive:FILE[:TAG]
    source: String,
    /// A registry reference or oci:DIR[:TAG]
    destination: String,
    /// Leave signatures, attestations and SBOMs behind
    #[arg(long)]
    only_named: bool,
}

/// What was copied, as JSON has it.
#[derive(Serialize)]
struct View<'a> {
    reference: String,
    digest: &'a Digest,
    media_type: &'a str,
    manifests: usize,
    attached: usize,
    blobs: usize,
    blob_bytes: u64,
    attached_left_out: usize,
    attached_missing: usize,
}

/// Runs the command.
pub(super) fn copy(args: &CopyArgs, format: Format) -> Result<()> {
    let source = Place::parse(&args.source)?;
    let destination = Place::parse(&args.destination)?;
    let options = Options {
        only_named: args.only_named,
    };
    copy_between(&source, &destination, options, format)
}

/// Copies and says what was copied.
pub(super) fn copy_between(
    source: &Place,
    destination: &Place,
    options: Options,
    format: Format,
) -> Result<()> {
    let credentials = Credentials::from_environment();
    let bars = Bars::default();
    let (origin, named) = source.open(&credentials, &bars)?;
    let (name, copied) = match destination {
        Place::Registry { reference, .. } => {
            let registry = Registry::new(reference, &credentials, &bars);
            check_digest(reference.digest(), &named.descriptor.digest)?;
            let copied = run(origin.as_ref(), &named, &registry, reference.tag(), options)?;
            let name = format!(
                "{}/{}{}",
                reference.host(),
                reference.repository(),
                reference
                    .tag()
                    .map(|tag| format!(":{tag}"))
                    .unwrap_or_default()
            );
            (name, copied)
        }
        Place::Layout { directory, tag } => {
            let tag = tag.as_deref().or(source.tag()).unwrap_or("latest");
            let layout = LayoutDestination::new(LayoutWriter::open(directory)?, &bars);
            let copied = run(origin.as_ref(), &named, &layout, Some(tag), options)?;
            (format!("oci:{}:{tag}", directory.display()), copied)
        }
        Place::Archive { file, .. } => {
            return Err(Problem::invalid("an archive cannot be written")
                .found(file.display())
                .limit("a registry reference or oci:DIR[:TAG]")
                .remedy("copy to oci:DIR and pack it: tar -C DIR -cf FILE ."));
        }
    };
    say_what_is_missing(&copied);
    show(&name, &copied, format)
}

fn run(
    origin: &dyn Origin,
    named: &FetchedManifest,
    destination: &dyn Destination,
    tag: Option<&str>,
    options: Options,
) -> Result<Copied> {
    transfer::copy(origin, named, destination, tag, options)
}

/// A destination that names a digest gets that and nothing else.
pub(super) fn check_digest(wanted: Option<&Digest>, found: &Digest) -> Result<()> {
    match wanted {
        Some(wanted) if wanted != found => Err(Problem::invalid(
            "what is to be pushed does not have the digest that it is to be pushed under",
        )
        .limit(wanted)
        .found(found)
        .remedy("name the destination by a tag")),
        _ => Ok(()),
    }
}

fn say_what_is_missing(copied: &Copied) {
    if copied.left_out > 0 {
        printing::say(&format!(
            "note: at least {} attachments were not copied: there are too many, or they are attached to attachments too deeply",
            copied.left_out
        ));
    }
    if copied.missing > 0 {
        printing::say(&format!(
            "note: {} attachments are listed at the source but are not there, or belong to something else",
            copied.missing
        ));
    }
}

fn show(name: &str, copied: &Copied, format: Format) -> Result<()> {
    let descriptor = &copied.descriptor;
    if format == Format::Json {
        return json(&View {
            reference: name.to_owned(),
            digest: &descriptor.digest,
            media_type: &descriptor.media_type,
            manifests: copied.manifests,
            attached: copied.attached,
            blobs: copied.blobs,
            blob_bytes: copied.blob_bytes,
            attached_left_out: copied.left_out,
            attached_missing: copied.missing,
        });
    }
    printing::say(&format!(
        "{} manifests, {} of them attached; {} blobs, {}",
        copied.manifests,
        copied.attached,
        copied.blobs,
        Bytes(copied.blob_bytes)
    ));
    printing::result(&format!("{name}@{}\n", descriptor.digest))
}
