//! `uc image`: the local image store.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use uc_image::{Image, Reference, registry::Credentials, store::Store};
use uc_model::{Bytes, Problem, Result, workload::ImageSource};

use super::{engine, image_prune};
use crate::{
    cli::Format,
    printing::{self, json},
    progress::Bars,
    table::Table,
};

/// Pull, list, inspect and remove images
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    /// Pull an image into the store and unpack it
    #[command(after_help = "Example:\n  uc image pull localhost:5000/team/app:1.2")]
    Pull {
        /// The reference: [HOST[:PORT]/]PATH[:TAG][@DIGEST]
        reference: String,
    },
    /// List the images of the store
    Ls,
    /// Show an image: digests, layers, what it executes
    Inspect {
        /// A stored image's reference
        reference: String,
    },
    /// Remove images, with layers that nothing else needs
    Rm {
        /// References
        #[arg(required = true)]
        references: Vec<String>,
    },
    /// Remove unpacked layers that no stored image needs and nothing that runs uses
    #[command(
        after_help = "Layers of oci: and oci-archive: images are unpacked when they are first run, and again after this."
    )]
    Prune,
}

/// Runs the command.
pub(crate) fn image(args: &ImageArgs, format: Format) -> Result<ExitCode> {
    let engine = engine()?;
    let store = Store::open(&engine.home().images())?;
    match &args.command {
        ImageCommand::Pull { reference } => {
            let image = store.pull(
                &parse(reference)?,
                &Credentials::from_environment(),
                &Bars::default(),
            )?;
            engine.unpack_image(&image, &store)?;
            show(&image, format)?;
        }
        ImageCommand::Ls => list(&store, format)?,
        ImageCommand::Inspect { reference } => {
            let image = store.find(&parse(reference)?)?.ok_or_else(|| {
                Problem::not_found("the image is not stored here")
                    .found(reference)
                    .remedy(format!("uc image pull {reference}"))
            })?;
            show(&image, format)?;
        }
        ImageCommand::Prune => image_prune::prune(&engine, &store, format)?,
        ImageCommand::Rm { references } => {
            let mut freed = 0;
            for reference in references {
                freed += store.remove(&parse(reference)?)?.freed_bytes;
            }
            engine.forget_layers(&store)?;
            match format {
                Format::Json => json(&serde_json::json!({ "freed_bytes": freed }))?,
                Format::Text => printing::say(&format!("freed {}", Bytes(freed))),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(text: &str) -> Result<Reference> {
    match uc_manifest::parse_image(text, std::path::Path::new("."))? {
        ImageSource::Registry { reference } => reference.parse(),
        other => Err(Problem::invalid("not a registry reference")
            .found(other)
            .remedy("layouts and archives stay where they are; `uc image prune` removes what was unpacked of them")),
    }
}

fn list(store: &Store, format: Format) -> Result<()> {
    let images = store.list()?;
    if format == Format::Json {
        let views: Vec<_> = images
            .iter()
            .map(|image| serde_json::json!({ "reference": image.reference.to_string(), "digest": image.digest, "size_bytes": image.size }))
            .collect();
        return json(&views);
    }
    let mut table = Table::new(&["REFERENCE", "DIGEST", "SIZE"]);
    for image in images {
        let size = image
            .size
            .map_or_else(|| "incomplete".to_owned(), |size| Bytes(size).to_string());
        table.row([
            image.reference.to_string(),
            image.digest.short().to_owned(),
            size,
        ]);
    }
    printing::result(&table.text())
}

fn show(image: &Image, format: Format) -> Result<()> {
    let config = &image.config;
    if format == Format::Json {
        let layers: Vec<_> = image
            .layers
            .iter()
            .map(|layer| serde_json::json!({ "digest": layer.digest, "diff_id": layer.diff_id, "size_bytes": layer.size, "media_type": layer.media_type }))
            .collect();
        return json(&serde_json::json!({
            "reference": image.reference,
            "digest": image.named_digest,
            "manifest_digest": image.manifest_digest,
            "os": config.os,
            "architecture": config.architecture,
            "entrypoint": config.entrypoint,
            "cmd": config.cmd,
            "env": config.env,
            "working_dir": config.working_dir,
            "user": config.user,
            "labels": config.labels,
            "layers": layers,
        }));
    }
    let mut text = format!(
        "{}\n  digest    {}\n  manifest  {}\n  platform  {}/{}\n",
        image.reference, image.named_digest, image.manifest_digest, config.os, config.architecture
    );
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("  {name:9} {value}\n"));
        }
    };
    line(
        "runs",
        [config.entrypoint.join(" "), config.cmd.join(" ")]
            .join(" ")
            .trim()
            .to_owned(),
    );
    line("user", config.user.clone().unwrap_or_default());
    line("directory", config.working_dir.clone().unwrap_or_default());
    for layer in &image.layers {
        line(
            "layer",
            format!(
                "{}  {:>10}",
                layer.digest.short(),
                Bytes(layer.size).to_string()
            ),
        );
    }
    printing::result(&text)
}
