//! `uc sign`: vouch for an artifact in a registry.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use uc_engine::trust::{self, Artifact, Attached, Forms, Signer};
use uc_image::{
    NoProgress, Reference,
    registry::{Credentials, Registry},
};
use uc_model::{Problem, Result};
use uc_sign::PrivateKey;

use crate::{cli::Format, key_file::Sealed, password::PasswordArgs, printing};

/// Sign an artifact in a registry: an image, an index, a chart, a WebAssembly component, anything
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc sign --key uc.key registry.example.com/team/app:1.2
  uc sign --key uc.key -a build=1234 registry.example.com/team/app@sha256:...
  uc sign --key uc.key --recursive registry.example.com/team/app:1.2   an index and all it lists

By default in both forms, so that any version of cosign finds it: a layer of the image sha256-….sig, and a bundle as a
referrer. No transparency log is told.")]
pub(crate) struct SignArgs {
    /// The artifact
    reference: String,
    /// The private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// An annotation that is signed, too
    #[arg(long = "annotation", short = 'a', value_name = "KEY=VALUE", value_parser = parse_annotation)]
    annotations: Vec<(String, String)>,
    /// In which form
    #[arg(long, value_enum, default_value_t = Form::Both)]
    form: Form,
    /// Sign the manifests that an index lists as well
    #[arg(long, short)]
    recursive: bool,
    #[command(flatten)]
    password: PasswordArgs,
}

/// The forms of signatures and attestations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Both
    Both,
    /// A layer of the image sha256-….sig or .att (cosign 1 and 2)
    Legacy,
    /// A bundle as a referrer (cosign 3)
    Bundle,
}

impl From<Form> for Forms {
    fn from(form: Form) -> Self {
        match form {
            Form::Both => Self::Both,
            Form::Legacy => Self::Legacy,
            Form::Bundle => Self::Bundle,
        }
    }
}

/// Reads `key=value`.
pub(crate) fn parse_annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// Reads a reference to an artifact in a registry.
pub(crate) fn parse_reference(text: &str) -> Result<Reference> {
    use uc_model::workload::ImageSource;
    match uc_manifest::parse_image(text, std::path::Path::new("."))? {
        ImageSource::Registry { reference } => reference.parse(),
        other => Err(Problem::invalid("not a reference to a registry")
            .found(other)
            .remedy("push it first: uc image push")),
    }
}

/// Runs the command.
pub(crate) fn sign(args: &SignArgs, format: Format) -> Result<ExitCode> {
    let reference = parse_reference(&args.reference)?;
    let sealed = Sealed::read(&args.key, &args.password)?;
    let credentials = Credentials::from_environment();
    let registry = Registry::new(&reference, &credentials, &NoProgress);
    let (key, artifact) = open_and_resolve(sealed, &registry)?;
    let annotations: BTreeMap<String, String> = args.annotations.iter().cloned().collect();
    let signer = Signer {
        key: &key,
        forms: args.form.into(),
    };
    let mut attached = vec![trust::sign(&registry, &artifact, &signer, &annotations)?];
    if args.recursive {
        for listed in &artifact.lists {
            let artifact = Artifact {
                digest: listed.digest.clone(),
                media_type: listed.media_type.clone(),
                size: listed.size,
                lists: Vec::new(),
                ..artifact.clone()
            };
            attached.push(trust::sign(&registry, &artifact, &signer, &annotations)?);
        }
    }
    report(&artifact.repository, "signed", &attached, format)?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the key and asks the registry side by side: opening takes a fifth of a second.
pub(crate) fn open_and_resolve(
    sealed: Sealed,
    registry: &Registry<'_>,
) -> Result<(PrivateKey, Artifact)> {
    std::thread::scope(|scope| {
        let key = scope.spawn(|| sealed.open());
        let artifact = Artifact::of(registry);
        let key = key
            .join()
            .unwrap_or_else(|_| Err(Problem::internal("opening the key failed")))?;
        Ok((key, artifact?))
    })
}

/// Tells what was attached where.
pub(crate) fn report(
    repository: &str,
    verb: &str,
    attached: &[Attached],
    format: Format,
) -> Result<()> {
    if format == Format::Json {
        return printing::json(&attached);
    }
    let mut text = String::new();
    for one in attached {
        text.push_str(&format!("{verb}  {repository}@{}\n", one.subject));
        if let Some(tag) = &one.tag {
            text.push_str(&format!("  layer   of {repository}:{tag}\n"));
        }
        if let Some(bundle) = &one.bundle {
            text.push_str(&format!("  bundle  {bundle}\n"));
        }
    }
    printing::result(&text)?;
    printing::say("no transparency log was told");
    Ok(())
}
