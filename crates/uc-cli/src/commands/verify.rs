//! `uc verify`: is an artifact signed by those who must have signed it?

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use uc_engine::trust::{
    Artifact, Extent, Shelf, Trust, find_attestations, read_policy, verify as judge,
};
use uc_image::{
    NoProgress, Reference,
    layout::{Layout as _, LayoutArchive, LayoutDirectory},
    registry::{Credentials, Registry},
};
use uc_model::{Problem, ProblemKind, Result, workload::ImageSource};
use uc_sign::{
    AttestationVerdict, Outcome, PredicateType, Requirement, Verdict, verdict::Discounted,
};

use super::{attest::now_s, engine, sign::parse_annotation};
use crate::{
    cli::Format,
    printing::{self, Mark, marked},
};

/// Verify the signatures or attestations of an artifact against keys or a trust policy
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc verify --key uc.pub registry.example.com/team/app:1.2
  uc verify --policy trust.toml registry.example.com/team/app:1.2
  uc verify --key uc.pub oci:./layout:1.2    a copy with its signatures, made by uc image copy
  uc verify --key uc.pub --attestation spdxjson registry.example.com/team/app:1.2
  uc verify --key uc.pub --attestation spdxjson --predicate registry.example.com/team/app:1.2 > app.spdx.json

Only the registry is asked: no transparency log, no time stamps, no certificates. Exit codes: 0 verified, 10 not signed,
12 signed by others, 65 malformed, 66 not found, 69 unreachable, 77 the policy has no rule.")]
pub(crate) struct VerifyArgs {
    /// The artifact: in a registry, or oci:DIR[:TAG] or oci-archive:FILE[:TAG]
    reference: String,
    #[command(flatten)]
    trust: TrustArgs,
    /// An annotation that the signature must have
    #[arg(long = "annotation", short = 'a', value_name = "KEY=VALUE", value_parser = parse_annotation)]
    annotations: Vec<(String, String)>,
    /// Verify attestations of this type instead of signatures
    #[arg(long, value_name = "TYPE", conflicts_with = "annotations")]
    attestation: Option<String>,
    /// Look at everything that is attached, also when the artifact is verified already
    #[arg(long, conflicts_with = "attestation")]
    all: bool,
    /// Print what the attestations state, verified, one JSON document a line
    #[arg(long, requires = "attestation")]
    predicate: bool,
}

/// What is trusted.
#[derive(Debug, Args)]
struct TrustArgs {
    /// A public key that may have signed (can be given several times)
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// A trust policy; without key or policy, the user's own (trust.toml in the configuration directory)
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    policy: Option<PathBuf>,
}

/// The keys or the policy that are named, else the user's own policy; `None` where there is neither.
///
/// # Errors
/// Those of the files.
pub(crate) fn read_trust(keys: &[PathBuf], policy: Option<&Path>) -> Result<Option<Trust>> {
    if !keys.is_empty() {
        return Trust::in_keys(keys).map(Some);
    }
    let own = engine()?.home().trust_policy();
    let file = match policy {
        Some(file) => file,
        None if own.exists() => &own,
        None => return Ok(None),
    };
    read_policy(file).map(|policy| Some(Trust::Policy(policy)))
}

/// Runs the command.
pub(crate) fn verify(args: &VerifyArgs, format: Format) -> Result<ExitCode> {
    let source = uc_manifest::parse_image(&args.reference, Path::new("."))?;
    let trust = read_trust(&args.trust.key, args.trust.policy.as_deref())?.ok_or_else(|| {
        Problem::invalid("nothing says who is trusted")
            .remedy("name a public key with --key or a policy with --policy")
    })?;
    match source {
        ImageSource::Registry { reference } => {
            let reference: Reference = reference.parse()?;
            let credentials = Credentials::from_environment();
            let registry = Registry::new(&reference, &credentials, &NoProgress);
            let repository = format!("{}/{}", reference.host(), reference.repository());
            let requirement = requirement(args, &trust, &repository)?;
            answer(
                args,
                &registry,
                &Artifact::of(&registry)?,
                &requirement,
                format,
            )
        }
        ImageSource::OciLayout { directory, tag } => {
            let layout = LayoutDirectory::open(&directory)?;
            let image = layout.image(tag.as_deref())?;
            let place = directory.display().to_string();
            let requirement = requirement(args, &trust, &place)?;
            answer(
                args,
                &layout,
                &Artifact::in_layout(&image, place),
                &requirement,
                format,
            )
        }
        ImageSource::OciArchive { file, tag } => {
            let archive = LayoutArchive::open(&file)?;
            let image = archive.image(tag.as_deref())?;
            let place = file.display().to_string();
            let requirement = requirement(args, &trust, &place)?;
            answer(
                args,
                &archive,
                &Artifact::in_layout(&image, place),
                &requirement,
                format,
            )
        }
        ImageSource::WasmFile { file } => Err(Problem::unsigned("a file cannot carry a signature")
            .at(file.display())
            .remedy("push it as an artifact (uc image push) and sign that")),
    }
}

