//! `uc attest`: sign a statement about an artifact.

use std::{fs, io::Read as _, path::PathBuf, process::ExitCode, time::SystemTime};

use clap::Args;
use uc_engine::trust::{self, Signer};
use uc_image::{
    NoProgress,
    registry::{Credentials, Registry},
};
use uc_model::{Problem, Result};

use super::sign::{Form, open_and_resolve, parse_reference, report};
use crate::{cli::Format, key_file::Sealed, password::PasswordArgs};

/// The largest predicate that is read, in bytes; the format's own limit is below.
const MAX_PREDICATE: u64 = 64 << 20;

/// Attach a signed statement about an artifact: an SBOM, its provenance, anything
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc attest --key uc.key --type spdxjson --predicate app.spdx.json registry.example.com/team/app:1.2
  uc sbom registry.example.com/team/app:1.2 --output cyclonedx-json | uc attest --key uc.key --type cyclonedx --predicate - ...
  uc verify --key uc.pub --attestation spdxjson registry.example.com/team/app:1.2

Types: spdxjson, spdx, cyclonedx, slsaprovenance, slsaprovenance02, slsaprovenance1, vuln, openvex, link, custom, or a URI.")]
pub(crate) struct AttestArgs {
    /// The artifact
    reference: String,
    /// The private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What kind of statement it is
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    /// What is stated (- for standard input)
    #[arg(long, value_name = "FILE")]
    predicate: PathBuf,
    /// In which form
    #[arg(long, value_enum, default_value_t = Form::Both)]
    form: Form,
    #[command(flatten)]
    password: PasswordArgs,
}

/// Runs the command.
pub(crate) fn attest(args: &AttestArgs, format: Format) -> Result<ExitCode> {
    let reference = parse_reference(&args.reference)?;
    let predicate = read_predicate(&args.predicate)?;
    let now = now_s();
    // What does not fit its type is told before a password is asked for.
    uc_sign::predicate::prepare(&args.kind, &predicate, now)
        .map_err(|problem| problem.within(args.predicate.display()))?;
    let sealed = Sealed::read(&args.key, &args.password)?;
    let credentials = Credentials::from_environment();
    let registry = Registry::new(&reference, &credentials, &NoProgress);
    let (key, artifact) = open_and_resolve(sealed, &registry)?;
    let signer = Signer {
        key: &key,
        forms: args.form.into(),
    };
    let attached = trust::attest(&registry, &artifact, &signer, &args.kind, &predicate, now)?;
    report(&artifact.repository, "attested", &[attached], format)?;
    Ok(ExitCode::SUCCESS)
}

/// The time in Unix seconds.
pub(crate) fn now_s() -> i64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn read_predicate(file: &std::path::Path) -> Result<Vec<u8>> {
    let unreadable = |error: std::io::Error| {
        Problem::not_found("the predicate cannot be read")
            .at(file.display())
            .caused_by(error)
    };
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        let stdin = std::io::stdin().lock();
        stdin.take(MAX_PREDICATE + 1).read_to_end(&mut bytes)
    } else {
        fs::File::open(file)
            .map_err(unreadable)?
            .take(MAX_PREDICATE + 1)
            .read_to_end(&mut bytes)
    }
    .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_PREDICATE {
        return Err(Problem::refused("the predicate is too large")
            .at(file.display())
            .limit("64 MiB"));
    }
    Ok(bytes)
}