fn requirement(args: &VerifyArgs, trust: &Trust, repository: &str) -> Result<Requirement> {
    let (mut requirement, _) = trust.requirement(repository, now_s())?;
    requirement.annotations = args.annotations.iter().cloned().collect::<BTreeMap<_, _>>();
    Ok(requirement)
}

fn answer(
    args: &VerifyArgs,
    shelf: &dyn Shelf,
    artifact: &Artifact,
    requirement: &Requirement,
    format: Format,
) -> Result<ExitCode> {
    if let Some(kind) = &args.attestation {
        let wanted: PredicateType = kind.parse()?;
        let verdict = find_attestations(shelf, artifact, requirement, Some(&wanted))?;
        return report_attestations(args, artifact, &verdict, format);
    }
    let extent = if args.all {
        Extent::All
    } else {
        Extent::Enough
    };
    let verdict = judge(shelf, artifact, requirement, extent)?;
    report(artifact, &verdict, format)
}

fn report(artifact: &Artifact, verdict: &Verdict, format: Format) -> Result<ExitCode> {
    let problem = verdict.problem();
    if format == Format::Json {
        printing::json(verdict)?;
    } else {
        let mark = if problem.is_none() {
            Mark::Good
        } else {
            Mark::Bad
        };
        let mut text = format!(
            "{}  {}@{}\n",
            marked(mark, &verdict.summary()),
            artifact.repository,
            artifact.digest
        );
        for signature in &verdict.signatures {
            let what = if signature.digest == artifact.digest {
                ""
            } else {
                " (the index that lists it)"
            };
            text.push_str(&format!(
                "  {}  {} {}{what}, {}\n",
                signature.by.signer,
                signature.by.algorithm,
                signature.by.key.short(),
                signature.found
            ));
        }
        text.push_str(&discounted(&verdict.discounted, verdict.not_examined));
        printing::result(&text)?;
    }
    Ok(code_of(problem.as_ref(), format))
}

/// What did not count. It matters where nothing did, and is short where something did.
fn discounted(all: &[Discounted], not_examined: usize) -> String {
    const SHOWN: usize = 10;
    let mut text = String::new();
    for one in all.iter().take(SHOWN) {
        text.push_str(&format!("  not counted: {}: {}\n", one.found, one.detail));
    }
    let further = all.len().saturating_sub(SHOWN);
    if further > 0 {
        text.push_str(&format!("  not counted: {further} more\n"));
    }
    if not_examined > 0 {
        text.push_str(&format!(
            "  not examined: {not_examined}, for there are too many\n"
        ));
    }
    text
}

fn code_of(problem: Option<&Problem>, format: Format) -> ExitCode {
    let Some(problem) = problem else {
        return ExitCode::SUCCESS;
    };
    if let (Format::Text, Some(remedy)) = (format, problem.remedy_text()) {
        printing::say(&format!("  help: {remedy}"));
    }
    ExitCode::from(problem.kind().exit_code())
}

fn report_attestations(
    args: &VerifyArgs,
    artifact: &Artifact,
    verdict: &AttestationVerdict,
    format: Format,
) -> Result<ExitCode> {
    if args.predicate && verdict.outcome == Outcome::Verified {
        // What was attached in two forms is stated once.
        let stated: BTreeSet<&[u8]> = verdict
            .attestations
            .iter()
            .map(|attestation| attestation.predicate())
            .collect();
        for predicate in stated {
            let text = String::from_utf8_lossy(predicate);
            printing::result(&format!("{}\n", text.trim_end()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if format == Format::Json {
        printing::json(verdict)?;
    } else {
        let wanted = args.attestation.as_deref().unwrap_or("any");
        let summary = match verdict.outcome {
            Outcome::Verified => format!("verified: attested ({wanted})"),
            Outcome::SignedByOthers => format!("attested ({wanted}), but by no trusted key"),
            Outcome::Malformed => {
                format!("the attestations ({wanted}) are broken, or of another digest")
            }
            _ => format!("not attested ({wanted})"),
        };
        let mark = if verdict.outcome == Outcome::Verified {
            Mark::Good
        } else {
            Mark::Bad
        };
        let mut text = format!(
            "{}  {}@{}\n",
            marked(mark, &summary),
            artifact.repository,
            artifact.digest
        );
        for attestation in &verdict.attestations {
            let by: Vec<&str> = attestation.by.iter().map(|by| by.signer.as_str()).collect();
            text.push_str(&format!(
                "  {}  by {}, {}\n",
                attestation.predicate_type,
                by.join(", "),
                attestation.found
            ));
        }
        text.push_str(&discounted(&verdict.discounted, verdict.not_examined));
        text.push_str("  no transparency log was consulted\n");
        printing::result(&text)?;
    }
    let kind = match verdict.outcome {
        Outcome::Verified | Outcome::UnsignedAllowed => return Ok(ExitCode::SUCCESS),
        Outcome::Malformed => ProblemKind::Invalid,
        Outcome::SignedByOthers | Outcome::TooFewSigners => ProblemKind::Untrusted,
        Outcome::Unsigned | Outcome::AttestationMissing => ProblemKind::Unsigned,
    };
    Ok(ExitCode::from(kind.exit_code()))
}
